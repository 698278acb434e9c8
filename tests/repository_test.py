#!/usr/bin/python3
"""What the repository itself must be: small, whole, and without what does not belong in it.

    repository_test.py SOURCE_FOLDER
"""
import os
import re
import subprocess
import sys
import unittest

SOURCE = ""
MEBIBYTE = 1048576
FILE_BYTES_MAX = MEBIBYTE
TOTAL_BYTES_MAX = 20 * MEBIBYTE


def tracked(*patterns):
    out = subprocess.run(["git", "-c", "safe.directory=*", "-C", SOURCE, "ls-files", "-z", "--", *patterns], check=True, capture_output=True)
    names = out.stdout.decode().split("\0")
    return [name for name in names if name and os.path.lexists(os.path.join(SOURCE, name))]


def text_of(path):
    with open(os.path.join(SOURCE, path), encoding="utf-8") as file:
        return file.read()


class Repository(unittest.TestCase):
    def test_no_file_is_large(self):
        sizes = {name: os.lstat(os.path.join(SOURCE, name)).st_size for name in tracked()}
        self.assertEqual([name for name, size in sizes.items() if size > FILE_BYTES_MAX], [])
        self.assertLess(sum(sizes.values()), TOTAL_BYTES_MAX)

    def test_what_a_newcomer_looks_for_is_there(self):
        for name in (
            "README.md CONTRIBUTING.md SECURITY.md CHANGELOG.md LICENSE CMakeLists.txt CMakePresets.json .clang-format "
            ".clang-tidy weir-up weir-test .ci/run docs/configuration.md docs/limits.md docs/rooms.md docs/tour.md"
        ).split():
            with self.subTest(name=name):
                self.assertTrue(os.path.exists(os.path.join(SOURCE, name)))
        for name in ("weir-up", "weir-test", ".ci/run", "tools/fuzz-plants"):
            with self.subTest(name=name):
                self.assertTrue(os.access(os.path.join(SOURCE, name), os.X_OK))

    def test_links_between_documents_lead_somewhere(self):
        gone = []
        for page in tracked("*.md"):
            for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text_of(page)):
                if "://" in target or target.startswith("mailto:"):
                    continue
                if not os.path.exists(os.path.join(SOURCE, os.path.dirname(page), target)):
                    gone.append(f"{page}: {target}")
        self.assertEqual(gone, [])

    def test_packages_are_named_in_one_place(self):
        lines = [line.split() for line in text_of("tools/packages").splitlines() if line and line[0] != "#"]
        self.assertGreater(len(lines), 10)
        for words in lines:
            self.assertIn(words[0], ("build", "run", "test", "web", "bench"))
            self.assertIn(len(words), (2, 3))
        for script in ("weir-up", "weir-test", ".ci/run", "tools/install.sh"):
            named = [words[1] for words in lines if "-" in words[1] and words[1] in text_of(script)]
            self.assertEqual(named, [], script)

    def test_the_lock_of_npm_names_no_registry(self):
        for name in tracked("*package-lock.json"):
            self.assertNotIn('"resolved": "http', text_of(name), name)

    def test_sources_admit_nothing_unfinished(self):
        marks = re.compile(r"\b(TODO|FIXME|XXX)\b")
        found = [name for name in tracked("*.c", "*.h", "*.cmake", "*CMakeLists.txt") if marks.search(text_of(name))]
        self.assertEqual(found, [])


if __name__ == "__main__":
    SOURCE = os.path.abspath(sys.argv[1])
    unittest.main(argv=[sys.argv[0], "-v"] + sys.argv[2:])
