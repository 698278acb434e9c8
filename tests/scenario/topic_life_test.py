#!/usr/bin/python3
"""How topics live, with the commands that a person types: options, trims, retention, compaction, more
partitions, deleting and making again, and the four ways to begin reading.

    WEIR_BIN=... topic_life_test.py [part of a test's name]
"""
import json
import os
import struct
import sys
import time

import support
from local_socket_test import Peer

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "data"))
from make_release import crc32c, varint  # noqa: E402 (found through the line above)

QUICK = ("cleanup_every_ms=100", "checkpoint_every_ms=200", "checkpoint_bytes=65536")


def told(gateway, *command):
    """What the command printed; it must succeed."""
    return gateway.weir(*command).decode()


def refused(gateway, code, *command):
    """The exit code; None: any but 0."""
    got = gateway.weir(*command, code=None).returncode
    assert got == code if code is not None else got != 0, (command, got)


def described(gateway, topic):
    rows = [json.loads(line) for line in told(gateway, "topic", "describe", topic, "-o", "ndjson").splitlines()]
    return {row["setting"]: row["value"] for row in rows}


def bounds(gateway, topic):
    rows = [json.loads(line) for line in told(gateway, "topic", "info", topic, "-o", "ndjson").splitlines()]
    return [(row["start"], row["end"]) for row in rows]


def publish_lines(gateway, topic, lines, *more):
    gateway.weir("pub", topic, "-l", *more, stdin="".join(line + "\n" for line in lines).encode())


def read(gateway, topic, begin="beginning", form="%o %k %s"):
    return told(gateway, "sub", topic, "--from", begin, "-e", "-F", form).splitlines()


def removed(gateway):
    """How many records compaction has removed since the gateway's start."""
    return next(int(line.split()[1]) for line in told(gateway, "stats").splitlines()
                if line.startswith("weir_records_compacted_total"))


def clock_at(wanted):
    """`wanted`, in milliseconds, once the wall clock is there: what came before is older."""
    return support.wait_until("the clock", lambda: int(time.time() * 1000) >= wanted and wanted)


def each_option_is_told_changed_and_kept():
    with support.Scene() as scene:
        gateway = scene.gateway()
        told(gateway, "topic", "create", "site", "--cleanup", "compact,delete", "--retention-ms", "5000")
        is_ = described(gateway, "site")
        assert (is_["cleanup"], is_["retention_ms"]) == ("compact,delete", 5000), is_
        assert is_["retention_bytes"] == -1 and is_["segment_bytes"] == 1073741824, is_
        told(gateway, "topic", "alter", "site", "--retention-ms", "-1", "--segment-bytes", "65536", "-d", "os")
        gateway.kill()
        gateway.start()
        is_ = described(gateway, "site")
        assert (is_["retention_ms"], is_["segment_bytes"], is_["durability"]) == (-1, 65536, "os"), is_
        refused(gateway, 2, "topic", "alter", "site", "--segment-bytes", "7")
        refused(gateway, 2, "topic", "alter", "site")
        refused(gateway, 3, "topic", "alter", "none", "--retention-ms", "5")
        refused(gateway, None, "topic", "create", "site", "--retention-ms", "9")


def a_trim_is_for_good():
    with support.Scene() as scene:
        gateway = scene.gateway()
        told(gateway, "topic", "create", "site")
        publish_lines(gateway, "site/a", [str(i) for i in range(10)])
        told(gateway, "topic", "trim", "site", "--before", "4")
        assert bounds(gateway, "site") == [(4, 10)]
        gateway.kill()
        gateway.start()
        assert read(gateway, "site/#", form="%s") == [str(i) for i in range(4, 10)]
        refused(gateway, None, "topic", "trim", "site", "--before", "11")
        told(gateway, "topic", "trim", "site", "--before", "end")
        assert bounds(gateway, "site") == [(10, 10)]
        told(gateway, "pub", "site/a", "-m", "next")
        assert read(gateway, "site/#") == ["10 a next"]


def the_old_records_go_by_themselves():
    with support.Scene() as scene:
        gateway = scene.gateway(*QUICK)
        told(gateway, "topic", "create", "site", "--retention-ms", "1500")
        publish_lines(gateway, "site/a", [str(i) for i in range(10)])
        support.wait_until("the start to move", lambda: bounds(gateway, "site") == [(10, 10)])
        told(gateway, "topic", "alter", "site", "--retention-ms", "-1")
        told(gateway, "pub", "site/a", "-m", "stays")
        assert read(gateway, "site/#") == ["10 a stays"]


def the_newest_of_each_key_outlives_compaction():
    with support.Scene() as scene:
        gateway = scene.gateway(*QUICK)
        told(gateway, "topic", "create", "state", "--cleanup", "compact", "--segment-bytes", "16384")
        keys, rounds = 8, 60
        for first in range(0, rounds, 5):  # a segment holds a batch at least, however large
            publish_lines(gateway, "state", [f"k{i}={first + r} {'x' * 500}" for r in range(5) for i in range(keys)],
                          "-K", "=")

        def compacted():
            return len(read(gateway, "state/#")) < keys * rounds // 2 or None

        def again():
            gateway.stop()  # so that memory has none of what segments have lost
            gateway.start()
            return compacted()
        support.wait_until("compaction", lambda: removed(gateway) >= keys * rounds // 2)
        support.wait_until("what memory has no more", again)
        for _ in range(2):
            newest = {}
            for line in read(gateway, "state/#"):
                _, key, value = line.split(" ")[:3]
                assert int(value) > newest.get(key, -1), line
                newest[key] = int(value)
            assert newest == {f"k{i}": rounds - 1 for i in range(keys)}, newest
            gateway.kill()
            gateway.start()


def lz4_frame(data):
    """Of one block that is stored as it is."""
    return bytes.fromhex("04224d18604082") + struct.pack("<I", len(data) | 1 << 31) + data + bytes(4)


def zstd_frame(data):
    """The same: a single segment that tells its size in four bytes, one raw block."""
    return bytes.fromhex("28b52ffda0") + struct.pack("<I", len(data)) + struct.pack("<I", len(data) << 3 | 1)[:3] + data


FRAMES = {"lz4": (3, lz4_frame), "zstd": (4, zstd_frame)}


def packed_batch(records, codec):
    """A RecordBatch v2 of (key, value) pairs."""
    number, frame = FRAMES[codec]
    plain = b""
    for delta, (key, value) in enumerate(records):
        record = b"\0" + varint(0) + varint(delta) + varint(len(key)) + key + varint(len(value)) + value + varint(0)
        plain += varint(len(record)) + record
    body = struct.pack(">hiqqqhii", number, len(records) - 1, 0, 0, -1, -1, -1, len(records)) + frame(plain)
    head = struct.pack(">ibI", 0, 2, crc32c(body))
    return struct.pack(">qi", 0, len(head) + len(body)) + head + body


def packed_batches_are_compacted(codec):
    with support.Scene() as scene:
        gateway = scene.gateway(*QUICK)
        told(gateway, "topic", "create", "state", "--cleanup", "compact", "--segment-bytes", "16384")
        peer, keys, rounds = Peer(gateway), 8, 30
        for number in range(rounds):
            batch = packed_batch([(b"k%d" % i, b"%d %s" % (number, b"x" * 500)) for i in range(keys)], codec)
            kind, answer = peer.frame(1, struct.pack(">H5sIQ", 5, b"state", 0, 7) + batch)
            assert kind == 0x81, answer
        peer.close()
        support.wait_until("compaction", lambda: removed(gateway) >= keys * rounds // 2)
        gateway.stop()  # so that memory has none of what segments have lost
        gateway.start()
        lines = read(gateway, "state/#")
        assert keys <= len(lines) <= keys * rounds // 2, len(lines)
        newest = {line.split(" ")[1]: int(line.split(" ")[2]) for line in lines}
        assert newest == {f"k{i}": rounds - 1 for i in range(keys)}, newest


def each_batch_in_lz4_is_compacted():
    packed_batches_are_compacted("lz4")


def each_batch_in_zstd_is_compacted():
    packed_batches_are_compacted("zstd")


def a_few_old_values_go_at_the_age_of_a_segment():
    with support.Scene() as scene:
        gateway = scene.gateway(*QUICK)
        told(gateway, "topic", "create", "state", "--cleanup", "compact", "--segment-ms", "1000")
        for value in ("1", "2", "3"):
            told(gateway, "pub", "state/k", "-m", value)
        support.wait_until("compaction", lambda: removed(gateway) == 2)
        gateway.stop()
        gateway.start()
        assert read(gateway, "state/#") == ["2 k 3"]


def a_keys_order_survives_more_partitions():
    with support.Scene() as scene:
        gateway = scene.gateway()
        told(gateway, "topic", "create", "site")
        keys = 20
        publish_lines(gateway, "site", [f"k{i % keys}=0.{i}" for i in range(keys * 5)], "-K", "=")
        told(gateway, "topic", "alter", "site", "--partitions", "4")
        publish_lines(gateway, "site", [f"k{i % keys}=1.{i}" for i in range(keys * 5)], "-K", "=")
        assert len(bounds(gateway, "site")) == 4
        refused(gateway, None, "topic", "alter", "site", "--partitions", "2")
        last = {}
        lines = read(gateway, "site/#", form="%k %s")
        assert len(lines) == keys * 10
        for line in lines:
            key, value = line.split(" ")
            now = tuple(int(part) for part in value.split("."))
            assert now > last.get(key, (-1, -1)), (line, last[key])
            last[key] = now


def a_reader_begins_at_beginning_end_offset_and_time():
    with support.Scene() as scene:
        gateway = scene.gateway()
        told(gateway, "topic", "create", "site")
        publish_lines(gateway, "site/a", ["0", "1", "2"])
        middle = clock_at(int(time.time() * 1000) + 20)
        clock_at(middle + 20)
        publish_lines(gateway, "site/a", ["3", "4"])
        for restart in (False, True):
            if restart:
                gateway.stop()
                gateway.start()
            assert read(gateway, "site/#", "beginning", "%s") == ["0", "1", "2", "3", "4"]
            assert read(gateway, "site/#", "2", "%s") == ["2", "3", "4"]
            assert read(gateway, "site/#", "-1", "%s") == ["4"]
            assert read(gateway, "site/#", f"@{middle}", "%s") == ["3", "4"]
        late = gateway.weir_starts("sub", "site/#", "--from", "end", "-C", "1", "-F", "%s")
        support.wait_until("the reader from the end", lambda: late.ended() or
                           gateway.weir("pub", "site/a", "-m", "new") is None)
        assert late.wait() == 0 and late.lines() == [b"new"], late.text()


def a_topic_made_again_begins_anew():
    with support.Scene() as scene:
        gateway = scene.gateway()
        told(gateway, "topic", "create", "site")
        publish_lines(gateway, "site/a", ["old"] * 5)
        told(gateway, "topic", "rm", "site")
        told(gateway, "topic", "create", "site")
        assert bounds(gateway, "site") == [(0, 0)]
        told(gateway, "pub", "site/a", "-m", "new")
        gateway.kill()
        gateway.start()
        assert read(gateway, "site/#") == ["0 a new"]


if __name__ == "__main__":
    support.run_tests(support.tests_of(globals()), sys.argv[1] if len(sys.argv) > 1 else None)
