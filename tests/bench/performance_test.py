#!/usr/bin/python3
"""tools/performance: the committed page is what it makes of the committed results, and it judges as it says.

    performance_test.py SOURCE_FOLDER
"""
import importlib.machinery
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import unittest
import xml.dom.minidom

SOURCE = ""


def program():
    loader = importlib.machinery.SourceFileLoader("performance", os.path.join(SOURCE, "tools/performance"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("performance", loader))
    loader.exec_module(module)
    return module


def line(row, subject, figure, **more):
    made = {
        "row": row, "title": "a row", "subject": subject, "setting": "set & so", "unit": "messages/s", "figure": figure,
        "error": "", "note": "", "void": False, "commit": "c" * 40, "started": "2026-01-01T000000Z", "machine": "m", "repeats": 3, "measure_ms": 2000,
        "versions": {}, "config": "", "settings": "", "sets": "", "lost": 0, "duplicated": 0, "reordered": 0, "refused": 0,
    }
    made.update(more)
    return made


def files_of(*runs):
    with tempfile.TemporaryDirectory() as folder:
        for index, lines in enumerate(runs):
            with open(os.path.join(folder, f"{index}.jsonl"), "w", encoding="utf-8") as file:
                file.writelines(json.dumps(one) + "\n" for one in lines)
        module = program()
        return module, module.results_read(folder)


def log_row(weir, redis=(400, 500, 450), limit=(10000,)):
    cells = (("limit-ingest", limit), ("redis-everysec", redis), ("weir-os", weir))
    return [line("12", subject, figure) for subject, figures in cells for figure in figures]


class Performance(unittest.TestCase):
    def test_the_page_is_made_of_the_committed_results(self):
        done = subprocess.run([os.path.join(SOURCE, "tools/performance"), "--check"], capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_the_median_stands_against_the_best_of_a_peer(self):
        module, rows = files_of(log_row((2000, 9000, 1000)))
        self.assertEqual(rows["12"].weir.median, 2000)
        self.assertEqual(rows["12"].best_peer.best, 500)
        self.assertEqual(module.times(rows["12"]), 4)

    def test_a_floor_is_reached_exactly_at_its_value(self):
        module, rows = files_of(log_row((2000,)))
        self.assertEqual(module.verdict(rows["12"], rows["12"].rule.floors), "reached")
        module, rows = files_of(log_row((1999,)))
        self.assertEqual(module.verdict(rows["12"], rows["12"].rule.floors), "**missed**")

    def test_without_the_peer_a_floor_is_not_measured(self):
        module, rows = files_of([line("12", "limit-ingest", 10000), line("12", "weir-os", 3000)])
        self.assertEqual(module.verdict(rows["12"], rows["12"].rule.floors), "not measured")
        self.assertEqual(module.verdict(rows["12"], rows["12"].rule.goals), "reached")

    def test_less_is_better_for_latency(self):
        lines = [line("15", subject, figure, unit="us at p50") for subject, figure in
                 (("limit-synced", 100), ("redis-always", 160), ("redis-always", 150), ("jetstream", 20), ("weir-disk", 150))]
        module, rows = files_of(lines)
        self.assertEqual(rows["15"].best_peer.subject, "redis-always")  # jetstream does not sync
        self.assertEqual(module.verdict(rows["15"], rows["15"].rule.floors), "reached")
        self.assertEqual(module.verdict(rows["15"], rows["15"].rule.goals), "**missed**")

    def test_the_newest_results_of_a_row_count(self):
        _, rows = files_of(log_row((2000,)), log_row((3000,)))
        self.assertEqual(rows["12"].weir.median, 3000)

    def test_idle_memory_is_a_figure_of_the_connects(self):
        lines = [line("11c", subject, 1000, unit="connects/s", idle_bytes=idle) for subject, idle in (("ceiling", 80), ("weir", 8000))]
        module, rows = files_of(lines)
        self.assertEqual(rows["11d"].weir.median, 8000)
        self.assertEqual(module.verdict(rows["11d"], rows["11d"].rule.floors), "reached")

    def test_what_a_message_costs_is_shown_for_every_subject(self):
        costs = {"cpu_s_per_million": 1.25, "rss_bytes": 7_000_000, "written_per_payload_byte": 2.5}
        module, rows = files_of([line("12", subject, 10, **costs) for subject in ("limit-ingest", "redis-everysec", "weir-os")])
        page = module.page_make(rows)[module.PAGE]
        self.assertEqual(page.count("| 1.25 | 7 MB | 2.50 | 0 |"), 3)

    def test_a_void_row_is_judged_void(self):
        module, rows = files_of([dict(one, void=True) for one in log_row((2000,))])
        self.assertEqual(module.verdict(rows["12"], rows["12"].rule.floors), "void")

    def test_lost_messages_are_said(self):
        module, rows = files_of([dict(one, lost=1) for one in log_row((2000,))])
        self.assertIn("**failed**", module.page_make(rows)[module.PAGE])

    def test_what_was_not_run_is_said_and_not_drawn(self):
        lines = log_row((2000,)) + [{key: value for key, value in line("12", "jetstream", 0, note="not installed").items() if key != "figure"}]
        module, rows = files_of(lines)
        files = module.page_make(rows)
        self.assertIn("not installed", files[module.PAGE])
        self.assertNotIn("jetstream", files["docs/performance/log.svg"])

    def test_pictures_are_well_formed(self):
        module, rows = files_of(log_row((2000,)), [line("1", "ceiling", 9), line("1", "nats", 3), line("1", "weir", 5)])
        pictures = [content for path, content in module.page_make(rows).items() if path.endswith(".svg")]
        self.assertEqual(len(pictures), 3)
        for content in pictures:
            self.assertEqual(xml.dom.minidom.parseString(content).documentElement.tagName, "svg")


if __name__ == "__main__":
    SOURCE = os.path.abspath(sys.argv[1])
    unittest.main(argv=[sys.argv[0], "-v"] + sys.argv[2:])
