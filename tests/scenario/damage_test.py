#!/usr/bin/python3
"""A journal that is damaged behind the checkpoint: what is there is read, nothing is written, `weir log`
says what is missing, and repairs only what one accepts to lose.

    WEIR_BIN=... damage_test.py [part of a test's name]
"""
import hashlib
import json
import os
import re
import socket
import sys
import urllib.error
import urllib.request

import mqtt_wire
import support

ERROR, NOT_FOUND, REFUSED = 1, 3, 4  # exit codes of programs/commands.h
ROUNDS, EACH = 12, 5
NOT_DATA = re.compile(r"(weir\.sock|owner|owner\.lock|lock-[0-9a-f]{16}|volume|.*\.spare|.*\.new)$")


def killed(scene, group=None):
    """A gateway's data directory with records of topic `site` in its journal, killed."""
    gateway = scene.gateway("http.enabled=true", "http.port=0")
    gateway.weir("topic", "create", "site", "-d", "disk")
    if group:
        gateway.weir("group", "create", group, "--model", "queue", "--filter", "site/#")
    for number in range(ROUNDS):
        lines = "".join(f"{number}-{i}\n" for i in range(EACH))
        gateway.weir("pub", "site/d", "-l", stdin=lines.encode())
    gateway.kill()
    return gateway


def files(folder):
    """The hash of every file that is data."""
    found = {}
    for at, _, names in os.walk(folder):
        for name in names:
            if not NOT_DATA.match(name):
                with open(os.path.join(at, name), "rb") as file:
                    found[os.path.relpath(os.path.join(at, name), folder)] = hashlib.sha256(file.read()).hexdigest()
    return found


def damage(gateway):
    """Wrecks a block in the middle of the journal's first file, one that has records; the file, and where."""
    rows = [row for row in dumped(gateway) if row["type"] == "batch"]
    first = min(row["file"] for row in rows)
    positions = sorted({row["position"] for row in rows if row["file"] == first})
    path, position = os.path.join(gateway.data, first), positions[len(positions) // 2]
    with open(path, "r+b") as file:
        file.seek(position + 80)
        file.write(b"\xa5" * 64)
    return path, position


def units_at(rows, path, position):
    """Of a dump: how many units the block there has, and the offset of its first record. On a busy machine the lines of one
    `weir pub` may come in several turns, each of which writes a block."""
    own = [row for row in rows if path.endswith(row["file"]) and row["position"] == position]
    return len({row["unit"] for row in own}), min(row["offset"] for row in own if row["type"] == "batch")


def dumped(gateway):
    return json.loads(log(gateway, "dump", "-o", "json")[0])


def records(gateway):
    return gateway.weir("sub", "site/d", "--from", "beginning", "-e").decode().split()


def published():
    return [f"{number}-{i}" for number in range(ROUNDS) for i in range(EACH)]


def get(gateway, path):
    try:
        with urllib.request.urlopen(f"http://{gateway.ports()['http']}{path}", timeout=support.DEADLINE_S) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


def log(gateway, *arguments, code=0):
    done = gateway.weir("log", *arguments, code=None)
    assert done.returncode == code, f"exit {done.returncode}, not {code}: {done}"
    return done.stdout.decode(), done.stderr.decode()


def verified(gateway, code=0):
    return json.loads(log(gateway, "verify", "-o", "json", code=code)[0])


def a_sound_directory_is_called_sound_and_not_a_byte_changes():
    with support.Scene() as scene:
        gateway = killed(scene)
        before = files(gateway.data)
        found = verified(gateway)
        assert found["sum"][0]["sound"] is True and found["lost"] == [], found
        assert sum(file["records"] or 0 for file in found["files"]) == ROUNDS * EACH, found
        assert files(gateway.data) == before
        gateway.start()
        assert records(gateway) == published()
        assert gateway.stop() == 0
        found = verified(gateway)  # now a checkpoint and segments
        assert found["sum"][0]["records"] == ROUNDS * EACH, found
        assert {"checkpoint", "segment"} <= {kind(file["file"]) for file in found["files"]}, found


def kind(path):
    return "checkpoint" if path.endswith(".checkpoint") else "segment" if path.endswith(".log") else "other"


def a_directory_that_a_gateway_owns_is_refused_with_its_pid():
    with support.Scene() as scene:
        gateway = scene.gateway()
        for command in ("verify", "dump", "repair"):
            out, said = log(gateway, command, code=REFUSED)
            assert str(gateway.run.process.pid) in said, said
            assert not out, out
        gateway.serves()


def the_place_of_damage_and_what_is_lost_are_told():
    with support.Scene() as scene:
        gateway = killed(scene)
        rows = dumped(gateway)
        path, position = damage(gateway)
        _, first = units_at(rows, path, position)
        before = files(gateway.data)
        found = verified(gateway, code=ERROR)
        bad = [file for file in found["files"] if file["verdict"] == "damaged"]
        assert len(bad) == 1 and path.endswith(bad[0]["file"]) and bad[0]["position"] == position, bad
        lost = found["lost"]
        assert len(lost) == 1 and lost[0]["topic"] == "site" and lost[0]["to"] == ROUNDS * EACH, lost
        assert 0 < lost[0]["from"] == first < lost[0]["to"], (lost, first)
        assert files(gateway.data) == before


def a_damaged_journal_is_read_up_to_there_and_takes_no_write():
    with support.Scene() as scene:
        gateway = killed(scene)
        path, _ = damage(gateway)
        before = files(gateway.data)
        gateway.start()
        said = gateway.log()
        assert path in said and said.count("weir log repair --accept-loss") == 1, said
        there = records(gateway)
        assert there and there == published()[:len(there)] and len(there) < ROUNDS * EACH, there
        for command in (("pub", "site/d", "-m", "x"), ("topic", "create", "other"), ("topic", "rm", "site")):
            assert gateway.weir(*command, code=None).returncode == REFUSED, command
        status, body = get(gateway, "/readyz")
        assert status == 503 and body["because"] == "read-only" and body["file"] == path, body
        assert "weir log repair --accept-loss" in body["text"], body
        assert get(gateway, "/healthz")[0] == 200
        assert gateway.stop() == 0
        assert files(gateway.data) == before


def asked(gateway, *commands):
    """What weir.v1 answers to each."""
    with socket.socket(socket.AF_UNIX) as peer:
        peer.settimeout(support.DEADLINE_S)
        peer.connect(os.path.join(gateway.data, "weir.sock"))
        with peer.makefile("rwb") as lines:
            for command in ({"cmd": "hello", "version": 1}, *commands):
                lines.write(json.dumps(command).encode() + b"\n")
                lines.flush()
                answer = json.loads(lines.readline())
                yield answer


def a_worker_is_told_that_nothing_can_be_handed_out():
    with support.Scene() as scene:
        gateway = killed(scene, group="workers")
        damage(gateway)
        gateway.start()
        _, joined, leased = asked(gateway, {"cmd": "join", "group": "workers"},
                                  {"cmd": "lease", "member": 1, "wait_ms": 60000})
        assert joined["ok"], joined
        assert leased["error"]["code"] == "read-only" and "journal" in leased["error"]["text"], leased
        with mqtt_wire.connected(gateway.port) as peer:
            peer.send(mqtt_wire.subscribe("$share/workers/site/#"))
            assert peer.expect(mqtt_wire.SUBACK)
            support.wait_until("the log names it", lambda: "event=share-not-served" in gateway.log())
            peer.ping()
        assert gateway.stop() == 0


def a_publisher_of_mqtt_5_is_told_0x97_and_stays_connected():
    with support.Scene() as scene:
        gateway = killed(scene)
        damage(gateway)
        gateway.start()
        with mqtt_wire.connected(gateway.port) as peer:
            peer.send(mqtt_wire.publish("site/d", b"x", qos=1))
            assert peer.expect(mqtt_wire.PUBACK).reason() == 0x97
            peer.ping()
        assert gateway.stop() == 0


def a_repair_tells_first_and_cuts_only_when_the_loss_is_accepted():
    with support.Scene() as scene:
        gateway = killed(scene)
        path, _ = damage(gateway)
        before = files(gateway.data)
        out, said = log(gateway, "repair", code=ERROR)
        assert "site" in out and path in said and "nothing was changed" in said, out + said
        assert files(gateway.data) == before
        lost_from = verified(gateway, code=ERROR)["lost"][0]["from"]
        out, said = log(gateway, "repair", "--accept-loss")
        assert "nothing was changed" not in said and f"weir serve --data {gateway.data}" in said, said
        aside = [name for name in os.listdir(gateway.data) if name.startswith("repair-")]
        assert len(aside) == 1 and aside[0] in said, said
        copies = files(os.path.join(gateway.data, aside[0]))
        assert copies == {name: hashed for name, hashed in before.items() if name.split("/")[0] in ("journal", "state")}
        assert verified(gateway)["sum"][0]["sound"] is True
        gateway.start()
        assert records(gateway) == published()[:lost_from]
        gateway.weir("pub", "site/d", "-m", "after")
        assert records(gateway) == published()[:lost_from] + ["after"]
        gateway.kill()
        gateway.start()
        assert records(gateway) == published()[:lost_from] + ["after"]
        assert gateway.stop() == 0


def a_sound_journal_is_not_repaired():
    with support.Scene() as scene:
        gateway = killed(scene)
        before = files(gateway.data)
        _, said = log(gateway, "repair", "--accept-loss")
        assert "nothing to repair" in said, said
        assert files(gateway.data) == before


def a_damaged_segment_is_told_with_its_gap():
    with support.Scene() as scene:
        gateway = killed(scene)
        gateway.start()
        assert gateway.stop() == 0
        path = next(os.path.join(at, name) for at, _, names in os.walk(os.path.join(gateway.data, "log"))
                    for name in names if name.endswith(".log"))
        with open(path, "r+b") as file:
            file.seek(90)
            file.write(b"\xa5\xa5")
        found = verified(gateway, code=ERROR)
        lost = found["lost"]
        assert len(lost) == 1 and lost[0]["topic"] == "site" and lost[0]["from"] == 0, found
        assert lost[0]["in"] == "segment", lost
        _, said = log(gateway, "repair", "--accept-loss")
        assert "nothing to repair" in said, said  # a gap in a segment is no reason to cut


def covered(scene):
    """A killed gateway's directory, started and stopped again: its first journal file is below the checkpoint."""
    gateway = killed(scene)
    gateway.start()
    gateway.weir("pub", "site/d", "-m", "last")
    assert gateway.stop() == 0
    return gateway


def journal_files(gateway):
    folder = os.path.join(gateway.data, "journal")
    return [os.path.join(folder, name) for name in sorted(os.listdir(folder)) if name.endswith(".wal")]


def bad_rows(found):
    return [file for file in found["files"] if file["verdict"] in ("damaged", "missing")]


def a_block_damaged_below_the_checkpoint_is_told_and_loses_nothing():
    with support.Scene() as scene:
        gateway = covered(scene)
        sound, rows = verified(gateway), dumped(gateway)
        path, position = damage(gateway)
        before = files(gateway.data)
        found = verified(gateway, code=ERROR)
        bad = bad_rows(found)
        assert len(bad) == 1 and path.endswith(bad[0]["file"]) and bad[0]["position"] == position, bad
        assert "nothing is lost: the checkpoint covers it" in bad[0]["text"], bad
        assert found["sum"][0]["damaged"] == 1 and found["lost"] == [], found
        whole = next(file["units"] for file in sound["files"] if file["file"] == bad[0]["file"])
        of_block, _ = units_at(rows, path, position)
        assert bad[0]["units"] == whole - of_block, (bad, whole, of_block)  # all but those of that block
        out, said = log(gateway, "dump", "-o", "json", code=ERROR)
        unread = [row for row in json.loads(out) if row["type"] == "unreadable"]
        assert [row["position"] for row in unread] == [position] and gateway.data in said, (unread, said)
        _, said = log(gateway, "repair", "--accept-loss")
        assert "nothing to repair" in said and f"--data {gateway.data}" in said, said
        assert files(gateway.data) == before
        gateway.start()
        assert records(gateway) == published() + ["last"]
        assert gateway.stop() == 0


def a_damaged_head_below_the_checkpoint_is_told():
    with support.Scene() as scene:
        gateway = covered(scene)
        path = journal_files(gateway)[0]
        with open(path, "r+b") as file:
            file.seek(40)
            file.write(b"\xa5")
        bad = bad_rows(verified(gateway, code=ERROR))
        assert len(bad) == 1 and path.endswith(bad[0]["file"]) and bad[0]["verdict"] == "damaged", bad
        assert "nothing is lost" in bad[0]["text"], bad


def a_journal_file_that_is_gone_is_missing():
    with support.Scene() as scene:
        gateway = covered(scene)
        path = journal_files(gateway)[0]
        os.remove(path)
        bad = bad_rows(verified(gateway, code=ERROR))
        assert len(bad) == 1 and path.endswith(bad[0]["file"]) and bad[0]["verdict"] == "missing", bad
        assert "nothing is lost: the checkpoint covers it" in bad[0]["text"], bad
        out, _ = log(gateway, "dump", "-o", "json", code=ERROR)
        assert [row["type"] for row in json.loads(out)][0] == "missing", out
        gateway.start()
        assert records(gateway) == published() + ["last"]
        assert gateway.stop() == 0


def the_files_that_the_checkpoints_let_go_of_are_not_missing():
    with support.Scene() as scene:
        gateway = covered(scene)
        for number in range(3):
            gateway.start()
            gateway.weir("pub", "site/d", "-m", f"more-{number}")
            assert gateway.stop() == 0
            assert verified(gateway)["sum"][0]["sound"] is True


def a_damaged_owner_file_is_told():
    with support.Scene() as scene:
        gateway = covered(scene)
        with open(os.path.join(gateway.data, "owner"), "r+b") as file:
            file.seek(40)
            file.write(b"\xa5")
        bad = bad_rows(verified(gateway, code=ERROR))
        assert [row["file"] for row in bad] == ["owner"] and "the next start" in bad[0]["text"], bad
        log(gateway, "dump")
        gateway.start()
        assert gateway.stop() == 0
        assert verified(gateway)["sum"][0]["sound"] is True


def a_heads_file_that_is_gone_or_damaged_is_made_again():
    wrecks = {"gone": os.remove, "its head": lambda path: flip(path, 20), "an entry": lambda path: flip(path, 70)}
    for what, wreck in wrecks.items():
        with support.Scene() as scene:
            gateway = covered(scene)
            path = next(os.path.join(at, name) for at, _, names in os.walk(os.path.join(gateway.data, "log"))
                        for name in names if name.endswith(".heads"))
            wreck(path)
            bad = bad_rows(verified(gateway, code=ERROR))
            assert len(bad) == 1 and path.endswith(bad[0]["file"]) and "log repair" in bad[0]["text"], (what, bad)
            assert bad[0]["verdict"] == ("missing" if what == "gone" else "damaged"), (what, bad)
            _, said = log(gateway, "repair")
            assert "1 .heads files were made again" in said, (what, said)
            assert verified(gateway)["sum"][0]["sound"] is True, what
            gateway.start()
            gateway.weir("pub", "site/d", "-m", "after")
            assert records(gateway) == published() + ["last", "after"], what
            assert gateway.stop() == 0
            assert verified(gateway)["sum"][0]["sound"] is True, what


def flip(path, position):
    with open(path, "r+b") as file:
        file.seek(position)
        byte = file.read(1)[0]
        file.seek(position)
        file.write(bytes([byte ^ 0xff]))


def a_segment_that_is_not_there_cannot_be_dumped():
    with support.Scene() as scene:
        gateway = scene.gateway()
        assert gateway.stop() == 0
        _, said = log(gateway, "dump", "no-such-file", code=NOT_FOUND)
        assert "no-such-file: there is no such file" in said, said


def a_dump_shows_units_and_batches():
    with support.Scene() as scene:
        gateway = killed(scene)
        rows = json.loads(log(gateway, "dump", "-o", "json")[0])
        batches = [row for row in rows if row["type"] == "batch"]
        assert sum(row["records"] for row in batches) == ROUNDS * EACH, rows
        topics = {row["topic"] for row in batches}
        assert len(topics) == 1 and None not in topics, topics
        assert topics == {row["topic"] for row in rows if row["type"] == "topic-create"}, rows
        some = json.loads(log(gateway, "dump", "--unit", "2..3", "-o", "json")[0])
        assert {row["unit"] for row in some} == {2, 3}, some
        gateway.start()
        assert gateway.stop() == 0
        path = next(os.path.join(at, name) for at, _, names in os.walk(os.path.join(gateway.data, "log"))
                    for name in names if name.endswith(".log"))
        rows = json.loads(log(gateway, "dump", path, "-o", "json")[0])
        assert sum(row["records"] for row in rows) == ROUNDS * EACH, rows
        assert b"checkpoint_written" in support.run_checked([support.BIN, "log", "failpoints"]).stdout


if __name__ == "__main__":
    support.run_tests(support.tests_of(globals()), *sys.argv[1:])
