#!/usr/bin/python3
"""Each limit of include/weir/limits.h through a socket: at its value, and one over.

    WEIR_BIN=... limits_test.py [part of a test's name]

The limit is set to something small; what keeps to it is served, what is one over gets the answer that
the table names, in MQTT 5.0, in MQTT 3.1.1 and in weir.v1. Back-pressure limits (`output_bytes_max`,
`port_bytes_max`, `tail_bytes_max`, `owed_runs_max`) refuse nobody: here everything still arrives through
them; what they hold back is measured by the unit and contract tests.
"""
import json
import os
import re
import socket
import sys
import time
import urllib.request

import mqtt_wire as mqtt
import support

QUOTA, TOO_LARGE, NAME_INVALID, FILTER_INVALID, ALIAS_INVALID, CLIENT_ID = 0x97, 0x95, 0x90, 0x8f, 0x94, 0x85
REFUSED = 4


class Local:
    """weir.v1 on the gateway's socket, a line at a time."""

    def __init__(self, gateway, hello=True):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(support.DEADLINE_S)
        self.socket.connect(os.path.join(gateway.data, "weir.sock"))
        self.file = self.socket.makefile("rb")
        self.number = 0
        if hello:
            self.hello = self.ask(cmd="hello", version=1)
            assert self.hello.get("ok"), self.hello

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()
        self.socket.close()

    def say(self, **command):
        self.number += 1
        self.raw(json.dumps({"id": self.number, **command}).encode() + b"\n")
        return self.number

    def raw(self, data):
        try:
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            pass

    def line(self):
        """The next message; None at the end of the stream."""
        try:
            line = self.file.readline()
        except ConnectionResetError:
            return None
        return json.loads(line) if line else None

    def ask(self, **command):
        number = self.say(**command)
        while True:
            answer = self.line()
            assert answer is not None, f"closed at {command}"
            if answer.get("id") == number or "id" not in answer and "error" in answer:
                return answer

    def error(self, **command):
        answer = self.ask(**command)
        return answer["error"]["code"] if "error" in answer else None


def started(scene, *settings, topics=("t",)):
    gateway = scene.gateway(*[f"limits.{setting}" for setting in settings])
    for topic in topics:
        gateway.weir("topic", "create", topic)
    return gateway


def published(gateway, *arguments, version=5, **options):
    """PUBACK's reason of one publish on a connection of its own; for 3.1.1 0, or None when closed."""
    with mqtt.connected(gateway.port, "one", version) as peer:
        peer.send(mqtt.publish(*arguments, qos=1, version=version, **options))
        answer = peer.packet()
        if answer is None:
            assert version == 4, "a 5.0 client was not told why"
            return None
        assert answer.kind == mqtt.PUBACK, answer
        peer.ping()
        return answer.reason()


def disconnected(peer):
    """The reason with which the peer is sent away."""
    got = peer.rest()
    assert len(got) == 1 and got[0].kind == mqtt.DISCONNECT, got
    return got[0].reason()


def record_bytes_max_is_key_value_and_headers_together():
    with support.Scene() as scene:
        gateway = started(scene, "record_bytes_max=1024")
        for version, refusal in ((5, QUOTA), (4, None)):
            for topic, key in (("t/k", 1), ("l/k", 3)):  # a live name is all key
                assert published(gateway, topic, b"v" * (1024 - key), version=version) == 0, topic
                assert published(gateway, topic, b"v" * 1025, version=version) == refusal, topic
        headers = [(mqtt.USER, ("ab", "cd"))]
        assert published(gateway, "t/k", b"v" * (1024 - 5), props=headers) == 0
        assert published(gateway, "t/k", b"v" * (1025 - 4), props=headers) == QUOTA
        by_key = [(mqtt.USER, ("weir-key", "k"))]
        assert published(gateway, "t", b"v" * 1023, props=by_key) == 0
        assert published(gateway, "t", b"v" * 1024, props=by_key) == QUOTA
        with Local(gateway) as peer:
            assert peer.error(cmd="publish", topic="t", key="k", value="v" * 1023) is None
            assert peer.error(cmd="publish", topic="t", key="k", value="v" * 1024) == "too-large"
        assert gateway.weir("pub", "t/k", "-m", "v" * 1025, code=None).returncode == REFUSED


def packet_bytes_max_counts_the_whole_packet():
    with support.Scene() as scene:
        gateway = started(scene, "packet_bytes_max=2048")
        for version in (5, 4):
            fits = mqtt.publish("t/k", b"v" * (2048 - len(mqtt.publish("t/k", b"v" * 200, 1, version=version))
                                               + 200), 1, version=version)
            assert len(fits) == 2048, len(fits)
            with mqtt.connected(gateway.port, "one", version) as peer:
                assert peer.send(fits).expect(mqtt.PUBACK).reason() == 0
                over = mqtt.publish("t/k", b"v" * (len(fits) - len(mqtt.publish("t/k", b"v" * 200, 1,
                                                   version=version)) + 201), 1, version=version)
                peer.send(over)
                if version == 5:
                    assert disconnected(peer) == TOO_LARGE
                else:
                    assert not peer.rest()
        with mqtt.connected(gateway.port) as peer:
            assert (mqtt.PACKET_MAXIMUM, 2048) in peer.accepted.properties(2)[0]
        with Local(gateway) as peer:
            frame = b'{"cmd":"publish","id":1,"name":"t/k","value":"%s"}'
            peer.raw(frame % (b"v" * (2048 - len(frame) + 2)) + b"\n")
            assert peer.line().get("ok")
            peer.raw(frame % (b"v" * (2049 - len(frame) + 2)) + b"\n")
            assert peer.line()["error"]["code"] == "too-large"
            assert peer.line() is None


def connect_bytes_max_bounds_a_stranger():
    with support.Scene() as scene:
        gateway = started(scene, "connect_bytes_max=128")
        for version in (5, 4):
            bare = len(mqtt.connect("", version))
            with mqtt.Peer(gateway.port, mqtt.connect("c" * (128 - bare), version)) as peer:
                assert peer.expect(mqtt.CONNACK).reason() == 0
            with mqtt.Peer(gateway.port, mqtt.connect("c" * (129 - bare), version)) as peer:
                assert not peer.rest()
        hello = b'{"cmd":"hello","version":1,"client":"%s"}'
        with Local(gateway, hello=False) as peer:
            peer.raw(hello % (b"c" * (128 - len(hello) + 2)) + b"\n")
            assert peer.line().get("ok")
        with Local(gateway, hello=False) as peer:
            peer.raw(hello % (b"c" * (129 - len(hello) + 2)) + b"\n")
            assert peer.line()["error"]["code"] == "too-large"
            assert peer.line() is None


def connect_ms_max_ends_a_silent_stranger_and_nobody_else():
    with support.Scene() as scene:
        gateway = started(scene, "connect_ms_max=400")
        began = time.monotonic()
        with mqtt.connected(gateway.port, "greeted") as greeted, Local(gateway) as local, \
                mqtt.Peer(gateway.port) as silent, Local(gateway, hello=False) as mute, \
                mqtt.Peer(gateway.port, mqtt.connect()[:5]) as half:
            assert not silent.rest() and not half.rest()
            took = time.monotonic() - began
            assert took >= 0.35, f"sent away after {took:.2f} s"
            assert mute.line()["error"]["code"] == "timeout" and mute.line() is None
            greeted.ping()
            assert local.error(cmd="ping") is None


def connections_max_turns_the_next_one_away():
    with support.Scene() as scene:
        gateway = started(scene, "connections_max=2", topics=())
        first, second = (mqtt.connected(gateway.port, f"c{number}") for number in range(2))
        for version, refusal in ((5, QUOTA), (4, 3)):
            with mqtt.Peer(gateway.port, mqtt.connect("third", version)) as third:
                got = third.rest()
                assert not got or (got[0].kind == mqtt.CONNACK and got[0].body[1] == refusal), got
        first.ping(), second.ping()
        first.socket.close()

        def admitted():
            with mqtt.Peer(gateway.port, mqtt.connect("third")) as third:
                answer = third.packet()
                return answer is not None and answer.reason() == 0
        support.wait_until("a place", admitted)
        with Local(gateway), Local(gateway), Local(gateway, hello=False) as over:
            assert over.line()["error"]["code"] == "limit" and over.line() is None


def client_id_bytes_max_refuses_a_longer_one():
    with support.Scene() as scene:
        gateway = started(scene, "client_id_bytes_max=23", topics=())
        for version, refusal in ((5, CLIENT_ID), (4, 2)):
            with mqtt.connected(gateway.port, "c" * 23, version) as peer:
                peer.ping()
            with mqtt.Peer(gateway.port, mqtt.connect("c" * 24, version)) as peer:
                got = peer.rest()
                assert len(got) == 1 and got[0].body[1] == refusal, got


def names_and_filters(gateway, fits, over):
    for version, refusal, suback in ((5, NAME_INVALID, FILTER_INVALID), (4, None, 0x80)):
        assert published(gateway, fits, b"v", version=version) == 0
        assert published(gateway, over, b"v", version=version) == refusal
        with mqtt.connected(gateway.port, version=version) as peer:
            answer = peer.send(mqtt.subscribe(fits, over, version=version)).expect(mqtt.SUBACK)
            assert answer.body[-2:] == bytes([1, suback]), answer
            peer.ping()
        with mqtt.Peer(gateway.port, mqtt.connect("will", version, will=(fits, "w"))) as peer:
            assert peer.expect(mqtt.CONNACK).reason() == 0
        with mqtt.Peer(gateway.port, mqtt.connect("will", version, will=(over, "w"))) as peer:
            got = peer.rest()
            assert not got or got[0].reason() != 0, got
    with Local(gateway) as peer:
        assert peer.error(cmd="publish", name=fits, value="v") is None
        assert peer.error(cmd="publish", name=over, value="v") == "name-invalid"
        assert peer.error(cmd="subscribe", filter=fits) is None
        assert peer.error(cmd="subscribe", filter=over) == "name-invalid"


def name_bytes_max_holds_for_names_and_filters():
    with support.Scene() as scene:
        gateway = started(scene, "name_bytes_max=249")
        names_and_filters(gateway, "t/" + "n" * 247, "t/" + "n" * 248)
        names_and_filters(gateway, "l/" + "n" * 247, "l/" + "n" * 248)


def levels_max_holds_for_names_and_filters():
    with support.Scene() as scene:
        gateway = started(scene, "levels_max=8")
        names_and_filters(gateway, "t" + "/n" * 7, "t" + "/n" * 8)
        names_and_filters(gateway, "l" + "/n" * 7, "l" + "/n" * 8)


def subscriptions_max_counts_filters_and_not_replacements():
    with support.Scene() as scene:
        gateway = started(scene, "subscriptions_max=2")
        for version, refusal in ((5, QUOTA), (4, 0x80)):
            with mqtt.connected(gateway.port, version=version) as peer:
                answer = peer.send(mqtt.subscribe("a", "b", "c", "a", version=version)).expect(mqtt.SUBACK)
                assert answer.body[-4:] == bytes([1, 1, refusal, 1]), answer
                body = b"\0\2" + (b"\0" if version == 5 else b"") + mqtt.text("a")
                peer.send(mqtt.packet(mqtt.UNSUBSCRIBE, body, 2)).expect(mqtt.UNSUBACK)
                answer = peer.send(mqtt.subscribe("c", version=version)).expect(mqtt.SUBACK)
                assert answer.body[-1] == 1, answer
        with Local(gateway) as peer:
            assert peer.error(cmd="subscribe", filter="a") is None
            assert peer.error(cmd="subscribe", filter="b") is None
            assert peer.error(cmd="subscribe", filter="c") == "limit"


def filters_per_packet_max_ends_the_connection():
    with support.Scene() as scene:
        gateway = started(scene, "filters_per_packet_max=2")
        for version in (5, 4):
            empty = b"\0" if version == 5 else b""
            for over in (mqtt.subscribe("a", "b", "c", version=version),
                         mqtt.packet(mqtt.UNSUBSCRIBE, b"\0\2" + empty +
                                     b"".join(mqtt.text(name) for name in "abc"), 2)):
                with mqtt.connected(gateway.port, version=version) as peer:
                    peer.send(mqtt.subscribe("a", "b", version=version)).expect(mqtt.SUBACK)
                    peer.send(over)
                    if version == 5:
                        assert disconnected(peer) == QUOTA
                    else:
                        assert not peer.rest()


def headers_max_counts_user_properties_and_headers():
    with support.Scene() as scene:
        gateway = started(scene, "headers_max=2")
        pairs = [(mqtt.USER, ("n", "v"))] * 3
        assert published(gateway, "t/k", b"v", props=pairs[:2]) == 0
        with mqtt.connected(gateway.port) as peer:
            assert disconnected(peer.send(mqtt.publish("t/k", "v", 1, props=pairs))) == QUOTA
        with mqtt.Peer(gateway.port, mqtt.connect(props=pairs[:2])) as peer:
            assert peer.expect(mqtt.CONNACK).reason() == 0
        with mqtt.Peer(gateway.port, mqtt.connect(props=pairs)) as peer:
            assert peer.rest()[0].reason() == QUOTA
        with Local(gateway) as peer:
            headers = [["n", "v"]] * 3
            assert peer.error(cmd="publish", name="t/k", value="v", headers=headers[:2]) is None
            assert peer.error(cmd="publish", name="t/k", value="v", headers=headers) == "limit"


def in_flight_max_bounds_what_is_sent_unacknowledged():
    with support.Scene() as scene:
        gateway = started(scene, "in_flight_max=2")
        for version in (5, 4):
            with mqtt.connected(gateway.port, version=version) as peer:
                if version == 5:
                    assert (mqtt.RECEIVE_MAXIMUM, 2) in peer.accepted.properties(2)[0]
                peer.send(mqtt.subscribe("t/#", version=version)).expect(mqtt.SUBACK)
                gateway.weir("pub", "t/k", "-l", stdin=b"0\n1\n2\n3\n4\n")
                numbers = [peer.expect(mqtt.PUBLISH).publish_number() for _ in range(2)]
                peer.ping()  # its answer comes next: no third publish is on its way
                for _ in range(3):
                    peer.send(mqtt.puback(numbers.pop(0)))
                    numbers.append(peer.expect(mqtt.PUBLISH).publish_number())
                peer.ping()


def in_flight_max_pauses_a_publisher_and_loses_nothing():
    with support.Scene() as scene:
        gateway = started(scene, "in_flight_max=2")
        with mqtt.connected(gateway.port) as peer:
            for number in range(1, 501):
                peer.send(mqtt.publish("t/k", str(number), 1, number))
            for number in range(1, 501):
                answer = peer.expect(mqtt.PUBACK)
                assert (answer.number(), answer.reason()) == (number, 0), answer
        out = gateway.weir("sub", "t/#", "--from", "beginning", "-e")
        assert [int(line) for line in out.split()] == list(range(1, 501))


def topic_alias_max_is_the_largest_alias():
    with support.Scene() as scene:
        gateway = started(scene, "topic_alias_max=2")
        with mqtt.connected(gateway.port) as peer:
            assert (mqtt.TOPIC_ALIAS_MAXIMUM, 2) in peer.accepted.properties(2)[0]
            peer.send(mqtt.publish("t/k", "v", 1, props=[(mqtt.TOPIC_ALIAS, 2)])).expect(mqtt.PUBACK)
            peer.send(mqtt.publish("", "v", 1, props=[(mqtt.TOPIC_ALIAS, 2)])).expect(mqtt.PUBACK)
            assert disconnected(peer.send(mqtt.publish("t/k", "v", 1, props=[(mqtt.TOPIC_ALIAS, 3)]))) == (
                ALIAS_INVALID)
        assert gateway.weir("sub", "t/#", "--from", "beginning", "-e", "-F", "%n") == b"t/k\nt/k\n"


def topics_max_refuses_the_next_topic_until_one_goes():
    with support.Scene() as scene:
        gateway = started(scene, "topics_max=2", topics=("a", "b"))
        gateway.weir("topic", "create", "b")  # there already: nothing new
        gateway.weir("topic", "create", "c", code=REFUSED)
        with Local(gateway) as peer:
            assert peer.error(cmd="topic", action="create", topic="c") == "limit"
        gateway.weir("topic", "rm", "a")
        gateway.weir("topic", "create", "c")


def partitions_max_refuses_a_topic_with_more():
    with support.Scene() as scene:
        gateway = started(scene, "partitions_max=4")
        gateway.weir("topic", "create", "four", "--partitions", "4")
        gateway.weir("topic", "create", "five", "--partitions", "5", code=REFUSED)
        with Local(gateway) as peer:
            assert peer.error(cmd="topic", action="create", topic="five", partitions=5) == "limit"


def queue_max_records_refuses_in_the_words_of_each_front_end():
    with support.Scene() as scene:
        gateway = started(scene, "levels_max=64")
        gateway.weir("queue", "create", "q", "--max-records", "2")
        for version, refusal in ((5, QUOTA), (4, None)):
            for _ in range(2):
                assert published(gateway, "q/k", b"v", version=version) == 0
            assert published(gateway, "q/k", b"v", version=version) == refusal
            with Local(gateway) as peer:
                assert peer.error(cmd="publish", topic="q", value="v") == "queue-full"
            done = gateway.weir("pub", "q", "-m", "v", code=None)
            assert done.returncode == REFUSED and b"max_records" in done.stderr, done
            gateway.weir("group", "join", "q", "-C", "2")
        assert b"weir_refused_queue_total" in gateway.weir("stats")


def retained_max_counts_values_and_not_replacements():
    with support.Scene() as scene:
        gateway = started(scene, "retained_max=2")
        for topic in ("t", "l"):
            for version, refusal in ((5, QUOTA), (4, None)):
                for name in ("a", "b", "a"):
                    assert published(gateway, f"{topic}/{name}", b"v", version=version, retain=True) == 0
                assert published(gateway, f"{topic}/c", b"v", version=version, retain=True) == refusal
                assert published(gateway, f"{topic}/c", b"v", version=version) == 0
                with Local(gateway) as peer:
                    assert peer.error(cmd="publish", name=f"{topic}/c", value="v", retain=True) == "limit"
                assert published(gateway, f"{topic}/b", b"", version=version, retain=True) == 0
                assert published(gateway, f"{topic}/c", b"v", version=version, retain=True) == 0
                for name in ("a", "b", "c"):
                    assert published(gateway, f"{topic}/{name}", b"", version=version, retain=True) == 0


def retained_bytes_max_bounds_the_sum_of_values():
    with support.Scene() as scene:
        gateway = started(scene, "retained_bytes_max=4096")
        for version, refusal in ((5, QUOTA), (4, None)):
            assert published(gateway, "t/a", b"v" * 4094, version=version, retain=True) == refusal
            assert published(gateway, "t/a", b"v" * 4093, version=version, retain=True) == 0  # its name counts
            assert published(gateway, "t/a", b"v" * 3000, version=version, retain=True) == 0
            assert published(gateway, "t/b", b"v" * 1097, version=version, retain=True) == refusal
            assert published(gateway, "t/b", b"v" * 500, version=version, retain=True) == 0
            assert published(gateway, "t/a", b"v" * 100, version=version, retain=True) == 0
            assert published(gateway, "t/c", b"v" * 3000, version=version, retain=True) == 0
            with Local(gateway) as peer:
                assert peer.error(cmd="publish", name="t/d", value="v" * 4097, retain=True) == "limit"
            for name in ("a", "b", "c"):
                assert published(gateway, f"t/{name}", b"", version=version, retain=True) == 0


def fetch_limits_bound_bytes_time_and_number():
    with support.Scene() as scene:
        gateway = started(scene, "fetch_bytes_max=4096", "fetch_wait_ms_max=100", "fetches_max=2")
        gateway.weir("pub", "t/k", "-l", stdin=b"".join(b"%d %s\n" % (n, b"v" * 1000) for n in range(20)))
        with Local(gateway) as peer:
            answer = peer.ask(cmd="fetch", topic="t", offset=0, max_bytes=1 << 30)
            assert 0 < len(answer["records"]) < 20, len(answer["records"])
            assert answer["next"] == len(answer["records"]), answer["next"]
            assert peer.error(cmd="fetch", topic="t", offset=20, wait_ms=100) is None
            assert peer.error(cmd="fetch", topic="t", offset=20, wait_ms=101) == "invalid"
    with support.Scene() as scene:
        gateway = started(scene, "fetches_max=2")
        with Local(gateway) as peer:
            waiting = [peer.say(cmd="fetch", topic="t", offset=0, wait_ms=30000) for _ in range(2)]
            assert peer.error(cmd="fetch", topic="t", offset=0, wait_ms=30000) == "limit"
            gateway.weir("pub", "t/k", "-m", "now")
            assert {peer.line()["id"] for _ in waiting} == set(waiting)
            assert peer.error(cmd="fetch", topic="t", offset=1, wait_ms=1) is None


def members_per_session_max_and_group_members_max_are_said():
    with support.Scene() as scene:
        gateway = started(scene, "members_per_session_max=2", "group_members_max=3")
        group = {"group": "g", "model": "queue", "topic": "t"}
        with Local(gateway) as peer, Local(gateway) as other:
            assert peer.error(cmd="join", **group) is None
            assert peer.error(cmd="join", group="g") is None
            assert peer.error(cmd="join", group="g") == "limit"
            assert other.error(cmd="join", group="g") is None
            assert other.error(cmd="join", group="g") == "limit"
            assert peer.error(cmd="leave", member=1) is None
            assert other.error(cmd="join", group="g") is None
        stats = gateway.weir("stats").decode()
        assert re.search(r"weir_refused_session_members_total\S* +1\b", stats), stats


def a_limit_names_a_metric_that_is_told():
    """The table's metrics, as docs/limits.md gives them, in /metrics and in `weir stats`."""
    with open(os.path.join(os.path.dirname(__file__), "../../docs/limits.md"), encoding="utf-8") as page:
        metrics = re.findall(r"`(weir_\w+)` \|$", page.read(), re.MULTILINE)
    assert len(metrics) >= 20, metrics
    with support.Scene() as scene:
        gateway = scene.gateway("http.enabled=true", "http.port=0", "nng.enabled=true",
                                *[f"nng.{part}.url=tcp://127.0.0.1:0" for part in ("rep", "pull", "pub", "push")],
                                "limits.fetches_max=1", "limits.fetch_wait_ms_max=30000",
                                "limits.fetch_bytes_max=4096")
        gateway.weir("topic", "create", "t")
        with Local(gateway) as peer:
            peer.say(cmd="fetch", topic="t", offset=0, wait_ms=30000, max_bytes=4097)
            assert peer.error(cmd="fetch", topic="t", offset=0, wait_ms=1) == "limit"
            assert peer.error(cmd="fetch", topic="t", offset=0, wait_ms=30001) == "invalid"
        url = "http://" + gateway.ports()["http"].split("//")[-1].strip("/") + "/metrics"
        with urllib.request.urlopen(url, timeout=support.DEADLINE_S) as answer:
            told = answer.read().decode()
        stats = gateway.weir("stats").decode()
        for metric in metrics:
            assert re.search(rf"^{metric}[ {{]", told, re.MULTILINE), f"{metric} is not in /metrics"
            assert re.search(rf"\b{metric}\b", stats), f"{metric} is not in weir stats"
        for metric in ("weir_refused_fetch_total", "weir_refused_fetch_wait_total", "weir_refused_fetches_total"):
            assert f'{metric}{{adapter="local"}} 1\n' in told, metric


def narrow_buffers_slow_everything_down_and_lose_nothing():
    count, size = 3000, 2000
    with support.Scene() as scene:
        gateway = started(scene, "port_bytes_max=65536", "tail_bytes_max=1048576", "output_bytes_max=16384",
                          "record_bytes_max=4096", "packet_bytes_max=8192")
        reader = gateway.weir_starts("sub", "t/#", "--from", "beginning", "-C", str(count), "-F", "%o")
        with mqtt.connected(gateway.port, "writer") as peer:
            batch = 500
            for at in range(0, count, batch):
                for number in range(at, at + batch):
                    peer.send(mqtt.publish("t/k", b"%d " % number + b"v" * size, 1, number + 1))
                for number in range(at, at + batch):
                    answer = peer.expect(mqtt.PUBACK)
                    assert (answer.number(), answer.reason()) == (number + 1, 0), answer
        assert reader.wait(60) == 0, reader.text()[-300:]
        assert [int(line) for line in reader.lines()] == list(range(count))


def a_limit_takes_its_least_and_most_and_nothing_beyond():
    with support.Scene() as scene:
        gateway = scene.gateway(start=False)
        limits = json.loads(gateway_config(gateway))
        assert len(limits) >= 20, limits
        for row in limits:
            for value, code in ((row["least"], 0), (row["most"], 0), (row["least"] - 1, 2),
                                (row["most"] + 1, 2)):
                if value >= 0:
                    done = support.run_checked([support.BIN, "check", "--set", f"{row['key']}={value}"])
                    assert done.returncode == code, (row, value, done)
                    assert code == 0 or row["key"].encode() in done.stderr, done


def gateway_config(gateway):
    """The bounds of every limit, from the program's own table."""
    rows = json.loads(support.run_checked([support.BIN, "config", "-o", "json"]).stdout)
    found = []
    for row in rows:
        if row["key"].startswith("limits."):
            least, most = bounds(row)
            found.append({"key": row["key"], "least": least, "most": most})
    return json.dumps(found)


def bounds(row):
    least, most = row["bounds"].split(" to ")
    return int(least), int(most)


TESTS = [value for name, value in list(globals().items())
         if callable(value) and getattr(value, "__module__", "") == "__main__" and
         (name.split("_max")[0] != name or name.startswith(("fetch_limits", "narrow_", "a_limit")))]

if __name__ == "__main__":
    support.run_tests(TESTS, *sys.argv[1:])
