#!/usr/bin/python3
"""A data directory that an older release left behind opens, and has every record and all state.

    WEIR_BIN=... release_data_test.py [part of a test's name]

tests/data/release-*/ are such directories, each with what was in it; tests/data/make_release.py makes one.
"""
import glob
import json
import os
import sys
import tarfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "data"))
import support  # noqa: E402
import make_release  # noqa: E402

FORGOTTEN_S = 300 * 24 * 3600  # producers are forgotten after a year
FOLDERS = sorted(glob.glob(os.path.join(os.path.dirname(make_release.__file__), "release-*")))


def copied(scene, folder):
    """A gateway, not started, on a copy of that release's data; and what must be in it."""
    data = scene.path("copy-" + os.path.basename(folder))
    with tarfile.open(os.path.join(folder, "data.tar.gz")) as packed:
        packed.extractall(data)
    with open(os.path.join(folder, "expected.json")) as file:
        expected = json.load(file)
    return scene.gateway(*make_release.SETTINGS, data=os.path.join(data, "data"), start=False), expected


def known(described, expected):
    """The settings that the release had; of those that came later every topic of its has the first kind, log."""
    for topic, rows in described.items():
        names = {row["setting"] for row in expected.get(topic, [])}
        later = {row["setting"]: row["value"] for row in rows if row["setting"] not in names}
        since = {"kind": "log", "retention_unsettled": "expire", "retention_unsettled_bytes": 1 << 30}
        assert later.items() <= since.items(), (topic, later)
        described[topic] = [{**row, "value": as_text(row["value"])} for row in rows if row["setting"] in names]
    return described


def as_text(value):
    """As the first release told every value."""
    return value if isinstance(value, str) else json.dumps(value)


def compared(gateway, expected):
    found = make_release.told(gateway)
    found["described"] = known(found["described"], expected["described"])
    for row in found["topics"]:
        assert row.pop("held_bytes") == 0, row  # told since; nothing is held back,
        assert row.pop("kind") == "log", row  # and there were no queues
    parts = ["described", "records", "retained", "topics"]
    made_s = expected["records"]["plain"][0]["time_ms"] / 1000
    if time.time() - made_s < FORGOTTEN_S:
        parts.append("where")
    for part in parts:
        assert found[part] == expected[part], f"{part}: {found[part]}\nexpected: {expected[part]}"


def every_release_opens_with_all_records_and_state():
    assert FOLDERS, "no release's data is there"
    with support.Scene() as scene:
        for folder in FOLDERS:
            gateway, expected = copied(scene, folder)
            gateway.start()
            compared(gateway, expected)
            assert gateway.stop() == 0
            gateway.start()  # from what this release wrote
            compared(gateway, expected)
            gateway.serves()
            assert gateway.stop() == 0


def every_release_is_sound_to_weir_log():
    with support.Scene() as scene:
        for folder in FOLDERS:
            gateway, _ = copied(scene, folder)
            gateway.weir("log", "verify")
            units = json.loads(gateway.weir("log", "dump", "-o", "json"))
            assert len(units) > 10, units


if __name__ == "__main__":
    support.run_tests(support.tests_of(globals()), *sys.argv[1:])
