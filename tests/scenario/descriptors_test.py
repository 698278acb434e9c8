#!/usr/bin/python3
"""More connections than the process may have open files: those that the gateway writes with stay its own.

    WEIR_BIN=... descriptors_test.py [part of a test's name]
"""
import json
import os
import socket
import sys

import support

FILES_MAX, IDLE = 300, 400


class Local:
    """weir.v1 on the gateway's socket."""

    def __init__(self, gateway):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(support.DEADLINE_S)
        self.socket.connect(os.path.join(gateway.data, "weir.sock"))
        self.file = self.socket.makefile("rb")
        self.ask(cmd="hello", version=1)

    def ask(self, **command):
        self.socket.sendall(json.dumps({"id": 1, **command}).encode() + b"\n")
        while True:
            answer = json.loads(self.file.readline())
            if answer.get("id") == 1:
                assert answer.get("ok"), answer
                return answer

    def end(self):
        self.file.close()
        self.socket.close()


def idle(gateway, count):
    """So many connections to the MQTT port that say nothing; some may be closed at once."""
    made = []
    for _ in range(count):
        made.append(socket.create_connection(("127.0.0.1", gateway.port), support.DEADLINE_S))
    return made


def closed_at_once(connection):
    connection.settimeout(support.DEADLINE_S)
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True


def the_gateway_keeps_what_it_writes_with_from_idle_connections():
    with support.Scene() as scene:
        gateway = scene.gateway("loops=1", "segment_bytes_max=65536", "checkpoint_bytes=300000",
                                "checkpoint_every_ms=1000", "journal_file_bytes=65536",
                                "limits.connect_ms_max=600000", start=False)
        gateway.files_max = FILES_MAX
        gateway.start()
        assert "70 connections at most" in gateway.log(), gateway.log()
        assert "segment_files_max is 70 instead of 512" in gateway.log(), gateway.log()
        local = Local(gateway)
        for i in range(4):
            local.ask(cmd="topic", action="create", topic=f"t{i}")
        made = idle(gateway, IDLE)
        assert closed_at_once(made[-1])
        records = [{"value": "x" * 9000} for _ in range(20)]
        for i in range(60):
            local.ask(cmd="publish", topic=f"t{i % 4}", records=records)
        assert "could not be had" not in gateway.log() and "failed" not in gateway.log(), gateway.log()
        for connection in made:
            connection.close()
        local.end()
        assert gateway.stop() == 0, gateway.log()


if __name__ == "__main__":
    support.run_tests(support.tests_of(globals()), *sys.argv[1:])
