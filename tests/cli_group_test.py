#!/usr/bin/python3
"""Consumer groups and queues as a person uses them: `weir group` and `weir queue` against a gateway of their
own, members that are killed, and what comes again.

    cli_group_test.py WEIR
"""
import json
import os
import pty
import signal
import socket
import subprocess
import sys
import unittest

import cli_test
from cli_test import DEADLINE_S, DONE, ERROR, NOT_FOUND, REFUSED, TIMEOUT, USAGE, wait_for


class Groups(cli_test.Case):
    def setUp(self):
        super().setUp()
        self.gateway = self.serve().ready()
        self.members = []

    def tearDown(self):
        for member in self.members:
            if member.poll() is None:
                os.killpg(member.pid, signal.SIGKILL)
            member.communicate()
        super().tearDown()

    def weir(self, *arguments, stdin="", code=DONE, data="data"):
        return super().weir(*arguments, "--data", os.path.join(self.folder, data), stdin=stdin, code=code)

    def client(self, *arguments, stdin="", code=DONE):
        """topic, pub and sub: they are told the data directory already."""
        return super().weir(*arguments, stdin=stdin, code=code)

    def member(self, *arguments):
        """`weir group join` that goes on; it leads a process group, so that its command ends with it."""
        process = subprocess.Popen(
            [cli_test.WEIR, "group", "join", *arguments, "--data", self.gateway.data], stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True, cwd=self.folder,
            env=self.environment,
        )
        self.members.append(process)
        return process

    def kill(self, member):
        os.killpg(member.pid, signal.SIGKILL)
        member.communicate(timeout=DEADLINE_S)

    def info(self, group):
        return json.loads(self.weir("group", "info", group, "--json")[0])

    def joined(self, group, members):
        wait_for(lambda: len(self.info(group)["members"]) == members, f"{members} members")

    def orders(self, count, *options):
        self.client("topic", "create", "orders", *options)
        self.client("pub", "orders", "-l", stdin="".join(f"{i}\n" for i in range(count)))

    def held(self, name, group, *settings):
        """A member that holds one record, and the record: its command says which, and does not end."""
        path = os.path.join(self.folder, name)
        member = self.member(group, *settings, "-x", f"cat >{name}.part && mv {name}.part {name} && exec sleep 600")
        wait_for(lambda: os.path.exists(path), "a record is held")
        with open(path, encoding="utf-8") as file:
            return member, file.read()

    def fates_add_up(self, group, records):
        fates = self.info(group)["fates"]
        self.assertEqual(sum(fates.values()), records, fates)
        return fates

    # ---- queue groups

    def test_two_members_of_a_queue_group_share_and_nothing_is_given_twice(self):
        self.client("topic", "create", "orders")
        self.weir("group", "create", "mail", "--topic", "orders", "--model", "queue")
        first, second = (self.member("mail", "--max", "1", "-C", "20") for _ in range(2))
        self.joined("mail", 2)
        self.client("pub", "orders", "-l", stdin="".join(f"{i}\n" for i in range(40)))
        got = [member.communicate(timeout=DEADLINE_S)[0].split() for member in (first, second)]
        self.assertEqual([len(part) for part in got], [20, 20])
        self.assertEqual(sorted(got[0] + got[1], key=int), [str(i) for i in range(40)])
        self.assertEqual(self.fates_add_up("mail", 40)["accepted"], 40)

    def test_what_a_killed_member_held_goes_to_another(self):
        self.orders(3)
        member, record = self.held("held", "mail", "--topic", "orders", "--model", "queue")
        self.assertEqual(record, "0")
        self.assertEqual(self.info("mail")["partitions"][0]["leased"], 1)
        self.kill(member)
        out, _ = self.weir("group", "join", "mail", "-C", "3", "-o", "ndjson")
        records = [json.loads(line) for line in out.splitlines()]
        self.assertEqual(sorted(row["value"] for row in records), ["0", "1", "2"])
        again = next(row for row in records if row["value"] == "0")
        self.assertEqual((again["leased"], again["failed"]), (2, 1))
        self.assertEqual(self.fates_add_up("mail", 3)["accepted"], 3)

    def test_what_a_killed_member_held_at_most_once_never_comes_again(self):
        self.orders(3)
        member, record = self.held("held", "mail", "--topic", "orders", "--model", "queue", "--mode", "at-most-once")
        self.assertEqual(record, "0")
        self.kill(member)
        out, _ = self.weir("group", "join", "mail", "-C", "2")
        self.assertEqual(out, "1\n2\n")
        self.weir("group", "join", "mail", "-W", "1", code=TIMEOUT)

    def test_a_member_that_is_asked_to_stop_leaves_in_order(self):
        self.orders(3)
        self.weir("group", "create", "mail", "--topic", "orders", "--model", "queue")
        member = self.member("mail")
        wait_for(lambda: self.info("mail")["fates"]["accepted"] == 3, "all is accepted")
        member.send_signal(signal.SIGINT)
        out, err = member.communicate(timeout=DEADLINE_S)
        self.assertEqual((out, len(err.splitlines()), member.returncode), ("0\n1\n2\n", 1, DONE), err)
        self.assertEqual(self.info("mail")["members"], [])

    def test_a_stop_that_ends_the_command_too_is_no_failure(self):
        self.orders(1)
        member, _ = self.held("held", "mail", "--topic", "orders", "--model", "queue")
        os.killpg(member.pid, signal.SIGINT)
        _, err = member.communicate(timeout=DEADLINE_S)
        self.assertEqual((len(err.splitlines()), member.returncode), (1, DONE), err)
        out, _ = self.weir("group", "join", "mail", "-C", "1", "-o", "ndjson")
        self.assertEqual((json.loads(out)["leased"], json.loads(out)["failed"]), (2, 0))

    def test_groups_are_used_over_websocket_and_nng(self):
        gateway = self.serve("--set", "http.enabled=true", "--set", "http.port=0", "--set", "nng.enabled=true",
                             "--set", "nng.rep.url=tcp://127.0.0.1:0", "--set", "nng.pull.url=",
                             "--set", "nng.pub.url=", "--set", "nng.push.url=", name="web").ready()
        address = gateway.listeners["http"].removeprefix("http://").rstrip("/")
        web = ["--server", f"ws://{address}/v1"]
        nng = ["--server", f"nng+{gateway.listeners['nng.rep']}"]
        self.client("topic", "create", "orders", *web)
        self.client("pub", "orders", "-l", *web, stdin="0\n1\n2\n")
        for model in ("stream", "queue"):
            out, _ = self.weir("group", "join", model, "--model", model, "--topic", "orders", "-C", "1", *web)
            self.assertEqual(out, "0\n")
            out, _ = self.weir("group", "join", model, "-C", "1", *nng)
            self.assertEqual(out, "1\n")
            out, _ = self.weir("group", "join", model, "-C", "1", *web)
            self.assertEqual(out, "2\n")

    def test_a_lease_is_renewed_while_its_command_runs(self):
        self.orders(1)
        self.weir("group", "create", "mail", "--topic", "orders", "--model", "queue", "--lease-ms", "2000")
        _, err = self.weir("group", "join", "mail", "-C", "1", "-x", "sleep 5")
        self.assertNotIn("too late", err)
        self.assertEqual(self.info("mail")["fates"]["accepted"], 1)

    def test_what_fails_too_often_is_a_dead_letter(self):
        self.client("topic", "create", "dead")
        self.orders(2)
        self.weir("group", "create", "mail", "--topic", "orders", "--model", "queue", "--delivery-limit", "2",
                  "--dead-letter", "dead")
        _, err = self.weir("group", "join", "mail", "-C", "3", "-x", 'test "$(cat)" = 1')
        self.assertEqual(err.count("goes back, as a failure"), 2)
        fates = self.fates_add_up("mail", 2)
        self.assertEqual((fates["accepted"], fates["dead-lettered"]), (1, 1))
        out, _ = self.client("sub", "dead", "--from", "beginning", "-e", "-F", "%s %h")
        self.assertTrue(out.startswith("0 "), out)
        for header in ("weir-dead-group=mail", "weir-dead-reason=delivery-limit", "weir-dead-text=exit code 1"):
            self.assertIn(header, out)

    def test_a_command_that_gives_back_is_no_failure(self):
        self.orders(1)
        self.weir("group", "create", "mail", "--topic", "orders", "--model", "queue")
        command = 'echo "$WEIR_TOPIC $WEIR_OFFSET $WEIR_LEASED $WEIR_FAILED"; [ "$WEIR_LEASED" = 2 ] || exit 75'
        out, _ = self.weir("group", "join", "mail", "-C", "2", "-x", command)
        self.assertEqual(out, "orders 0 1 0\norders 0 2 0\n")

    # ---- stream groups

    def test_a_stream_group_goes_on_where_it_committed(self):
        self.orders(10)
        out, _ = self.weir("group", "join", "billing", "--topic", "orders", "-C", "4")
        self.assertEqual(out, "0\n1\n2\n3\n")
        row = json.loads(self.weir("group", "lag", "billing", "--json")[0])[0]
        self.assertEqual((row["committed"], row["end"], row["lag"]), (4, 10, 6))
        out, _ = self.weir("group", "join", "billing", "-C", "6")
        self.assertEqual(out, "".join(f"{i}\n" for i in range(4, 10)))
        self.assertEqual(self.fates_add_up("billing", 10)["accepted"], 10)

    def test_what_a_gateway_was_told_is_there_after_a_kill(self):
        self.orders(10)
        self.weir("group", "join", "billing", "--topic", "orders", "-C", "4")
        self.weir("group", "join", "mail", "--topic", "orders", "--model", "queue", "-C", "7")
        self.gateway.end(signal.SIGKILL)
        self.gateway = self.serve().ready()
        self.assertEqual(self.weir("group", "join", "billing", "-C", "1")[0], "4\n")
        self.assertEqual(self.weir("group", "join", "mail", "-C", "1")[0], "7\n")

    def test_a_killed_member_of_a_stream_loses_nothing(self):
        self.orders(3)
        member, record = self.held("held", "billing", "--topic", "orders")
        self.assertEqual(record, "0")
        self.kill(member)
        self.assertEqual(self.weir("group", "join", "billing", "-C", "3")[0], "0\n1\n2\n")

    def test_a_killed_member_of_a_stream_at_most_once_gets_nothing_twice(self):
        self.orders(3)
        member, record = self.held("held", "billing", "--topic", "orders", "--mode", "at-most-once")
        self.assertEqual(record, "0")
        self.kill(member)
        self.assertEqual(self.weir("group", "join", "billing", "-C", "2")[0], "1\n2\n")

    def test_a_failed_command_ends_a_stream_member_and_its_record_comes_again(self):
        self.orders(3)
        _, err = self.weir("group", "join", "billing", "--topic", "orders", "-x", 'test "$(cat)" = 0', code=ERROR)
        self.assertIn("orders 0 1: the command ended with code 1; the record is not committed", err)
        self.assertEqual(self.weir("group", "join", "billing", "-C", "2")[0], "1\n2\n")

    def test_two_members_of_a_stream_divide_the_partitions(self):
        self.client("topic", "create", "orders", "-p", "4")
        self.weir("group", "create", "billing", "--topic", "orders")
        first, second = self.member("billing"), self.member("billing")
        wait_for(lambda: sorted(row["partitions"] for row in self.info("billing")["members"]) == [2, 2], "two each")
        self.client("pub", "orders", "-l", "-K", ":", stdin="".join(f"k{i}:{i}\n" for i in range(100)))
        wait_for(lambda: self.info("billing")["lag"] == 0, "all is read")
        got = []
        for member in (first, second):
            member.send_signal(signal.SIGTERM)
            got.append(member.communicate(timeout=DEADLINE_S)[0].split())
        self.assertEqual(sorted(got[0] + got[1], key=int), [str(i) for i in range(100)])
        self.assertTrue(got[0] and got[1])

    # ---- a mode that is changed

    def test_a_member_settles_each_record_by_the_mode_in_which_it_was_handed_out(self):
        modes = ("at-least-once", "at-most-once")
        for number in range(8):
            model, command = ("queue", "stream")[number & 1], ([], ["--exec", "cat"])[number >> 1 & 1]
            before, after = modes if number & 4 else reversed(modes)
            name = f"{model}-{number}"
            with self.subTest(model=model, command=command, before=before):
                self.client("topic", "create", name)
                self.weir("group", "create", name, "--topic", name, "--model", model, "--mode", before)
                member = self.member(name, "-C", "3", *command)
                accepted = lambda count: wait_for(  # noqa: E731
                    lambda: self.info(name)["fates"]["accepted"] == count, f"{count} accepted")
                self.client("pub", name, "-l", stdin="one\n")
                accepted(1)
                self.weir("group", "alter", name, "--mode", after)
                for count, value in ((2, "two"), (3, "three")):
                    self.client("pub", name, "-l", stdin=f"{value}\n")
                    accepted(count)
                out, err = member.communicate(timeout=DEADLINE_S)
                self.assertEqual((out.split(), member.returncode), (["one", "two", "three"] if not command
                                                                    else ["onetwothree"], DONE), err)
                self.assertIn(f"{name}: the group's mode was changed to {after}: from now on this ", err)
                self.fates_add_up(name, 3)

    # ---- resets

    def test_a_reset_of_a_queue_group_counts_what_is_settled(self):
        self.orders(10)
        self.weir("group", "create", "mail", "--topic", "orders", "--model", "queue")
        self.weir("group", "join", "mail", "-C", "9", "--exec", 'read x; [ "$x" = 1 ] && exit 75; exit 0')
        settled = self.info("mail")["fates"]["accepted"]
        self.assertLess(self.info("mail")["partitions"][0]["committed"], settled)  # the released one is before them
        for to, again, skipped in (("beginning", settled, 0), ("end", 0, 10 - settled)):
            out, _ = self.weir("group", "reset", "mail", "--to", to, "--dry-run", "-o", "ndjson")
            self.assertEqual((json.loads(out)["again"], json.loads(out)["skipped"]), (again, skipped), out)

    def test_a_reset_is_shown_first_and_then_done(self):
        self.orders(10)
        self.weir("group", "join", "billing", "--topic", "orders", "-C", "8")
        out, err = self.weir("group", "reset", "billing", "--to", "beginning", "--dry-run", "-o", "ndjson")
        self.assertEqual(json.loads(out), {"topic": "orders", "partition": 0, "from": 8, "to": 0, "again": 8,
                                           "skipped": 0})
        self.assertIn("nothing was changed", err)
        self.assertEqual(self.info("billing")["partitions"][0]["committed"], 8)
        out, _ = self.weir("group", "reset", "billing", "--to", "-3", "-o", "ndjson")
        self.assertEqual(json.loads(out)["to"], 5)
        self.assertEqual(self.weir("group", "join", "billing", "-C", "1")[0], "5\n")
        self.weir("group", "reset", "billing", "--to", "2", "--topic", "orders", "--partition", "0")
        self.assertEqual(self.weir("group", "join", "billing", "-C", "1")[0], "2\n")
        self.weir("group", "reset", "billing", "--to", "end")
        self.assertEqual(self.info("billing")["lag"], 0)
        self.member("billing")
        self.joined("billing", 1)
        _, err = self.weir("group", "reset", "billing", "--to", "end", code=REFUSED)
        self.assertIn("stop them first", err)

    # ---- queues

    def test_a_queue_keeps_what_is_not_settled(self):
        self.weir("queue", "create", "jobs", "--lease-ms", "60000", "--key-ordered", "yes")
        self.client("pub", "jobs", "-l", stdin="a\nb\nc\n")
        self.assertEqual(self.weir("queue", "peek", "jobs", "-C", "2")[0], "a\nb\n")
        self.assertEqual(self.weir("group", "join", "jobs", "-C", "1")[0], "a\n")
        row = json.loads(self.weir("queue", "ls", "--json")[0])[0]
        self.assertEqual((row["queue"], row["pending"], row["accepted"]), ("jobs", 2, 1))
        self.assertEqual(self.weir("queue", "peek", "jobs")[0], "b\nc\n")
        info = json.loads(self.weir("queue", "info", "jobs", "--json")[0])
        self.assertEqual((info["model"], info["lease_ms"], info["key_ordered"]), ("queue", 60000, True))
        _, err = self.client("sub", "jobs/k", "-C", "1", code=REFUSED)
        self.assertIn("weir group join jobs", err)

    def test_a_topic_can_be_a_queue(self):
        self.client("topic", "create", "jobs", "--kind", "queue")
        out, _ = self.client("topic", "describe", "jobs", "-o", "ndjson")
        rows = {row["setting"]: row["value"] for row in map(json.loads, out.splitlines())}
        self.assertEqual((rows["kind"], rows["retention_ms"]), ("queue", -1))
        self.weir("group", "delete", "jobs", code=REFUSED)

    def test_a_queue_that_has_too_much_drops_the_oldest_or_makes_them_dead_letters(self):
        self.client("topic", "create", "dead")
        self.weir("queue", "create", "jobs", "--max-records", "2", "--overflow", "drop-oldest")
        self.weir("queue", "create", "kept", "--max-bytes", "4096", "--overflow", "dead-letter", "--dead-letter", "dead")
        self.client("pub", "jobs", "-l", stdin="a\nb\nc\nd\ne\n")
        for number in range(8):
            self.client("pub", "kept", "-m", f"{number}" * 1000)

        def row(queue):
            return next(row for row in json.loads(self.weir("queue", "ls", "--json")[0]) if row["queue"] == queue)

        wait_for(lambda: row("jobs")["pending"] == 2, "three were dropped")
        self.assertEqual(row("jobs")["dropped"], 3)
        self.assertEqual(self.weir("queue", "peek", "jobs")[0], "d\ne\n")
        wait_for(lambda: row("kept")["pending"] == 3, "five are dead letters")
        letters = json.loads(self.weir("queue", "dead", "ls", "kept", "--json")[0])
        self.assertEqual([(letter["of_offset"], letter["reason"]) for letter in letters],
                         [(offset, "overflow") for offset in range(5)])
        info = json.loads(self.weir("queue", "info", "kept", "--json")[0])
        self.assertEqual((info["max_records"], info["max_bytes"], info["overflow"]), (-1, 4096, "dead-letter"))
        self.assertIn("drop-oldest", self.weir("queue", "info", "jobs")[0])
        _, err = self.weir("group", "create", "g", "--topic", "dead", "--model", "queue", "--max-records", "9", code=REFUSED)
        self.assertIn("drop-oldest", err)

    def test_a_refused_queue_create_leaves_nothing_behind(self):
        for options, code, words in (
            (["--max-records", "2", "--overflow", "dead-letter"], REFUSED,
             "overflow dead-letter needs a dead-letter topic, which q3 does not have: name one with --dead-letter TOPIC"),
            (["--dead-letter", "nosuchdead"], NOT_FOUND, "`weir topic create nosuchdead` declares it"),
            (["--dead-letter", "__fates"], REFUSED, "__fates is the gateway's own"),  # seen by the gateway alone
        ):
            with self.subTest(options=options):
                if options[1] == "__fates":  # there from the first story on
                    self.orders(1)
                    self.weir("group", "join", "mail", "--topic", "orders", "-C", "1")
                _, err = self.weir("queue", "create", "q3", *options, code=code)
                self.assertEqual(len(err.splitlines()), 1, err)
                self.assertIn(words, err)
                self.client("topic", "describe", "q3", code=NOT_FOUND)
                self.weir("group", "info", "q3", code=NOT_FOUND)
        self.weir("queue", "create", "q3", "--lease-ms", "5000")
        before = self.info("q3")
        self.weir("queue", "create", "q3", "--dead-letter", "__fates", code=REFUSED)
        self.assertEqual(self.info("q3"), before)

    def test_what_is_deleted_says_how_much_of_it_was_pending_in_whose_group(self):
        self.orders(3)
        self.weir("group", "create", "mail", "--topic", "orders", "--model", "queue")
        self.weir("group", "join", "billing", "--topic", "orders", "-C", "2")
        self.weir("queue", "create", "jobs")
        self.weir("queue", "create", "none")
        self.client("pub", "jobs", "-m", "x")
        for topic, words in (("orders", "; 1 was pending in billing, 3 in mail"), ("jobs", "; 1 was pending in jobs"),
                             ("none", "")):
            self.assertEqual(self.client("topic", "rm", topic)[1], f"weir: {topic}: deleted, with its records{words}\n")

    def test_a_queue_is_not_replayed_and_says_what_to_do(self):
        self.weir("queue", "create", "jobs")
        self.orders(2)
        self.client("pub", "jobs", "-m", "x")
        for source in ("jobs", "jobs/k", "jobs/#"):
            _, err = self.client("replay", source, code=REFUSED)
            self.assertIn("jobs is a queue", err)
            self.assertIn("`weir queue peek jobs`", err)
        self.assertEqual(self.client("replay", "#", "--speed", "max")[0], "0\n1\n")

    def test_queue_info_says_what_holds_for_queues(self):
        self.weir("queue", "create", "jobs")
        rows = [line.split()[:2] for line in self.weir("queue", "info", "jobs")[0].splitlines()]
        self.assertEqual(rows[1], ["queue", "jobs"])
        self.assertIn(["max_records", "unlimited"], rows)
        self.assertNotIn("removed", [row[0] for row in rows if row])
        self.orders(1)
        self.weir("group", "create", "billing", "--topic", "orders")
        rows = [line.split()[:2] for line in self.weir("group", "info", "billing")[0].splitlines()]
        self.assertEqual(rows[1], ["group", "billing"])
        self.assertIn(["removed", "beginning"], rows)
        self.assertEqual(json.loads(self.weir("queue", "info", "jobs", "--json")[0])["max_records"], -1)

    def test_a_group_that_would_read_its_own_dead_letters_is_refused(self):
        self.client("topic", "create", "jobs-dead")
        _, err = self.weir("queue", "create", "selfdl", "--dead-letter", "selfdl", code=USAGE)
        self.assertIn("its own dead letters", err)
        self.client("topic", "describe", "selfdl", code=NOT_FOUND)
        self.weir("queue", "create", "selfdl")
        _, err = self.weir("group", "alter", "selfdl", "--dead-letter", "selfdl", code=REFUSED)
        self.assertIn("selfdl reads selfdl itself", err)
        for reads in (("--topic", "jobs-dead"), ("--filter", "#")):
            _, err = self.weir("group", "create", "loop", *reads, "--model", "queue", "--dead-letter", "jobs-dead", code=REFUSED)
            self.assertIn("dead letters would come back", err)

    def test_a_topic_keeps_what_groups_have_not_settled(self):
        self.client("topic", "create", "kept", "--retention-unsettled", "keep", "--retention-unsettled-bytes", "1000000")
        self.client("topic", "create", "plain")
        self.client("topic", "alter", "plain", "--retention-unsettled", "keep")
        self.client("topic", "alter", "plain", "--retention-unsettled", "expire")
        self.client("topic", "create", "plain", "--retention-unsettled", "often", code=USAGE)

        def settings(topic):
            out, _ = self.client("topic", "describe", topic, "-o", "ndjson")
            return {row["setting"]: row["value"] for row in map(json.loads, out.splitlines())}

        rows = settings("kept")
        self.assertEqual((rows["retention_unsettled"], f"{rows['retention_unsettled_bytes']}", f"{rows['held_bytes']}"),
                         ("keep", "1000000", "0"))
        self.assertEqual(settings("plain")["retention_unsettled"], "expire")
        row = next(row for row in json.loads(self.client("topic", "ls", "-o", "json")[0]) if row["topic"] == "kept")
        self.assertEqual(row["held_bytes"], 0)

    def test_what_a_terminal_would_obey_is_shown_and_not_sent(self):
        red, title = "\x1b[31m", "\x1b]0;owned\x07"
        shown_red, shown_title = "\\x1b[31m", "\\x1b]0;owned\\x07"
        self.client("topic", "create", "dead")
        self.weir("queue", "create", "jobs", "--dead-letter", "dead", "--delivery-limit", "1")
        self.client("pub", "jobs", "-k", red, "-m", f"v{red}\n2", "-H", f"x={title}")
        self.weir("group", "join", "jobs", "-C", "1", "-x", "exit 9", "--quiet")
        for arguments in (["queue", "dead", "ls", "jobs"], ["why", "dead", "0", "0"]):
            out, _ = self.weir(*arguments) if arguments[0] == "queue" else self.client(*arguments)
            self.assertNotIn("\x1b", out)
            self.assertIn("1b[31m", out)
        self.assertIn(shown_red, self.weir("queue", "dead", "ls", "jobs")[0])
        self.assertEqual(json.loads(self.weir("queue", "dead", "ls", "jobs", "--json")[0])[0]["key"], red)
        for arguments in (["group", "info", red], ["queue", "info", red], ["queue", "dead", "ls", red], ["group", "join", red]):
            _, err = self.weir(*arguments, code=NOT_FOUND)
            self.assertNotIn("\x1b", err)
            self.assertIn(shown_red, err)
        for flag in ("--name", "--instance"):
            _, err = self.weir("group", "join", "g", "--topic", "dead", flag, red, code=REFUSED)
            self.assertIn("without control characters", err)

        read = ["sub", "dead/#", "--from", "beginning", "-e", "-F", "%k|%s|%h"]
        self.assertTrue(self.client(*read)[0].startswith(f"{red}|v{red}\n2|x={title}"))
        ours, theirs = pty.openpty()  # a terminal
        with open(ours, "rb", closefd=True) as terminal:
            done = subprocess.run([cli_test.WEIR, *read, "--data", self.gateway.data], stdin=subprocess.DEVNULL,
                                  stdout=theirs, stderr=subprocess.PIPE, timeout=DEADLINE_S, env=self.environment)
            os.close(theirs)
            self.assertEqual(done.returncode, DONE, done.stderr)
            out = os.read(terminal.fileno(), 4096).decode()
        self.assertTrue(out.startswith(f"{shown_red}|v{shown_red}\r\n2|x={shown_title}"), out)

    def test_dead_letters_of_a_queue_are_listed_replayed_and_discarded(self):
        self.client("topic", "create", "dead")
        for queue in ("jobs", "others"):
            self.weir("queue", "create", queue, "--delivery-limit", "1", "--dead-letter", "dead")
        self.client("pub", "jobs", "-k", "k", "-H", "a=1", "-f", self.file("value", "two\nlines"))
        self.client("pub", "others", "-m", "not this one")
        self.client("pub", "jobs/k", "-m", "second")
        self.weir("group", "join", "jobs", "-C", "1", "-x", "exit 9")
        self.weir("group", "join", "others", "-C", "1", "-x", "exit 9")
        self.weir("group", "join", "jobs", "-C", "1", "-x", "exit 8")
        rows = json.loads(self.weir("queue", "dead", "ls", "jobs", "--json")[0])
        self.assertEqual([(row["of_offset"], row["text"], row["key"]) for row in rows],
                         [(0, "exit code 9", "k"), (1, "exit code 8", "k")])
        self.assertEqual([(row["of_partition"], row["leased"], row["failed"]) for row in rows], [(0, 1, 1)] * 2)
        _, err = self.weir("queue", "dead", "replay", "jobs", "-C", "1")
        self.assertEqual(err, "weir: jobs: 1 dead letter replayed\n")
        rows = json.loads(self.weir("queue", "dead", "ls", "jobs", "--json")[0])
        self.assertEqual([row["of_offset"] for row in rows], [1])
        out, _ = self.weir("group", "join", "jobs", "-C", "1", "-F", "%o %k %h %s")
        self.assertEqual(out, "2 k a=1 two\nlines\n")
        _, err = self.weir("queue", "dead", "discard", "jobs")
        self.assertEqual(err, "weir: jobs: 1 dead letter discarded\n")
        self.assertEqual(self.weir("queue", "dead", "ls", "jobs", "--json")[0].strip(), "[]")
        self.assertEqual(len(json.loads(self.weir("queue", "dead", "ls", "others", "--json")[0])), 1)
        self.weir("queue", "create", "plain")
        _, err = self.weir("queue", "dead", "ls", "plain", code=NOT_FOUND)
        self.assertIn("group alter plain --dead-letter TOPIC", err)
        self.weir("queue", "dead", "ls", "nosuch", code=NOT_FOUND)
        self.weir("queue", "dead", "eat", "jobs", code=USAGE)

    def test_replay_ends_when_letters_come_back(self):
        self.client("topic", "create", "dead", "--partitions", "3", "-d", "os")
        self.weir("queue", "create", "jobs", "-d", "os", "--max-records", "3", "--overflow", "dead-letter", "--dead-letter", "dead")
        self.client("pub", "jobs", "-l", "-K", ":", stdin="".join(f"{i % 7}:{i}\n" for i in range(150)))
        there = len(json.loads(self.weir("queue", "dead", "ls", "jobs", "--json")[0]))
        self.assertGreater(there, 140)
        for action, word in (("replay", "replayed"), ("replay", "replayed"), ("discard", "discarded")):
            _, err = self.weir("queue", "dead", action, "jobs")
            self.assertEqual(err, f"weir: jobs: {there} dead letters {word}\n")
            rows = json.loads(self.weir("queue", "dead", "ls", "jobs", "--json")[0])
            self.assertEqual(len(rows), there if action == "replay" else 0)
        partitions = self.info("dead-letters.jobs")["partitions"]
        self.assertEqual(sum(part["lag"] for part in partitions), 0)
        self.assertEqual(self.info("dead-letters.jobs")["failed_times"], 0)

    def units(self):
        """What the gateway wrote in its journal, each in one piece."""
        rows = {row["metric"]: row["value"] for row in json.loads(self.client("stats", "--json")[0])}
        return rows["weir_journal_units_total"]

    def test_letters_of_others_are_passed_over_in_few_steps(self):
        self.client("topic", "create", "dead")
        self.weir("queue", "create", "others", "--max-records", "1", "--overflow", "dead-letter", "--dead-letter", "dead")
        self.weir("queue", "create", "jobs", "--max-records", "1", "--overflow", "dead-letter", "--dead-letter", "dead")
        self.client("pub", "others", "-l", stdin="x\n" * 1201)
        self.client("pub", "jobs", "-l", stdin="0\n1\n2\n3\n")
        wait_for(lambda: len(json.loads(self.weir("queue", "dead", "ls", "jobs", "--json")[0])) == 3, "three letters")
        self.client("topic", "create", "again")
        before = self.units()
        _, err = self.weir("queue", "dead", "replay", "jobs", "-C", "2", "--to", "again")
        self.assertEqual(err, "weir: jobs: 2 dead letters replayed\n")
        self.assertLess(self.units() - before, 200)
        self.assertEqual(self.client("sub", "again", "--from", "beginning", "-C", "2")[0], "0\n1\n")
        self.assertEqual([row["of_offset"] for row in json.loads(self.weir("queue", "dead", "ls", "jobs", "--json")[0])], [2])
        _, err = self.weir("queue", "dead", "discard", "jobs")
        self.assertEqual(err, "weir: jobs: 1 dead letter discarded\n")
        self.assertEqual(self.info("dead-letters.jobs")["partitions"][0]["lag"], 0)

    def test_letters_of_others_are_no_lag_of_a_memory(self):
        self.client("topic", "create", "dead")
        for queue in ("others", "jobs"):
            self.weir("queue", "create", queue, "--max-records", "1", "--overflow", "dead-letter", "--dead-letter", "dead")
        self.weir("queue", "dead", "discard", "jobs")
        self.client("pub", "others", "-l", stdin="x\n" * 4)
        wait_for(lambda: self.info("dead-letters.jobs")["partitions"][0]["lag"] == 3, "three letters")
        rows = {row["group"]: row["lag"] for row in json.loads(self.weir("group", "ls", "--json")[0])}
        self.assertEqual((rows["others"], rows["dead-letters.jobs"]), (1, None))

    def test_what_a_member_said_of_a_letter_is_shown_whole(self):
        self.client("topic", "create", "dead")
        self.weir("queue", "create", "jobs", "--dead-letter", "dead")
        self.client("pub", "jobs", "-l", stdin="0\n1\n")
        said = ["x" + "\u00e9" * 400 + " .", "x" + "\u00e9" * 600]
        with socket.socket(socket.AF_UNIX) as peer:
            peer.settimeout(DEADLINE_S)
            peer.connect(os.path.join(self.gateway.data, "weir.sock"))
            lines = peer.makefile("rw")

            def ask(**command):
                lines.write(json.dumps(command) + "\n")
                lines.flush()
                answer = json.loads(lines.readline())
                self.assertNotIn("error", answer)
                return answer

            ask(cmd="hello", version=1)
            ask(cmd="join", id=1, group="jobs")
            for number, reason in enumerate(said):
                record = ask(cmd="lease", id=2, member=1, max=1, wait_ms=60000)["records"][0]
                ask(cmd="settle", id=3 + number, member=1, verb="reject", reason=reason,
                    records=[{"topic": "jobs", "offset": record["offset"], "lease": record["lease"]}])
            ask(cmd="goodbye", id=5)
        rows = json.loads(self.weir("queue", "dead", "ls", "jobs", "--json")[0])
        self.assertEqual([row["text"] for row in rows], [said[0], "x" + "\u00e9" * 511])  # the gateway keeps 1,024 bytes
        table = self.weir("queue", "dead", "ls", "jobs")[0]
        self.assertEqual(table.count("x" + "\u00e9" * 149 + "\u2026 "), 2, table)

    def test_each_queue_has_a_memory_of_its_own_for_its_dead_letters(self):
        self.client("topic", "create", "dead")
        for queue in ("a/b", "a.b", "a%2Fb"):
            self.weir("queue", "create", queue, "--delivery-limit", "1", "--dead-letter", "dead")
            self.client("pub", queue, "-m", queue)
            self.weir("group", "join", queue, "-C", "1", "-x", "exit 1")
        self.weir("queue", "dead", "discard", "a/b")
        left = {queue: json.loads(self.weir("queue", "dead", "ls", queue, "--json")[0]) for queue in ("a/b", "a.b", "a%2Fb")}
        self.assertEqual([len(rows) for rows in left.values()], [0, 1, 1])
        row = left["a.b"][0]
        self.assertEqual((row["leased"], row["failed"], row["origin"]), (1, 1, "local"))
        self.assertRegex(row["time"], r"^20\d\d-.*Z$")
        for queue in ("a.b", "a%2Fb"):
            self.weir("queue", "dead", "replay", queue)
            self.assertEqual(self.weir("group", "join", queue, "-C", "1")[0], f"{queue}\n")
        names = [row["group"] for row in json.loads(self.weir("group", "ls", "--json")[0])]
        self.assertLess({"dead-letters.a%2Fb", "dead-letters.a.b", "dead-letters.a%252Fb"}, set(names))

    def dead(self, action, group, *options, code=DONE):
        """The sentences that it says; of ls: its rows."""
        out, err = self.weir("group", "dead", action, group, *options, *(["--json"] if action == "ls" else []), code=code)
        return json.loads(out) if action == "ls" else err

    def adds_up(self, group, **fates):
        """Every record of each partition has one fate or is pending, and these have so many."""
        info = self.info(group)
        for part in info["partitions"]:
            self.assertEqual(sum(part["fates"].values()), part["end"] - part["start"], part)
        self.assertEqual({name: info["fates"][name.replace("_", "-")] for name in fates}, fates)

    def test_dead_letters_of_a_group_over_a_log_are_replayed_for_all_that_read_it(self):
        self.client("topic", "create", "dead")
        self.orders(2)
        self.weir("group", "create", "mail", "--topic", "orders", "--model", "queue", "--delivery-limit", "1",
                  "--dead-letter", "dead")
        self.weir("group", "create", "billing", "--topic", "orders")
        self.weir("group", "join", "billing", "-C", "2")
        self.weir("group", "join", "mail", "-C", "2", "-x", "exit 9")
        rows = self.dead("ls", "mail")
        self.assertEqual([(row["of_topic"], row["of_offset"], row["reason"], row["text"], row["failed"]) for row in rows],
                         [("orders", 0, "delivery-limit", "exit code 9", 1), ("orders", 1, "delivery-limit", "exit code 9", 1)])
        self.assertRegex(rows[0]["time"], r"^20\d\d-.*Z$")
        self.adds_up("mail", dead_lettered=2, pending=0)
        said = self.dead("replay", "mail", "-C", "1")
        self.assertIn("all who read it get it again: billing; --to TOPIC publishes elsewhere", said)
        self.assertIn("mail: 1 dead letter replayed", said)
        self.assertEqual([row["of_offset"] for row in self.dead("ls", "mail")], [1])
        self.assertEqual(self.weir("group", "join", "mail", "-C", "1", "-F", "%o %s")[0], "2 0\n")
        self.assertEqual(self.weir("group", "join", "billing", "-C", "1", "-F", "%o %s")[0], "2 0\n")
        self.assertEqual(self.dead("discard", "mail"), "weir: mail: 1 dead letter discarded\n")
        self.assertEqual(self.dead("ls", "mail"), [])
        self.adds_up("mail", dead_lettered=2, accepted=1, pending=0)
        for offset, reason in enumerate(("replayed: orders 0 2", "discarded")):
            story = json.loads(self.client("why", "dead", "0", str(offset), "--json")[0])
            last = story["lines"][-1]
            self.assertEqual((last["group"], last["fate"], last["reason"]), ("dead-letters.mail", "accepted", reason))
        _, err = self.weir("queue", "dead", "ls", "mail", code=NOT_FOUND)
        self.assertIn("`weir group dead ls mail`", err)

    def test_dead_letters_go_back_to_the_topics_that_they_came_from(self):
        self.client("topic", "create", "dead")
        self.weir("group", "create", "all", "--filter", "shop/#", "--model", "queue", "--delivery-limit", "1",
                  "--dead-letter", "dead")
        for topic in ("shop/a", "shop/b"):
            self.client("topic", "create", topic)
            self.client("pub", topic, "-k", "k", "-m", f"of {topic}")
            self.weir("group", "join", "all", "-C", "1", "-x", "exit 9")
        self.assertEqual([row["of_topic"] for row in self.dead("ls", "all")], ["shop/a", "shop/b"])
        self.client("topic", "rm", "shop/b")
        said = self.dead("replay", "all", code=NOT_FOUND)
        self.assertIn("came from shop/b, which all does not read any more: it stays", said)
        self.assertIn("all: 1 dead letter replayed", said)
        self.assertEqual(self.weir("group", "join", "all", "-C", "1", "-F", "%t %o %k %s")[0], "shop/a 1 k of shop/a\n")
        self.client("topic", "create", "again")
        self.assertIn("dead is where the dead letters of all are", self.dead("replay", "all", "--to", "dead", code=REFUSED))
        self.dead("replay", "all", "--to", "nosuch", code=NOT_FOUND)
        self.weir("group", "dead", "ls", "all", "--to", "again", code=USAGE)
        self.assertEqual(self.dead("replay", "all", "--to", "again"), "weir: all: 1 dead letter replayed\n")
        self.assertEqual(self.client("sub", "again/#", "--from", "beginning", "-C", "1", "-F", "%k %s")[0], "k of shop/b\n")
        self.assertEqual(self.dead("ls", "all"), [])

    def test_dead_letters_of_a_stream_group_are_replayed_and_discarded(self):
        self.client("topic", "create", "dead")
        self.orders(3)
        self.weir("group", "create", "billing", "--topic", "orders", "--dead-letter", "dead")
        with socket.socket(socket.AF_UNIX) as peer:
            peer.settimeout(DEADLINE_S)
            peer.connect(os.path.join(self.gateway.data, "weir.sock"))
            lines = peer.makefile("rw")

            def ask(**command):
                lines.write(json.dumps(command) + "\n")
                lines.flush()
                answer = json.loads(lines.readline())
                while "id" in command and answer.get("id") != command["id"]:  # it is told what it owns, too
                    answer = json.loads(lines.readline())
                self.assertNotIn("error", answer)
                return answer

            ask(cmd="hello", version=1)
            ask(cmd="join", id=1, group="billing")
            records = []
            wait_for(lambda: records or records.extend(
                ask(cmd="lease", id=2, member=1, max=3, wait_ms=1000)["records"]) or records, "the records")
            self.assertEqual(len(records), 3)
            for offset in range(2):
                ask(cmd="settle", id=3 + offset, member=1, verb="reject", reason="no such customer",
                    records=[{"topic": "orders", "offset": offset}])
            ask(cmd="goodbye", id=5)
        rows = self.dead("ls", "billing")
        self.assertEqual([(row["of_offset"], row["reason"], row["text"]) for row in rows],
                         [(0, "rejected", "no such customer"), (1, "rejected", "no such customer")])
        self.assertIn("billing: 1 dead letter replayed", self.dead("replay", "billing", "-C", "1"))
        self.assertIn("billing: 1 dead letter discarded", self.dead("discard", "billing"))
        self.assertEqual(self.weir("group", "join", "billing", "-C", "2", "-F", "%o %s")[0], "2 2\n3 0\n")
        self.adds_up("billing", dead_lettered=2, accepted=2, pending=0)

    def test_a_member_tells_what_it_is_and_does(self):
        self.orders(1)
        _, err = self.weir("group", "join", "billing", "--topic", "orders", "-C", "1")
        self.assertIn("billing: a member (stream, at-least-once): prints records and commits them", err)
        self.weir("group", "create", "mail", "--topic", "orders", "--model", "queue", "--lease-ms", "1500")
        _, err = self.weir("group", "join", "mail", "-C", "1", "-x", "true")
        self.assertIn("mail: a member (queue, at-least-once, leases of 1.5 s): runs the command", err)
        self.assertEqual(self.weir("group", "join", "billing", "-W", "0.1", "--quiet", code=TIMEOUT)[1], "")

    def test_a_queue_that_has_no_room_for_a_replayed_letter_is_named(self):
        self.client("topic", "create", "dead")
        self.weir("queue", "create", "full", "--max-records", "1", "--delivery-limit", "1", "--dead-letter", "dead")
        self.client("pub", "full", "-m", "first")
        self.weir("group", "join", "full", "-C", "1", "-x", "exit 1")
        self.client("pub", "full", "-m", "second")
        _, err = self.weir("queue", "dead", "replay", "full", code=REFUSED)
        self.assertRegex(err, r"^weir: full: The queue has all it may have")
        self.assertNotIn("dead-letters.full", err)
        self.assertEqual(len(json.loads(self.weir("queue", "dead", "ls", "full", "--json")[0])), 1)

    def test_without_a_dead_letter_topic_each_model_says_what_comes_of_records(self):
        self.orders(1)
        self.weir("group", "create", "billing", "--topic", "orders")
        self.weir("group", "create", "mail", "--topic", "orders", "--model", "queue")
        said = self.dead("discard", "billing", code=NOT_FOUND)
        self.assertIn("billing has no dead-letter topic: what is rejected is counted so, and kept nowhere else", said)
        said = self.dead("discard", "mail", code=NOT_FOUND)
        self.assertIn("mail has no dead-letter topic: what fails too often is dropped", said)

    def test_idle_members_are_shown(self):
        self.orders(1)
        self.weir("group", "create", "billing", "--topic", "orders")
        self.assertIn("happened", self.weir("group", "info", "billing")[0])
        for _ in range(2):
            self.member("billing")
        wait_for(lambda: sorted(row["partitions"] for row in self.info("billing")["members"]) == [0, 1], "one has it")
        self.assertIn("idle: no partition is left for it", self.weir("group", "info", "billing")[0])
        row = json.loads(self.weir("group", "ls", "--json")[0])[0]
        self.assertEqual((row["members"], row["idle"]), (2, 1))

    def test_lag_is_told_in_seconds(self):
        self.orders(1)
        self.weir("group", "create", "billing", "--topic", "orders")
        wait_for(lambda: json.loads(self.weir("group", "lag", "billing", "--json")[0])[0]["lag_s"] > 0, "some lag")
        self.weir("group", "join", "billing", "-C", "1")
        self.assertEqual(json.loads(self.weir("group", "lag", "billing", "--json")[0])[0]["lag_s"], 0)

    def test_a_refusal_names_what_is_in_force_and_the_command_that_helps(self):
        self.orders(1)
        self.client("topic", "create", "bills")
        self.weir("queue", "create", "jobs")
        self.weir("group", "create", "mail", "--topic", "orders", "--model", "queue")
        self.weir("group", "create", "billing", "--topic", "orders")
        member = ["group", "join", "mail"]
        for arguments, code, words in (
            ([*member, "--topic", "bills"], REFUSED, "it reads topic orders, not topic bills. Model, topics"),
            ([*member, "--mode", "at-most-once"], REFUSED, "`weir group alter mail --mode at-most-once` changes it"),
            (["group", "create", "mail", "--topic", "orders", "--lease-ms", "5000", "--key-ordered", "yes"], REFUSED,
             "its lease_ms is 30000, not 5000; its key_ordered is no, not yes. "
             "`weir group alter mail --lease-ms 5000 --key-ordered yes` changes it"),
            ([*member, "--model", "stream"], REFUSED, "its model is queue, not stream"),
            (["group", "create", "billing", "--topic", "orders", "--lease-ms", "500"], REFUSED,
             "billing is a stream group"),
            (["group", "create", "g", "--topic", "orders", "--lease-ms", "500"], USAGE, "told --model queue"),
            (["group", "create", "g", "--topic", "jobs"], REFUSED, "weir group join jobs"),
            (["group", "create", "g", "--topic", "orders", "--dead-letter", "none"], NOT_FOUND, "topic create none"),
            (["group", "create", "g", "--topic", "orders", "--topic", "orders"], REFUSED, "twice"),
            (["group", "create", "jobs", "--topic", "orders"], REFUSED, "the group of the queue jobs"),
            (["group", "alter", "mail", "--mode", "client-commit"], REFUSED, "is for stream groups"),
            (["group", "alter", "nosuch", "--lease-ms", "500"], NOT_FOUND, "group create nosuch"),
            (["group", "delete", "jobs"], REFUSED, "weir topic rm jobs"),
            (["group", "reset", "mail", "--to", "end", "--topic", "bills"], NOT_FOUND, "weir group lag mail"),
        ):
            with self.subTest(arguments=arguments):
                _, err = self.weir(*arguments, code=code)
                self.assertEqual(len(err.splitlines()), 1, err)
                self.assertIn(words, err)
        self.member("mail", "--name", "ann")
        self.joined("mail", 1)
        self.assertIn("mail has 1 member (ann): stop them, or say --force",
                      self.weir("group", "delete", "mail", code=REFUSED)[1])

    def test_a_group_whose_place_was_removed_says_how_it_goes_on(self):
        self.orders(5)
        self.weir("group", "join", "billing", "--topic", "orders", "--removed", "error", "-C", "1")
        self.client("topic", "trim", "orders", "--before", "3")
        _, err = self.weir("group", "join", "billing", "-C", "1", code=REFUSED)
        self.assertIn("`weir group reset billing --to beginning` goes on with what is left", err)
        self.weir("group", "reset", "billing", "--to", "beginning")
        self.assertEqual(self.weir("group", "join", "billing", "-C", "1")[0], "3\n")

    def test_the_first_commands_of_the_page_print_what_it_says(self):
        page = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "docs", "groups.md")
        with open(page, encoding="utf-8") as file:
            block = file.read().split("## First commands")[1].split("A work queue")[0]
        lines = [line[4:] for line in block.splitlines() if line.startswith("    ")]
        commands = "\n".join(line[2:] for line in lines if line.startswith("$ "))
        printed = [line for line in lines if not line.startswith("$ ")]
        environment = dict(self.environment, WEIR_DATA=self.gateway.data,
                           PATH=os.path.dirname(cli_test.WEIR) + ":" + os.environ["PATH"])
        done = subprocess.run(["bash", "-euo", "pipefail", "-c", commands], capture_output=True, text=True,
                              timeout=DEADLINE_S, env=environment)
        self.assertEqual(done.returncode, DONE, done.stderr)
        self.assertEqual(done.stdout.splitlines()[:len(printed)], printed)

    def test_why_of_the_read_me_tells_of_the_record_that_it_published(self):
        page = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "README.md")
        with open(page, encoding="utf-8") as file:
            block = file.read().split("## Five minutes")[1].split("## ")[0]
        lines = [line[6:].split("#")[0].split() for line in block.splitlines() if line.startswith("    $ weir ")]
        commands = {tuple(words[1:3]): [word.strip("'") for word in words[1:]] for words in lines}
        self.client(*commands["topic", "create"])
        _, err = self.client(*commands["pub", "site/dev1/temp"])
        partition, offset = commands["why", "site"][2:4]
        self.assertIn(f"partition {partition}", err)
        out, _ = self.weir(*commands["why", "site"])
        self.assertIn(f'site partition {partition} offset {offset}: stored', out)
        self.assertIn('key "dev1/temp"', out)

    # ---- what is wrong

    def test_dead_letters_that_cannot_be_moved_say_where_they_are(self):
        self.orders(1)
        self.client("topic", "create", "dead")
        self.weir("queue", "create", "letters")
        self.weir("queue", "create", "jobs", "--dead-letter", "letters")
        self.weir("queue", "create", "bills", "--dead-letter", "dead")
        self.weir("group", "create", "mail", "--topic", "orders", "--model", "queue", "--dead-letter", "dead")
        self.assertIn("`weir group join letters` takes them",
                      self.weir("queue", "dead", "replay", "jobs", code=REFUSED)[1])
        self.assertEqual(self.weir("queue", "dead", "ls", "jobs", "--json")[0].strip(), "[]")
        _, err = self.weir("queue", "dead", "ls", "mail", code=NOT_FOUND)
        self.assertIn("mail is a group and no queue: `weir group dead ls mail` lists its dead letters", err)
        self.client("pub", "orders/k", "-m", "x")
        for _ in range(2):
            self.weir("group", "alter", "mail", "--delivery-limit", "1")
            self.weir("group", "join", "mail", "-C", "1", "-x", "exit 1")
        self.assertEqual(len(self.dead("ls", "mail")), 2)
        self.assertIn("`weir group ls`", self.dead("replay", "nobody", code=NOT_FOUND))
        _, err = self.client("topic", "rm", "dead")
        self.assertIn("dead was the dead-letter topic of bills", err)
        self.assertIn("dead was the dead-letter topic of mail", err)
        for action in ("ls", "replay"):
            self.assertIn("`weir topic create dead` makes it anew",
                          self.weir("queue", "dead", action, "bills", code=NOT_FOUND)[1])

    def test_members_say_who_is_active_and_for_whom_partitions_are_kept(self):
        self.orders(1)
        self.weir("group", "create", "one", "--topic", "orders", "--model", "queue", "--single-active", "yes")
        for count in (1, 2):
            member = self.member("one")
            self.joined("one", count)
        self.assertTrue(self.info("one")["members"][1]["member"].endswith(f"-{member.pid}"))
        out, _ = self.weir("group", "info", "one")
        active = [row for row in out.splitlines() if row.rstrip().endswith(" active")]
        self.assertEqual((out.count("stands by: another"), len(active)), (1, 1), out)
        row = next(row for row in json.loads(self.weir("group", "ls", "--json")[0]) if row["group"] == "one")
        self.assertEqual((row["members"], row["idle"]), (2, 1))
        self.weir("group", "create", "kept", "--topic", "orders")
        member = self.member("kept", "--instance", "i1")
        wait_for(lambda: [row["partitions"] for row in self.info("kept")["members"]] == [1], "it owns the partition")
        self.kill(member)
        wait_for(lambda: "partitions are kept for instance i1" in self.weir("group", "info", "kept")[0], "they are kept")

    def test_words_that_are_none_of_the_verbs_of_queue_name_those_that_do_it(self):
        for verb in ("alter", "rm"):
            _, err = super().weir("queue", verb, "jobs", code=USAGE)
            self.assertIn("`weir group alter NAME` changes a queue, `weir topic rm NAME` removes it", err)
        self.orders(1)
        for arguments in (["topic", "alter", "__fates", "--retention-ms", "9000"], ["topic", "rm", "__fates"],
                          ["topic", "info", "__fates"]):  # before anything has happened
            _, err = self.client(*arguments, code=NOT_FOUND)
            self.assertIn("__fates is the gateway's own, and is not there yet", err)
        for arguments in (["sub", "__fates/#"], ["pub", "__fates/x", "-m", "1"]):
            self.assertIn("is the gateway's own", self.client(*arguments, code=REFUSED)[1])
        self.weir("group", "create", "none", "--filter", "__fates/#", code=REFUSED)
        _, err = self.client("topic", "rm", "__other", code=NOT_FOUND)
        self.assertIn("names that begin with __ are for topics of the gateway's own", err)
        self.weir("group", "join", "mail", "--topic", "orders", "--model", "queue", "-C", "1")
        self.client("topic", "alter", "__fates", "--retention-ms", "9000")
        for arguments in (["topic", "rm", "__fates"], ["sub", "__fates"]):
            self.assertIn("__fates is the gateway's own", self.client(*arguments, code=REFUSED)[1])

    def test_a_queue_that_is_there_is_never_changed_by_create(self):
        self.weir("queue", "create", "jobs", "--lease-ms", "60000")
        before = self.info("jobs")
        for arguments in (["jobs"], ["jobs", "--lease-ms", "60000"]):
            self.assertEqual(self.weir("queue", "create", *arguments)[1], "weir: jobs: is there already, unchanged\n")
        for arguments, words in (
            (["jobs", "--lease-ms", "5000"], "its lease_ms is 60000, not 5000. `weir group alter jobs --lease-ms 5000`"),
            (["jobs", "--max-records", "7"], "`weir group alter jobs --max-records 7` changes it"),
            (["jobs", "--partitions", "3"], "partitions 1 (asked: 3); `weir topic alter jobs --partitions 3` changes it"),
            (["jobs", "--durability", "os"], "durability disk (asked: os)"),
        ):
            self.assertIn(words, self.weir("queue", "create", *arguments, code=REFUSED)[1])
        self.assertIn("as a queue and not a topic of kind log", self.client("topic", "create", "jobs", code=REFUSED)[1])
        self.assertEqual(self.info("jobs"), before)
        self.assertEqual(self.client("topic", "create", "jobs", "--kind", "queue")[1], "weir: jobs: is there already, unchanged\n")
        self.client("topic", "create", "quick", "--kind", "queue", "-d", "os", "-p", "2")
        self.assertEqual(self.weir("queue", "create", "quick")[1], "weir: quick: is there already, unchanged\n")
        _, err = self.weir("queue", "create", "quick", "--partitions", "1", code=REFUSED)
        self.assertIn("more partitions, never fewer", err)

    def test_what_a_queue_cannot_be_is_told_with_what_can(self):
        self.weir("queue", "create", "jobs", "--partitions", "2", "--retry-delay-ms", "5000")
        for arguments in (["topic", "alter", "jobs", "--cleanup", "compact"],
                          ["topic", "create", "other", "--kind", "queue", "--cleanup", "compact"],
                          ["queue", "create", "other", "--cleanup", "compact", "--data", self.gateway.data]):
            _, err = self.client(*arguments, code=REFUSED)
            self.assertIn("is a queue, and a queue is not compacted", err)
            self.assertIn("`weir topic create NAME --cleanup compact`", err)
        _, err = self.client("topic", "alter", "jobs", "--partitions", "1", code=REFUSED)
        self.assertIn("jobs has 2 partitions, and a topic can be given more, not fewer", err)
        self.assertIn("its retry_delay_ms is 5000, not 0", self.weir("queue", "create", "jobs", "--retry-delay-ms", "0", code=REFUSED)[1])
        self.weir("group", "alter", "jobs", "--retry-delay-ms", "0")
        self.assertEqual(self.info("jobs")["retry_delay_ms"], 0)
        self.weir("queue", "create", "jobs", "--retry-delay-ms", "0")  # as it is
        said = self.client("queue", "create", "--help")[0]
        for none in ("--expiry-ms", "--min-compaction-lag-ms", "--delete-retention-ms"):
            self.assertNotIn(none, said)

    def test_a_group_that_is_there_is_never_changed_by_create(self):
        self.client("topic", "create", "orders")
        words = ["--topic", "orders", "--model", "queue", "--lease-ms", "60000"]
        self.assertEqual(self.weir("group", "create", "mail", *words)[1], "weir: mail: created\n")
        before = self.info("mail")
        for same in (words, words[:2], words[:4]):
            self.assertEqual(self.weir("group", "create", "mail", *same)[1], "weir: mail: is there already, unchanged\n")
        for other, told in (
            (words[:4] + ["--lease-ms", "5000"], "its lease_ms is 60000, not 5000. `weir group alter mail --lease-ms 5000` changes it"),
            (words[:4] + ["--mode", "at-most-once"], "its mode is at-least-once, not at-most-once. `weir group alter mail"),
            (["--topic", "orders", "--model", "stream"], "its model is queue, not stream"),
            (["--filter", "orders/#"], "it reads topic orders, not filter orders/#"),
        ):
            _, err = self.weir("group", "create", "mail", *other, code=REFUSED)
            self.assertIn("mail is there already: ", err)
            self.assertIn(told, err)
        self.assertEqual(self.info("mail"), before)

    def test_a_member_whose_group_was_deleted_says_so(self):
        self.orders(1)
        for model in ("stream", "queue"):
            self.weir("group", "create", model, "--topic", "orders", "--model", model)
            member = self.member(model)
            self.joined(model, 1)
            self.weir("group", "delete", model, "--force")
            _, err = member.communicate(timeout=DEADLINE_S)
            self.assertIn("this member is out: the group was deleted", err)
            self.assertEqual(member.returncode, ERROR)

    def test_a_group_that_stands_still_is_shown_with_what_helps(self):
        self.orders(3)
        self.weir("group", "create", "bills", "--topic", "orders", "--removed", "error")
        self.assertEqual([row["state"] for row in json.loads(self.weir("group", "ls", "--json")[0])], [None])
        self.assertIs(self.info("bills")["stands_still"], False)
        self.client("topic", "trim", "orders", "--before", "2")
        for verb in (["ls"], ["lag"], ["info", "bills"]):
            out, err = self.weir("group", *verb)
            self.assertIn("stands still", out)
            self.assertIn("`weir group reset bills --to beginning` goes on with what is left", err)
        for verb in ("ls", "lag"):
            self.assertEqual([row["state"] for row in json.loads(self.weir("group", verb, "--json")[0])], ["stands still"])
        told = self.info("bills")
        self.assertEqual((told["stands_still"], told["partitions"][0]["stands_still"]), (True, True))
        self.weir("group", "reset", "bills", "--to", "beginning")
        out, err = self.weir("group", "info", "bills")
        self.assertNotIn("stands still", out + err)
        self.assertEqual(self.weir("group", "join", "bills", "-C", "1")[0], "2\n")

    def test_groups_are_made_changed_listed_and_deleted(self):
        self.orders(1)
        self.weir("group", "create", "billing", "--topic", "orders")
        self.weir("group", "create", "billing", "--topic", "orders")
        _, err = self.weir("group", "create", "billing", "--topic", "orders", "--model", "queue", code=REFUSED)
        self.assertIn("its model is stream, not queue", err)
        self.weir("group", "alter", "billing", "--mode", "at-most-once", "--session-ms", "9000")
        info = self.info("billing")
        self.assertEqual((info["mode"], info["session_ms"], info["topics"]), ("at-most-once", 9000, ["orders"]))
        rows = json.loads(self.weir("group", "ls", "--json")[0])
        self.assertEqual([(row["group"], row["reads"], row["lag"]) for row in rows], [("billing", "orders", 1)])
        self.member("billing")
        self.joined("billing", 1)
        self.weir("group", "delete", "billing", code=REFUSED)
        self.weir("group", "delete", "billing", "--force")
        self.assertEqual(self.weir("group", "ls", "--json")[0].strip(), "[]")

    def test_settings_of_the_other_model_are_mistakes_of_the_command_line(self):
        for arguments, words in (
            (["group", "create", "g", "--topic", "orders", "--model", "stream", "--lease-ms", "5000"],
             "--lease-ms is for queue groups"),
            (["group", "create", "g", "--topic", "orders", "--model", "stream", "--key-ordered", "yes"], "--key-ordered"),
            (["group", "create", "g", "--topic", "orders", "--model", "queue", "--mode", "client-commit"], "stream groups"),
            (["group", "create", "g", "--topic", "orders", "--model", "queue", "--removed", "end"], "--removed is for stream"),
            (["group", "join", "g", "--topic", "orders", "--model", "queue", "--removed", "end"], "--removed is for stream"),
            (["queue", "create", "jobs", "--mode", "client-commit"], "is for stream groups"),
        ):
            self.assertIn(words, super().weir(*arguments, "--data", os.path.join(self.folder, "nobody"), code=USAGE)[1])

    def test_a_queue_is_made_with_the_storage_that_is_asked_for(self):
        self.weir("queue", "create", "jobs", "--segment-bytes", "4096", "--retention-ms", "60000", "--lease-ms", "5000")
        out, _ = self.client("topic", "describe", "jobs", "-o", "ndjson")
        row = {line["setting"]: line["value"] for line in map(json.loads, out.splitlines())}
        self.assertEqual((row["segment_bytes"], row["retention_ms"]), (4096, 60000), row)
        self.assertEqual(self.info("jobs")["lease_ms"], 5000)
        self.weir("queue", "create", "jobs", "--segment-bytes", "4096")
        self.assertIn("segment_bytes 4096 (asked: 8192)",
                      self.weir("queue", "create", "jobs", "--segment-bytes", "8192", code=REFUSED)[1])
        self.assertIn("--segment-bytes takes", super().weir("queue", "create", "more", "--segment-bytes", "1", code=USAGE)[1])

    def test_numbers_that_cannot_be_are_told_with_those_that_can(self):
        _, err = self.weir("queue", "create", "jobs", "--max-records", "0", code=USAGE)
        self.assertIn("0 is not from 1 to 1000000000000 records, or -1 for no limit", err)
        self.weir("queue", "create", "jobs")
        _, err = self.weir("group", "alter", "jobs", "--max-bytes", "0", code=USAGE)
        self.assertIn("0 is not from 1024", err)
        self.client("topic", "create", "orders")
        self.weir("group", "create", "mail", "--topic", "orders")
        self.client("pub", "orders", "-l", stdin="a\nb\nc\n")
        self.client("topic", "trim", "orders", "--before", "1")
        for to in ("0", "4"):
            _, err = self.weir("group", "reset", "mail", "--to", to, code=REFUSED)
            self.assertIn(f"--to {to} is outside of orders partition 0, which has offsets from 1 to 3", err)
        self.weir("group", "reset", "mail", "--to", "3")
        _, err = self.client("pub", "jobs", "-m", "x", "-H", "delay=abc")
        self.assertIn("--header delay=abc: queues take whole numbers of milliseconds", err)
        partitions = json.loads(self.weir("queue", "info", "jobs", "--json")[0])["partitions"]
        self.assertGreater(partitions[0]["bytes"], 60)

    def test_a_filter_that_a_queue_alone_matches_is_refused(self):
        self.weir("queue", "create", "jobs")
        for filter in ("jobs/#", "jobs/a/+"):
            _, err = self.weir("sub", filter, code=REFUSED)
            self.assertIn("take them with `weir group join jobs`", err)
            for verb in ("create", "join"):
                _, err = self.weir("group", verb, "g", "--filter", filter, code=REFUSED)
                self.assertIn("jobs is a queue: it has one group", err)
        self.weir("group", "create", "g", "--filter", "job/#")
        self.weir("group", "create", "all", "--filter", "+/a")
        self.weir("topic", "create", "jobs/log", "--nested")
        self.weir("group", "create", "below", "--filter", "jobs/#")

    def test_what_is_wrong_is_told_with_what_to_do(self):
        self.orders(1)
        self.weir("group", "create", "kept", "--topic", "orders")
        self.weir("group", "create", "lent", "--topic", "orders", "--model", "queue")
        for arguments, code, words in (
            (["group", "info", "nosuch"], NOT_FOUND, "group create nosuch --topic TOPIC"),
            (["group", "join", "nosuch"], NOT_FOUND, "--topic TOPIC or --filter"),
            (["group", "create", "g"], USAGE, "--topic TOPIC"),
            (["group", "create", "g", "--topic", "nosuch"], NOT_FOUND, "topic"),
            (["group", "create", "a/b", "--topic", "orders"], REFUSED, "is no group name"),
            (["group", "create", "g", "--topic", "orders", "--filter", "x"], USAGE, "not both"),
            (["group", "create", "g", "--topic", "orders", "--mode", "often"], USAGE, "at-least-once"),
            (["group", "create", "g", "--topic", "orders", "--model", "pile"], USAGE, "stream or queue"),
            (["group", "create", "g", "--topic", "orders", "--overflow", "burst"], USAGE, "drop-oldest"),
            (["group", "create", "g", "--topic", "orders", "--lease-ms", "7"], USAGE, "from 100 to"),
            (["group", "create", "g", "--topic", "orders", "--key-ordered", "1"], USAGE, "yes or no"),
            (["group", "create", "g", "--topic", "orders", "--start", "error"], USAGE, "beginning or end"),
            (["group", "create", "g", "--topic", "orders", "--mode", "exactly-once"], REFUSED, ""),
            (["group", "create", "g", "--topic", "orders", "--lease-ms", "1s"], USAGE,
             "--lease-ms: 1s is not from 100 to 86400000 milliseconds, or -1 for no limit"),
            (["group", "create", "g", "--filter", "a/#/b"], REFUSED, '"a/#/b" is no filter: '),
            (["group", "create", "g", "--topic", ""], NOT_FOUND, '"" is no topic name'),
            (["group", "info", ""], NOT_FOUND, '"" is no group name'),
            (["group", "info", "a/b"], NOT_FOUND, "only that of a queue may have a / in its name"),
            (["group", "delete", "nosuch"], NOT_FOUND, "`weir group ls` lists those that are\n"),
            (["queue", "info", ""], NOT_FOUND, '"" is no topic name'),
            (["queue", "peek", "a//b"], NOT_FOUND, '"a//b" is no topic name'),
            (["queue", "dead", "ls", ""], NOT_FOUND, "weir queue ls"),
            (["group", "alter", "g"], USAGE, "nothing to change"),
            (["group", "reset", "g"], USAGE, "--to"),
            (["group", "reset", "g", "--to", "nowhere"], USAGE, "@TIME"),
            (["group", "reset", "g", "--to", "end", "--partition", "1"], USAGE, "--topic"),
            (["queue", "info", "orders"], NOT_FOUND, "`weir group create GROUP --model queue --topic orders`"),
            (["queue", "info", "kept"], NOT_FOUND, "kept is a group and no queue: `weir group info kept`"),
            (["queue", "peek", "__fates"], NOT_FOUND, "__fates is the gateway's own"),
            (["group", "join", "lent", "--instance", "i"], REFUSED, "--instance is for stream groups, and lent is a queue group"),
            (["queue", "peek", "nosuch"], NOT_FOUND, "queue ls"),
            (["queue", "create", "orders"], REFUSED, "topic describe orders"),
            (["group", "join", "g", "--topic", "orders", "--exec", ""], USAGE, "--exec needs a command"),
            (["group", "join", "g", "--topic", "orders", "--exec", " "], USAGE, "--exec needs a command"),
        ):
            with self.subTest(arguments=arguments):
                out, err = self.weir(*arguments, code=code)
                self.assertEqual(out, "")
                self.assertEqual(len(err.splitlines()), 1, err)
                self.assertIn(words, err)


if __name__ == "__main__":
    cli_test.WEIR = os.path.abspath(sys.argv[1])
    unittest.main(argv=[sys.argv[0], "-v"] + sys.argv[2:])
