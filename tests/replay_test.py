#!/usr/bin/python3
"""`weir replay` against a gateway of its own: what arrives is what was recorded, in its order, not before its time.

    replay_test.py WEIR

Times are only ever bounded from below: a replay may be late on a busy machine, never early.
"""
import base64
import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
import unittest

import cli_test
from cli_test import DEADLINE_S, DONE, ERROR, NOT_FOUND, REFUSED, USAGE, Case, wait_for


def ndjson(out):
    return [json.loads(line) for line in out.splitlines()]


def recorded(topic, number, key, value, headers=(), time_ms=1_700_000_000_000):
    """A line as `weir sub -o ndjson` prints it."""

    def put(row, name, data):
        if data is None:
            row[name] = None
            return
        try:
            row[name] = data.decode()
        except UnicodeDecodeError:
            row[name + "64"] = base64.b64encode(data).decode()

    row = {"name": topic, "topic": topic, "partition": 0, "offset": number, "time_ms": time_ms + number, "live": False,
           "retained": False, "headers": []}
    put(row, "key", key)
    put(row, "value", value)
    for name, data in headers:
        row["headers"].append({"name": name})
        put(row["headers"][-1], "value", data)
    return json.dumps(row) + "\n"


def content(row, origin=True):
    """What a record is made of, as the parts of a JSON line that must survive."""
    headers = [(header["name"], header.get("value"), header.get("value64")) for header in row.get("headers", [])]
    if not origin:
        headers = [header for header in headers if not header[0].startswith("replay-")]
    return row.get("key"), row.get("key64"), row.get("value"), row.get("value64"), tuple(headers)


BYTES = bytes(range(256))
RECORDS = [
    (b"plain", b"value", [("a", b"1"), ("a", b"2")]),
    (None, b"no key", []),
    (b"", b"an empty key", []),
    (b"tombstone", None, [("why", b"")]),
    (b"empty", b"", [("null", None)]),
    (BYTES, BYTES * 40, [("content-type", b"application/octet-stream"), ("bytes", BYTES)]),
    (b"with/level+and#\0nul", "h\u00e4 \u2603 \0 \"quoted\"\n".encode(), [("\u00fc", "\u00fc".encode())]),
    (b"plain", b"later", []),
]


class Replay(Case):
    def setUp(self):
        super().setUp()
        self.gateway = self.serve().ready()

    def rows(self, topic):
        out, _ = self.weir("sub", topic + "/#", "--from", "beginning", "-e", "-o", "ndjson")
        return ndjson(out)

    def fill(self, topic="source", partitions=1, count=40):
        """A topic of `count` records with twelve keys, by replaying a file."""
        self.weir("topic", "create", topic, "-p", str(partitions))
        lines = "".join(recorded(topic, i, b"key%d" % (i % 12), b"%d" % i) for i in range(count))
        self.weir("replay", "--file", self.file(topic + ".ndjson", lines), "--speed", "max", "--plain")

    def start(self, *arguments, **pipes):
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **pipes}
        process = subprocess.Popen([cli_test.WEIR, "replay", *arguments, "--data", self.gateway.data],
                                   stdin=subprocess.DEVNULL, text=True, cwd=self.folder, env=self.environment, **pipes)
        self.addCleanup(lambda: (process.poll() is None and process.kill(), process.communicate()))
        return process

    # ---- What arrives

    def test_every_kind_of_key_value_and_header_arrives_byte_for_byte(self):
        self.weir("topic", "create", "source", "-p", "3")
        self.weir("topic", "create", "copy", "-p", "3")
        lines = "".join(recorded("source", number, *record) for number, record in enumerate(RECORDS))
        out, err = self.weir("replay", "--file", self.file("day.ndjson", lines), "--speed", "max", "--plain")
        self.assertEqual(out, "")
        self.assertIn("8 records replayed", err)
        source = self.rows("source")
        self.assertEqual(sorted(map(str, map(content, source))), sorted(str(content(row)) for row in ndjson(lines)))
        self.weir("replay", "source", "--into", "copy", "--speed", "max")
        copy = self.rows("copy")
        self.assertEqual(sorted(str(content(row, origin=False)) for row in copy), sorted(map(str, map(content, source))))
        self.assertEqual([row["value"] for row in copy if row.get("key") == "plain"], ["value", "later"])

    def test_headers_tell_where_a_record_comes_from_and_a_second_replay_keeps_them(self):
        self.fill(count=3)
        self.weir("topic", "create", "copy")
        self.weir("topic", "create", "again")
        self.weir("replay", "source", "--into", "copy", "--speed", "max")
        self.weir("replay", "copy", "--into", "again", "--speed", "max")
        for source, copy, again in zip(self.rows("source"), self.rows("copy"), self.rows("again")):
            told = {header["name"]: header["value"] for header in copy["headers"]}
            self.assertEqual(told, {"replay-topic": "source", "replay-partition": "0", "replay-offset": str(source["offset"]),
                                    "replay-time": str(source["time_ms"])})
            self.assertEqual(again["headers"], copy["headers"])

    def test_records_of_many_partitions_come_in_the_order_of_their_times(self):
        self.weir("topic", "create", "source", "-p", "4")
        for i in range(30):
            self.weir("pub", "source", "-k", f"key{i}", "-m", str(i))
        out, _ = self.weir("replay", "source", "--speed", "max", "-F", "%T %p %o %s")
        rows = [tuple(map(int, line.split())) for line in out.splitlines()]
        self.assertEqual([row[0] for row in rows], sorted(row[0] for row in rows))
        self.assertEqual(sorted(row[3] for row in rows), list(range(30)))
        for partition in range(4):
            offsets = [row[2] for row in rows if row[1] == partition]
            self.assertEqual(offsets, list(range(len(offsets))))

    def test_a_range_has_a_beginning_an_end_and_a_count(self):
        self.fill(count=10)
        for options, wanted in (
            ([], range(10)), (["--from", "3"], range(3, 10)), (["--from", "-2"], range(8, 10)),
            (["--until", "4"], range(4)), (["--from", "2", "--until", "-3"], range(2, 7)),
            (["--from", "2", "-C", "3"], range(2, 5)), (["--skip", "4", "-C", "2"], range(4, 6)),
            (["--from", "@0", "--until", f"@{int(time.time()) + 3600}"], range(10)),
        ):
            with self.subTest(options=options):
                out, _ = self.weir("replay", "source", "--speed", "max", *options)
                self.assertEqual(out.split(), [str(number) for number in wanted])

    def test_a_filter_and_several_topics_can_be_replayed(self):
        for name in ("site", "plant"):
            self.weir("topic", "create", name)
            for key in ("a/temp", "a/load", "b/temp"):
                self.weir("pub", f"{name}/{key}", "-m", key)
        out, _ = self.weir("replay", "+/+/temp", "--speed", "max", "-F", "%n")
        self.assertEqual(sorted(out.split()), ["plant/a/temp", "plant/b/temp", "site/a/temp", "site/b/temp"])
        out, _ = self.weir("replay", "site/a/#", "plant", "--speed", "max", "-F", "%n")
        self.assertEqual(sorted(out.split()), ["plant/a/load", "plant/a/temp", "plant/b/temp", "site/a/load", "site/a/temp"])

    def test_a_prefix_stands_before_the_recorded_names(self):
        self.fill(count=4)
        self.weir("topic", "create", "test/source", "--nested")
        _, err = self.weir("replay", "source", "--prefix", "test", "--speed", "max")
        self.assertIn("4 records replayed", err)
        self.assertEqual([row["name"] for row in self.rows("test/source")], [f"test/source/key{i}" for i in range(4)])

    def test_a_page_that_listens_to_a_live_name_gets_a_recording(self):
        sub = subprocess.Popen([cli_test.WEIR, "sub", "live/#", "-C", "2", "--data", self.gateway.data, "-F", "%n %s"],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.addCleanup(lambda: (sub.poll() is None and sub.kill(), sub.communicate()))
        self.assertIn("live", sub.stderr.readline())  # it says so once it has asked; then it subscribes
        path = self.file("day.ndjson", '{"device":"d1","at":{"ts":10.5}}\n\n{"device":"d2","at":{"ts":11}}')
        replay = self.start("--file", path, "--name-template", "live/{device}", "--time-field", "at.ts", "--speed", "10x",
                            "--loop", "0")
        out, _ = sub.communicate(timeout=DEADLINE_S)
        self.assertEqual(sorted(out.splitlines()),
                         ['live/d1 {"device":"d1","at":{"ts":10.5}}', 'live/d2 {"device":"d2","at":{"ts":11}}'])
        replay.send_signal(signal.SIGINT)
        _, err = replay.communicate(timeout=DEADLINE_S)
        self.assertIn("under no declared topic", err)

    def test_lines_of_json_become_records_of_a_topic(self):
        self.weir("topic", "create", "log")
        path = self.file("day.ndjson", '{"ts":"2026-01-31T12:00:00.250Z","n":1}\n{"ts":1769860801,"n":2}\n')
        self.weir("replay", "--file", path, "--into", "log", "--time-field", "ts", "--speed", "100x")
        rows = self.rows("log")
        self.assertEqual([row["value"] for row in rows], ['{"ts":"2026-01-31T12:00:00.250Z","n":1}', '{"ts":1769860801,"n":2}'])
        self.assertEqual([row["headers"][0]["value"] for row in rows], ["1769860800250", "1769860801000"])
        self.assertEqual([row["key"] for row in rows], [None, None])

    def test_a_recording_from_standard_input_is_published_under_its_names(self):
        self.fill(count=5)
        out, _ = self.weir("sub", "source/#", "--from", "beginning", "-e", "-o", "ndjson")
        self.weir("topic", "create", "copy")
        self.weir("replay", "--file", "-", "--into", "copy", "--speed", "max", stdin=out)
        self.assertEqual([row["value"] for row in self.rows("copy")], list("01234"))

    # ---- When it arrives

    def test_a_dry_run_tells_how_many_and_how_long_and_publishes_nothing(self):
        self.weir("topic", "create", "log")
        times = (0, 500, 400, 1000, 61_000)
        lines = "".join(json.dumps({"ts": 1_700_000_000_000 + ms}) + "\n" for ms in times)
        path = self.file("day.ndjson", lines)
        for options, records, seconds in (
            ([], 5, 61.0), (["--speed", "2x"], 5, 30.5), (["--speed", "0.5"], 5, 122.0), (["--speed", "max"], 5, 0.0),
            (["--gap-max", "2"], 5, 3.0), (["--loop", "3"], 15, 183.0), (["--rate", "10/s"], 5, 0.4),
            (["--rate", "10", "--loop", "2"], 10, 0.9), (["-C", "4"], 4, 1.0), (["--skip", "3"], 2, 60.0),
        ):
            with self.subTest(options=options):
                out, _ = self.weir("replay", "--file", path, "--into", "log", "--time-field", "ts", "--dry-run", "-o", "json",
                                   *options)
                row = json.loads(out)[0]
                self.assertEqual((row["records"], row["seconds"]), (records, seconds))
        self.assertEqual(self.rows("log"), [])

    def test_no_record_is_played_before_its_time(self):
        self.weir("topic", "create", "log")
        lines = "".join(json.dumps({"ts": 1_700_000_000 + i}) + "\n" for i in range(5))
        path = self.file("day.ndjson", lines)
        for options, least in ((["--speed", "20"], 0.2), (["--rate", "10/s"], 0.4), (["--speed", "40x", "--loop", "2"], 0.2)):
            out, _ = self.weir("replay", "--file", path, "--into", "log", "--time-field", "ts", "-o", "ndjson", *options)
            row = json.loads(out)
            self.assertGreaterEqual(row["seconds"], least - 0.001, options)
            self.assertEqual((row["records"], row["failed"]), (row["confirmed"], 0))
        times = [row["time_ms"] for row in self.rows("log")[:5]]
        self.assertGreaterEqual(times[4] - times[0], 150, "they did not go out one by one")

    def test_what_is_printed_leaves_before_the_next_wait(self):
        path = self.file("day.ndjson", '{"ts":1}\n{"ts":1.1}\n{"ts":1000}\n')
        replay = self.start("--file", path, "--print", "--time-field", "ts")
        self.assertEqual([replay.stdout.readline() for _ in range(2)], ['{"ts":1}\n', '{"ts":1.1}\n'])
        replay.send_signal(signal.SIGINT)
        out, err = replay.communicate(timeout=DEADLINE_S)
        self.assertEqual((out, err, replay.returncode), ("", "weir: stopped after 2 records; go on with --skip 2\n", ERROR))

    # ---- What is damaged

    def damaged(self):
        """Twice twelve records, the first twelve of them damaged on the disk; the second half is read as it was."""
        self.weir("topic", "create", "source", "--segment-bytes", "1048576")
        for half in range(2):
            lines = "".join(recorded("source", i, b"k", b"%d" % (12 * half + i)) for i in range(12))
            self.weir("replay", "--file", self.file("half.ndjson", lines), "--speed", "max", "--plain")
        self.assertEqual(self.gateway.end()[0], 0)
        path = next(os.path.join(at, name) for at, _, names in os.walk(os.path.join(self.gateway.data, "log"))
                    for name in names if name.endswith(".log"))
        with open(path, "r+b") as file:
            file.seek(90)
            file.write(b"\xa5\xa5")
        self.gateway = self.serve().ready()

    def test_what_is_damaged_is_told_with_its_offsets_and_the_rest_is_replayed(self):
        self.damaged()
        out, err = self.weir("replay", "source", "--speed", "max", "--print", code=ERROR)
        said, _, = self.weir("sub", "source/#", "--from", "beginning", "-e")[::-1]
        first, last = map(int, re.search(r"offsets (\d+) to (\d+) could not be read", said).groups())
        self.assertIn(f"source, partition 0: offsets [{first}, {last + 1}) are damaged and left out\n", err)
        self.assertIn(f"{last + 1 - first} offsets were left out: they are damaged\n", err)
        self.assertEqual(out.split(), [str(offset) for offset in range(24) if not first <= offset <= last])
        self.assertIn("23", out.split())
        self.weir("topic", "create", "copy")
        out, err = self.weir("replay", "source", "--speed", "max", "--into", "copy", "-o", "ndjson", code=ERROR)
        row = json.loads(out)
        self.assertEqual((row["records"] + row["lost"], row["confirmed"]), (24, row["records"]))

    def test_a_recording_that_is_damaged_to_its_end_has_an_end(self):
        self.damaged()
        _, err = self.weir("replay", "source", "--until", "12", "--speed", "max", "--print", code=ERROR)
        self.assertRegex(err, r"offsets \[0, 12\) are damaged")

    # ---- Stopping and going on

    def stop_and_go_on(self, *options, signals_to=None):
        """Stops a replay after some records, follows its advice, and gives what was printed before and after."""
        replay = self.start("source", "-F", "%p %o", "--rate", "20/s", *options)
        first = [replay.stdout.readline() for _ in range(5)]
        (signals_to or replay).send_signal(signal.SIGINT)
        rest, err = replay.communicate(timeout=DEADLINE_S)
        self.assertEqual(replay.returncode, ERROR)
        advice = re.search(r"stopped after (\d+) records; go on with (.*)\n", err)
        first += rest.splitlines(keepends=True)
        self.assertEqual(int(advice[1]), len(first))
        return first, advice[2].split()

    def test_a_stopped_replay_of_one_partition_goes_on_exactly_there(self):
        self.fill()
        first, advice = self.stop_and_go_on()
        self.assertEqual(advice, ["--from", str(len(first))])
        rest, _ = self.weir("replay", "source", "-F", "%p %o", "--speed", "max", *advice)
        self.assertEqual("".join(first) + rest, "".join(f"0 {offset}\n" for offset in range(40)))

    def test_a_stopped_replay_of_many_partitions_goes_on_exactly_there(self):
        self.fill(partitions=4)
        for options in ([], ["--from", "2"]):
            whole, _ = self.weir("replay", "source", "-F", "%p %o", "--speed", "max", *options)
            first, advice = self.stop_and_go_on(*options)
            rest, _ = self.weir("replay", "source", "-F", "%p %o", "--speed", "max", *advice)
            self.assertEqual("".join(first) + rest, whole, advice)

    def rounds_stopped(self, *options, stop_after):
        """Stops a replay of several rounds, follows its advice, and gives all that was printed."""
        replay = self.start(*options, "--rate", "50/s")
        first = [replay.stdout.readline() for _ in range(stop_after)]
        replay.send_signal(signal.SIGINT)
        rest, err = replay.communicate(timeout=DEADLINE_S)
        first += rest.splitlines(keepends=True)
        advice = re.search(r"stopped after (\d+) records, in round (\d+); the same options go on there with (.*)\n", err)
        self.assertEqual(int(advice[1]), len(first), err)
        self.assertGreater(int(advice[2]), 1)
        rest, _ = self.weir("replay", *options, "--speed", "max", *advice[3].split())
        return "".join(first) + rest

    def test_a_stopped_replay_of_several_rounds_leaves_nothing_out_and_plays_nothing_twice(self):
        self.fill(count=12)
        path = self.file("day.ndjson", "".join(f'{{"n":{number}}}\n' for number in range(12)))
        for source, line, each in (
            (["source"], "%d\n", range(12)), (["source", "--from", "2", "-C", "8"], "%d\n", range(2, 10)),
            (["--file", path, "--print"], '{"n":%d}\n', range(12)),
            (["--file", path, "--print", "--skip", "4"], '{"n":%d}\n', range(4, 12)),
        ):
            with self.subTest(source=source):
                whole = "".join(line % number for number in each) * 3
                self.assertEqual(self.rounds_stopped(*source, "--loop", "3", stop_after=len(each) + 2), whole)

    def test_a_gateway_that_closes_stops_the_replay_in_order(self):
        self.fill()
        first, advice = self.stop_and_go_on(signals_to=self.gateway.process)
        self.assertEqual(advice, ["--from", str(len(first))])

    def test_a_gateway_that_is_gone_is_told_with_what_is_confirmed(self):
        self.weir("topic", "create", "log")
        path = self.file("day.ndjson", '{"n":1}\n' * 10)
        replay = self.start("--file", path, "--into", "log", "--rate", "10/s", "--loop", "1")
        wait_for(lambda: len(self.rows("log")) >= 2, "two records")
        self.gateway.process.kill()
        _, err = replay.communicate(timeout=DEADLINE_S)
        self.assertEqual(replay.returncode, ERROR)
        self.assertRegex(err, r"\d+ records are confirmed; with the same options, --skip \d+ goes on")
        self.assertIn("closed the connection", err)

    def test_a_gateway_that_is_gone_in_a_later_round_is_told_with_what_goes_on(self):
        self.fill(count=6)
        self.weir("topic", "create", "log")
        replay = self.start("source", "--into", "log", "--rate", "50/s", "--loop", "1000")
        wait_for(lambda: len(self.rows("log")) >= 8, "a second round")
        self.gateway.process.kill()
        _, err = replay.communicate(timeout=DEADLINE_S)
        self.assertIn("closed the connection", err)
        self.assertNotIn("in time", err)
        told = re.search(r"(\d+) records are confirmed; with the same options, --loop (\d+)( --resume (\d+))? goes on", err)
        confirmed, loop, within = int(told[1]), int(told[2]), int(told[4] or 0)
        self.assertEqual((1000 - loop) * 6 + within, confirmed)

    def test_a_terminal_is_shown_how_far_it_is(self):
        self.fill()
        self.weir("topic", "create", "copy")
        ours, theirs = pty.openpty()
        replay = self.start("source", "--into", "copy", "--rate", "100/s", stderr=theirs)
        os.close(theirs)
        shown = b""
        try:
            while piece := os.read(ours, 4096):
                shown += piece
        except OSError:  # a terminal nobody holds any more
            pass
        os.close(ours)
        replay.communicate(timeout=DEADLINE_S)
        self.assertRegex(shown, rb"\r\d+ records, \d+ %, \d+\.\d s behind")
        self.assertRegex(shown, rb"\r40 records, \d+ %")
        self.assertIn(b"40 records replayed", shown)
        quiet, err = self.weir("replay", "source", "--into", "copy", "--speed", "max", "--quiet")
        self.assertEqual((quiet, err), ("", ""))

    # ---- What is wrong

    def test_wrong_use_is_told_in_one_line(self):
        self.fill(count=3)
        path = self.file("day.ndjson", '{"ts":1}\n')
        for wrong, code, sentence in (
            ([], USAGE, "say what to replay"), (["source", "--file", path], USAGE, "not both"),
            (["source", "--speed", "0"], USAGE, "--speed takes"), (["source", "--speed", "fast"], USAGE, "--speed takes"),
            (["source", "--rate", "-1"], USAGE, "--rate takes"), (["source", "--rate", "1/m"], USAGE, "--rate takes"),
            (["source", "--rate", "1", "--speed", "1"], USAGE, "only one of"),
            (["source", "--into", "a", "--prefix", "b"], USAGE, "only one of"),
            (["source", "--from", "end"], USAGE, "weir sub"), (["source", "--from", "now"], USAGE, "--from takes"),
            (["source", "--until", "@never"], USAGE, "--until takes"), (["source", "-F", "%z"], USAGE, "after %"),
            (["source", "--into", "copy", "-F", "%s"], USAGE, "--format"),
            (["source", "--time-field", "ts"], USAGE, "--file"), (["--file", path, "--from", "1"], USAGE, "--skip"),
            (["source", "--loop", "x"], USAGE, "--loop"), (["source", "--gap-max", "0"], USAGE, "--gap-max"),
            (["nosuch"], NOT_FOUND, 'no declared topic has names that "nosuch" matches'),
            (["source", "nosuch/#"], NOT_FOUND, '"nosuch/#"'),
            (["source", "--from", "3"], NOT_FOUND, "nothing is in this range"),
            (["source", "--from", "@4000000000"], NOT_FOUND, "nothing is in this range"),
            (["source", "--into", "copy"], NOT_FOUND, "weir topic create copy"),
            (["source", "--into", "co+py"], REFUSED, "is no topic name"),
            (["__fates"], REFUSED, "__fates is the gateway's own, and is not replayed"),
            (["source", "--into", "source"], USAGE, "would stand there twice"),
            (["source", "--prefix", "source/again"], USAGE, "would stand there twice"),
            (["#", "--prefix", "source"], USAGE, "would stand there twice"),
            (["--file", os.path.join(self.folder, "gone"), "--print"], NOT_FOUND, "gone"),
            (["--file", self.folder, "--print"], NOT_FOUND, "directory"),
            (["--file", path], ERROR, "day.ndjson:1:1: this is no record as `weir sub"),
            (["--file", path, "--print"], USAGE, "the records have no time"),
            (["--file", path, "--print", "--time-field", "at"], ERROR, "day.ndjson:1:1: no time"),
            (["--file", path, "--name-template", "a/{b}", "--rate", "1"], ERROR, "is in member b"),
            (["--file", path, "--name-template", "a/{b", "--rate", "1"], USAGE, "--name-template takes"),
            (["--file", self.file("broken", '{"ts":1}\n{"ts":2\n'), "--print", "--speed", "max"], ERROR, "broken:2:1: this is no JSON"),
        ):
            with self.subTest(wrong=wrong):
                _, err = self.weir("replay", *wrong, code=code)
                self.assertIn(sentence, err)
                self.assertEqual(len(err.splitlines()), 1, err)
        self.assertEqual(len(self.rows("source")), 3)

    def test_a_record_that_is_refused_is_told_and_the_rest_goes_on(self):
        self.weir("topic", "create", "log")
        lines = '{"name":"log/a","time_ms":1,"value":"1"}\n{"name":"log/+","time_ms":2,"value":"2"}\n' \
                '{"name":"log/b","time_ms":3,"value":"3"}\n'
        _, err = self.weir("replay", "--file", self.file("day.ndjson", lines), code=REFUSED)
        self.assertIn("record 2: ", err)
        self.assertEqual([row["value"] for row in self.rows("log")], ["1", "3"])

    def test_headers_that_only_the_gateway_sets_are_left_out(self):
        self.weir("topic", "create", "log")
        lines = recorded("log", 0, b"k", b"v", [("weir-dead", b"1"), ("mine", b"2")])
        self.weir("replay", "--file", self.file("day.ndjson", lines), "--plain")
        self.assertEqual([header["name"] for header in self.rows("log")[0]["headers"]], ["mine"])

    def test_a_retained_value_is_set_when_it_is_asked_for(self):
        self.weir("topic", "create", "state")
        lines = recorded("state", 0, b"x", b"on")
        self.weir("replay", "--file", self.file("day.ndjson", lines), "-r")
        out, _ = self.weir("sub", "state/x", "-C", "1", "-W", "20", "-F", "%s %r")
        self.assertEqual(out, "on 1\n")


if __name__ == "__main__":
    cli_test.WEIR = os.path.abspath(sys.argv[1])
    unittest.main(argv=[sys.argv[0], "-v"] + sys.argv[2:])
