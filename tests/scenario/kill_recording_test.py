#!/usr/bin/python3
"""A recording of 50,270 readings is published at QoS 1 while the gateway is killed again and again.

    WEIR_BIN=... kill_recording_test.py RECORDING_PUBLISH EMBEDDED_READ LEVEL [VERSION]

Each reading is one numbered line, so that the one genuine duplicate of the recording is two lines. The
moments of the kills are drawn from a seed, which is printed and which WEIR_SEED sets: each is a count of
acknowledged lines and a few microseconds more. A kill counts when publishes were unanswered at it. Now
and then the gateway is killed a second time while it recovers.

What `weir sub --from beginning` and an embedded reader get must be the same, and must hold every
acknowledged line, unchanged; first occurrences in the order of publishing, for each device; repeats only
of lines that were unanswered at a kill; offsets without a hole.
"""
import gzip
import json
import os
import random
import sys
import time

import support

READINGS = 50270
KILLS_MIN = 10
KILLS = 20
RECOVERY_KILL_CHANCE = 0.3
WINDOW = 256
PARTITIONS = 3
SECONDS = 110


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


def play(gateway, publisher, source):
    """Kills at drawn moments until the publisher is done; how many kills met unanswered publishes."""
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
        gateway.start()
    assert publisher.process.wait(SECONDS) == 0, publisher.process.text()[-500:]
    publisher.update()
    return again


class Got:
    """Records as a reader printed them: partition, offset, name, value."""

    def __init__(self, text):
        self.rows = [line.split(" ", 3) for line in text.decode().splitlines()]

    def by_partition(self):
        return sorted(((int(row[0]), int(row[1])), row[2], row[3]) for row in self.rows)

    def check_offsets(self):
        following = {}
        for partition, offset, *_ in self.rows:
            expected = following.get(partition, 0)
            assert int(offset) == expected, f"partition {partition}: {offset} follows {expected - 1}"
            following[partition] = expected + 1

    def check(self, sent, unanswered):
        """How many lines came more than once."""
        seen, newest, repeats = set(), {}, 0
        self.check_offsets()
        for _, _, name, value in self.rows:
            number = int(value.split(" ", 1)[0])
            assert (name, value) == sent[number], f"line {number} is not what was published"
            if number in seen:
                assert number in unanswered, f"line {number} came twice and was answered at every kill"
                repeats += 1
                continue
            assert number > newest.get(name, -1), f"line {number} of {name} came after {newest[name]}"
            newest[name] = number
            seen.add(number)
        missing = set(range(len(sent))) - seen
        assert not missing, f"{len(missing)} acknowledged lines are lost: {sorted(missing)[:10]}"
        return repeats


def main():
    program, reader, level, version = (*sys.argv[1:], "311")[:4]
    seed = int(os.environ.get("WEIR_SEED") or int.from_bytes(os.urandom(4), "big"))
    print(f"level {level}, MQTT {version}; seed {seed} (WEIR_SEED={seed} repeats it)", flush=True)
    source = random.Random(seed)
    began = time.monotonic()
    with support.Scene() as scene:
        lines = scene.path("lines")
        sent = Sent(lines, source).records
        # Small files, so that segments, journal files and checkpoints change while it is killed.
        gateway = scene.gateway("journal_file_bytes=1048576", "segment_bytes_max=2097152",
                                "checkpoint_bytes=2097152")
        gateway.weir("topic", "create", "site", "--partitions", str(PARTITIONS), "--durability", level)
        publisher = Publisher(scene, program, gateway, lines, "5" if version == "5" else "4")
        again = play(gateway, publisher, source)
        published_s = time.monotonic() - began
        unanswered = set().union(*publisher.losses)
        print(f"{len(publisher.losses)} kills with publishes unanswered (" +
              ", ".join(str(len(loss)) for loss in publisher.losses) +
              f"), {again} more while recovering", flush=True)
        assert len(publisher.losses) >= KILLS_MIN, f"only {len(publisher.losses)} kills met a publish"
        assert publisher.acked == READINGS, publisher.acked
        got = Got(gateway.weir("sub", "site/#", "--from", "beginning", "-e", "-F", "%p %o %n %s",
                               seconds=60))
        repeats = got.check(sent, unanswered)
        if level == "disk":
            gateway.kill()
        else:
            assert gateway.stop() == 0, gateway.run.text()
        done = support.run_checked([reader, gateway.data, "site"], seconds=60)
        assert done.returncode == 0, done.stderr.decode()
        embedded = Got(done.stdout)
        embedded.check(sent, unanswered)
        assert embedded.by_partition() == got.by_partition(), "the two readers differ"
    print(f"{READINGS} published, {READINGS} acknowledged, {len(got.rows)} read by weir sub and by the "
          f"embedded reader, 0 lost, {repeats} repeats, all among the {len(unanswered)} lines unanswered at "
          f"a kill; published in {published_s:.1f} s, all in {time.monotonic() - began:.1f} s")


if __name__ == "__main__":
    main()
