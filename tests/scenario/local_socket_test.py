#!/usr/bin/python3
"""The local socket from raw lines and frames: slow peers, floods, peers that vanish, drain.

    WEIR_BIN=... local_socket_test.py [part of a test's name]
"""
import json
import os
import random
import socket
import stat
import struct
import sys
import threading

import support


class Peer:
    def __init__(self, gateway, hello=True):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(support.DEADLINE_S)
        self.socket.connect(os.path.join(gateway.data, "weir.sock"))
        self.rest = b""
        if hello:
            self.hello = self.ask({"cmd": "hello", "version": 1})

    def send(self, command):
        self.socket.sendall(json.dumps(command).encode() + b"\n")

    def receive(self):
        """The next message; None at the end."""
        while b"\n" not in self.rest:
            more = self.socket.recv(1 << 20)
            if not more:
                return None
            self.rest += more
        line, self.rest = self.rest.split(b"\n", 1)
        return json.loads(line)

    def ask(self, command):
        self.send(command)
        return self.receive()

    def frame(self, kind, body):
        """Sends a frame; the type and the rest of the frame that answers."""
        self.socket.sendall(bytes([kind]) + struct.pack(">I", len(body)) + body)
        head = self.exactly(5)
        return head[0], self.exactly(struct.unpack(">I", head[1:])[0])

    def exactly(self, size):
        data = b""
        while len(data) < size:
            more = self.socket.recv(size - len(data))
            assert more, "the connection ended inside a frame"
            data += more
        return data

    def close(self):
        self.socket.close()


def memory_kb(gateway):
    with open(f"/proc/{gateway.run.process.pid}/status") as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))


def declared(gateway, topic="s"):
    peer = Peer(gateway)
    answer = peer.ask({"cmd": "topic", "action": "create", "topic": topic, "durability": "os"})
    assert answer["ok"], answer
    return peer


def the_socket_is_the_owners_alone_and_replaces_a_stale_one():
    with support.Scene() as scene:
        gateway = scene.gateway()
        path = os.path.join(gateway.data, "weir.sock")
        assert gateway.ports()["local"] == f"unix:{path}", gateway.ports()
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
        gateway.kill()
        assert os.path.exists(path)  # a killed gateway leaves it
        gateway.start()
        assert Peer(gateway).hello["ok"]
        assert gateway.stop() == 0
        assert not os.path.exists(path)


def a_peer_that_says_nothing_is_told_and_closed():
    with support.Scene() as scene:
        gateway = scene.gateway("limits.connect_ms_max=300")
        peer = Peer(gateway, hello=False)
        assert peer.receive()["error"]["code"] == "timeout"
        assert peer.receive() is None


def a_connection_over_the_limit_is_told_and_closed():
    with support.Scene() as scene:
        gateway = scene.gateway("limits.connections_max=3")
        peers = [Peer(gateway) for _ in range(3)]
        over = Peer(gateway, hello=False)
        assert over.receive()["error"]["code"] == "limit"
        assert over.receive() is None
        assert all(peer.ask({"cmd": "ping"})["ok"] for peer in peers)


def a_slow_subscriber_gets_every_record_in_order():
    count, batch, value = 20000, 500, "x" * 200
    with support.Scene() as scene:
        gateway = scene.gateway()
        publisher = declared(gateway)
        subscriber = Peer(gateway)
        assert subscriber.ask({"cmd": "subscribe", "topic": "s", "from": "beginning"})["ok"]

        def publish():
            for first in range(0, count, batch):
                publisher.send({"cmd": "publish", "id": first, "topic": "s", "records": [
                    {"value": value + str(number)} for number in range(first, first + batch)]})

        thread = threading.Thread(target=publish)
        thread.start()
        assert all(publisher.receive()["ok"] for _ in range(0, count, batch))
        thread.join()
        expected = 0
        while expected < count:
            message = subscriber.receive()
            assert message["type"] == "records", message
            for record in message["records"]:
                assert record["offset"] == expected and record["value"] == value + str(expected)
                expected += 1


def a_flood_without_reading_is_not_read_and_not_lost():
    with support.Scene() as scene:
        gateway = scene.gateway()
        before = memory_kb(gateway)
        flood = Peer(gateway)
        flood.socket.settimeout(0.5)
        sent, line = 0, b'{"cmd":"query","what":"limits"}\n' * 1000
        try:
            while sent < 3_000_000:
                flood.socket.sendall(line)
                sent += 1000
        except socket.timeout:
            pass
        assert sent < 3_000_000, "the gateway read on"
        assert memory_kb(gateway) < before + 65536, (before, memory_kb(gateway))
        assert Peer(gateway).ask({"cmd": "ping"})["ok"]  # the others are served
        flood.socket.settimeout(support.DEADLINE_S)
        assert all(flood.receive()["ok"] for _ in range(sent))


def a_peer_that_vanishes_with_everything_in_flight_leaves_the_gateway_well():
    chance = random.Random(1)
    commands = [
        {"cmd": "publish", "topic": "s", "value": "a"},
        {"cmd": "publish", "records": [{"topic": "s", "value": "q"}] * 2000},
        {"cmd": "fetch", "topic": "s", "offset": 0, "wait_ms": 5000},
        {"cmd": "subscribe", "topic": "s", "from": "beginning"},
        {"cmd": "unsubscribe", "subscription": 1},
    ]
    with support.Scene() as scene:
        gateway = scene.gateway()
        watcher = declared(gateway)
        for _ in range(30):
            peer = Peer(gateway)
            peer.socket.settimeout(0.05)
            try:
                for _ in range(chance.randint(1, 30)):
                    peer.send(chance.choice(commands))
            except socket.timeout:
                pass  # it is not read from, since it does not read
            peer.close()
        assert watcher.ask({"cmd": "ping"})["ok"]
        gateway.serves()
        assert gateway.stop() == 0


def a_batch_fetched_as_a_frame_can_be_produced_again():
    with support.Scene() as scene:
        gateway = scene.gateway()
        peer = declared(gateway)
        assert peer.ask({"cmd": "publish", "topic": "s", "key": "k", "value": "v"})["offset"] == 0
        target = struct.pack(">H", 1) + b"s" + struct.pack(">IQ", 0, 77)
        kind, rest = peer.frame(2, target + struct.pack(">qII", 0, 100000, 0))
        request, status, start, end = struct.unpack(">QBqq", rest[:25])
        assert (kind, request, status, start, end) == (0x82, 77, 0, 0, 1)
        kind, rest2 = peer.frame(1, target + rest[25:])
        assert kind == 0x81 and struct.unpack(">QBIq", rest2[:21]) == (77, 2, 0, 1), (kind, rest2)
        found = peer.ask({"cmd": "fetch", "topic": "s"})["records"]
        assert [(r["offset"], r["key"], r["value"]) for r in found] == [(0, "k", "v"), (1, "k", "v")]
        broken = bytearray(rest[25:])
        broken[-1] ^= 1
        kind, rest3 = peer.frame(1, target + bytes(broken))
        assert kind == 0xff and b"damaged" in rest3, (kind, rest3)


def a_peer_that_closed_its_half_gets_all_its_answers():
    count = 3000
    with support.Scene() as scene:
        gateway = scene.gateway()
        peer = declared(gateway)
        for number in range(count):
            peer.send({"cmd": "publish", "id": number, "topic": "s", "value": "h"})
        peer.socket.shutdown(socket.SHUT_WR)
        assert all(peer.receive()["ok"] for _ in range(count))
        assert peer.receive() is None


def a_stop_answers_what_waits_and_tells_everybody():
    with support.Scene() as scene:
        gateway = scene.gateway()
        waiting = declared(gateway)
        idle = Peer(gateway)
        waiting.send({"cmd": "fetch", "id": 3, "topic": "s", "wait_ms": 50000})
        assert idle.ask({"cmd": "ping"})["ok"]
        gateway.signal(15)
        assert idle.receive()["type"] == "drain" and idle.receive() is None
        assert waiting.receive()["type"] == "drain"
        answer = waiting.receive()
        assert answer["id"] == 3 and answer["records"] == [], answer
        assert waiting.receive() is None
        assert gateway.run.wait() == 0


if __name__ == "__main__":
    support.run_tests(support.tests_of(globals()), sys.argv[1] if len(sys.argv) > 1 else None)
