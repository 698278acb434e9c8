#!/usr/bin/python3
"""`weir why`: the story of one record, as a person reads it, over kills and restarts of a gateway.

    cli_why_test.py WEIR
"""
import json
import os
import re
import signal
import sys
import unittest

import cli_test
from cli_test import NOT_FOUND, REFUSED, USAGE


class Why(cli_test.Case):
    def setUp(self):
        super().setUp()
        self.gateway = self.serve().ready()

    def group(self, *arguments):
        self.weir("group", *arguments, "--data", self.gateway.data)

    def queue(self, *arguments):
        self.weir("queue", *arguments, "--data", self.gateway.data)

    def story(self, offset, *arguments, topic="orders"):
        out, _ = self.weir("why", topic, "0", str(offset), "--json", *arguments)
        return json.loads(out)

    def events(self, offset, group):
        return [(line["event"], line["member"]) for line in self.story(offset, "--group", group)["lines"]]

    def orders(self, count):
        self.weir("topic", "create", "orders")
        self.group("create", "mail", "--topic", "orders", "--model", "queue", "--delivery-limit", "2")
        self.weir("pub", "orders/k", "-l", stdin="".join(f"{i}\n" for i in range(count)))

    def test_an_accepted_record_names_who_accepted_it_also_after_a_kill(self):
        self.orders(3)
        self.group("join", "mail", "--name", "worker-1", "-C", "1")
        for _ in range(2):
            story = self.story(0)
            last = story["lines"][-1]
            self.assertEqual((last["event"], last["fate"]), ("accepted", "accepted"))
            self.assertEqual((last["member"], last["origin"], last["group"]), ("worker-1", "local", "mail"))
            self.assertEqual((story["record"]["key"], story["record"]["bytes"]), ("k", 1))
            self.assertEqual((story["from_ms"], story["left_out"], story["damaged"]), (0, 0, False))
            self.assertEqual([group["state"] for group in story["groups"]], ["settled"])
            self.gateway.end(signal.SIGKILL)
            self.gateway = self.serve().ready()
        self.assertEqual(self.story(2)["groups"][0]["before"], 1)

    def test_a_name_with_its_key_is_told_its_topic(self):
        self.orders(1)
        _, err = self.weir("why", "orders/k", "0", "0", code=NOT_FOUND)
        self.assertIn("orders/k is no topic but under the topic orders: `weir why orders PARTITION OFFSET`", err)
        _, err = self.weir("why", "orders/#", "0", "0", code=NOT_FOUND)
        self.assertIn("orders PARTITION OFFSET", err)

    def test_the_table_tells_it_line_by_line(self):
        self.orders(2)
        self.group("join", "mail", "--name", "worker-1", "-C", "2", "-x", "exit 3")
        out, _ = self.weir("why", "orders", "0", "0")
        lines = out.splitlines()
        self.assertRegex(lines[0], r'^orders partition 0 offset 0: stored \d{4}-.*Z, key "k", 1 bytes, 0 headers$')
        self.assertEqual(
            re.split(r"  +", lines[2]),
            ["time", "group", "event", "fate", "member", "origin", "leased", "failed", "reason"],
        )
        self.assertIn("exit code 3", out)
        self.assertEqual(lines[-1], "mail: settled")
        events = [event for event, _ in self.events(0, "mail")]
        self.assertEqual(events, ["leased", "failed", "leased", "dropped"])
        rows = [json.loads(row) for row in self.weir("why", "orders", "0", "0", "-o", "ndjson")[0].splitlines()]
        self.assertEqual([row["event"] for row in rows], events)
        self.assertEqual(rows[-1]["reason"], "delivery-limit")

    def test_a_record_that_is_gone_has_its_story_still(self):
        self.orders(2)
        self.group("join", "mail", "--name", "worker-1", "-C", "1")
        self.weir("topic", "trim", "orders", "--before", "end")
        story = self.story(0)
        self.assertIsNone(story["record"])
        self.assertEqual([line["event"] for line in story["lines"]], ["leased", "accepted"])
        self.assertEqual(self.events(1, "mail"), [("expired", None)])
        line = self.story(1)["lines"][-1]
        self.assertEqual((line["fate"], line["reason"]), ("expired", "trimmed"))
        out, _ = self.weir("why", "orders", "0", "1")
        self.assertRegex(out, r"(?m)^\d{4}-\d\d-\d\dT[\d:.]+Z +mail +expired +expired .* trimmed$")
        self.weir("topic", "rm", "orders")
        self.assertEqual(self.events(1, "mail"), [("expired", None)])
        self.assertIn("offset 1: the record is gone: its topic was deleted\n", self.weir("why", "orders", "0", "1")[0])

    def test_what_a_queue_has_freed_was_settled(self):
        self.gateway.end()
        self.gateway = self.serve("--set", "cleanup_every_ms=100").ready()
        self.queue("create", "jobs", "--segment-ms", "1", "--segment-bytes", "4096")
        self.weir("pub", "jobs", "-l", stdin="".join(f"{i}\n" for i in range(3)))
        self.group("join", "jobs", "-C", "2")
        self.gateway.end()  # what memory has is there, whatever has been freed
        self.gateway = self.serve("--set", "cleanup_every_ms=100").ready()
        cli_test.wait_for(lambda: self.story(0, topic="jobs")["record"] is None, "it is freed")
        out, _ = self.weir("why", "jobs", "0", "0")
        self.assertIn("jobs partition 0 offset 0: the record is gone: it was settled, and the queue has freed it\n", out)

    def test_what_compaction_removed_waits_in_no_group(self):
        quick = ("--segment-ms", "1", "--segment-bytes", "4096")
        self.gateway.end()
        self.gateway = self.serve("--set", "cleanup_every_ms=100").ready()
        self.weir("topic", "create", "orders", "--cleanup", "compact", *quick)
        self.group("create", "mail", "--topic", "orders", "--model", "queue")
        self.group("create", "audit", "--topic", "orders")
        self.weir("pub", "orders/k", "-l", stdin="a\nb\nc\n")
        self.gateway.end()  # what memory has is there, whatever compaction removed from segments
        self.gateway = self.serve("--set", "cleanup_every_ms=100").ready()
        cli_test.wait_for(lambda: self.story(1)["record"] is None, "compaction")
        out, _ = self.weir("why", "orders", "0", "1")
        self.assertIn("orders partition 0 offset 1: the record is gone: compaction or retention removed it", out)
        for group in ("mail", "audit"):
            self.assertIn(f"{group}: gone; it is passed over when its turn comes (1 before it), and is superseded", out)
        self.assertNotIn("waiting", out)
        self.assertIn("mail: waiting, 2 before it", self.weir("why", "orders", "0", "2")[0])
        self.assertIn("with those that compaction has removed", self.weir("topic", "info", "orders")[0])
        self.weir("topic", "create", "plain")
        self.assertNotIn("compaction", self.weir("topic", "info", "plain")[0])

    def test_a_dead_letter_is_named_and_so_is_what_came_of_it(self):
        self.weir("topic", "create", "dead")
        self.queue("create", "jobs", "--dead-letter", "dead", "--delivery-limit", "1")
        self.weir("pub", "jobs", "-l", stdin="a\nb\nc\n")
        self.group("join", "jobs", "-C", "3", "-x", "exit 1")
        for offset in range(3):
            last = self.story(offset, topic="jobs")["lines"][-1]
            self.assertEqual(last["event"], "dead-lettered")
            self.assertEqual(last["letter"], {"topic": "dead", "partition": 0, "offset": offset})
        out, _ = self.weir("why", "jobs", "0", "1")
        self.assertIn("its dead letter of jobs: dead partition 0 offset 1; `weir why dead 0 1` goes on", out)
        self.queue("dead", "replay", "jobs", "-C", "1")
        self.queue("dead", "discard", "jobs", "-C", "1")
        replayed, discarded = (self.story(offset, topic="dead")["lines"][-1] for offset in range(2))
        self.assertEqual((replayed["event"], replayed["reason"]), ("accepted", "replayed: jobs 0 3"))
        self.assertEqual((discarded["event"], discarded["reason"]), ("accepted", "discarded"))
        self.assertIsNone(discarded["letter"])

    def test_a_reset_tells_what_it_passed_over_and_what_comes_again(self):
        self.orders(6)
        self.group("join", "mail", "--name", "worker-1", "-C", "3")
        self.group("reset", "mail", "--to", "1")
        self.assertEqual([event for event, _ in self.events(0, "mail")], ["leased", "accepted"])
        self.assertEqual([event for event, _ in self.events(1, "mail")], ["leased", "accepted", "reset"])
        self.group("reset", "mail", "--to", "5")
        last = self.story(1, "--group", "mail")["lines"][-1]
        self.assertEqual((last["event"], last["fate"], last["reason"]), ("skipped", "skipped", "reset"))
        self.assertEqual([event for event, _ in self.events(5, "mail")], [])
        self.group("create", "audit", "--topic", "orders")
        self.group("join", "audit", "--name", "reader", "-C", "4")
        self.group("reset", "audit", "--to", "2")
        self.assertEqual([event for event, _ in self.events(3, "audit")], ["accepted", "reset"])
        self.assertEqual([event for event, _ in self.events(1, "audit")], ["accepted"])

    def test_what_makes_no_sense_says_what_to_do(self):
        self.orders(1)
        _, err = self.weir("why", "orders", "0", "1", code=REFUSED)
        self.assertIn("weir topic info orders", err)
        _, err = self.weir("why", "nothing", "0", "0", code=NOT_FOUND)
        self.assertIn("weir topic ls", err)
        _, err = self.weir("why", "orders", "0", "0", "--group", "nobody", code=NOT_FOUND)
        self.assertIn("weir group ls", err)
        _, err = self.weir("why", "orders", "3", "0", code=NOT_FOUND)
        self.assertIn("orders has 1 partition", err)
        self.weir("why", "orders", "x", "0", code=USAGE)
        self.weir("why", "orders", "0", code=USAGE)

    def test_the_topic_of_stories_is_nobody_elses(self):
        self.orders(1)
        self.group("join", "mail", "-C", "1")
        self.assertNotIn("__fates", self.weir("topic", "ls")[0])
        self.assertIn("604800000", self.weir("topic", "describe", "__fates")[0])
        self.weir("topic", "alter", "__fates", "--retention-ms", "3600000")
        self.assertIn("3600000", self.weir("topic", "describe", "__fates")[0])
        self.weir("topic", "rm", "__fates", code=REFUSED)
        self.weir("pub", "__fates", "-m", "x", code=REFUSED)
        self.weir("sub", "__fates", "-W", "1", code=REFUSED)
        self.assertIn("__", self.weir("topic", "create", "__other", code=REFUSED)[1])


if __name__ == "__main__":
    cli_test.WEIR = os.path.abspath(sys.argv[1])
    unittest.main(argv=[sys.argv[0], "-v"] + sys.argv[2:])
