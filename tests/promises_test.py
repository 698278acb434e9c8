#!/usr/bin/python3
"""Fails when docs/promises.md names a test that this build does not have, or a setting that there is not.

    promises_test.py SOURCE_FOLDER BUILD_FOLDER CTEST

A test is a word in backticks that begins with a kind of test (`unit.journal.power`); a setting is a word in
backticks with an underscore (`sync_every_ms`), and is in the first column of a page made from the program.
"""
import os
import re
import subprocess
import sys
import unittest

SOURCE = BUILD = CTEST = ""
KINDS = "unit|scenario|contract|interop|cli|repository|fuzz|bench|sim|crash"


def tests_named_in(text):
    return set(re.findall(rf"`((?:{KINDS})\.[\w.]+)`", text))


def settings_named_in(text):
    return set(re.findall(r"`([a-z]+(?:_[a-z]+)+)`", text))


def cells_without_a_test(text):
    """Of the first table whose head names a durability level in each column but the first."""
    rows = re.search(r"^\| fault \| `disk` \| `os` \| `memory` \|\n\|[- |]+\|\n((?:\|.*\n)+)", text, re.M)
    return None if rows is None else [
        cell.strip() for row in rows.group(1).splitlines() for cell in row.strip("| ").split(" | ")[1:] if not tests_named_in(cell)]


def page(name):
    with open(os.path.join(SOURCE, "docs", name), encoding="utf-8") as file:
        return file.read()


def registered():
    out = subprocess.run([CTEST, "--test-dir", BUILD, "-N"], check=True, capture_output=True, text=True).stdout
    return set(re.findall(r"^ *Test +#\d+: (\S+)", out, re.M))


def settings():
    """Of the first columns; those of groups have behind them which models they are for."""
    return {key for name in ("configuration.md", "limits.md")
            for key in re.findall(r"^\| `([\w.]+)`(?: \([a-z]+\))? \|", page(name), re.M)}


class Promises(unittest.TestCase):
    def test_every_test_that_the_page_names_is_registered(self):
        named = tests_named_in(page("promises.md"))
        self.assertGreater(len(named), 5)
        self.assertEqual(sorted(named - registered()), [])

    def test_every_setting_that_the_page_names_is_one(self):
        named = settings_named_in(page("promises.md"))
        self.assertGreater(len(named), 1)
        self.assertEqual(sorted(named - settings()), [])

    def test_every_cell_of_the_table_of_levels_against_faults_names_a_test(self):
        self.assertEqual(cells_without_a_test(page("promises.md")), [])

    def test_a_planted_empty_cell_is_caught(self):
        table = "| fault | `disk` | `os` | `memory` |\n| --- | --- | --- | --- |\n| fire | `sim.seeds` | none | `unit.a.b` |\n"
        self.assertEqual(cells_without_a_test(table), ["none"])
        self.assertIsNone(cells_without_a_test("no table"))

    def test_planted_names_are_caught(self):
        text = "`unit.journal.power`, `unit.journal.no_such`, `sync_every_ms`, `no_such_key`"
        self.assertEqual(tests_named_in(text) - registered(), {"unit.journal.no_such"})
        self.assertEqual(settings_named_in(text) - settings(), {"no_such_key"})


if __name__ == "__main__":
    SOURCE, BUILD, CTEST = (os.path.abspath(argument) for argument in sys.argv[1:4])
    unittest.main(argv=[sys.argv[0], "-v"] + sys.argv[4:])
