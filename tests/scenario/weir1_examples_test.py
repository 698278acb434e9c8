#!/usr/bin/env python3
"""Runs the examples of docs/weir.v1.md against a gateway.

    weir1_examples_test.py [SOCKET]

Without SOCKET it starts the gateway named by the environment's WEIR_BIN in a temporary directory.
Each block marked weir.v1 is one connection. `> ` lines are sent as they are; each `< ` line is the
next message expected: objects may have more members, "*" is any value, "..." ends a list early.
"""
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time

DEADLINE_S = 60
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def blocks(path):
    """(line number, [(line number, direction, text)]) of every example."""
    found, steps, begin = [], None, 0
    with open(path, encoding="utf-8") as page:
        for number, line in enumerate(page, 1):
            line = line.rstrip("\n")
            if steps is None and line == "```weir.v1":
                steps, begin = [], number
            elif steps is not None and line == "```":
                found.append((begin, steps))
                steps = None
            elif steps is not None:
                if not re.match(r"[<>] \{", line):
                    sys.exit(f"{path}:{number}: an example line begins with '> {{' or '< {{'")
                steps.append((number, line[0], line[2:]))
    return found


def fits(want, got):
    if want == "*":
        return True
    if isinstance(want, dict):
        return isinstance(got, dict) and all(k in got and fits(v, got[k]) for k, v in want.items())
    if isinstance(want, list):
        if not isinstance(got, list):
            return False
        if want and want[-1] == "...":
            want = want[:-1]
            got = got[: len(want)]
        return len(want) == len(got) and all(map(fits, want, got))
    return type(want) is type(got) and want == got


class Connection:
    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(DEADLINE_S)
        self.socket.connect(path)
        self.rest = b""

    def send(self, text):
        self.socket.sendall(text.encode() + b"\n")

    def receive(self):
        while b"\n" not in self.rest:
            more = self.socket.recv(65536)
            if not more:
                return None
            self.rest += more
        line, self.rest = self.rest.split(b"\n", 1)
        return line.decode()

    def close(self):
        self.socket.close()


def run(path, begin, steps):
    """The first difference, or None."""
    connection = Connection(path)
    try:
        for number, direction, text in steps:
            if direction == ">":
                connection.send(text)
                continue
            try:
                got = connection.receive()
            except socket.timeout:
                return f"line {number}: nothing came within {DEADLINE_S} s\n  expected {text}"
            if got is None:
                return f"line {number}: the connection was closed\n  expected {text}"
            if not fits(json.loads(text), json.loads(got)):
                return f"line {number}:\n  expected {text}\n  got      {got}"
        return None
    finally:
        connection.close()


def start(folder):
    """The gateway's process and its socket."""
    data, ports = os.path.join(folder, "data"), os.path.join(folder, "ports")
    command = [os.environ["WEIR_BIN"], "serve", "--data", data, "--ports", ports,
               "--set", "mqtt.port=0", "--set", "http.enabled=false", "--set", "nng.enabled=false"]
    command += os.environ.get("WEIR_SERVE_ARGUMENTS", "").split()
    with open(os.path.join(folder, "log"), "wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline and process.poll() is None:
        if os.path.exists(ports):
            with open(ports, encoding="utf-8") as lines:
                for line in lines:
                    name, _, address = line.strip().partition(" ")
                    if name == "local" and address.startswith("unix:"):
                        return process, address[len("unix:"):]
        time.sleep(0.02)
    return process, None


def stop(process):
    process.terminate()
    try:
        process.wait(DEADLINE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        sys.exit("the gateway did not end within its deadline")


def examples(path):
    failures, found = 0, blocks(os.path.join(ROOT, "docs", "weir.v1.md"))
    for begin, steps in found:
        difference = run(path, begin, steps)
        if difference is not None:
            failures += 1
            print(f"docs/weir.v1.md:{begin}: {difference}")
    print(f"{len(found) - failures} of {len(found)} examples are as the page says")
    return failures == 0 and len(found) > 0


def main():
    if len(sys.argv) > 1:
        sys.exit(0 if examples(sys.argv[1]) else 1)
    if "WEIR_BIN" not in os.environ:
        sys.exit("give the gateway's socket, or its binary in WEIR_BIN")
    folder = tempfile.mkdtemp(prefix="weir1-")
    process = None
    good = False
    try:
        process, path = start(folder)
        good = path is not None and examples(path)
        if not good:
            with open(os.path.join(folder, "log"), encoding="utf-8", errors="replace") as log:
                print(log.read()[-4000:])
    finally:
        if process is not None:
            stop(process)
        shutil.rmtree(folder, ignore_errors=True)
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
