#!/usr/bin/python3
"""A recording of 50,270 readings is published at QoS 1 while the gateway is killed again and again; how,
says recording.py.

    WEIR_BIN=... kill_recording_test.py RECORDING_PUBLISH EMBEDDED_READ LEVEL [VERSION]

What `weir sub --from beginning` and an embedded reader get must be the same, and must hold every
acknowledged line, unchanged; first occurrences in the order of publishing, for each device; repeats only
of lines that were unanswered at a kill; offsets without a hole.
"""
import sys
import time

import recording
import support


def main():
    program, reader, level, version = (*sys.argv[1:], "311")[:4]
    print(f"level {level}, MQTT {version}", flush=True)
    source = recording.chance()
    began = time.monotonic()
    with support.Scene() as scene:
        gateway = scene.gateway(*recording.SMALL_FILES)
        played = recording.Played(scene, program, gateway, level, "5" if version == "5" else "4", source)
        played.publish()
        got = recording.Got(gateway.weir("sub", "site/#", "--from", "beginning", "-e", "-F", "%p %o %n %s",
                                         seconds=60))
        repeats = got.check(played.sent, played.unanswered)
        if level == "disk":
            gateway.kill()
        else:
            assert gateway.stop() == 0, gateway.run.text()
        done = support.run_checked([reader, gateway.data, "site"], seconds=60)
        assert done.returncode == 0, done.stderr.decode()
        embedded = recording.Got(done.stdout)
        embedded.check(played.sent, played.unanswered)
        assert embedded.by_partition() == got.by_partition(), "the two readers differ"
    print(f"{recording.READINGS} published, {recording.READINGS} acknowledged, {len(got.rows)} read by "
          f"weir sub and by the embedded reader, 0 lost, {repeats} repeats, all among the "
          f"{len(played.unanswered)} lines unanswered at a kill; published in {played.seconds:.1f} s, all in "
          f"{time.monotonic() - began:.1f} s")


if __name__ == "__main__":
    main()
