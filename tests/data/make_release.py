#!/usr/bin/python3
"""Makes a small data directory with this release's weir, for every later one to open.

    WEIR_BIN=... tests/data/make_release.py FOLDER

FOLDER must not be there. It gets the data directory, packed (journal files are mostly zeros), and what
scenario.release_data expects of it, as the gateway that made it answered. Two lives: the first ends cleanly (checkpoint,
segments), the second is killed (units in the journal that only a replay finds).
"""
import json
import os
import struct
import sys
import tarfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "scenario"))
import support  # noqa: E402
from local_socket_test import Peer  # noqa: E402

SETTINGS = ("journal_file_bytes=65536", "segment_bytes_max=65536", "journal_inline_bytes_max=1024",
            "producer_expiry_ms=31536000000")
KEEP = ("--retention-ms", "-1")
TOPICS = ("plain", "parts", "state", "os")
TABLE = []


def crc32c(data):
    if not TABLE:
        for value in range(256):
            for _ in range(8):
                value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
            TABLE.append(value)
    crc = 0xFFFFFFFF
    for byte in data:
        crc = TABLE[(crc ^ byte) & 255] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


def varint(number):
    number = number * 2 if number >= 0 else -number * 2 - 1
    out = b""
    while number > 127:
        out += bytes([number & 127 | 128])
        number >>= 7
    return out + bytes([number])


def lz4_batch(values, time_ms):
    """A RecordBatch v2 in an LZ4 frame of one block that is stored as it is."""
    records = b""
    for delta, value in enumerate(values):
        record = b"\0" + varint(0) + varint(delta) + varint(1) + b"z" + varint(len(value)) + value + varint(0)
        records += varint(len(record)) + record
    frame = bytes.fromhex("04224d18604082") + struct.pack("<I", len(records) | 1 << 31) + records + bytes(4)
    body = struct.pack(">hiqqqhii", 3, len(values) - 1, time_ms, time_ms, -1, -1, -1, len(values)) + frame
    head = struct.pack(">ibI", 0, 2, crc32c(body))
    return struct.pack(">qi", 0, len(head) + len(body)) + head + body


def lines(gateway, name, values):
    gateway.weir("pub", name, "-l", stdin="".join(f"{value}\n" for value in values).encode())


def first_life(gateway):
    gateway.weir("topic", "create", "plain", "-d", "disk", *KEEP)
    gateway.weir("topic", "create", "parts", "-p", "3", "--partition-levels", "1", "-d", "disk", *KEEP)
    gateway.weir("topic", "create", "state", "--cleanup", "compact", "--min-compaction-lag-ms", "9223372036854", *KEEP)
    gateway.weir("topic", "create", "os", "-d", "os", "--segment-bytes", "4096", "--retention-bytes", "100000", *KEEP)
    gateway.weir("topic", "create", "gone", *KEEP)
    lines(gateway, "plain/a", [f"one {i}" for i in range(20)])
    for device in range(9):
        lines(gateway, f"parts/d{device}/t", [f"{device}.{i}" for i in range(4)])
    lines(gateway, "gone/x", range(10))
    lines(gateway, "os/big", ["x" * 900 + str(i) for i in range(12)])
    gateway.weir("pub", "state/k1", "-m", "first", "-r")
    gateway.weir("pub", "state/k1", "-m", "second", "-r", "-H", "unit=m/s")
    gateway.weir("pub", "state/k2", "-m", "stays", "-r")
    gateway.weir("pub", "live/name", "-m", "a retained value of a live name", "-r")
    gateway.weir("topic", "rm", "gone")
    peer = Peer(gateway)
    assert peer.ask({"cmd": "publish", "id": 1, "name": "plain/once", "value": "once", "producer": "meter-12",
                     "publishing_id": 41})["ok"]
    batch = lz4_batch([b"packed %d" % i for i in range(5)], 1700000000000)
    kind, answer = peer.frame(1, struct.pack(">H", 5) + b"plain" + struct.pack(">IQ", 0, 7) + batch)
    assert kind == 0x81, answer
    peer.close()
    gateway.weir("topic", "trim", "plain", "--before", "3")


def second_life(gateway):
    lines(gateway, "plain/a", [f"two {i}" for i in range(5)])
    gateway.weir("topic", "alter", "parts", "--partitions", "5")
    lines(gateway, "parts/d0/t", ["after the change"])
    gateway.weir("pub", "plain/big", "-m", "y" * 3000)
    gateway.weir("pub", "state/k2", "-n")
    gateway.weir("topic", "create", "late", *KEEP)
    gateway.weir("topic", "rm", "late")
    peer = Peer(gateway)
    assert peer.ask({"cmd": "publish", "id": 1, "name": "plain/once", "value": "again", "producer": "meter-12",
                     "publishing_id": 42})["ok"]
    peer.close()


def told(gateway):
    """All that a later release must tell in the same way."""
    found = {"topics": json.loads(gateway.weir("topic", "ls", "-o", "json")), "records": {}, "described": {}}
    for topic in TOPICS:
        found["described"][topic] = json.loads(gateway.weir("topic", "describe", topic, "-o", "json"))
        rows = [json.loads(line) for line in
                gateway.weir("sub", f"{topic}/#", "--from", "beginning", "-e", "-R", "-o", "ndjson").splitlines()]
        found["records"][topic] = sorted(rows, key=lambda row: (row["partition"], row["offset"]))
    retained = [json.loads(line) for line in
                gateway.weir("sub", "#", "-W", "1", "-o", "ndjson", code=27).splitlines()]
    found["retained"] = sorted(retained, key=lambda row: row["name"])
    peer = Peer(gateway)
    found["where"] = peer.ask({"cmd": "producer", "id": 4, "action": "where", "producer": "meter-12",
                               "topic": "plain", "partition": 0})
    peer.close()
    return found


def kept(member):
    """Of a packed directory: what holds something, and nobody's name."""
    member.uname = member.gname = ""
    member.uid = member.gid = 0
    return None if member.name.endswith((".spare", ".new", "/volume")) else member


def make(folder):
    with support.Scene() as scene:
        gateway = scene.gateway(*SETTINGS)
        first_life(gateway)
        assert gateway.stop() == 0
        gateway.start()
        second_life(gateway)
        expected = told(gateway)
        gateway.kill()
        os.makedirs(folder)
        with tarfile.open(os.path.join(folder, "data.tar.gz"), "w:gz") as packed:
            for name in ("journal", "state", "log", "owner"):
                packed.add(os.path.join(gateway.data, name), f"data/{name}", filter=kept)
        with open(os.path.join(folder, "expected.json"), "w") as file:
            json.dump(expected, file, indent=None, sort_keys=True)
            file.write("\n")


if __name__ == "__main__":
    make(os.path.abspath(sys.argv[1]))
