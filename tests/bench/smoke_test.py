#!/usr/bin/python3
"""The generator against the null broker and against weir, for a fifth of a second each: nothing is lost, and
the results are well-formed. No figure is judged.

    smoke_test.py WEIR
"""
import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

WEIR = ""
DEADLINE_S = 150


def bench(*arguments, environment=None):
    done = subprocess.run(
        [WEIR, "bench", "--json", "--repeats", "1", "--seconds", "0.2", "--warm-up", "0.05", *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
        env=None if environment is None else {**os.environ, **environment},
    )
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()], done.stderr


class Smoke(unittest.TestCase):
    def whole(self, results, *expected):
        self.assertEqual([(one["row"], one["subject"]) for one in results], list(expected))
        for one in results:
            with self.subTest(row=one["row"], subject=one["subject"]):
                self.assertEqual(one["note"], "")
                self.assertEqual(one["error"], "")
                self.assertGreater(one["figure"], 0)
                for fault in ("lost", "duplicated", "reordered", "refused", "alien"):
                    self.assertEqual(one[fault], 0, fault)
                if one["workload"]["kind"] == "mqtt":
                    self.assertEqual(one["delivered"], one["sent"] * one["workload"]["subscribers"])
                if one["workload"]["qos"] > 0:
                    self.assertEqual(one["acked"], one["sent"])

    def test_nothing_is_lost_over_tcp(self):
        code, results, said = bench("1", "3", "6", "8b", "--only", "weir,weir-disk")
        self.whole(
            results,
            ("1", "ceiling"), ("1", "weir"),
            ("3", "ceiling-sync"), ("3", "weir-disk"),
            ("6", "ceiling"), ("6", "weir"),
            ("8b", "ceiling"), ("8b", "weir"),
        )
        self.assertEqual(code, 0, said)

    def test_nothing_is_lost_over_websocket(self):
        code, results, said = bench("18", "--only", "weir")
        self.whole(results, ("18", "ceiling"), ("18", "weir"))
        self.assertEqual(code, 0, said)

    def test_connects_and_what_idle_ones_cost_are_measured_over_both_transports(self):
        code, results, said = bench("11", "11c", "--only", "weir")
        self.assertEqual([(one["row"], one["subject"]) for one in results],
                         [("11", "ceiling"), ("11", "weir"), ("11c", "ceiling"), ("11c", "weir")])
        for one in results:
            self.assertEqual((one["note"], one["error"]), ("", ""))
            self.assertGreater(one["figure"], 0)
        for one in results[1::2]:
            self.assertGreater(one["idle_bytes"], 0)
        self.assertEqual(code, 0, said)

    def test_small_buffers_slow_subscribers_down_and_stop_none(self):
        code, results, said = bench(
            "6", "18", "--only", "weir", "--set", "limits.output_bytes_max=16384", "--set", "limits.port_bytes_max=65536"
        )
        self.whole(results, ("6", "ceiling"), ("6", "weir"), ("18", "ceiling"), ("18", "weir"))
        self.assertEqual(code, 0, said)

    def test_nothing_is_lost_with_mqtt_5(self):
        code, results, said = bench("2", "--only", "weir-os", "--mqtt", "5")
        self.whole(results, ("2", "ceiling"), ("2", "weir-os"))
        self.assertEqual({one["workload"]["version"] for one in results}, {5})
        self.assertEqual(code, 0, said)

    def test_what_weir_lacks_is_told_and_no_failure(self):
        code, results, said = bench("5", "--only", "weir-os")
        self.whole(results[:1], ("5", "ceiling-append"))
        self.assertIn("QoS 2", results[1]["note"])
        self.assertEqual(code, 0, said)

    def test_a_result_tells_where_it_is_from(self):
        _, results, _ = bench("1", "--only", "weir", "--set", "loops=1")
        for one in results:
            for key in ("commit", "build", "machine", "started", "versions", "setting", "workload", "repeats", "measure_ms", "warm_up_ms"):
                self.assertTrue(one[key], key)
        self.assertRegex(results[0]["commit"], r"^([0-9a-f]{40}\+?|unknown)$")
        self.assertRegex(results[0]["machine"], r"^.+, \d+ processors, [\d.]+ GiB, Linux \S+, \S+$")
        self.assertIn("@FOLDER@", results[1]["settings"])
        self.assertEqual(results[1]["sets"], "loops=1")

    def test_every_server_and_client_library_tells_its_version(self):
        _, results, _ = bench("1", "--only", "ceiling")
        versions = results[0]["versions"]
        there = {name: shutil.which(name, path=os.environ["PATH"] + ":/usr/sbin") for name in ("mosquitto", "nats-server", "redis-server")}
        there["rabbitmq-server"] = os.path.exists("/usr/lib/rabbitmq/bin/rabbitmq-server")
        self.assertLessEqual({"weir", *there}, set(versions))
        for name in ("weir", *(name for name in there if there[name])):
            self.assertRegex(versions[name], r"\d+\.\d+\.\d+", name)
        drivers = os.path.join(os.path.dirname(WEIR), "../bench")
        for driver, library in (("nats", "libnats"), ("amqp", "librabbitmq"), ("redis", "hiredis"), ("nng", "nng"), ("zmq", "libzmq")):
            if os.path.exists(os.path.join(drivers, "bench_driver_" + driver)):
                self.assertRegex(versions[library], r"^\d+\.\d+\.\d+$", library)

    def test_the_commit_of_another_program_is_not_made_up(self):
        with tempfile.TemporaryDirectory() as folder:
            other = os.path.join(folder, "weir")
            shutil.copy(WEIR, other)
            _, results, _ = bench("1", "--only", "ceiling", "--weir", other)
        self.assertEqual((results[0]["commit"], results[0]["build"]), ("unknown", "unknown"))
        self.assertRegex(results[0]["versions"]["weir"], r"\d+\.\d+\.\d+")

    def test_what_is_not_installed_is_said_with_the_line_that_installs_it(self):
        with tempfile.TemporaryDirectory() as folder:
            code, results, said = bench("1", "--only", "weir", environment={"PATH": "/nowhere"})
            self.whole(results, ("1", "ceiling"), ("1", "weir"))
            self.assertEqual(code, 0, said)
            nobody = {"PATH": "/nowhere", "WEIR_BENCH_DRIVERS": folder}
            rows = ("12", "19e")
            code, results, said = bench(*rows, "--only", "redis-everysec,jetstream,rabbitmq-stream,zmq", environment=nobody)
        notes = {one["subject"]: one["note"] for one in results}
        for subject, package in (("redis-everysec", "(redis-server|libhiredis-dev)"), ("jetstream", "(nats-server|libnats-dev)"),
                                 ("rabbitmq-stream", "(rabbitmq-server|librabbitmq-dev)"), ("zmq", "libzmq3-dev")):
            self.assertRegex(notes[subject], r"apt-get install --no-install-recommends " + package)
        self.assertEqual(code, 0, said)

    def test_what_is_derived_is_a_figure_of_the_same_results(self):
        _, results, _ = bench("3", "20c", "--only", "ceiling")
        self.assertEqual([one["row"] for one in results], ["3", "20c"])
        for key in ("sent", "measured", "subject_cpu_s", "device_bytes", "seconds"):
            self.assertEqual(results[0][key], results[1][key], key)
        self.assertEqual(results[1]["figure"], results[0]["cpu_s_per_million"])

    def test_a_saved_run_is_named_by_date_and_commit(self):
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run(
                [WEIR, "bench", "1", "--only", "ceiling", "--save", "--repeats", "1", "--seconds", "0.1", "--warm-up", "0.05"],
                cwd=folder, check=True, timeout=DEADLINE_S, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            )
            names = os.listdir(os.path.join(folder, "bench", "results"))
            self.assertEqual(len(names), 1)
            self.assertRegex(names[0], r"^\d{4}-\d\d-\d\dT\d{6}Z-([0-9a-f]{12}|unknown)\.jsonl$")
            with open(os.path.join(folder, "bench", "results", names[0]), encoding="utf-8") as file:
                saved = [json.loads(line) for line in file]
        self.assertEqual([one["subject"] for one in saved], ["ceiling"])
        for key in ("commit", "machine", "versions", "setting", "workload"):
            self.assertTrue(saved[0][key], key)

    def test_no_time_is_refused(self):
        for option in ("--seconds", "--warm-up"):
            code, results, said = bench("1", option, "0")
            self.assertEqual((code, results), (2, []))
            self.assertIn(f"{option} takes seconds from 0.001", said)

    def test_the_weir_to_measure_can_be_named_from_here(self):
        code, results, said = bench("1", "--only", "weir", "--weir", os.path.relpath(WEIR))
        self.whole(results, ("1", "ceiling"), ("1", "weir"))
        self.assertEqual(code, 0, said)
        code, results, said = bench("1", "--weir", "nosuch/weir")
        self.assertEqual((code, results), (2, []))
        self.assertIn("nosuch/weir cannot be run", said)

    def test_rows_and_subjects_that_do_not_exist_are_refused(self):
        for arguments in (("99",), ("1", "--only", "nobody")):
            code, results, said = bench(*arguments)
            self.assertEqual((code, results), (2, []))
            self.assertIn("--list", said)


if __name__ == "__main__":
    WEIR = sys.argv[1]
    unittest.main(argv=[sys.argv[0], "-v"] + sys.argv[2:])
