"""The recording of 50,270 readings, published at QoS 1 while the gateway is killed again and again: what
the tests of it share. recording_publish.c publishes.

Each reading is one numbered line, so that the one genuine duplicate of the recording is two lines. The
moments of the kills are drawn from a seed, which is printed and which WEIR_SEED sets: each is a count of
acknowledged lines and a few microseconds more. A kill counts when publishes were unanswered at it. Now
and then the gateway is killed a second time while it recovers.
"""
import gzip
import json
import os
import random
import signal
import time

import support

READINGS = 50270
KILLS_MIN = 10
KILLS = 20
RECOVERY_KILL_CHANCE = 0.3
HELD_CHANCE = 0.5
WINDOW = 256
PARTITIONS = 3
SECONDS = 110
# Small files, so that segments, journal files and checkpoints change while it is killed.
SMALL_FILES = ("journal_file_bytes=1048576", "segment_bytes_max=2097152", "checkpoint_bytes=2097152")


def chance():
    """A source of chance from a seed, which is printed."""
    seed = int(os.environ.get("WEIR_SEED") or int.from_bytes(os.urandom(4), "big"))
    print(f"seed {seed} (WEIR_SEED={seed} repeats it)", flush=True)
    return random.Random(seed)


def generated(random_source):
    """As many readings as the recording has, of the same shape; the last repeats the first."""
    lines = []
    for number in range(READINGS - 1):
        device = random_source.choice((1, 1, 1, 2, 2, 3, 3, 3, 3, 3))
        lines.append(json.dumps({
            "data": {"co": random_source.random() / 100, "humidity": random_source.uniform(40, 80),
                     "light": random_source.random() < 0.5, "motion": False,
                     "temp": random_source.uniform(0, 30)},
            "device_id": f"00:0f:00:70:91:{device:02d}", "ts": 1594598424.0 + number * 1.7,
            "device": f"iot-device-{device:02d}"}))
    return lines + lines[:1]


def readings(random_source):
    path = support.data_file("iot-telemetry-24h.ndjson.gz")
    if path is None:
        print("the recording is absent: a generated one of the same size is used")
        return generated(random_source)
    with gzip.open(path, "rt") as file:
        lines = file.read().splitlines()
    assert len(lines) == READINGS, len(lines)
    print("the recording:", os.path.realpath(path))
    return lines


class Sent:
    """What was published: line n is (name, value) of index n."""

    def __init__(self, path, random_source):
        self.records = []
        with open(path, "w") as file:
            for number, line in enumerate(readings(random_source)):
                record = (f"site/{json.loads(line)['device']}/telemetry", f"{number} {line}")
                file.write("\t".join(record) + "\n")
                self.records.append(record)


class Publisher:
    """The C program's words, as they come."""

    def __init__(self, scene, program, gateway, lines, version):
        seconds = str(int(SECONDS * support.SLOW))
        self.process = scene.process([program, gateway.ports_file, lines, version, str(WINDOW), seconds])
        self.read = self.acked = 0
        self.lost = 0     # connections
        self.losses = []  # the unanswered lines at each lost connection that had any

    def update(self):
        whole = self.process.out.rfind(b"\n") + 1
        for line in bytes(self.process.out[self.read:whole]).splitlines():
            words = line.split()
            if words[0] == b"lost":
                self.lost += 1
                self.losses += [{int(word) for word in words[1:]}] if words[1:] else []
            else:
                self.acked = int(words[1])
        self.read = whole
        assert not (self.process.ended() and self.process.process.returncode), self.process.text()[-500:]
        return self.acked


def killed_again_while_recovering(gateway, source):
    gateway.launch()
    time.sleep(source.random() * 0.05 * support.SLOW)  # the moment is the test's subject
    gateway.kill()


def started_again(gateway, publisher, source, back):
    """Half of the time the publisher is held until others are back: it is no race then."""
    held = back is not None and source.random() < HELD_CHANCE and not publisher.process.ended()
    if held:
        publisher.process.process.send_signal(signal.SIGSTOP)
    gateway.start()
    if held:
        back()
        publisher.process.process.send_signal(signal.SIGCONT)


def play(gateway, publisher, source, back=None):
    """Kills at drawn moments until the publisher is done; how many kills came while it recovered. back
    waits until other clients are connected again."""
    moments = sorted(source.randrange(READINGS // 50, READINGS - READINGS // 20) for _ in range(KILLS))
    again = 0
    for moment in moments:
        if publisher.update() == READINGS:
            break
        moment = max(moment, publisher.acked + 1)  # it is connected again
        support.wait_until(f"{moment} acknowledgements", lambda: publisher.update() >= moment, SECONDS)
        time.sleep(source.random() * 0.002)  # the moment is the test's subject
        known = publisher.lost
        gateway.kill()
        support.wait_until("the publisher's word of the lost connection",
                           lambda: publisher.update() == READINGS or publisher.lost > known)
        if source.random() < RECOVERY_KILL_CHANCE:
            killed_again_while_recovering(gateway, source)
            again += 1
        started_again(gateway, publisher, source, back)
    assert publisher.process.wait(SECONDS) == 0, publisher.process.text()[-500:]
    publisher.update()
    return again


class Played:
    """The whole of it: `sent`, what was published; `unanswered`, the lines that were so at a kill."""

    def __init__(self, scene, program, gateway, level, version, source):
        lines = scene.path("lines")
        self.sent = Sent(lines, source).records
        gateway.weir("topic", "create", "site", "--partitions", str(PARTITIONS), "--durability", level)
        self.gateway, self.program, self.lines, self.version = gateway, program, lines, version
        self.source, self.scene = source, scene

    def publish(self, back=None):
        """Publishes all of it, and kills; back as in play."""
        began = time.monotonic()
        publisher = Publisher(self.scene, self.program, self.gateway, self.lines, self.version)
        again = play(self.gateway, publisher, self.source, back)
        self.seconds = time.monotonic() - began
        self.losses = publisher.losses
        self.unanswered = set().union(*publisher.losses)
        print(f"{len(publisher.losses)} kills with publishes unanswered (" +
              ", ".join(str(len(loss)) for loss in publisher.losses) +
              f"), {again} more while recovering", flush=True)
        assert len(publisher.losses) >= KILLS_MIN, f"only {len(publisher.losses)} kills met a publish"
        assert publisher.acked == READINGS, publisher.acked


class Got:
    """Records as a reader printed them: partition, offset, name, value."""

    def __init__(self, text):
        rows = [line.split(" ", 3) for line in text.decode().splitlines()]
        self.rows = [(int(row[0]), int(row[1]), row[2], row[3]) for row in rows]

    def by_partition(self):
        return sorted(self.rows)

    def check_offsets(self):
        """Every stored record, once: no offset is left out and none comes again."""
        following = {}
        for partition, offset, *_ in self.rows:
            expected = following.get(partition, 0)
            assert offset == expected, f"partition {partition}: {offset} follows {expected - 1}"
            following[partition] = expected + 1

    def check(self, sent, unanswered):
        """All of it is there. How many lines came more than once."""
        self.check_offsets()
        seen, repeats = check_order([row[2:] for row in self.rows], sent, unanswered)
        missing = set(range(len(sent))) - seen
        assert not missing, f"{len(missing)} acknowledged lines are lost: {sorted(missing)[:10]}"
        return repeats


def number_of(value):
    return int(value.split(" ", 1)[0])


def check_order(rows, sent, unanswered, misses=False):
    """What came, as (name, value), was published so; first occurrences in the order of publishing, for
    each device; repeats only of lines that were unanswered at a kill. Who misses records may have missed
    the first one of such a line, and get its repeat behind later lines. The lines seen, and the repeats."""
    seen, newest, repeats = set(), {}, 0
    for name, value in rows:
        number = number_of(value)
        assert (name, value) == sent[number], f"line {number} is not what was published"
        if number in seen:
            assert number in unanswered, f"line {number} came twice and was answered at every kill"
            repeats += 1
            continue
        assert number > newest.get(name, -1) or (misses and number in unanswered), (
            f"line {number} of {name} came after {newest[name]}")
        newest[name] = max(number, newest.get(name, -1))
        seen.add(number)
    return seen, repeats
