#!/usr/bin/python3
"""Fails when docs/tour.md names a function or a file that is gone.

    tour_test.py SOURCE_FOLDER

In the tour, `name()` is a function and `folder/file.c` a file. A function counts as there when a tracked C
file or header defines or declares it at the left margin (or a script defines it).
"""
import os
import re
import subprocess
import sys
import unittest

SOURCE = ""


def tracked(*patterns):
    out = subprocess.run(["git", "-c", "safe.directory=*", "-C", SOURCE, "ls-files", "-z", "--", *patterns], check=True, capture_output=True)
    names = out.stdout.decode().split("\0")
    return [name for name in names if name and os.path.exists(os.path.join(SOURCE, name))]


def named_in(text):
    """(functions, files) that a page names in backticks."""
    words = re.findall(r"`([^`\n]+)`", text)
    functions = {word[:-2] for word in words if re.fullmatch(r"[a-z_][a-z0-9_]*\(\)", word)}
    files = {word for word in words if re.fullmatch(r"[\w.\-]+(/[\w.\-]+)*\.(c|h|md|py|js|sh|txt|cmake|yaml)", word)}
    return functions, files


def defined_in(text):
    """Functions with a definition or declaration at the left margin, and entries of ops tables."""
    names = set(re.findall(r"^(?![ \t#/*])[\w \t*]*?\b([a-z_][a-z0-9_]*)\(", text, re.M))
    names |= set(re.findall(r"^[ \t]+[\w \t*]+\(\*([a-z_][a-z0-9_]*)\)\(", text, re.M))
    return names


class Tour(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.defined = set()
        for path in tracked("*.c", "*.h"):
            with open(os.path.join(SOURCE, path), encoding="utf-8") as file:
                cls.defined |= defined_in(file.read())
        with open(os.path.join(SOURCE, "docs/tour.md"), encoding="utf-8") as file:
            cls.functions, cls.files = named_in(file.read())

    def test_the_tour_names_functions_and_files(self):
        self.assertGreater(len(self.functions), 10)
        self.assertGreater(len(self.files), 10)

    def test_every_function_of_the_tour_is_defined(self):
        self.assertEqual(sorted(self.functions - self.defined), [])

    def test_every_file_of_the_tour_is_there(self):
        paths = tracked("*")
        gone = [name for name in self.files if not any(path == name or path.endswith("/" + name) for path in paths)]
        self.assertEqual(sorted(gone), [])

    def test_a_planted_name_is_caught(self):
        functions, files = named_in("goes to `weir_port_publish()` and `weir_no_such_thing()` in `core/gone.c`")
        self.assertEqual(functions - self.defined, {"weir_no_such_thing"})
        self.assertEqual(files, {"core/gone.c"})
        self.assertFalse(os.path.exists(os.path.join(SOURCE, "core/gone.c")))


if __name__ == "__main__":
    SOURCE = os.path.abspath(sys.argv[1])
    unittest.main(argv=[sys.argv[0], "-v"] + sys.argv[2:])
