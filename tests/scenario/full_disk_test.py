#!/usr/bin/python3
"""A data directory on a disk that fills up: a tmpfs of a few megabytes, filled by another program's file.

    WEIR_BIN=... full_disk_test.py [part of a test's name]

Publishes are refused and say why, nothing refused is stored and nothing acknowledged is lost, reading
goes on, and writing resumes by itself when there is room. Needs to mount; where that is not permitted the
test says so and is counted as skipped.
"""
import json
import os
import sys
import time
import urllib.error
import urllib.request

import mqtt_wire as mqtt
import support

SIZE = "6m"
SMALL = ("journal_file_bytes=262144", "segment_bytes_max=262144", "checkpoint_bytes=524288",
         "checkpoint_every_ms=1000",
         "http.enabled=true", "http.port=0")
PAYLOAD = "x" * 4096
REFUSED = 4
QUOTA_EXCEEDED = 0x97
HELD, HELD_S = -1, 1.5 * support.SLOW
PUBLISHES_MAX = 20000  # far more than the disk holds


class Disk:
    def __init__(self, scene):
        self.folder = scene.mount(SIZE)
        if self.folder is None:
            print("SKIPPED: mounting a small tmpfs is not permitted here (needs root)")
            sys.exit(support.SKIPPED)
        self.ballast = os.path.join(self.folder, "ballast")

    def fill(self):
        """Every byte that is left, as another program might."""
        with open(self.ballast, "ab", buffering=0) as file:
            for size in (65536, 4096):
                try:
                    while True:
                        file.write(b"b" * size)
                except OSError:
                    pass

    def free(self):
        os.unlink(self.ballast)


class Writer:
    """An MQTT 5.0 client that publishes numbered records one by one. What the engine had taken when the
    disk turned full is held: answered once it could be written."""

    def __init__(self, gateway, topic="site/w", client="writer"):
        self.gateway, self.peer = gateway, mqtt.connected(gateway.port, client)
        self.topic, self.accepted, self.next, self.held = topic, [], 0, []

    def publish(self, patience_s=support.DEADLINE_S):
        """The PUBACK's reason; HELD when there is none within patience_s."""
        self.held.append(self.next)
        self.peer.send(mqtt.publish(self.topic, f"{self.next} {PAYLOAD}", 1, self.next % 60000 + 1))
        self.next += 1
        return self.answers_within(patience_s)

    def answers_within(self, patience_s):
        self.peer.socket.settimeout(patience_s)
        try:
            return self.answers()
        except mqtt.Silence:
            return HELD
        finally:
            self.peer.socket.settimeout(support.DEADLINE_S)

    def answers(self):
        """Takes the answer of everything that waits for one; the last one's reason."""
        reason = HELD
        while self.held:
            answer = self.peer.expect(mqtt.PUBACK)
            number = self.held.pop(0)
            assert answer.number() == number % 60000 + 1, answer
            reason = answer.reason()
            if reason == 0:
                self.accepted.append(str(number))
        return reason

    def until_refused(self):
        """Or held: by a disk that the gateway says is full, not by one that is slow."""
        for _ in range(PUBLISHES_MAX):
            reason = self.publish(HELD_S)
            until = time.monotonic() + support.DEADLINE_S
            while reason == HELD and ready(self.gateway)[0] == 200 and time.monotonic() < until:
                reason = self.answers_within(HELD_S)
            if reason:
                assert reason in (HELD, QUOTA_EXCEEDED), f"refused with {reason:#x}"
                return
        raise AssertionError("a full disk took everything")

    def until_accepted(self):
        self.answers()
        support.wait_until("a publish that is accepted again", lambda: self.publish() == 0)

    def may_be_stored(self):
        """What the log holds when the gateway was killed."""
        return [self.accepted, self.accepted + [str(number) for number in self.held]]


def numbers(gateway):
    out = gateway.weir("sub", "site/#", "--from", "beginning", "-e", "-F", "%s", seconds=60).decode()
    return [line.split(" ", 1)[0] for line in out.splitlines()]


def started(scene, level="disk"):
    disk = Disk(scene)
    gateway = scene.gateway(*SMALL, data=os.path.join(disk.folder, "data"))
    gateway.weir("topic", "create", "site", "--durability", level)
    return disk, gateway


def filled(scene, level="disk"):
    disk, gateway = started(scene, level)
    writer = Writer(gateway)
    for _ in range(20):
        assert writer.publish() == 0
    disk.fill()
    writer.until_refused()
    return disk, gateway, writer


def ready(gateway):
    """The status and body of /readyz."""
    try:
        with urllib.request.urlopen(f"http://{gateway.ports()['http']}/readyz", timeout=support.DEADLINE_S) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def told_that_it_is_full(gateway):
    support.wait_until("the log's word", lambda: "disk is full" in gateway.log())


def ready_again(gateway):
    support.wait_until("readiness", lambda: ready(gateway)[0] == 200)


def in_segments(gateway):
    return sum(os.path.getsize(os.path.join(folder, name)) for folder, _, names in os.walk(gateway.data)
               for name in names if name.endswith(".log"))


def filled_beside_a_queue(scene, count):
    """The queue `jobs` of so many records, and a topic of which a trim can remove segments."""
    disk, gateway = started(scene)
    gateway.weir("queue", "create", "jobs")
    gateway.weir("pub", "jobs", "-l", stdin="".join(f"{number}\n" for number in range(count)).encode())
    writer = Writer(gateway)
    for _ in range(250):
        assert writer.publish() == 0
    support.wait_until("segments", lambda: in_segments(gateway) > 700000)
    disk.fill()
    writer.until_refused()
    writer.answers()
    return disk, gateway, writer


def full_again(disk, gateway, writer):
    """What a checkpoint that was under way gave back meanwhile is used up."""
    def full():
        disk.fill()
        writer.until_refused()
        return ready(gateway)[0] == 503
    support.wait_until("a full disk", full)


def a_full_disk_refuses_publishes_with_a_reason_and_says_so_in_the_log():
    with support.Scene() as scene:
        _, gateway, _ = filled(scene)
        other = Writer(gateway, "site/o", "other")
        for _ in range(5):
            support.wait_until("a refusal", lambda: other.publish() == QUOTA_EXCEEDED)
        told_that_it_is_full(gateway)
        status, body = ready(gateway)
        assert status == 503 and b"disk-full" in body, (status, body)
        done = gateway.weir("pub", "site/cli", "-m", PAYLOAD, code=None)
        assert done.returncode == REFUSED and b"disk is full" in done.stderr, done
        old = mqtt.connected(gateway.port, "old", 4)
        old.send(mqtt.publish("site/old", PAYLOAD, 1, version=4))
        assert not old.rest(), "a 3.1.1 publish was answered"
        assert gateway.alive()


def reading_goes_on_while_the_disk_is_full():
    with support.Scene() as scene:
        _, gateway, writer = filled(scene)
        assert numbers(gateway) == writer.accepted
        late = mqtt.connected(gateway.port, "late")
        late.send(mqtt.subscribe("live/#")).expect(mqtt.SUBACK)
        late.send(mqtt.publish("live/x", "passes", 0))
        assert late.expect(mqtt.PUBLISH).message()[:2] == ("live/x", b"passes")
        assert b"site" in gateway.weir("topic", "ls")


def writing_resumes_by_itself_when_there_is_room(level="disk"):
    with support.Scene() as scene:
        disk, gateway, writer = filled(scene, level)
        told_that_it_is_full(gateway)
        reader = gateway.weir_starts("sub", "site/#", "--from", "beginning", "-F", "%s")
        disk.free()
        for _ in range(50):
            writer.until_accepted()  # a flush from before may still find no room, and be told after it
        support.wait_until("the log's word", lambda: "room on the disk again" in gateway.log())
        ready_again(gateway)
        assert [line.split(b" ", 1)[0].decode() for line in reader.wait_lines(len(writer.accepted))] == (
            writer.accepted)
        assert numbers(gateway) == writer.accepted
        gateway.kill()
        gateway.start()
        assert numbers(gateway) == writer.accepted, "after a kill"
        assert gateway.stop() == 0, gateway.run.text()


def settling_and_trimming_go_on_and_make_the_room_that_writing_needs():
    with support.Scene() as scene:
        disk, gateway, writer = filled_beside_a_queue(scene, 8)
        told_that_it_is_full(gateway)
        assert gateway.weir("group", "join", "jobs", "-C", "5") == b"0\n1\n2\n3\n4\n"
        gateway.weir("group", "alter", "jobs", "--lease-ms", "5000")
        full_again(disk, gateway, writer)
        gateway.weir("topic", "trim", "site", "--before", "end")
        writer.until_accepted()  # the other program's file is still there
        ready_again(gateway)
        gateway.kill()
        gateway.start()
        queue = json.loads(gateway.weir("queue", "info", "jobs", "--json"))
        assert queue["fates"]["accepted"] == 5 and queue["lease_ms"] == 5000, queue


def a_disk_full_of_journal_comes_free_when_its_records_go():
    with support.Scene() as scene:
        disk = Disk(scene)
        rare = ("journal_file_bytes=262144", "segment_bytes_max=262144", "checkpoint_every_ms=600000",
                "http.enabled=true", "http.port=0")
        gateway = scene.gateway(*rare, data=os.path.join(disk.folder, "data"))
        for topic in ("site", "other"):
            gateway.weir("topic", "create", topic)
        writer, other = Writer(gateway), Writer(gateway, "other/w", "other")
        while writer.publish() == 0:
            if other.publish() != 0:
                break
        told_that_it_is_full(gateway)
        gateway.weir("topic", "trim", "site", "--before", "end")
        gateway.weir("topic", "rm", "other")
        writer.until_accepted()
        ready_again(gateway)
        assert gateway.stop() == 0, gateway.run.text()


def a_trim_makes_room_when_settlements_have_used_up_the_reserve():
    with support.Scene() as scene:
        _, gateway, writer = filled_beside_a_queue(scene, 400)
        for _ in range(390):
            # One record each time, one write each: the reserve is 64 KiB here, a page goes with each.
            done = gateway.weir("group", "join", "jobs", "-C", "1", "-W", "10", code=None)
            if done.returncode:
                break
        if done.returncode:  # else the queue's own segments gave back what its settlements took
            assert done.returncode == REFUSED and b"disk is full" in done.stderr, done
            writer.until_refused()
        gateway.weir("topic", "trim", "site", "--before", "end")
        writer.until_accepted()  # the other program's file is still there
        ready_again(gateway)
        assert gateway.weir("group", "join", "jobs", "-C", "1") != b""
        assert gateway.stop() == 0, gateway.run.text()


def writing_at_level_os_resumes_as_well():
    writing_resumes_by_itself_when_there_is_room("os")


def a_disk_that_fills_again_and_again_loses_nothing():
    with support.Scene() as scene:
        disk, gateway, writer = filled(scene)
        for _ in range(3):
            disk.free()
            writer.until_accepted()
            disk.fill()
            writer.until_refused()
            assert numbers(gateway) == writer.accepted
        disk.free()
        writer.until_accepted()
        assert gateway.stop() == 0, gateway.run.text()
        gateway.start()
        assert numbers(gateway) == writer.accepted


def a_gateway_killed_on_a_full_disk_starts_again_once_there_is_room():
    with support.Scene() as scene:
        disk, gateway, writer = filled(scene)
        gateway.kill()
        gateway.launch()
        support.wait_until("an end or readiness", lambda: gateway.run.ended() or
                           b" ready:" in gateway.run.out)
        if gateway.run.ended():
            gateway.run.wait()
            said = gateway.log()
            assert "No space left" in said and "free some space" in said, said
            print("    " + said.splitlines()[-1])
        else:
            gateway.wait_ready()
            assert numbers(gateway) in writer.may_be_stored()
            gateway.kill()
        disk.free()
        gateway.start()
        assert numbers(gateway) in writer.may_be_stored()
        gateway.serves()


def a_stop_on_a_full_disk_ends_and_keeps_everything():
    with support.Scene() as scene:
        disk, gateway, writer = filled(scene)
        code = gateway.stop()
        assert code == 0 or "checkpoint" in gateway.log(), f"exit {code}: {gateway.log()}"
        disk.free()
        gateway.start()
        assert numbers(gateway) in writer.may_be_stored()


def a_new_data_directory_on_a_full_disk_is_refused_with_the_reason():
    with support.Scene() as scene:
        disk = Disk(scene)
        disk.fill()
        gateway = scene.gateway(*SMALL, data=os.path.join(disk.folder, "data"), start=False)
        gateway.launch()
        assert gateway.run.wait() == 1, gateway.run.text()
        assert "disk is full" in gateway.log() and "free some space" in gateway.log(), gateway.log()
        print("    " + gateway.log().splitlines()[-1])
        disk.free()
        gateway.start().serves()


def tests():
    found = support.tests_of(globals())
    return found[:1] + [reading_goes_on_while_the_disk_is_full, writing_resumes_by_itself_when_there_is_room,
                        settling_and_trimming_go_on_and_make_the_room_that_writing_needs,
                        writing_at_level_os_resumes_as_well] + found[1:]


if __name__ == "__main__":
    support.run_tests(tests(), *sys.argv[1:])
