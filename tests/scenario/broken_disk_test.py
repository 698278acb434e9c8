#!/usr/bin/python3
"""A write fails under a publish: whether it is stored nobody knows, so nobody is told that it is, or is
not, and nobody waits for ever. Reading is served; a restart recovers.

    WEIR_BIN=... broken_disk_test.py [part of a test's name]
"""
import json
import os
import resource
import socket
import sys

import mqtt_wire
import support

# Writes over the limit of a file's size shall fail, not kill.
SPARED = "import os,signal,sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); os.execv(sys.argv[1], sys.argv[1:])"


class Local:
    """weir.v1 on the gateway's socket."""

    def __init__(self, gateway):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(support.DEADLINE_S)
        self.socket.connect(os.path.join(gateway.data, "weir.sock"))
        self.file = self.socket.makefile("rb")
        self.ask(cmd="hello", version=1)

    def send(self, **command):
        self.socket.sendall(json.dumps(command).encode() + b"\n")

    def read(self):
        """The next message; None: it is over."""
        line = self.file.readline()
        return json.loads(line) if line else None

    def ask(self, **command):
        self.send(id=1, **command)
        return self.read()


def gateway_of(scene):
    gateway = scene.gateway(start=False)
    command = gateway.command
    gateway.command = lambda *more: [sys.executable, "-c", SPARED, *command(*more)]
    gateway.start()
    local = Local(gateway)
    assert local.ask(cmd="topic", action="create", topic="t")["ok"]
    assert local.ask(cmd="publish", topic="t", value="first")["ok"]
    return gateway, local


def disk_break(gateway):
    pid = gateway.run.process.pid
    _, most = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (1, most))


def assert_reads_only(gateway):
    local = Local(gateway)
    assert local.ask(cmd="query", what="health")["health"] == "stopped"
    assert local.ask(cmd="publish", topic="t", value="x")["error"]["code"] == "read-only"
    answer = local.ask(cmd="fetch", topic="t")
    assert [record["value"] for record in answer["records"]] == ["first"], answer


def assert_recovers(gateway):
    assert gateway.stop() == 1, gateway.log()  # its last checkpoint could not be written
    gateway.start()
    local = Local(gateway)
    assert local.ask(cmd="publish", topic="t", value="last")["ok"]
    values = [record["value"] for record in local.ask(cmd="fetch", topic="t")["records"]]
    assert values in (["first", "last"], ["first", "doubtful", "last"]), values
    assert gateway.stop() == 0, gateway.log()


def a_publish_of_weir_v1_is_left_unanswered_and_its_connection_ends():
    with support.Scene() as scene:
        gateway, local = gateway_of(scene)
        disk_break(gateway)
        local.send(cmd="publish", id=7, topic="t", value="doubtful")
        farewell = local.read()
        assert farewell["error"]["code"] == "closed" and "id" not in farewell, farewell
        assert local.read() is None
        assert_reads_only(gateway)
        assert_recovers(gateway)


def a_stop_right_behind_the_failed_write_waits_for_nobody():
    with support.Scene() as scene:
        gateway, local = gateway_of(scene)
        disk_break(gateway)
        local.send(cmd="publish", id=7, topic="t", value="doubtful")
        assert gateway.stop() == 1, gateway.log()
        assert "drain_ms_max has passed" not in gateway.log(), gateway.log()


def a_publish_of_mqtt_is_not_acknowledged_and_its_connection_ends():
    with support.Scene() as scene:
        gateway, _ = gateway_of(scene)
        client = socket.create_connection(("127.0.0.1", gateway.port), support.DEADLINE_S)
        client.sendall(mqtt_wire.connect("doubting", 5))
        assert client.recv(2)[0] == 0x20  # CONNACK
        client.settimeout(support.DEADLINE_S)
        disk_break(gateway)
        client.sendall(mqtt_wire.publish("t", "doubtful", 1, 7, 5))
        said = b"".join(iter(lambda: client.recv(4096), b""))
        assert b"\xe0" in said and b"\x40\x02\x00\x07" not in said and b"\x40\x03\x00\x07" not in said, said
        assert_reads_only(gateway)
        assert_recovers(gateway)


if __name__ == "__main__":
    support.run_tests(support.tests_of(globals()), *sys.argv[1:])
