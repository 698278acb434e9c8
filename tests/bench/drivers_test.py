#!/usr/bin/python3
"""Each driver of a peer's client library against its server, for a fifth of a second, or longer where the
machine is too busy to answer anything in so short a time: what is sent is counted whole. Where the library or the server is not installed, the test is skipped and says what installs it.

    drivers_test.py WEIR DRIVER
"""
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import unittest

WEIR = ""
DEADLINE_S = 170
FAULTS = ("lost", "duplicated", "reordered", "refused", "alien")


def bench(*arguments, seconds="0.2"):
    done = subprocess.run(
        [WEIR, "bench", "--json", "--repeats", "1", "--seconds", seconds, "--warm-up", "0.05", *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


def using(folder, name):
    """Programs whose name begins so and whose working folder is below `folder`."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/comm", encoding="utf-8") as file:
                comm = file.read().strip()
            if comm.startswith(name) and os.readlink(f"/proc/{pid}/cwd").startswith(folder):
                found.append((pid, comm))
        except OSError:
            pass  # it has ended
    return found


def clean(one, loses):
    return not one["note"] and not one["error"] and not any(one[fault] for fault in FAULTS if not (loses and fault == "lost"))


class Drivers(unittest.TestCase):
    def drives(self, rows, *subjects, loses=False):
        results = [one for one in bench(*rows, "--only", ",".join(subjects)) if one["subject"] in subjects]
        self.assertNotEqual(results, [])
        for one in results:
            if clean(one, loses) and not one["figure"]:  # it did nothing wrong, and nothing else
                one = next(again for again in bench(one["row"], "--only", one["subject"], seconds="5")
                           if again["subject"] == one["subject"])
            with self.subTest(row=one["row"], subject=one["subject"]):
                if "apt-get install" in one["note"]:
                    self.skipTest(one["note"])
                self.assertEqual(one["note"], "")
                self.assertEqual(one["error"], "")
                self.assertGreater(one["figure"], 0)
                for fault in FAULTS:
                    if not (loses and fault == "lost"):
                        self.assertEqual(one[fault], 0, fault)
                if not loses:
                    self.assertGreaterEqual(one["delivered"], one["measured"])

    def test_redis(self):
        self.drives(("12", "14", "15", "16", "17"), "redis-everysec", "redis-always")

    def test_nats(self):
        self.drives(("12", "14", "15", "16", "17"), "jetstream", "jetstream-pull")

    def test_amqp(self):  # in one call, which starts RabbitMQ once
        self.drives(("12", "13", "15", "17"), "rabbitmq-stream", "rabbitmq-quorum", "rabbitmq-classic")

        self.interrupted_leaves_nothing()

    def interrupted_leaves_nothing(self):
        with tempfile.TemporaryDirectory() as folder:
            run = subprocess.Popen([WEIR, "bench", "2", "--only", "rabbitmq", "--repeats", "2"], stdin=subprocess.DEVNULL,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ, "TMPDIR": folder})
            until = time.monotonic() + DEADLINE_S
            while not using(folder, "beam.smp"):
                self.assertLess(time.monotonic(), until)
                self.assertIsNone(run.poll())
                time.sleep(0.05)
            run.send_signal(signal.SIGINT)
            run.wait(DEADLINE_S)
            while using(folder, "") and time.monotonic() < until:
                time.sleep(0.05)  # helpers of the node end when they see that it has
            self.assertEqual(using(folder, ""), [])
            self.assertEqual(os.listdir(folder), [])

    def test_nng(self):
        self.drives(("19", "19b", "19c", "19d"), "nng-raw", "weir-nng")
        self.drives(("19d",), "nng")
        self.drives(("19",), "nng", loses=True)  # PUB drops, and it is seen to

    def test_zmq(self):
        self.drives(("19e",), "zmq")


if __name__ == "__main__":
    WEIR = sys.argv[1]
    suite = unittest.TestSuite([Drivers("test_" + sys.argv[2])])
    result = unittest.TextTestRunner(verbosity=2).run(suite)
    sys.exit(1 if not result.wasSuccessful() else 77 if result.skipped else 0)
