#!/usr/bin/python3
"""The recording, published while the gateway is killed again and again (recording.py says how), is
received over WebSocket and nng.

    WEIR_BIN=... recording_clients_test.py clients|browser RECORDING_PUBLISH RECORDING_FETCH

    clients   weir.js in Node and a consumer that fetches over nng's REQ: both resume by offset
              nngcat --sub0 and a plain WebSocket subscriber (recording_plain.py): neither resumes
    browser   weir.js in headless Chromium, and the consumer over REQ

Who resumes has every stored record exactly once, so every acknowledged reading. Who does not has no stored
record twice: what came of a device is a part of what is stored of it, in its order, and a reading repeats
only where its publish was unanswered at a kill. Everybody has first occurrences in the order of publishing,
for each device; but who missed the first record of such a reading may get its repeat later. What the others
missed is told: at kills and while they were away, or while they were there. A plain WebSocket subscriber
misses nothing while it is there, which is asserted; what SUB misses there, the gateway counts when it is
the gateway's drop, and nobody when it is SUB's own queue (128 messages).
"""
import ast
import itertools
import os
import re
import shutil
import subprocess
import sys
import time
import urllib.request

import recording
import support

HERE = os.path.dirname(os.path.abspath(__file__))
INTEROP = os.path.join(HERE, "..", "interop")
PYTHON = sys.executable
NNGCAT = shutil.which("nngcat")
NODE = shutil.which("node")
MARK = "site/mark"  # published before and after, until those who do not resume have one


def skip(why):
    print(f"SKIPPED: {why}", flush=True)
    sys.exit(support.SKIPPED)


class Receiver:
    """A running receiver: lines of partition, offset, name, value; remarks begin with #."""

    def __init__(self, scene, name, command, **options):
        self.name = name
        self.process = scene.process(command, **options)

    def ready(self):
        """Once it receives; skips the test where it says that something is not installed."""
        support.wait_until(f"the {self.name}: {self.process.text()[-500:]}",
                           lambda: self.process.ended() or b"# connected" in self.process.out)
        if self.process.ended() and self.process.wait() == support.SKIPPED:
            skip(self.process.text().strip().removeprefix("SKIPPED: "))
        assert not self.process.ended(), self.process.text()

    def count(self):
        assert not self.process.ended(), f"the {self.name} ended: {self.process.text()[-500:]}"
        out = bytes(self.process.out)
        return out.count(b"\n") - len(self.remarks(out))

    @staticmethod
    def remarks(out):
        return re.findall(rb"^#.*$", out, re.MULTILINE)

    def connections(self):
        return self.remarks(bytes(self.process.out)).count(b"# connected")

    def text(self):
        return re.sub(rb"^#.*\n", b"", bytes(self.process.out), flags=re.MULTILINE)

    def got(self):
        return recording.Got(self.text())

    def end(self):
        """In order where it listens to its standard input."""
        if self.process.process.stdin and not self.process.ended():
            self.process.process.stdin.close()
            assert self.process.wait() == 0, self.process.text()[-500:]


class Sub(Receiver):
    """nngcat prints a C string for each message: name, NUL, value."""

    def __init__(self, scene, gateway):
        super().__init__(scene, "SUB", [NNGCAT, "--sub0", "--dial", gateway.ports()["nng.pub"], "--quoted"])

    def rows(self):
        return [tuple(ast.literal_eval("b" + line.decode()).decode().split("\0", 1))
                for line in self.process.lines()]


class Kills:
    """Reads what the gateway counted just before it is killed, as closely as can be."""

    def __init__(self, gateway):
        self.gateway, self.kill, self.counted = gateway, gateway.kill, {}
        self.url = "http://" + gateway.ports()["http"].split("//")[-1].strip("/") + "/metrics"
        gateway.kill = self.read_and_kill

    def read(self):
        try:
            with urllib.request.urlopen(self.url, timeout=support.DEADLINE_S) as answer:
                text = answer.read().decode()
        except OSError:
            return  # it is recovering: nothing was sent yet
        for name, value in re.findall(r"^(\w*dropped\w*)(?:\{[^}]*\})? (\d+)", text, re.MULTILINE):
            self.counted[name] = self.counted.get(name, 0) + int(value)

    def read_and_kill(self):
        self.read()
        self.kill()


def without_marks(rows):
    return [row for row in rows if row[-2] != MARK]


def by_device(rows):
    """Line numbers for each name, in the order of rows (name, value)."""
    lines = {}
    for name, value in rows:
        lines.setdefault(name, []).append(recording.number_of(value))
    return lines


def missed(seen, played):
    """What a receiver did not get of the readings: at kills and while it was away, and while it was there.
    A hole in a device's readings is of the first kind when it, or a reading beside it, was unanswered at a
    kill."""
    away = there = 0
    for numbers in by_device(played.sent).values():
        end = 0
        for got, part in itertools.groupby(numbers, key=seen.__contains__):
            begin, end = end, end + len(list(part))
            if not got and played.unanswered.isdisjoint(numbers[max(begin - 1, 0):end + 1]):
                there += end - begin
            elif not got:
                away += end - begin
    return away, there


def check_resumed(receiver, all_of_it, played):
    got = receiver.got()
    got.check_offsets()
    assert got.by_partition() == all_of_it.by_partition(), f"{receiver.name}: not what is stored"
    rows = [row[2:] for row in without_marks(got.rows)]
    seen, repeats = recording.check_order(rows, played.sent, played.unanswered)
    assert len(seen) == recording.READINGS, f"{receiver.name}: {len(seen)}"
    print(f"{receiver.name}: {len(got.rows)} records, each stored one once, over {receiver.connections()} "
          f"connections; {repeats} repeated readings, all unanswered at a kill; 0 lost", flush=True)


def check_part_of(name, rows, stored):
    """What came of a device is a part of what is stored of it, in its order: so no stored record twice."""
    for device, numbers in by_device(rows).items():
        rest = iter(stored[device])
        for number in numbers:
            assert number in rest, f"{name}: line {number} of {device} came twice, or out of the log's order"


def check_not_resumed(name, rows, all_of_it, played, more):
    seen, repeats = recording.check_order(rows, played.sent, played.unanswered, misses=True)
    check_part_of(name, rows, by_device([row[2:] for row in without_marks(all_of_it.rows)]))
    away, there = missed(seen, played)
    print(f"{name}: {len(seen)} of {recording.READINGS} readings, {repeats} repeated ones, all unanswered at "
          f"a kill; missed {away} at kills and while away, {there} while it was there{more}", flush=True)

def check_plain(receiver, all_of_it, played):
    """Within one connection no offset of a partition is left out."""
    following, seen = {}, set()
    for line in bytes(receiver.process.out).decode().splitlines():
        if line.startswith("# connected"):
            following = {}
            continue
        assert not line.startswith("#"), f"the gateway told the plain subscriber: {line}"
        partition, offset, _, _ = line.split(" ", 3)
        assert following.get(partition, offset) == offset, f"{line[:40]} came, {following} was next"
        following[partition] = str(int(offset) + 1)
        assert (partition, offset) not in seen, f"partition {partition}: {offset} came twice"
        seen.add((partition, offset))
    rows = [row[2:] for row in without_marks(receiver.got().rows)]
    check_not_resumed(receiver.name, rows, all_of_it, played,
                      f" (gaps within a connection: 0; {receiver.connections()} connections)")


def check_sub(sub, all_of_it, played, kills):
    dropped = kills.counted["weir_nng_pub_dropped_total"]
    check_not_resumed(sub.name, without_marks(sub.rows()), all_of_it, played,
                      f": {dropped} that the gateway dropped and counted, others in SUB's own queue")


def receivers_start(scene, gateway, where, fetch):
    """(who resumes, who does not)"""
    http = gateway.ports()["http"].rsplit(":", 1)[1].strip("/")
    script = os.path.join(INTEROP, "recording_subscriber.mjs")
    temporary = scene.path("temporary")  # a browser's profile goes with the scene
    os.mkdir(temporary)
    followed = Receiver(scene, "weir.js in " + ("Chromium" if where == "browser" else "Node"),
                        [NODE, script, http, "site/#", "chromium" if where == "browser" else "node"],
                        stdin=subprocess.PIPE, env={**os.environ, "TMPDIR": temporary})
    fetched = Receiver(scene, "consumer over REQ", [fetch, "nng+" + gateway.ports()["nng.rep"], "site",
                                                    str(recording.PARTITIONS)])
    resuming = [followed, fetched]
    plain = []
    if where == "clients":
        plain = [Receiver(scene, "plain WebSocket", [PYTHON, "-B", os.path.join(HERE, "recording_plain.py"),
                                                     http, "site/#"]), Sub(scene, gateway)]
    for receiver in resuming + plain[:1]:
        receiver.ready()
    return resuming, plain


def marked(gateway, receivers, mark):
    """Publishes marks until each has one: then it listens, and what came before it received or missed.
    (nngcat does not say when it is connected.)"""
    def all_have():
        gateway.weir("pub", MARK, "-m", mark, "--quiet")
        return all(mark.encode() in receiver.process.out for receiver in receivers)
    if receivers:
        support.wait_until(f"the {mark} at " + ", ".join(receiver.name for receiver in receivers), all_have)


def play_and_check(scene, where, publish, fetch, source):
    urls = [f"nng.{name}.url=tcp://127.0.0.1:0" for name in ("rep", "pull", "pub", "push")]
    gateway = scene.gateway("http.enabled=true", "http.port=0", "nng.enabled=true", "nng.pub.filter=site/#",
                            *urls, *recording.SMALL_FILES)
    gateway.ports_keep()
    played = recording.Played(scene, publish, gateway, "disk", "4", source)
    resuming, plain = receivers_start(scene, gateway, where, fetch)
    marked(gateway, plain, "mark of the beginning")
    kills = Kills(gateway)
    starts = itertools.count(1)
    played.publish((lambda: marked(gateway, plain, f"mark of start {next(starts)};")) if plain else None)
    marked(gateway, plain, "mark of the end")
    kills.read()
    all_of_it = recording.Got(gateway.weir("sub", "site/#", "--from", "beginning", "-e", "-F", "%p %o %n %s",
                                           seconds=60))
    all_of_it.check_offsets()
    for receiver in resuming:
        support.wait_until(f"{len(all_of_it.rows)} records at {receiver.name}; it has {receiver.count()}",
                           lambda one=receiver: one.count() >= len(all_of_it.rows), 60)
    for receiver in resuming:
        receiver.end()
        check_resumed(receiver, all_of_it, played)
    if plain:
        check_plain(plain[0], all_of_it, played)
        check_sub(plain[1], all_of_it, played, kills)
    print(f"the gateway counted while it ran: {kills.counted}")
    assert gateway.stop() == 0, gateway.run.text()
    return played


def main():
    where, publish, fetch = sys.argv[1:]
    if NODE is None or (where == "clients" and NNGCAT is None):
        skip("needs node (package nodejs) and nngcat (package nng-utils)")
    if where == "clients" and subprocess.run([PYTHON, "-c", "import websockets"], stderr=subprocess.DEVNULL,
                                             check=False).returncode != 0:
        skip("needs Python's websockets (package python3-websockets)")
    source = recording.chance()
    began = time.monotonic()
    with support.Scene() as scene:
        played = play_and_check(scene, where, publish, fetch, source)
    print(f"published in {played.seconds:.1f} s, all in {time.monotonic() - began:.1f} s")


if __name__ == "__main__":
    main()
