#!/usr/bin/python3
"""The weir program as a person uses it: commands against a gateway of their own, what each prints, and its
exit code.

    cli_test.py WEIR
"""
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest

WEIR = ""
DEADLINE_S = 60  # generous: the sanitizers' builds are slow, and the machine may be busy

DONE, ERROR, USAGE, NOT_FOUND, REFUSED, TIMEOUT = 0, 1, 2, 3, 4, 27


def wait_for(condition, what):
    until = time.monotonic() + DEADLINE_S
    while not condition():
        if time.monotonic() > until:
            raise AssertionError(f"{what} did not happen in {DEADLINE_S} s")
        time.sleep(0.01)


class Gateway:
    """`weir serve` in a folder of its own; port 0, so that any number run beside each other."""

    def __init__(self, folder, *arguments, name="data"):
        self.folder = folder
        self.data = os.path.join(folder, name)
        self.ports = os.path.join(folder, f"ports-{time.monotonic_ns()}")
        self.process = subprocess.Popen(
            [WEIR, "serve", "--data", self.data, "--ports", self.ports, "--set", "mqtt.port=0",
             "--set", "http.enabled=false", "--set", "nng.enabled=false", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def ready(self):
        wait_for(lambda: os.path.exists(self.ports) or self.process.poll() is not None, "ready")
        if self.process.poll() is not None:
            raise AssertionError(f"serve ended: {self.process.communicate()}")
        with open(self.ports, encoding="utf-8") as file:
            self.listeners = dict(line.split(" ", 1) for line in file.read().splitlines())
        return self

    def end(self, number=signal.SIGTERM):
        """(exit code, standard output, standard error)"""
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            out, err = self.process.communicate(timeout=DEADLINE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.communicate()
            raise
        return self.process.returncode, out, err


def mqtt_publish(address, name, value):
    """CONNECT and PUBLISH at QoS 1 as bytes; everything that came back until the gateway closed."""
    host, port = address.rsplit(":", 1)
    connect = bytes([0x10, 13]) + b"\0\4MQTT\4\2\0\0\0\1z"
    body = len(name).to_bytes(2, "big") + name.encode() + b"\0\1" + value
    answers = b""
    with socket.create_connection((host, int(port)), timeout=DEADLINE_S) as peer:
        peer.sendall(connect + bytes([0x32, len(body)]) + body)
        try:
            while piece := peer.recv(4096):
                answers += piece
        except ConnectionResetError:
            pass
    return answers


class Case(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="weir-cli-")
        self.gateways = []
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith("WEIR_")}

    def tearDown(self):
        for gateway in self.gateways:
            if gateway.process.poll() is None:
                gateway.process.kill()
            gateway.process.communicate()
        shutil.rmtree(self.folder)

    def serve(self, *arguments, name="data"):
        self.gateways.append(Gateway(self.folder, *arguments, name=name))
        return self.gateways[-1]

    def weir(self, *arguments, stdin="", code=DONE, data="data"):
        """Runs one command; a client command talks to the gateway of `data`."""
        client = arguments[0] in ("topic", "pub", "sub", "replay", "demo", "stats", "why") and arguments[-1] != "--help"
        where = ["--data", os.path.join(self.folder, data)] if client else []
        done = subprocess.run(
            [WEIR, *arguments, *where], input=stdin, capture_output=True, text=True, timeout=DEADLINE_S, cwd=self.folder,
            env=self.environment,
        )
        self.assertEqual(done.returncode, code, f"weir {arguments}: {done.stdout}{done.stderr}")
        return done.stdout, done.stderr

    def waited(self, enough, *arguments):
        """What a command said until its time was over: with more of it where the machine was too busy to say `enough`."""
        for seconds in ("1", "10", "30"):
            said = self.weir(*arguments, "-W", seconds, code=TIMEOUT)
            if enough(*said):
                break
        return said

    def file(self, name, text):
        path = os.path.join(self.folder, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path


class Records(Case):
    def setUp(self):
        super().setUp()
        self.gateway = self.serve().ready()

    def test_a_topic_whose_records_all_have_keys_says_how_they_are_shown(self):
        self.weir("topic", "create", "site")
        self.weir("topic", "create", "empty")
        self.weir("pub", "site/dev1", "-m", "1")
        out, err = self.weir("sub", "site", "--from", "beginning", "-e")
        self.assertEqual((out, err), ("", "weir: no record of site is without a key; 'site/#' shows those with keys\n"))
        for arguments in (["site", "--quiet"], ["empty"], ["site/dev2"], ["site/#", "-N"]):
            self.assertEqual(self.weir("sub", *arguments, "--from", "beginning", "-e")[1], "")
        self.weir("pub", "site", "-m", "2")
        self.assertEqual(self.weir("sub", "site", "--from", "beginning", "-e"), ("2\n", ""))

    def test_a_record_goes_in_and_comes_out(self):
        self.weir("topic", "create", "site", "--partitions", "4")
        self.weir("pub", "site/dev1/temp", "-m", "21.5")
        out, _ = self.weir("sub", "site/+/temp", "--from", "beginning", "-e", "-F", "%t %k %s %S %n")
        self.assertEqual(out, "site dev1/temp 21.5 4 site/dev1/temp\n")

    def test_a_format_has_every_field_and_escape(self):
        self.weir("topic", "create", "site")
        self.weir("pub", "site", "-k", "k1", "-m", "v", "-H", "a=1", "-H", "b=2")
        out, _ = self.weir("sub", "site/#", "--from", "beginning", "-e", "-N", "-F", r"%p|%o|%K|%h|%r|%%\t\x41\\\n")
        self.assertEqual(out, "0|0|2|a=1,b=2|0|%\tA\\\n")
        out, _ = self.weir("sub", "site/#", "--from", "beginning", "-e", "-F", "%T")
        self.assertLess(abs(int(out) - time.time() * 1000), 600_000)

    def test_json_output_is_one_object_a_line(self):
        self.weir("topic", "create", "site")
        self.weir("pub", "site/a", "-m", 'say "hä"\n')
        self.weir("pub", "site/b", "-n")
        out, _ = self.weir("sub", "site/#", "--from", "beginning", "-e", "-o", "ndjson")
        first, second = (json.loads(line) for line in out.splitlines())
        self.assertEqual((first["name"], first["value"], first["offset"]), ("site/a", 'say "hä"\n', 0))
        self.assertEqual((second["key"], second["value"]), ("b", None))

    def test_lines_with_keys_keep_their_order(self):
        self.weir("topic", "create", "log")
        lines = "".join(f"key{i % 3}:value {i}\n" for i in range(1000))
        self.weir("pub", "log", "-l", "-K", ":", stdin=lines)
        out, _ = self.weir("sub", "log/#", "--from", "beginning", "-e", "-F", "%k:%s")
        self.assertEqual(out, lines)

    def test_a_thousand_records_go_round_over_websocket(self):
        gateway = self.serve("--set", "http.enabled=true", "--set", "http.port=0", name="web").ready()
        address = gateway.listeners["http"].removeprefix("http://").rstrip("/")
        server = ["--server", f"ws://{address}/v1"]
        lines = "".join(f"line {number}\n" for number in range(1000))
        self.weir("topic", "create", "site", *server)
        self.weir("pub", "site/dev1", "-l", *server, stdin=lines)
        out, _ = self.weir("sub", "site/dev1", "--from", "beginning", "-e", "-F", "%s", *server)
        self.assertEqual(out, lines)
        _, err = self.weir("topic", "ls", "--server", f"wss://{address}/v1", code=ERROR)
        self.assertIn("TLS proxy", err)
        _, err = self.weir("topic", "ls", "--server", f"ws://{address}/nothing", code=ERROR)
        self.assertIn("404", err)

    def test_a_line_without_its_key_is_refused_by_number(self):
        self.weir("topic", "create", "log")
        _, err = self.weir("pub", "log", "-l", "-K", ":", stdin="a:1\nb\nc:2\n", code=ERROR)
        self.assertEqual(err, 'weir: record 2: the line has no ":" between a key and a value\n'
                         "weir: 2 records stored at disk, the last in partition 0 at offset 1\n")
        out, _ = self.weir("sub", "log/#", "--from", "beginning", "-e", "-F", "%k:%s")
        self.assertEqual(out, "a:1\nc:2\n")

    def test_what_has_no_answer_when_the_gateway_is_gone_is_unknown_and_not_refused(self):
        gateway = self.serve(name="gone").ready()
        self.weir("topic", "create", "log", data="gone")
        pub = subprocess.Popen([WEIR, "pub", "log", "-l", "--data", gateway.data], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True, env=self.environment)
        self.addCleanup(lambda: (pub.poll() is None and pub.kill(), pub.communicate()))
        pub.stdin.write("a\n" * 10)
        pub.stdin.flush()
        wait_for(lambda: self.weir("sub", "log", "--from", "beginning", "-e", data="gone")[0] == "a\n" * 10, "ten records")
        gateway.process.send_signal(signal.SIGSTOP)  # what comes now is sent, and gets no answer
        pub.stdin.write("b\n" * 5)
        pub.stdin.flush()
        gateway.process.kill()
        _, err = pub.communicate(timeout=DEADLINE_S)
        self.assertEqual(pub.returncode, ERROR, err)
        self.assertNotIn("refused", err)
        told = re.search(r"of (\d+) records (\d+) are confirmed, and (\d+) are unknown: no answer came; "
                         r"what stands behind record (\d+) was not sent", err)
        sent, confirmed, unknown, behind = map(int, told.groups())
        self.assertEqual((sent, confirmed + unknown, behind), (15, 15, 15))
        self.assertGreaterEqual(unknown, 5)
        self.assertIn("closed the connection", err)

    def test_qos_0_sends_and_asks_for_no_answer(self):
        self.weir("topic", "create", "log")
        out, err = self.weir("pub", "log", "-l", "-q", "0", "-o", "ndjson", stdin="".join(f"{i}\n" for i in range(500)))
        self.assertEqual((out, err), ("", ""))
        out, _ = self.weir("sub", "log", "--from", "beginning", "-C", "500", "-W", "50")
        self.assertEqual(len(out.splitlines()), 500)

    def test_a_last_line_without_its_newline_counts(self):
        self.weir("topic", "create", "log")
        self.weir("pub", "log", "-l", stdin="one\n\nthree")
        out, _ = self.weir("sub", "log", "--from", "beginning", "-e")
        self.assertEqual(out, "one\n\nthree\n")

    def test_a_file_is_one_record(self):
        self.weir("topic", "create", "log")
        self.weir("pub", "log", "-f", self.file("two lines", "a\nb\n"))
        out, _ = self.weir("sub", "log", "--from", "beginning", "-e", "-F", "%S")
        self.assertEqual(out, "4\n")
        _, err = self.weir("pub", "log", "-f", os.path.join(self.folder, "gone"), code=ERROR)
        self.assertEqual(len(err.splitlines()), 1, err)

    def test_reading_can_start_anywhere(self):
        self.weir("topic", "create", "log")
        self.weir("pub", "log", "-l", stdin="0\n1\n2\n3\n4\n")
        for start, first in (("beginning", 0), ("3", 3), ("-2", 3), ("@0", 0), ("@2001-01-01T00:00:00Z", 0)):
            out, _ = self.weir("sub", "log", "--from", start, "-e")
            self.assertEqual(out, "".join(f"{i}\n" for i in range(first, 5)), start)
        out, _ = self.weir("sub", "log", "--from", f"@{int(time.time()) + 3600}", "-e")
        self.assertEqual(out, "")
        out, _ = self.weir("sub", "log", "--from", "beginning", "-C", "2")
        self.assertEqual(out, "0\n1\n")

    def test_sub_ends_with_27_when_its_time_is_over(self):
        self.weir("topic", "create", "log")
        self.weir("pub", "log", "-m", "x")
        out, _ = self.waited(lambda out, _: out, "sub", "log", "--from", "beginning")
        self.assertEqual(out, "x\n")

    def test_sub_prints_what_arrives_while_it_waits(self):
        self.weir("topic", "create", "log")
        sub = subprocess.Popen(
            [WEIR, "sub", "log", "--from", "beginning", "-C", "2", "--data", self.gateway.data], stdout=subprocess.PIPE,
            text=True,
        )
        self.weir("pub", "log", "-m", "first")
        self.assertEqual(sub.stdout.readline(), "first\n")
        self.weir("pub", "log", "-m", "second")
        out, _ = sub.communicate(timeout=DEADLINE_S)
        self.assertEqual((out, sub.returncode), ("second\n", DONE))

    def test_pub_and_sub_say_that_a_live_name_keeps_nothing(self):
        _, err = self.weir("pub", "live/x", "-m", "gone")
        self.assertIn("topic create live", err)
        _, err = self.weir("pub", "live/x", "-m", "gone", "-q", "0")
        self.assertIn("topic create live", err)
        _, err = self.weir("pub", "live/x", "-m", "gone", "--quiet")
        self.assertEqual(err, "")
        _, err = self.weir("pub", "/x", "-m", "gone")
        self.assertIn("no topic can cover it", err)
        _, err = self.weir("sub", "live/#", "--from", "beginning", "-e")
        self.assertIn("nothing of them is kept", err)
        self.assertIn("--from finds nothing", err)
        self.assertIn("(no topic is declared)", err)
        self.weir("topic", "create", "log")
        self.weir("topic", "create", "site")
        _, err = self.waited(lambda _, err: err, "sub", "live/#")
        self.assertIn("nothing of them is kept; `weir topic create live`", err)
        self.assertIn("(declared topics: log, site)", err)
        self.weir("topic", "create", "live")
        self.assertEqual(self.weir("pub", "live/x", "-m", "kept", "--quiet"), ("", ""))
        out, err = self.weir("sub", "live/#", "--from", "beginning", "-e")
        self.assertEqual((out, err), ("kept\n", ""))

    def test_a_retained_value_comes_first_and_can_be_left_out(self):
        self.weir("pub", "state/x", "-m", "on", "-r")
        out, _ = self.weir("sub", "state/x", "-C", "1", "-W", "20", "-F", "%s %r")
        self.assertEqual(out, "on 1\n")
        self.weir("sub", "state/x", "-R", "-W", "1", code=TIMEOUT)

    def test_pub_tells_the_level_that_was_reached(self):
        for level in ("memory", "os", "disk"):
            self.weir("topic", "create", level, "-d", level)
            out, _ = self.weir("pub", level, "-m", "x", "-o", "ndjson")
            self.assertEqual(json.loads(out)["level"], level)
            out, err = self.weir("pub", level, "-m", "y")
            self.assertEqual((out, err), ("", f"weir: stored at {level}, partition 0 offset 1\n"))
        _, err = self.weir("pub", "disk", "-l", stdin="a\nb\nc\n")
        self.assertEqual(err, "weir: 3 records stored at disk, the last in partition 0 at offset 4\n")
        self.assertEqual(self.weir("pub", "disk", "-m", "z", "--quiet"), ("", ""))
        self.assertEqual(self.weir("pub", "disk", "-m", "z", "-q", "0"), ("", ""))

    def test_a_record_over_the_limit_is_refused_and_the_rest_is_published(self):
        gateway = self.serve("--set", "limits.record_bytes_max=1024", name="small").ready()
        self.assertIsNotNone(gateway.listeners["mqtt"])
        self.weir("topic", "create", "log", data="small")
        _, err = self.weir("pub", "log", "-l", stdin="a\n" + "x" * 2000 + "\nb\n", code=REFUSED, data="small")
        self.assertIn("record 2", err)
        out, _ = self.weir("sub", "log", "--from", "beginning", "-e", data="small")
        self.assertEqual(out, "a\nb\n")

    def test_wrong_use_is_told_and_nothing_is_published(self):
        self.weir("topic", "create", "log")
        for wrong in (
            ["pub", "log"], ["pub", "log", "-m", "a", "-l"], ["pub", "log", "-m", "a", "-q", "2"], ["pub"],
            ["pub", "log", "-m", "a", "-H", "noequals"], ["pub", "log", "-m", "a", "--nosuch"], ["pub", "log", "-m"],
            ["pub", "log", "more", "-m", "a"], ["pub", "log", "-m", "a", "-K", ":"],
            ["sub", "log", "--from", "somewhere"], ["sub", "log", "-F", "%z"], ["sub", "log", "-F", "100%"],
            ["sub", "log", "-F", "\\q"], ["sub", "log", "-C", "0"], ["sub", "log", "-C", "x"], ["sub", "log", "-e"],
            ["sub", "log", "-o", "xml"], ["sub", "log", "--from", "@never"], ["nosuchcommand"], ["topic", "nosuch"],
            ["topic", "create", "a", "-p", "0"], ["topic", "create", "a", "-d", "dsk"], ["topic", "set", "log"],
            ["sub", "log", "--timeout", "0"],
        ):
            with self.subTest(wrong=wrong):
                out, err = self.weir(*wrong, code=USAGE)
                self.assertEqual(out, "")
                self.assertEqual(len(err.splitlines()), 1, err)
        out, _ = self.weir("topic", "info", "log", "--json")
        self.assertEqual([row["records"] for row in json.loads(out)], [0])

    def test_stats_count_what_was_stored(self):
        self.weir("topic", "create", "log")
        self.weir("pub", "log", "-l", stdin="a\nb\nc\n")
        out, _ = self.weir("stats", "--json")
        counters = {row["metric"]: row["value"] for row in json.loads(out)}
        self.assertEqual((counters["weir_records_stored_total"], counters["weir_topics"]), (3, 1))

    def test_a_wrong_name_is_refused(self):
        for name in ("a/+", "a/#/b", "", "x" * 2000):
            with self.subTest(name=name[:8]):
                self.weir("pub", name, "-m", "x", code=REFUSED)
        for arguments in (["pub", "x" * 1025, "-m", "x"], ["sub", "x" * 1025, "-C", "1"]):
            self.assertIn("is too long: it has 1025 bytes and 1 levels, and a full name (topic and key) or a filter has "
                          "at most 1024 bytes and 128 levels", self.weir(*arguments, code=REFUSED)[1])
        self.assertIn("has 257 bytes and 129 levels", self.weir("pub", "x" + "/x" * 128, "-m", "x", code=REFUSED)[1])
        _, err = self.weir("sub", "a/#/b", "-C", "1", code=REFUSED)
        self.assertRegex(err, '^weir: "a/#/b" is no filter: .*\n$')
        for name in ("#", "a//b", ""):
            for verb in ("rm", "describe", "info"):
                self.assertIn(f'"{name}" is no topic name', self.weir("topic", verb, name, code=NOT_FOUND)[1])
        _, err = self.weir("pub", "$x", "-m", "1", code=REFUSED)
        self.assertIn('"$x" begins with $, as names of the gateway\'s own do', err)
        _, err = self.weir("pub", "__x/y", "-m", "1")
        self.assertIn("does not begin with $ or __", err)
        _, err = self.weir("topic", code=USAGE)
        self.assertIn("create, ls, info, describe, alter, set, trim, rm", err)
        _, err = self.weir("log", "dump", "t", "--data", self.folder, code=NOT_FOUND)
        self.assertEqual(err, "weir: t: there is no such file\n")
        _, err = self.weir("topic", "set", "nosuch", "-d", "os", code=NOT_FOUND)
        self.assertIn("weir topic create nosuch", err)


class Topics(Case):
    def setUp(self):
        super().setUp()
        self.gateway = self.serve().ready()

    def test_topics_are_declared_listed_changed_and_deleted(self):
        self.assertEqual(self.weir("topic", "create", "a", "-p", "2", "-d", "os")[1], "weir: a: declared\n")
        for same in (["-p", "2", "-d", "os"], ["-d", "os"], []):  # what is not asked for does not differ
            self.assertEqual(self.weir("topic", "create", "a", *same)[1], "weir: a: is there already, unchanged\n")
        for other, words in (
            (["-p", "3", "-d", "os"], "partitions 2 (asked: 3); `weir topic alter a --partitions 3` changes it"),
            (["-d", "disk", "--retention-ms", "9000"], "`weir topic alter a --durability disk --retention-ms 9000` changes it"),
            (["--cleanup", "compact"], "cleanup delete (asked: compact); `weir topic alter a --cleanup compact`"),
            (["-p", "1"], "partitions to fewer never change: take another name, or `weir topic rm a` first"),
            (["--nested"], "nested false (asked: true); kind, nested, partition levels"),
        ):
            self.assertIn(words, self.weir("topic", "create", "a", *other, code=REFUSED)[1])
        self.weir("topic", "set", "a", "-d", "disk")
        out, _ = self.weir("topic", "ls", "--json")
        self.assertEqual(
            json.loads(out), [{"topic": "a", "kind": "log", "partitions": 2, "durability": "disk", "nested": False, "partition_levels": 0, "held_bytes": 0}]
        )
        out, _ = self.weir("topic", "ls")
        self.assertRegex(out, r"(?m)^a +log +2 +disk +false +0 +0$")
        self.weir("topic", "rm", "a")
        self.weir("topic", "info", "a", code=NOT_FOUND)
        self.weir("topic", "rm", "a", code=NOT_FOUND)
        self.weir("topic", "set", "a", "-d", "os", code=NOT_FOUND)

    def test_whose_keys_move_is_told_what_comes_of_it(self):
        self.weir("topic", "create", "empty")
        self.assertEqual(self.weir("topic", "alter", "empty", "-p", "2")[1], "weir: empty: changed\n")
        self.weir("topic", "create", "state", "--cleanup", "compact")
        err = self.weir("topic", "alter", "state", "-p", "2")[1]
        self.assertRegex(err, r"^weir: state: keys move: .*older value beside the newer one.*docs/promises.md.*\nweir: state: changed\n$")
        self.weir("topic", "create", "orders")
        self.weir("pub", "orders/k", "-m", "x")
        err = self.weir("topic", "alter", "orders", "-p", "2")[1]
        self.assertRegex(err, r"^weir: orders: keys move: .*with members at once.*docs/promises.md.*\nweir: orders: changed\n$")
        for same in (["-p", "2"], ["-p", "3", "--quiet"]):
            self.assertNotIn("keys move", self.weir("topic", "alter", "orders", *same)[1])

    def test_a_partition_that_is_not_there_is_told_and_not_the_topic(self):
        self.weir("topic", "create", "d")
        _, err = self.weir("topic", "trim", "d", "--before", "0", "-p", "3", code=NOT_FOUND)
        self.assertEqual(err, "weir: no partition 3; d has 1\n")
        _, err = self.weir("topic", "trim", "nosuch", "--before", "0", "-p", "3", code=NOT_FOUND)
        self.assertIn('no topic "nosuch" is declared', err)

    def test_a_trim_outside_a_partition_is_told_its_bounds(self):
        self.weir("topic", "create", "d")
        self.weir("pub", "d", "-l", stdin="a\nb\n")
        _, err = self.weir("topic", "trim", "d", "--before", "99", code=REFUSED)
        self.assertIn("from 0 to 2 (its end); `weir topic info d`", err)

    def test_a_setting_outside_its_bounds_is_refused_with_them(self):
        self.weir("topic", "create", "log")
        for command in (["create", "z"], ["alter", "log"]):
            for text in ("5m", "-2", "", "endless"):
                with self.subTest(command=command, text=text):
                    _, err = self.weir("topic", *command, "--retention-ms", text, code=USAGE)
                    self.assertRegex(err, r'--retention-ms takes a number from 0 to \d+ milliseconds, or unlimited \(-1\), not "%s"' % text)
            self.weir("topic", *command, "--segment-bytes", "0", code=USAGE)
            self.weir("topic", *command, "--delete-retention-ms", "unlimited", code=USAGE)
        self.weir("topic", "create", "z", "--retention-ms", "-1", "--segment-bytes", "1048576")

    def test_a_retention_may_be_unlimited_or_nothing(self):
        def values():
            rows = json.loads(self.weir("topic", "describe", "7", "-o", "json")[0])
            return {row["setting"]: row["value"] for row in rows}
        self.weir("topic", "create", "7", "--retention-ms", "unlimited", "--retention-bytes", "0")
        is_ = values()
        self.assertEqual((is_["retention_ms"], is_["retention_bytes"]), (-1, 1))
        self.assertEqual((is_["topic"], is_["partitions"], is_["nested"]), ("7", 1, False))
        self.assertRegex(self.weir("topic", "describe", "7")[0], r"(?m)^retention_ms +unlimited *$")
        self.weir("topic", "alter", "7", "--retention-ms", "0", "--retention-bytes", "unlimited")
        is_ = values()
        self.assertEqual((is_["retention_ms"], is_["retention_bytes"]), (1, -1))

    def test_a_nested_topic_has_to_be_meant(self):
        self.weir("topic", "create", "plant", "--nested")
        _, err = self.weir("topic", "create", "plant/line1", code=REFUSED)
        self.assertIn("--nested", err)
        self.weir("topic", "create", "plant/line1", "--nested")
        self.weir("pub", "plant/line1/x", "-m", "deep")
        out, _ = self.weir("sub", "#", "--from", "beginning", "-e", "-F", "%t %k")
        self.assertEqual(out, "plant/line1 x\n")

    def test_a_level_that_nothing_offers_is_refused(self):
        self.weir("topic", "create", "a", "-d", "replicated", code=REFUSED)

    def test_info_counts_the_records_of_each_partition(self):
        self.weir("topic", "create", "a", "-p", "3")
        self.weir("pub", "a", "-l", "-K", ":", stdin="".join(f"k{i}:v\n" for i in range(100)))
        out, _ = self.weir("topic", "info", "a", "-o", "ndjson")
        rows = [json.loads(line) for line in out.splitlines()]
        self.assertEqual([row["partition"] for row in rows], [0, 1, 2])
        self.assertEqual(sum(row["records"] for row in rows), 100)
        self.assertTrue(all(row["records"] > 0 for row in rows))


class Serving(Case):
    def test_ready_is_said_once_and_every_listener_is_in_the_ports_file(self):
        gateway = self.serve().ready()
        self.assertRegex(gateway.listeners["mqtt"], r"^127\.0\.0\.1:\d+$")
        self.assertEqual(gateway.listeners["local"], "unix:" + os.path.join(gateway.data, "weir.sock"))
        self.assertEqual(os.stat(gateway.data).st_mode & 0o777, 0o700)
        self.assertEqual(os.stat(os.path.join(gateway.data, "weir.sock")).st_mode & 0o777, 0o600)
        code, out, _ = gateway.end()
        self.assertEqual(code, DONE)
        self.assertEqual(len(out.splitlines()), 1)
        self.assertIn("ready", out)
        self.assertFalse(os.path.exists(gateway.ports))
        self.assertFalse(os.path.exists(os.path.join(gateway.data, "weir.sock")))

    def test_each_signal_that_stops_ends_with_0_and_loses_nothing(self):
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            gateway = self.serve().ready()
            self.weir("topic", "create", "log")
            self.weir("pub", "log", "-m", number.name)
            self.assertEqual(gateway.end(number)[0], DONE)
        self.serve().ready()
        out, _ = self.weir("sub", "log", "--from", "beginning", "-e")
        self.assertEqual(out.split(), ["SIGTERM", "SIGINT", "SIGHUP"])

    def test_what_was_acknowledged_is_there_after_a_kill(self):
        gateway = self.serve().ready()
        self.weir("topic", "create", "log")
        self.weir("pub", "log", "-l", stdin="".join(f"{i}\n" for i in range(500)))
        gateway.end(signal.SIGKILL)
        self.serve().ready()
        out, _ = self.weir("sub", "log", "--from", "beginning", "-e")
        self.assertEqual(out.split(), [str(i) for i in range(500)])

    def test_without_a_gateway_a_client_says_how_to_start_one(self):
        for command in (["pub", "x", "-m", "y"], ["sub", "x", "-C", "1"], ["topic", "ls"], ["demo", "-C", "1"]):
            _, err = self.weir(*command, code=ERROR)
            self.assertIn("weir serve --data", err)

    def test_a_second_gateway_is_refused_and_told_the_pid(self):
        first = self.serve().ready()
        code, out, err = self.serve().end(0)
        self.assertEqual((code, out), (REFUSED, ""))
        self.assertRegex(err, rf"\b{first.process.pid}\b")
        self.weir("topic", "create", "log")  # the first serves on

    def test_an_owner_that_hangs_is_replaced_and_leaves_when_it_wakes(self):
        first = self.serve().ready()
        self.weir("topic", "create", "log")
        self.weir("pub", "log", "-m", "before")
        first.process.send_signal(signal.SIGSTOP)
        second = self.serve("--take-over").ready()
        self.weir("pub", "log", "-m", "after")
        first.process.send_signal(signal.SIGCONT)
        answers = mqtt_publish(first.listeners["mqtt"], "log", b"by a zombie")
        self.assertNotIn(b"\x40\x02", answers)  # no PUBACK
        code, _, err = first.end(0)
        self.assertEqual(code, REFUSED)
        self.assertIn("taken", err)
        out, _ = self.weir("sub", "log", "--from", "beginning", "-e")
        self.assertEqual(out, "before\nafter\n")
        self.assertEqual(second.end()[0], DONE)

    def test_a_busy_port_is_named_and_nothing_is_left_behind(self):
        with socket.socket() as busy:
            busy.bind(("127.0.0.1", 0))
            busy.listen()
            port = busy.getsockname()[1]
            code, out, err = self.serve("--set", f"mqtt.port={port}").end(0)
        self.assertEqual((code, out), (ERROR, ""))
        self.assertIn("mqtt.port", err)
        self.assertIn(str(port), err)
        self.serve().ready()  # the directory was given back

    def test_a_data_directory_that_cannot_be_is_told(self):
        self.file("file", "")
        for name in ("file", "file/below", "/proc/nothing/here"):
            code, out, err = self.serve(name=name).end(0)
            self.assertEqual((code, out), (ERROR, ""), err)
            self.assertRegex(err, "(?s)^weir: .*(make it|move it|check that)")

    def test_a_wrong_configuration_stops_the_start(self):
        path = self.file("weir.yaml", "mqtt:\n  prt: 5\n")
        code, out, err = self.serve("-c", path).end(0)
        self.assertEqual((code, out), (USAGE, ""))
        self.assertIn(f"{path}:2:3:", err)
        self.assertIn("mqtt.port", err)
        self.assertFalse(os.path.exists(os.path.join(self.folder, "data")))

    def test_an_address_beyond_loopback_is_refused_without_insecure(self):
        code, _, err = self.serve("--set", "mqtt.address=0.0.0.0").end(0)
        self.assertEqual(code, USAGE)
        self.assertIn("--insecure", err)
        self.serve("--set", "mqtt.address=0.0.0.0", "--insecure").ready()

    def test_a_front_end_can_be_switched_off(self):
        gateway = self.serve("--set", "mqtt.enabled=false").ready()
        self.assertEqual(list(gateway.listeners), ["local"])
        gateway.end()
        gateway = self.serve("--set", "mqtt.enabled=false", "--set", "local.enabled=false").ready()
        _, out, err = gateway.end()
        self.assertIn("no listener", out)
        self.assertIn("every front end is switched off", err)

    def test_topics_of_the_configuration_are_there_after_start(self):
        path = self.file("weir.yaml", "topics:\n  - {name: site, partitions: 2}\n  - {name: log, durability: os}\n")
        for _ in range(2):  # a second start finds them as they are
            gateway = self.serve("-c", path).ready()
            out, _ = self.weir("topic", "ls", "-o", "ndjson")
            self.assertEqual([json.loads(line)["topic"] for line in out.splitlines()], ["log", "site"])
            gateway.end()
        path = self.file("weir.yaml", "topics:\n  - {name: site, partitions: 3}\n")
        code, _, err = self.serve("-c", path).end(0)
        self.assertEqual(code, ERROR)
        self.assertIn("weir.yaml:2:5:", err)
        self.assertIn("partitions 2 (asked: 3)", err)

    def test_groups_of_the_file_are_declared_at_start(self):
        topics = "topics:\n  - {name: jobs, kind: queue}\n  - {name: log}\n"
        groups = "groups:\n  - {name: jobs, model: queue, lease_ms: %d}\n  - {name: g, topics: [%s], mode: %s}\n"
        path = self.file("weir.yaml", topics + groups % (5000, "log", "at-least-once"))
        for _ in range(2):  # the second start finds them
            gateway = self.serve("-c", path).ready()
            out, _ = self.weir("stats")
            self.assertRegex(out, r"\bgroups\s+2\b|weir_groups\s+2\b")
            self.assertEqual(gateway.end()[0], DONE)
        path = self.file("weir.yaml", topics + groups % (6000, "log", "at-most-once"))
        code, _, err = self.serve("-c", path).end(0)
        self.assertEqual(code, ERROR)
        self.assertIn("weir.yaml:6:5:", err)
        self.assertIn("other settings", err)
        path = self.file("weir.yaml", topics + "groups:\n  - {name: h, topics: [gone]}\n")
        code, _, err = self.serve("-c", path).end(0)
        self.assertIn("not declared", err)
        out, _ = self.weir("check", "-c", path, "--effective")
        self.assertRegex(out, r"h\s+stream, at-least-once")

    def test_an_adapter_that_is_not_there_is_told(self):
        path = self.file("weir.yaml", "adapters:\n  - {name: lines, path: ./gone.so}\n")
        code, _, err = self.serve("-c", path).end(0)
        self.assertEqual(code, ERROR)
        self.assertIn("gone.so", err)

    def test_a_setting_that_a_loaded_adapter_does_not_know_is_refused(self):
        source = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
        shared = os.path.join(self.folder, "lines.so")
        subprocess.run(
            ["cc", "-shared", "-fPIC", "-D_GNU_SOURCE", "-I", os.path.join(source, "include"),
             os.path.join(source, "examples", "adapter-lines", "lines.c"), "-o", shared, "-pthread"], check=True,
        )
        adapter = "adapters:\n  - {name: lines, path: %s, settings: {port: 0%s}}\n"
        code, out, err = self.serve("-c", self.file("weir.yaml", adapter % (shared, ", prt: 1"))).end(0)
        self.assertEqual((code, out), (ERROR, ""))
        self.assertRegex(err, 'weir.yaml:2:5: .*lines has no setting "prt"')
        gateway = self.serve("-c", self.file("weir.yaml", adapter % (shared, ""))).ready()
        self.assertIn("lines", gateway.listeners)

    def test_every_setting_in_the_data_directory_survives_the_environment(self):
        self.serve(name="elsewhere").ready()
        self.environment["WEIR_DATA"] = os.path.join(self.folder, "elsewhere")
        done = subprocess.run([WEIR, "topic", "ls"], env=self.environment, capture_output=True, timeout=DEADLINE_S)
        self.assertEqual(done.returncode, DONE)
        done = subprocess.run(
            [WEIR, "topic", "ls", "--server", "unix:" + os.path.join(self.folder, "elsewhere", "weir.sock")],
            capture_output=True, timeout=DEADLINE_S,
        )
        self.assertEqual(done.returncode, DONE)

    def test_the_demo_declares_its_topic_and_plays(self):
        self.serve().ready()
        self.weir("demo", "-n", "2", "-i", "0", "-C", "3")
        out, _ = self.weir("sub", "site/+/telemetry", "--from", "beginning", "-e", "-F", "%k %s")
        self.assertEqual(len(out.splitlines()), 6)
        for line in out.splitlines():
            key, value = line.split(" ", 1)
            self.assertEqual(key, json.loads(value)["device"] + "/telemetry")


class Words(Case):
    def test_check_reads_without_starting(self):
        good = self.file("good.yaml", "mqtt: {port: 7}\ntopics:\n  - {name: site}\n")
        out, err = self.weir("check", "-c", good)
        self.assertEqual((out, err), (f"{good}: good\n", ""))
        out, _ = self.weir("check", "-c", good, "--set", "loops=2", "--effective", "--json")
        rows = {row["key"]: row for row in json.loads(out)}
        self.assertEqual((rows["mqtt.port"]["value"], rows["mqtt.port"]["origin"], rows["mqtt.port"]["line"]), ("7", "file", 1))
        self.assertEqual((rows["loops"]["value"], rows["loops"]["origin"]), ("2", "--set"))
        self.assertEqual(rows["data"]["origin"], "default")
        self.environment["WEIR_DATA"] = os.path.join(self.folder, "elsewhere")
        for options, origin in (([], "WEIR_DATA"), (["--set", "data=a"], "--set"), (["--data", "b"], "--data")):
            out, _ = self.weir("check", *options, "--effective", "--json")
            self.assertEqual({row["key"]: row["origin"] for row in json.loads(out)}["data"], origin)
        self.assertEqual(os.listdir(self.folder), ["good.yaml"])

    def test_check_notes_topics_of_groups_that_the_file_does_not_declare(self):
        path = self.file("w.yaml", "topics:\n  - name: a\ngroups:\n  - {name: g, topics: [a], dead_letter: adead}\n")
        out, err = self.weir("check", "-c", path)
        self.assertEqual(out, f"{path}: good\n")
        self.assertIn(f'{path}:4: group "g": its dead_letter "adead" is not declared in this file', err)
        code, _, err = self.serve("-c", path).end(0)
        self.assertNotEqual(code, DONE)
        self.assertIn('the topic "adead", its dead_letter, is not declared', err)

    def test_check_names_the_place_of_a_mistake(self):
        bad = self.file("bad.yaml", "limits:\n  record_bytes_max: much\n")
        out, err = self.weir("check", "-c", bad, code=USAGE)
        self.assertEqual(out, "")
        self.assertTrue(err.startswith(f"weir: {bad}:2:21: "), err)
        self.weir("check", "-c", os.path.join(self.folder, "gone.yaml"), code=USAGE)
        self.weir("check", "--set", "nosuch=1", code=USAGE)

    def test_check_refuses_what_serve_would(self):
        for text, says in (
            ("mqtt:\n  address: localhost\n", ":2:12: mqtt.address: .*numeric address; give one such as 127.0.0.1"),
            ("mqtt:\n  tls: {key: k.pem}\n", ":2:14: mqtt.tls.key is set without mqtt.tls.certificate"),
            ("http:\n  tls: {certificate: gone.pem}\n", ":2:22: http.tls.certificate: gone.pem cannot be read"),
            ("nng:\n  rep: {url: 'tpc://x'}\n", ":2:14: nng.rep.url: .*tpc://x"),
            ("adapters:\n  - {name: lines, path: ./gone.so}\n", ":2:5: .*gone.so"),
            ("topics: {a: b}\n", ":1:9: topics takes a list"),
            ("mqtt: 5\n", ":1:7: mqtt takes keys"),
        ):
            with self.subTest(text=text):
                _, err = self.weir("check", "-c", self.file("bad.yaml", text), code=USAGE)
                self.assertRegex(err, "^weir: .*bad.yaml" + says)
        _, err = self.weir("check", "--set", "limits.name_bytes_max=1025", code=USAGE)
        self.assertIn('limits.name_bytes_max: "1025" is not a number from 249 to 1024', err)
        unused = self.file("unused.yaml", "http:\n  enabled: false\n  tls: {certificate: gone.pem}\n")
        self.weir("check", "-c", unused)

    def test_every_command_has_help_a_page_and_completion(self):
        out, _ = self.weir("help")
        names = re.findall(r"(?m)^  ([a-z]+(?: [a-z]+)?)  ", out.split("For example")[0])
        self.assertGreater(len(names), 12)
        completion, _ = self.weir("completion", "bash")
        for name in names:
            words = name.split()
            out, _ = self.weir("help", *words)
            self.assertIn(f"Usage: weir {name}", out)
            self.assertIn("For example", out)
            self.assertLessEqual(max(len(line) for line in out.splitlines()), 100)
            self.assertEqual(out, self.weir(*words, "--help")[0])
            page, _ = self.weir("man", *words)
            self.assertTrue(page.startswith(".TH WEIR-" + "-".join(words).upper()))
            self.assertIn(f'"{name}")', completion)
        subprocess.run(["bash", "-n"], input=completion, text=True, check=True)

    def test_completion_completes(self):
        completion, _ = self.weir("completion", "bash")
        script = completion + '\nCOMP_WORDS=(weir topic cr); COMP_CWORD=2; _weir; echo "${COMPREPLY[@]}"\n'
        script += 'COMP_WORDS=(weir sub --fr); COMP_CWORD=2; _weir; echo "${COMPREPLY[@]}"\n'
        script += 'COMP_WORDS=(weir ser); COMP_CWORD=1; _weir; echo "${COMPREPLY[@]}"\n'
        script += 'COMP_WORDS=(weir help top); COMP_CWORD=2; _weir; echo "${COMPREPLY[@]}"\n'
        script += 'COMP_WORDS=(weir man topic cr); COMP_CWORD=3; _weir; echo "${COMPREPLY[@]}"\n'
        script += 'COMP_WORDS=(weir group joi); COMP_CWORD=2; _weir; echo "${COMPREPLY[@]}"\n'
        script += 'COMP_WORDS=(weir help queue pe); COMP_CWORD=3; _weir; echo "${COMPREPLY[@]}"\n'
        script += 'COMP_WORDS=(weir group join --ex); COMP_CWORD=3; _weir; echo "${COMPREPLY[@]}"\n'
        done = subprocess.run(["bash"], input=script, text=True, check=True, capture_output=True)
        self.assertEqual(done.stdout, "create\n--from\nserve\ntopic\ncreate\njoin\npeek\n--exec\n")

    def test_version_names_the_libraries(self):
        out, _ = self.weir("version", "--json")
        rows = {row["what"]: row["version"] for row in json.loads(out)}
        self.assertRegex(rows["weir"], r"^\d+\.\d+\.\d+$")
        self.assertIn("libuv", rows)
        self.assertEqual(self.weir("--version")[0], self.weir("version")[0])

    def test_what_cannot_be_printed_is_an_error(self):
        with open("/dev/full", "w", encoding="utf-8") as full:
            done = subprocess.run([WEIR, "limits"], stdout=full, stderr=subprocess.PIPE, timeout=DEADLINE_S)
        self.assertEqual(done.returncode, ERROR)
        self.assertIn(b"standard output", done.stderr)

    def test_help_without_a_command_is_a_usage_error(self):
        out, _ = self.weir("help")
        done = subprocess.run([WEIR], capture_output=True, text=True, timeout=DEADLINE_S)
        self.assertEqual((done.stdout, done.returncode), (out, USAGE))
        self.weir("help", "nosuch", code=NOT_FOUND)


if __name__ == "__main__":
    WEIR = os.path.abspath(sys.argv[1])
    unittest.main(argv=[sys.argv[0], "-v"] + sys.argv[2:])
