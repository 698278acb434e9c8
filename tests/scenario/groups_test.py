"""Consumer groups through three front ends: the C client's whole road on each of them; and members
that are killed in turn under load, after which every record has been accepted exactly once; and leases
in binary frames.

    groups_test.py GROUP_CLIENT
"""
import json
import os
import socket
import struct
import sys
import urllib.request

import support

CLIENT = sys.argv[1]
RECORDS = 3000
KILLS = 9
TOLD = 30  # records of each front end whose story is asked for


def gateway_of(scene):
    gateway = scene.gateway("http.enabled=true", "http.port=0", "nng.enabled=true",
                            *(f"nng.{name}.url=tcp://127.0.0.1:0" for name in ("rep", "pull", "pub", "push")))
    bound = gateway.ports()
    urls = {
        "websocket": "ws://127.0.0.1:%s/v1" % bound["http"].rsplit(":", 1)[1],
        "nng": "nng+" + bound["nng.rep"],
        "local": "unix:" + os.path.join(gateway.data, "weir.sock"),
    }
    return gateway, urls


class Talk:
    """weir.v1 on the local socket, one command at a time."""

    def __init__(self, gateway):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(support.DEADLINE_S)
        self.socket.connect(os.path.join(gateway.data, "weir.sock"))
        self.lines = self.socket.makefile("rb")
        self.ask(cmd="hello", version=1)

    def frame(self, kind, body):
        """Sends a frame; (type, body) of the one that answers."""
        self.socket.sendall(struct.pack(">BI", kind, len(body)) + body)
        kind, size = struct.unpack(">BI", self.lines.read(5))
        return kind, self.lines.read(size)

    def ask(self, **command):
        self.socket.sendall(json.dumps(command).encode() + b"\n")
        answer = json.loads(self.lines.readline())
        assert answer.get("ok"), f"{command}: {answer}"
        return answer


def the_c_client_walks_the_whole_road_on_every_front_end():
    for name in ("local", "websocket", "nng"):
        with support.Scene() as scene:
            _, urls = gateway_of(scene)
            done = support.run_checked([CLIENT, "road", urls[name]])
            assert done.returncode == 0, (name, done.stderr.decode(errors="replace"))


def load(scene, gateway_too):
    """Members of the three front ends, and if asked the gateway, are killed in turn while records come."""
    gateway, urls = gateway_of(scene)
    gateway.ports_keep()
    talk = Talk(gateway)
    talk.ask(cmd="topic", action="create", topic="work", durability="os")
    talk.ask(cmd="group", action="create", group="workers", model="queue", topic="work",
             lease_ms=2000, delivery_limit=-1)
    names = list(urls)

    def worker(name):
        return scene.process([CLIENT, "work", urls[name], "workers", name])

    workers = {name: worker(name) for name in names}
    everyone = [(name, workers[name]) for name in names]
    for _, process in everyone:
        process.wait_lines(1)
    sent = 0
    for kill in range(KILLS + 1):
        step = RECORDS // (KILLS + 1)
        talk.ask(cmd="publish", topic="work", records=[{"key": str(i), "value": str(i)}
                                                       for i in range(sent, sent + step)])
        sent += step
        if kill == KILLS:
            break
        name = names[kill % len(names)]
        before = len(workers[name].lines())
        support.wait_until(f"{name} to accept something",
                           lambda: len(workers[name].lines()) > before or settled(talk) == sent)
        workers[name].end()
        if gateway_too and kill % len(names) == 1:
            gateway.kill()
            gateway.start()
            talk = Talk(gateway)
        workers[name] = worker(name)
        everyone.append((name, workers[name]))
    support.wait_until(f"{sent} records settled", lambda: settled(talk) == sent)
    return talk, everyone, sent, names


def accepted_once(talk, everyone, sent, may_lack):
    """Every record has one fate, accepted; no acceptance was confirmed twice, and few answers were lost."""
    group = talk.ask(cmd="group", action="info", group="workers")["group"]
    fates = {fate: count for fate, count in group["fates"].items() if count}
    assert fates == {"accepted": sent}, fates

    def confirmed():
        return [int(line) for _, process in everyone for line in process.lines() if not line.startswith(b"#")]

    # What was settled is told a moment later: by the worker, and by the thread here that collects its lines.
    support.wait_until(f"all but {may_lack} of {sent} confirmations, has {len(confirmed())}",
                       lambda: sent - len(confirmed()) <= may_lack)
    told = confirmed()
    assert len(told) == len(set(told)), "a record was accepted twice"
    assert set(told) <= set(range(sent)), "a record that was never sent"
    return group


def stories_name_who_accepted(talk, everyone, sent):
    """`why` has one acceptance of each record, by the front end whose member was told so."""
    confirmed = {int(line): name for name, process in everyone for line in process.lines() if not line.startswith(b"#")}
    for offset in range(sent):
        story = talk.ask(cmd="why", topic="work", offset=offset)
        accepted = [line for line in story["lines"] if line["event"] == "accepted"]
        assert len(accepted) == 1 and accepted[0]["fate"] == "accepted", story
        assert accepted[0]["origin"] == confirmed.get(offset, accepted[0]["origin"]), (confirmed.get(offset), story)
        handed = [line for line in story["lines"] if line["event"] == "leased"]
        back = [line for line in story["lines"]
                if line["event"] in ("connection-lost", "failed", "lease-expired", "returned")]
        assert len(handed) == len(back) + 1 == accepted[0]["leased"], story
        assert [group["state"] for group in story["groups"]] == ["settled"], story


def members_killed_in_turn_leave_every_record_accepted_once():
    with support.Scene() as scene:
        talk, everyone, sent, names = load(scene, False)
        group = accepted_once(talk, everyone, sent, KILLS)
        assert {member["origin"] for member in group["members"]} == set(names), group["members"]
        stories_name_who_accepted(talk, everyone, sent)


def members_and_the_gateway_killed_leave_every_record_accepted_once():
    with support.Scene() as scene:
        talk, everyone, sent, names = load(scene, True)
        accepted_once(talk, everyone, sent, KILLS + KILLS // len(names) * len(names))
        stories_name_who_accepted(talk, everyone, sent)


def member_of(scene, gateway, urls, front_end):
    """A worker of `workers` on a front end; of MQTT it is mosquitto_sub."""
    if front_end != "mqtt":
        return scene.process([CLIENT, "work", urls[front_end], "workers", front_end])
    return scene.process(["mosquitto_sub", "-p", str(gateway.port), "-V", "5", "-i", "mqtt", "-q", "1", "-D", "connect",
                          "receive-maximum", "20", "-F", "%p", "-t", "$share/workers/work/#"])


def numbers_of(process):
    return [int(line) for line in process.lines() if not line.startswith(b"#")]


def group_told(talk):
    return talk.ask(cmd="group", action="info", group="workers")["group"]


def accepted_by(talk, number):
    """The front end that accepted a record, as its story has it; there is one such line."""
    lines = talk.ask(cmd="why", topic="work", partition=0, offset=number, group="workers")["lines"]
    end, = [line for line in lines if line["fate"] != "pending"]
    assert end["event"] == end["fate"] == "accepted", lines
    return end["origin"]


def an_mqtt_a_websocket_and_an_nng_member_killed_in_turn_leave_every_record_one_fate():
    """Each is killed three times while it has records and more come."""
    front_ends = ["mqtt", "websocket", "nng"]
    with support.Scene() as scene:
        gateway, urls = gateway_of(scene)
        talk = Talk(gateway)
        talk.ask(cmd="topic", action="create", topic="work", durability="os")
        talk.ask(cmd="group", action="create", group="workers", model="queue", topic="work",
                 lease_ms=2000, delivery_limit=-1)  # a killed REQ socket is noticed by its leases
        members = {name: member_of(scene, gateway, urls, name) for name in front_ends}
        everyone = list(members.values())
        sent = 0

        def all_there():
            return {one["origin"] for one in group_told(talk)["members"]} == set(front_ends)

        for kill in range(KILLS + 1):
            support.wait_until("a member of each front end", all_there)
            step = RECORDS // (KILLS + 1)
            name = front_ends[kill % len(front_ends)]
            before = len(members[name].lines())
            for i in range(sent, sent + step):
                talk.ask(cmd="publish", topic="work", records=[{"key": str(i), "value": str(i)}])
                if i == sent + step // 2 and kill < KILLS:
                    support.wait_until(f"{name} to have something", lambda: len(members[name].lines()) > before)
                    members[name].end()
            sent += step
            if kill < KILLS:
                members[name] = member_of(scene, gateway, urls, name)
                everyone.append(members[name])
        support.wait_until(f"{sent} records settled", lambda: settled(talk) == sent)
        group = group_told(talk)
        assert {fate: count for fate, count in group["fates"].items() if count} == {"accepted": sent}, group
        for part in group["partitions"]:  # over [start, end)
            assert sum(part["fates"].values()) == part["end"] - part["start"], part
            assert part["leased"] == part["lag"] == 0, part
        assert {one["origin"] for one in group["members"]} == set(front_ends), group
        told = {front_end: [number for process in everyone if front_end in process.command
                            for number in numbers_of(process)] for front_end in front_ends}
        # weir.v1 workers print what was confirmed as theirs; mosquitto_sub what it got, acknowledged or not.
        confirmed = told["websocket"] + told["nng"]
        assert len(confirmed) == len(set(confirmed)), "a record was accepted twice"
        assert all(told.values()) and set().union(*told.values()) <= set(range(sent)), told
        for front_end in ("websocket", "nng"):  # records came one by one: the number is the offset
            for number in told[front_end][::max(1, len(told[front_end]) // TOLD)]:
                assert accepted_by(talk, number) == front_end, (front_end, number)
            why = json.loads(gateway.weir("why", "work", "0", str(number), "--json"))
            assert [line["origin"] for line in why["lines"] if line["fate"] == "accepted"] == [front_end], why
        alone = sorted(set(told["mqtt"]) - set(confirmed))  # or a worker was killed before it said so
        others = [number for number in alone[::max(1, len(alone) // TOLD)] if accepted_by(talk, number) != "mqtt"]
        assert len(alone) > KILLS and len(others) <= KILLS, (alone, others)
        lost = sent - len(set().union(*told.values()))
        assert lost <= KILLS, f"{lost} records were accepted by nobody who said so"


def leased_of(body):
    """(epoch, [(topic, partition, first, last, lease, leased, batch), ...]) of a leased frame."""
    epoch, at, runs = struct.unpack_from(">Q", body, 8)[0], 32, []
    while at < len(body):
        size = struct.unpack_from(">H", body, at)[0]
        topic = body[at + 2:at + 2 + size]
        fields = struct.unpack_from(">IqqQIII", body, at + 2 + size)
        at += 2 + size + 40 + fields[6]
        runs.append((topic, *fields[:5], body[at - fields[6]:at]))
    return epoch, runs


def records_leased_in_frames_are_settled_in_frames():
    with support.Scene() as scene:
        gateway, _ = gateway_of(scene)
        talk = Talk(gateway)
        talk.ask(cmd="topic", action="create", topic="work")
        talk.ask(cmd="publish", topic="work", records=[{"value": str(i)} for i in range(10)])
        member = talk.ask(cmd="join", group="workers", model="queue", topic="work")["member"]
        kind, body = talk.frame(3, struct.pack(">QQIII", member, 7, 4, 65536, 10000))
        epoch, runs = leased_of(body)
        assert kind == 0x83 and struct.unpack_from(">Q", body)[0] == 7
        assert [(run[0], run[1], run[2], run[3]) for run in runs] == [(b"work", 0, 0, 3)], runs
        assert runs[0][5] == 1 and runs[0][6][16] == 2, "a RecordBatch of magic 2"

        def settle(first, last):
            head = struct.pack(">QQBBQQQH", member, 8, 1, 0, 0, epoch, 0, 0)
            return talk.frame(4, head + struct.pack(">H", 4) + b"work" +
                              struct.pack(">IqqQ", 0, first, last, runs[0][4]))

        level = 3  # disk
        assert settle(0, 2) == (0x84, struct.pack(">QBQQq", 8, level, 3, 0, 0))
        kind, body = settle(2, 3)
        assert kind == 0x84 and struct.unpack_from(">BQQ", body, 8) == (level, 1, 1), body
        kind, body = talk.frame(3, struct.pack(">QQIII", member + 1, 9, 1, 1, 0))
        assert kind == 0xff and b"not-found" in body
        group = talk.ask(cmd="group", action="info", group="workers")["group"]
        assert group["fates"]["accepted"] == 4 and group["late_refused"] == 1, group


def metrics_of(gateway):
    """Samples by name and labels, as they stand."""
    with urllib.request.urlopen(f"http://{gateway.ports()['http']}/metrics", timeout=support.DEADLINE_S) as answer:
        told = answer.read().decode()
    return {name: float(value) for name, value in
            (line.rsplit(" ", 1) for line in told.splitlines() if not line.startswith("#"))}


def metrics_tell_of_groups_one_by_one_up_to_the_limit():
    with support.Scene() as scene:
        gateway = scene.gateway("http.enabled=true", "http.port=0", "limits.metrics_groups_max=2")
        gateway.weir("queue", "create", "jobs", "--delivery-limit", "1")
        gateway.weir("topic", "create", "orders", "--partitions", "4")
        gateway.weir("group", "create", 'a"b\\c', "--topic", "orders", "--removed", "error")
        gateway.weir("pub", "jobs", "-l", stdin=b"0\n1\n2\n")
        gateway.weir("pub", "orders", "-l", stdin=b"0\n1\n2\n3\n")
        gateway.weir("group", "join", "jobs", "-C", "1")
        gateway.weir("group", "join", "jobs", "-C", "1", "-x", "exit 1")
        told = metrics_of(gateway)
        for name, value in (("lag_records", 1), ("unsettled_records", 1), ("leased_records", 0), ("members", 0),
                            ("failures_total", 1)):
            assert told[f'weir_consumer_group_{name}{{group="jobs"}}'] == value, name
        for fate, value in (("accepted", 1), ("dropped", 1), ("skipped", 0)):
            assert told[f'weir_consumer_group_fates_total{{group="jobs",fate="{fate}"}}'] == value, fate
        assert told['weir_consumer_group_lag_records{group="a\\"b\\\\c"}'] == 4
        assert told['weir_consumer_group_lag_seconds{group="a\\"b\\\\c"}'] > 0
        assert told["weir_consumer_groups_left_out"] == 0
        assert told['weir_consumer_group_stands_still{group="a\\"b\\\\c"}'] == 0
        for partition in range(4):
            gateway.weir("topic", "trim", "orders", "--partition", str(partition), "--before", "end")
        assert metrics_of(gateway)['weir_consumer_group_stands_still{group="a\\"b\\\\c"}'] > 0
        gateway.weir("group", "create", "third", "--topic", "orders")
        told = metrics_of(gateway)
        assert told["weir_consumer_groups_left_out"] == 1 and told["weir_groups"] == 3, told
        assert sum(name.startswith("weir_consumer_group_members{") for name in told) == 2, told
        gateway.weir("group", "delete", "third")
        gateway.weir("group", "delete", 'a"b\\c')
        told = metrics_of(gateway)
        assert told["weir_consumer_groups_left_out"] == 0, told
        assert not any('group="a' in name for name in told), told
        assert gateway.stop() == 0, gateway.run.text()


def settled(talk):
    group = talk.ask(cmd="group", action="info", group="workers")["group"]
    return sum(count for fate, count in group["fates"].items() if fate != "pending")


support.run_tests([
    the_c_client_walks_the_whole_road_on_every_front_end,
    records_leased_in_frames_are_settled_in_frames,
    metrics_tell_of_groups_one_by_one_up_to_the_limit,
    members_killed_in_turn_leave_every_record_accepted_once,
    members_and_the_gateway_killed_leave_every_record_accepted_once,
    an_mqtt_a_websocket_and_an_nng_member_killed_in_turn_leave_every_record_one_fate,
], *sys.argv[2:])
