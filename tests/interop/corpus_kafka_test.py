#!/usr/bin/python3
"""A gateway takes the batches that a Kafka library builds, in every codec, and the library reads every segment that
the gateway writes: CRCs, offsets, times, keys, values, headers.

    WEIR_BIN=... corpus_kafka_test.py [part of a test's name]

Needs Debian's python3-kafka, python3-lz4 and python3-zstandard; without them the test says so and counts as skipped.
"""
import base64
import json
import os
import random
import struct
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "scenario"))
import support  # noqa: E402 (found through the line above)
from local_socket_test import Peer  # noqa: E402

try:
    from kafka.codec import has_lz4, has_zstd
    from kafka.record import MemoryRecords
    from kafka.record.default_records import DefaultRecordBatchBuilder
except ImportError:
    print("python3-kafka is not installed: skipped")
    sys.exit(support.SKIPPED)
if not has_lz4() or not has_zstd():
    print("python3-lz4 and python3-zstandard are not both installed: skipped")
    sys.exit(support.SKIPPED)

CODECS = {"none": 0, "lz4": 3, "zstd": 4}
GZIP = 1
PARTITIONS = 2
# Small files, so that there are many; batches from 8 KiB on go straight to their segment.
SETTINGS = ("segment_bytes_max=65536", "journal_inline_bytes_max=8192", "cleanup_every_ms=100", "checkpoint_every_ms=200",
            "checkpoint_bytes=65536")


def build(records, codec, producer=(-1, -1, -1)):
    """A batch of (key, value, headers)."""
    builder = DefaultRecordBatchBuilder(
        magic=2, compression_type=codec, is_transactional=0, producer_id=producer[0], producer_epoch=producer[1],
        base_sequence=producer[2], batch_size=1 << 24)
    for index, (key, value, headers) in enumerate(records):
        assert builder.append(index, 1000 + index, key, value, headers) is not None
    return bytes(builder.build())


def records_of(data):
    """Every record of back to back batches, each batch's CRC checked, and the codecs that were met."""
    memory, found, codecs = MemoryRecords(data), [], set()
    while memory.has_next():
        batch = memory.next_batch()
        assert batch.validate_crc(), "a batch's CRC does not fit"
        codecs.add(batch.compression_type)
        for record in batch:
            assert record.timestamp_type == 1  # LogAppendTime
            found.append((record.offset, record.timestamp, record.key, record.value,
                          [(name, value) for name, value in record.headers]))
    assert memory.size_in_bytes() == len(data), "bytes are left behind the last batch"
    return found, codecs


def segments(gateway, topic_id):
    """{partition: records} and the codecs, as the library reads the files of a topic; and how many files."""
    found, codecs, files = {}, set(), 0
    root = os.path.join(gateway.data, "log", str(topic_id))
    for partition in sorted(os.listdir(root)):
        logs = [os.path.join(folder, name) for folder, _, names in os.walk(os.path.join(root, partition))
                for name in names if name.endswith(".log")]
        found[int(partition)] = []
        for path in sorted(logs, key=os.path.basename):  # the name is the base offset
            with open(path, "rb") as file:
                records, met = records_of(file.read())
            found[int(partition)] += records
            codecs |= met
            files += 1
    return found, codecs, files


def produce(peer, topic, partition, batch):
    """The offset and time that the gateway gave."""
    name = topic.encode()
    kind, rest = peer.frame(1, struct.pack(">H", len(name)) + name + struct.pack(">IQ", partition, 7) + batch)
    assert kind == 0x81, rest
    _, _, answered, offset, time_ms = struct.unpack(">QBIqq", rest)
    assert answered == partition
    return offset, time_ms


def bytes_of(row, name):
    if name + "64" in row:
        return base64.b64decode(row[name + "64"])
    return None if row[name] is None else row[name].encode()


def ours(gateway, topic):
    """{partition: records} as `weir sub` reads them."""
    found = {partition: [] for partition in range(PARTITIONS)}
    out = gateway.weir("sub", topic + "/#", "--from", "beginning", "-e", "-o", "ndjson")
    for line in out.splitlines():
        row = json.loads(line)
        headers = [(header["name"], bytes_of(header, "value")) for header in row.get("headers", [])]
        found[row["partition"]].append((row["offset"], row["time_ms"], bytes_of(row, "key"), bytes_of(row, "value"), headers))
    return found


def some_records(chance, count):
    def some(most):
        size = chance.choice((0, 1, 63, 64, 127, 128, chance.randrange(most)))
        return None if chance.random() < 0.1 else chance.choice((chance.randbytes(size), b"ab" * (size // 2)))

    return [(some(300), some(3000), [(chance.choice(("a", "\u00fc", "long" * 40)), some(200))
                                     for _ in range(chance.randrange(4))]) for _ in range(count)]


def create(peer, topic, **settings):
    answer = peer.ask({"cmd": "topic", "action": "create", "topic": topic, "partitions": PARTITIONS, **settings})
    assert answer["ok"], answer


def compare(name, found, wanted):
    for partition in range(PARTITIONS):
        assert [record[0] for record in found[partition]] == [record[0] for record in wanted[partition]], (name, partition)
        for one, other in zip(found[partition], wanted[partition]):
            assert one == other, (name, partition, one, other)


def stopped(gateway):
    assert gateway.stop() == 0


def every_segment_reads_the_same_in_every_codec():
    with support.Scene() as scene:
        gateway = scene.gateway(*SETTINGS)
        peer = Peer(gateway)
        chance = random.Random(20)
        sent = {}
        for name, codec in CODECS.items():
            create(peer, name)
            sent[name] = {partition: [] for partition in range(PARTITIONS)}
            for number in range(60):
                records = some_records(chance, chance.choice((1, 2, 10, 100)))
                partition = number % PARTITIONS
                offset, time_ms = produce(peer, name, partition, build(records, codec))
                sent[name][partition] += [(offset + i, time_ms, *record) for i, record in enumerate(records)]
            assert ours(gateway, name) == sent[name], name
        stopped(gateway)
        for topic_id, (name, codec) in enumerate(CODECS.items(), 1):
            found, codecs, files = segments(gateway, topic_id)
            compare(name, found, sent[name])
            assert codec in codecs and codecs <= {0, codec}, (name, codecs)  # the library leaves what does not shrink
            assert files > 2 * PARTITIONS, (name, files)
        gateway.start()
        gateway.kill()
        gateway.start()
        for name in CODECS:
            assert ours(gateway, name) == sent[name], f"{name} after a kill"


def every_record_that_came_as_text_reads_the_same():
    with support.Scene() as scene:
        gateway = scene.gateway(*SETTINGS)
        create(Peer(gateway), "site")
        lines = "".join(f"{number % 7}:{'x' * (number % 300)}\n" for number in range(2000))
        gateway.weir("pub", "site", "-l", "-K", ":", "-H", "h\u00fc=1", stdin=lines.encode())
        gateway.weir("pub", "site", "-k", "gone", "-n")
        gateway.weir("pub", "site", "-k", "large", "-f", "-", stdin=bytes(range(256)) * 100)
        read = ours(gateway, "site")
        stopped(gateway)
        found, codecs, _ = segments(gateway, 1)
        assert found == read and sum(map(len, found.values())) == 2002
        assert codecs == {0}


def a_producers_batch_is_stored_once_in_every_codec():
    with support.Scene() as scene:
        gateway = scene.gateway(*SETTINGS)
        peer = Peer(gateway)
        for name, codec in CODECS.items():
            create(peer, name)
            opened = peer.ask({"cmd": "producer", "action": "open"})
            records = [(b"k", b"value" * 20, [])] * 20
            first = build(records, codec, (opened["producer_id"], opened["epoch"], 0))
            second = build(records, codec, (opened["producer_id"], opened["epoch"], 20))
            assert produce(peer, name, 0, first)[0] == 0
            assert produce(peer, name, 0, second)[0] == 20
            assert produce(peer, name, 0, first)[0] == 0  # the same answer again
            assert len(ours(gateway, name)[0]) == 40


def a_codec_that_is_not_offered_and_a_flipped_bit_are_refused():
    with support.Scene() as scene:
        gateway = scene.gateway(*SETTINGS)
        peer = Peer(gateway)
        create(peer, "t")
        target = struct.pack(">H", 1) + b"t" + struct.pack(">IQ", 0, 7)
        records = [(b"k", b"value" * 20, [])] * 20
        kind, rest = peer.frame(1, target + build(records, GZIP))
        assert kind == 0xff and b"unsupported" in rest, rest
        for codec in CODECS.values():
            whole = build(records, codec)
            for at in (61, len(whole) // 2, len(whole) - 1):
                damaged = bytearray(whole)
                damaged[at] ^= 1
                kind, rest = peer.frame(1, target + bytes(damaged))
                assert kind == 0xff and b"damaged" in rest, rest
        assert ours(gateway, "t") == {0: [], 1: []}


if __name__ == "__main__":
    support.run_tests(support.tests_of(globals()), sys.argv[1] if len(sys.argv) > 1 else None)
