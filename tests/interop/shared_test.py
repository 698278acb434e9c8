#!/usr/bin/python3
"""Shared subscriptions with other people's clients: mosquitto_sub, paho-mqtt and mqtt.js, over TCP and over
WebSocket, MQTT 3.1.1 and 5.0, are members of one declared queue group.

    WEIR_BIN=... shared_test.py [part of a test's name]

Needs mosquitto-clients, python3-paho-mqtt and `npm ci` in this folder; what is missing is told, and the
test counts as skipped.
"""
import json
import os
import signal
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "scenario")]
import clients_test  # noqa: E402 (found through the line above)
import support  # noqa: E402

RECORDS = 240
BURST = 20
REFUSED = (0x8f, 0x80)  # by 5.0 and by 3.1.1


class Member:
    """A client that works for a group."""

    def __init__(self, scene, gateway, name, shared="$share/workers/jobs/#", qos=1):
        kind, version = name.rsplit("-", 1)
        self.name, self.told = name, kind != "mosquitto"
        commands = {
            "mosquitto": ["mosquitto_sub", "-p", str(gateway.port), "-V", "5" if version == "5" else "311", "-i",
                          name, "-q", str(qos), "-F", "%p", "-t", shared],
            "paho": [*clients_test.PAHO, str(gateway.port), version, "work", name, str(qos), shared],
            "mqtt.js": [*clients_test.MQTTJS, str(gateway.port), version, "work", name, str(qos), shared],
            "mqtt.js-ws": [*clients_test.MQTTJS, web_of(gateway), version, "work", name, str(qos), shared],
        }
        self.process = scene.process(commands[kind])

    def granted(self):
        """What SUBACK said, and its Reason String."""
        self.process.wait_lines(1)
        one = json.loads(self.process.lines()[0])
        return one["granted"], one["reason"]

    def payloads(self):
        lines = [line.decode() for line in self.process.lines()]
        if not self.told:
            return lines
        return [clients_test.Scripted.parse(line)["payload"].decode() for line in lines[1:]]


def web_of(gateway):
    return "ws://127.0.0.1:%s/mqtt" % gateway.ports()["http"].rsplit(":", 1)[1]


MEMBERS = ["mosquitto-4", "mosquitto-5", "paho-4", "paho-5", "mqtt.js-4", "mqtt.js-5", "mqtt.js-ws-4",
           "mqtt.js-ws-5"]


def started(scene, *options):
    gateway = scene.gateway("http.enabled=true", "http.port=0")
    for topic in ("jobs", "dead"):
        gateway.weir("topic", "create", topic)
    gateway.weir("group", "create", "workers", "--topic", "jobs", "--model", "queue", "--dead-letter", "dead",
                 *options)
    return gateway


def group_of(gateway, name="workers"):
    found = json.loads(gateway.weir("group", "info", name, "--json"))
    return found[0] if isinstance(found, list) else found


def fates(gateway, name="workers"):
    return {fate: count for fate, count in group_of(gateway, name)["fates"].items() if count}


def members_join(gateway, count, name="workers"):
    support.wait_until(f"{count} members", lambda: len(group_of(gateway, name)["members"]) == count)


def publish(gateway, payloads, topic="jobs"):
    lines = "".join(f"{payload}\n" for payload in payloads)
    done = support.run_checked(["mosquitto_pub", "-p", str(gateway.port), "-q", "1", "-t", f"{topic}/k", "-l"],
                               lines.encode())
    assert done.returncode == 0, done


def every_client_gets_its_share_and_no_record_comes_twice():
    with support.Scene() as scene:
        gateway = started(scene)
        members = [Member(scene, gateway, name) for name in MEMBERS]
        members_join(gateway, len(members))
        assert {(member["member"], member["origin"]) for member in group_of(gateway)["members"]} == {
            (name, "mqtt") for name in MEMBERS}
        sent = [str(i) for i in range(RECORDS)]
        for i in range(0, RECORDS, BURST):
            publish(gateway, sent[i:i + BURST])
        support.wait_until("all to be accepted", lambda: fates(gateway) == {"accepted": RECORDS})
        support.wait_until("all to be told", lambda: sum(len(one.payloads()) for one in members) == RECORDS)
        got = {one.name: one.payloads() for one in members}
        assert sorted(int(payload) for all_of in got.values() for payload in all_of) == list(range(RECORDS)), got
        assert all(got.values()), {name: len(all_of) for name, all_of in got.items()}
        assert group_of(gateway)["failed_times"] == 0


def what_a_killed_consumer_had_comes_to_the_others():
    with support.Scene() as scene:
        gateway = started(scene, "--delivery-limit", "-1")
        hangs = [Member(scene, gateway, name) for name in ("paho-5", "mqtt.js-ws-5", "mosquitto-4")]
        members_join(gateway, len(hangs))
        for one in hangs:  # stopped: they get records and answer none
            one.process.process.send_signal(signal.SIGSTOP)
        works = [Member(scene, gateway, name) for name in ("mqtt.js-5", "paho-4")]
        members_join(gateway, len(hangs) + len(works))
        sent = [str(i) for i in range(RECORDS)]
        for i in range(0, RECORDS, BURST):
            publish(gateway, sent[i:i + BURST])
            if i // BURST % 4 == 3:
                hangs.pop().process.end()
        support.wait_until(f"all to be accepted: {fates(gateway)}",
                           lambda: fates(gateway) == {"accepted": RECORDS})
        support.wait_until("all to be told",
                           lambda: {p for one in works for p in one.payloads()} == set(sent))
        assert group_of(gateway)["failed_times"] > 0


def a_rejected_record_goes_to_the_dead_letters_and_to_nobody_else():
    for name in ("mqtt.js-5", "mqtt.js-ws-5"):
        with support.Scene() as scene:
            gateway = started(scene)
            member = Member(scene, gateway, name)
            members_join(gateway, 1)
            publish(gateway, ["bad one", "good one"])
            support.wait_until("both to have a fate",
                               lambda: fates(gateway) == {"accepted": 1, "dead-lettered": 1})
            support.wait_until("the good one to be told", lambda: member.payloads() == ["good one"])
            dead = gateway.weir("sub", "dead/#", "--from", "beginning", "-e", "-F", "%s %h").decode()
            assert dead.startswith("bad one ") and "weir-dead-text=0x83" in dead, dead
            assert "weir-dead-reason=rejected" in dead, dead


def who_leaves_in_order_fails_nothing():
    for version in ("311", "5"):
        with support.Scene() as scene:
            gateway = started(scene)
            publish(gateway, [str(i) for i in range(50)])
            done = support.run_checked(["mosquitto_sub", "-p", str(gateway.port), "-V", version, "-q", "1", "-C",
                                        "5", "--nodelay", "-t", "$share/workers/jobs"])
            assert done.stdout.split() == [b"0", b"1", b"2", b"3", b"4"], done
            members_join(gateway, 0)
            group = group_of(gateway)
            assert group["failed_times"] == 0 and group["fates"]["accepted"] >= 4, group
            member = Member(scene, gateway, "paho-5")
            support.wait_until("the rest", lambda: fates(gateway) == {"accepted": 50})
            assert len(member.payloads()) >= 45, member.payloads()


def a_queue_topic_is_joined_by_its_name():
    with support.Scene() as scene:
        gateway = started(scene)
        gateway.weir("queue", "create", "print/fast")
        member = Member(scene, gateway, "mqtt.js-ws-4", "$queue/print/fast")
        assert member.granted() == ([1], None)
        publish(gateway, ["a", "b"], "print/fast")
        support.wait_until("both to be accepted",
                           lambda: fates(gateway, "print/fast") == {"accepted": 2})
        support.wait_until("both to be told", lambda: member.payloads() == ["a", "b"])


def with_qos_0_a_record_is_accepted_as_it_is_handed_over():
    with support.Scene() as scene:
        gateway = started(scene)
        member = Member(scene, gateway, "mosquitto-5", qos=0)
        members_join(gateway, 1)
        member.process.process.send_signal(signal.SIGSTOP)  # it will never read them
        publish(gateway, ["a", "b"])
        support.wait_until("both to be accepted", lambda: fates(gateway) == {"accepted": 2})
        member.process.end()
        members_join(gateway, 0)
        assert fates(gateway) == {"accepted": 2} and group_of(gateway)["failed_times"] == 0


def what_is_not_declared_is_refused_with_what_to_do():
    with support.Scene() as scene:
        gateway = started(scene)
        gateway.weir("group", "create", "readers", "--topic", "jobs")
        words = {
            "$share/nobody/jobs/#": "weir group create 'nobody' --model queue --filter 'jobs/#'",
            "$share/workers/jobs/+": "subscribe to $share/workers/jobs/#",
            "$share/readers/jobs/#": "is a stream group",
            "$queue/jobs": "weir queue create 'jobs'",
        }
        for shared, what_to_do in words.items():
            for name in ("paho-5", "mqtt.js-ws-5", "paho-4", "mqtt.js-4"):
                member = Member(scene, gateway, name, shared)
                codes, reason = member.granted()
                member.process.end()  # else it would fight the next one of its name for the connection
                assert codes == [REFUSED[name.endswith("4")]], (shared, name, codes)
                assert name.endswith("4") or what_to_do in reason, (shared, name, reason)
        assert "event=share-refused" in gateway.log() and "weir group create GROUP" in gateway.log()
        for version, code in (("5", "143"), ("311", "128")):
            done = support.run_checked(["mosquitto_sub", "-p", str(gateway.port), "-V", version, "-d", "-t",
                                        "$share/nobody/jobs/#"])
            assert f"Subscribed (mid: 1): {code}" in done.stdout.decode(), done


if __name__ == "__main__":
    if clients_test.missing():
        print(f"SKIPPED: {clients_test.missing()} is not there")
        sys.exit(support.SKIPPED)
    support.run_tests([
        every_client_gets_its_share_and_no_record_comes_twice,
        what_a_killed_consumer_had_comes_to_the_others,
        a_rejected_record_goes_to_the_dead_letters_and_to_nobody_else,
        who_leaves_in_order_fails_nothing,
        a_queue_topic_is_joined_by_its_name,
        with_qos_0_a_record_is_accepted_as_it_is_handed_over,
        what_is_not_declared_is_refused_with_what_to_do,
    ], *sys.argv[1:])
