#!/usr/bin/python3
"""A Kafka library reads our segments, and we read what it builds.

usage: segment_kafka_test.py SEGMENT_WRITE BATCH_CHECK     (the two helper programs)

Needs Debian's python3-kafka; without it the test says so and exits with 77 (skipped).
"""
import os
import subprocess
import sys
import tempfile
import unittest

try:
    from kafka.record import MemoryRecords
    from kafka.record.default_records import DefaultRecordBatchBuilder
except ImportError:
    print("python3-kafka is not installed: skipped")
    sys.exit(77)

SEGMENT_WRITE, BATCH_CHECK = sys.argv[1:3]


def span(value):
    """As the helpers print bytes: null is not empty."""
    return "-" if value is None else "'" + bytes(value).hex()


def line(record):
    parts = [str(record.offset), str(record.timestamp), span(record.key), span(record.value)]
    parts += [span(name.encode()) + "=" + span(value) for name, value in record.headers]
    return " ".join(parts)


def run(program, argument):
    done = subprocess.run([program, argument], stdout=subprocess.PIPE, timeout=60, check=True)
    return done.stdout.decode().splitlines()


def parse(data):
    """All records, every batch's CRC checked."""
    records, memory = [], MemoryRecords(data)
    while memory.has_next():
        batch = memory.next_batch()
        assert batch.validate_crc(), "a batch's CRC does not fit"
        records += list(batch)
    assert memory.size_in_bytes() == len(data)
    return records


class Segment(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="weir-kafka-")
        self.addCleanup(self.folder.cleanup)

    def path(self, name):
        return os.path.join(self.folder.name, name)

    def check(self, data):
        with open(self.path("batch"), "wb") as out:
            out.write(data)
        return run(BATCH_CHECK, self.path("batch"))

    @staticmethod
    def build(compression=0):
        builder = DefaultRecordBatchBuilder(
            magic=2, compression_type=compression, is_transactional=0, producer_id=-1,
            producer_epoch=-1, base_sequence=-1, batch_size=1 << 20)
        builder.append(0, 1000, b"key", b"value", [])
        builder.append(1, 1003, None, b"", [("a", b"1"), ("a", None)])
        builder.append(2, 999, b"", None, [("\u00fc", b"")])
        for offset in range(3, 200):
            builder.append(offset, 2000, b"k" * (offset % 70), b"v" * offset, [])
        return bytes(builder.build())

    def test_kafka_reads_a_segment_as_we_wrote_it(self):
        printed = run(SEGMENT_WRITE, self.folder.name)
        logs = [name for name in os.listdir(self.folder.name) if name.endswith(".log")]
        self.assertEqual(logs, ["00000000000000004200.log"])
        with open(self.path(logs[0]), "rb") as file:
            data = file.read()
        records = parse(data)
        self.assertEqual(len(records), 21)
        self.assertEqual([line(record) for record in records], printed)
        self.assertEqual({record.timestamp_type for record in records}, {1})  # LogAppendTime

    def test_we_read_a_batch_as_kafka_built_it(self):
        data = self.build()
        self.assertEqual(self.check(data), ["ok"] + [line(record) for record in parse(data)])

    def test_kafka_reads_a_batch_that_we_stamped(self):
        self.assertEqual(self.check(self.build())[0], "ok")
        with open(self.path("batch.stamped"), "rb") as file:
            records = parse(file.read())
        self.assertEqual([record.offset for record in records], list(range(500, 700)))
        self.assertEqual({record.timestamp for record in records}, {99000})
        self.assertEqual(bytes(records[0].value), b"value")

    def test_a_compressed_batch_is_unsupported(self):
        self.assertEqual(self.check(self.build(compression=1)), ["unsupported"])

    def test_a_flipped_bit_is_damage_to_both(self):
        data = bytearray(self.build())
        data[-1] ^= 1
        self.assertEqual(self.check(bytes(data)), ["damaged"])
        with self.assertRaises(AssertionError):
            parse(bytes(data))


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
