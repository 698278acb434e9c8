#!/usr/bin/python3
"""The generator for weir.v1 against weir, over every transport and form, and the machine's limits: for a fifth of a
second each, or longer where the machine is too busy to do anything in so short a time. Nothing is lost; no figure is
judged.

    generators_test.py WEIR WEIR1_TRY
"""
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

WEIR, TRY = "", ""
DEADLINE_S = 240
MEASURE_MS = (200, 2000, 20000)
FAULTS = ("lost", "duplicated", "reordered", "refused", "alien")
FORMS = ("binary", "json", "ws", "ws-json")
CONFIG = """data: {folder}/data
ports: {folder}/ports
mqtt: {{port: 0}}
nng: {{enabled: false}}
http: {{port: 0}}
topics:
  - {{name: {topic}, durability: {level}}}
  - {{name: jobs, kind: queue, durability: {level}}}
"""


class Gateway:
    """Weir with an empty topic, ended and removed when left."""

    def __init__(self, level="os", topic="bench"):
        self.folder = tempfile.mkdtemp(prefix="weir-bench-")
        path = os.path.join(self.folder, "weir.yaml")
        with open(path, "w", encoding="utf-8") as file:
            file.write(CONFIG.format(folder=self.folder, level=level, topic=topic))
        self.process = subprocess.Popen([WEIR, "serve", "-c", path], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def __enter__(self):
        ports = os.path.join(self.folder, "ports")
        until = time.monotonic() + DEADLINE_S
        while not os.path.exists(ports):
            if self.process.poll() is not None or time.monotonic() > until:
                raise AssertionError("weir did not start")
            time.sleep(0.01)
        with open(ports, encoding="utf-8") as file:
            addresses = dict(line.split() for line in file)
        self.port = addresses["http"].rsplit(":", 1)[1]
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(DEADLINE_S)
        shutil.rmtree(self.folder)

    def run(self, task, form, subscribers=1, rate=0, measure_ms=MEASURE_MS[0]):
        words = [TRY, task, form, subscribers, rate, measure_ms, f"{self.folder}/data/weir.sock", self.port, self.process.pid]
        done = subprocess.run([str(word) for word in words], capture_output=True, text=True, timeout=DEADLINE_S, check=True)
        return json.loads(done.stdout)


def measured(task, form, subscribers=1, rate=0, level="os", enough=lambda result: True):
    """The result of the first run that measured something, and enough; each against a gateway of its own."""
    for measure_ms in MEASURE_MS:
        with Gateway(level) as weir:
            result = weir.run(task, form, subscribers, rate, measure_ms)
        if result["error"] or any(result[fault] for fault in FAULTS) or (result["measured"] and enough(result)):
            break
    return result


class Generators(unittest.TestCase):
    def whole(self, result, copies):
        self.assertEqual(result["error"], "")
        self.assertGreater(result["measured"], 0)
        for fault in FAULTS:
            self.assertEqual(result[fault], 0, fault)
        self.assertEqual(result["acked"], result["sent"])
        if copies:
            self.assertEqual(result["delivered"], result["sent"] * copies)

    def test_all_that_was_acknowledged_is_read_back(self):
        for form in FORMS:
            with self.subTest(form=form):
                self.whole(measured("publish", form, level="disk" if form == "binary" else "os"), 1)

    def test_every_subscriber_gets_every_record(self):
        for form in FORMS:
            with self.subTest(form=form):
                self.whole(measured("flow", form, subscribers=3), 3)

    def test_an_open_loop_loses_nothing(self):
        self.whole(measured("flow", "binary", rate=5000), 1)

    def test_the_log_is_read_again_and_again(self):
        for form in ("binary", "ws"):
            with self.subTest(form=form):
                result = measured("read", form, enough=lambda result: result["delivered"] > result["sent"])
                self.whole(result, 0)
                self.assertGreater(result["delivered"], result["sent"])

    def test_each_record_of_a_queue_is_settled_by_one_member(self):
        for form, level in (("binary", "os"), ("binary", "disk"), ("ws", "os")):
            with self.subTest(form=form, level=level):
                result = measured("drain", form, subscribers=4, level=level)
                self.whole(result, 1)
                self.assertEqual(result["measured"], result["sent"])
            with self.subTest(form=form, level=level, paced=True):
                self.whole(measured("paced", form, subscribers=4, rate=2000, level=level), 1)

    def test_a_topic_that_is_not_there_is_told(self):
        with Gateway(topic="another") as weir:
            result = weir.run("publish", "binary")
        self.assertGreater(result["refused"], 0)
        self.assertEqual(result["acked"], 0)
        self.assertIn("answered", result["error"])

    def test_rows_of_the_log_run_with_their_limits(self):
        done = subprocess.run(
            [WEIR, "bench", "12", "13", "15", "16", "17", "21", "--json", "--repeats", "1", "--seconds", "0.2", "--warm-up", "0.05",
             "--only", "weir-os,weir-disk"],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=DEADLINE_S, check=False,
        )
        results = [json.loads(line) for line in done.stdout.splitlines()]
        self.assertEqual(
            {(one["row"], one["subject"]) for one in results},
            {("12", "limit-ingest"), ("12", "weir-os"), ("13", "limit-ingest-sync"), ("13", "weir-disk"),
             ("15", "limit-synced"), ("15", "weir-disk"), ("16", "ceiling"), ("16", "weir-os"), ("16", "weir-disk"),
             ("17", "ceiling"), ("17", "weir-os"), ("17", "weir-disk"), ("21", "limit-ingest-sync"), ("21", "weir-disk")},
        )
        for one in results:
            with self.subTest(row=one["row"], subject=one["subject"]):
                self.assertEqual((one["note"], one["error"], one["lost"], one["refused"]), ("", "", 0, 0))
                self.assertEqual(one["acked"], one["sent"])
        self.assertEqual(done.returncode, 0, done.stderr)


if __name__ == "__main__":
    WEIR, TRY = sys.argv[1:3]
    unittest.main(argv=[sys.argv[0], "-v"] + sys.argv[3:])
