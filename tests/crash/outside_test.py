#!/usr/bin/python3
"""The proof that does not go through env: the release binary's own system calls, watched by strace, are
rebuilt into what a power cut could have left, and nothing that had been acknowledged is missing.

    WEIR_BIN=... outside_test.py EMBEDDED_READ [STATES]

    weir serve under strace <-- MQTT QoS 1, numbered records of one client
    trace --> files: synced bytes, writes since; folders: synced names, changes since; PUBACKs that left
    at many points of the trace: nothing but what was synced | all | by chance  --> a folder
    folder --> recovered and read by the engine --> records 1..m without a hole, m >= every PUBACK

A write counts from its return, a sync covers what had returned when it began, a PUBACK counts from the
begin of its call: each is the worse case for the gateway. Names count only once their folder was synced.
"""
import concurrent.futures
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "scenario"))
import mqtt_wire as mqtt  # noqa: E402  the folder is known only now
import support  # noqa: E402

RECORDS, WINDOW = 900, 6
CALLS = ("openat,pwrite64,pwritev,pwritev2,write,writev,sendto,sendmsg,fdatasync,fsync,syncfs,rename,renameat,"
         "renameat2,unlink,unlinkat,mkdir,mkdirat,rmdir,ftruncate,fallocate")
SETTINGS = ("journal_file_bytes=65536", "segment_bytes_max=65536", "checkpoint_bytes=65536",
            "checkpoint_every_ms=100", "sync=inline")
LINE = re.compile(r"^(\d+) +(?:(\w+)\((.*)|<\.\.\. (\w+) resumed>(.*))$")
HEX = re.compile(r'"((?:\\x[0-9a-f]{2})*)"(\.\.\.)?')
FD = re.compile(r"^(\d+)<((?:\\x[0-9a-f]{2}|[^>])*)>")
RESULT = re.compile(r"\)\s*= (-?\d+)")


def bytes_of(text):
    return bytes.fromhex(text.replace("\\x", ""))


def path_of(text):
    return bytes_of(text).decode(errors="replace") if text.startswith("\\x") else text


class File:
    def __init__(self):
        self.synced = bytearray()
        self.changes = []  # (sequence, "write" | "cut" | "grow", offset, bytes)

    def sync(self, until):
        for change in [one for one in self.changes if one[0] <= until]:
            apply(self.synced, change)
        self.changes = [one for one in self.changes if one[0] > until]

    def left(self, keeps):
        data = bytearray(self.synced)
        for change in self.changes:
            apply(data, change, keeps(change))
        return data


def apply(data, change, kept=None):
    """kept: how many of its bytes arrived; None: all."""
    _, kind, offset, content = change
    if kept == 0:
        return
    if kind == "cut":
        del data[offset:]
        data.extend(bytes(max(0, offset - len(data))))
    elif kind == "grow":
        data.extend(bytes(max(0, offset - len(data))))
    else:
        content = content if kept is None else content[:kept]
        data.extend(bytes(max(0, offset + len(content) - len(data))))
        data[offset:offset + len(content)] = content


class Disk:
    """What the calls so far did. None stands for a folder."""

    def __init__(self, root):
        self.root = root
        self.live = {root: None}
        self.durable = {root: None}
        self.namings = []  # (sequence, folder, from or None, to or None, inode)
        self.sequence = 0
        self.acknowledged = set()
        self.counts = {}

    def name(self, before, after, inode):
        self.namings.append((self.sequence, os.path.dirname(before or after), before, after, inode))
        if before:
            self.live.pop(before, None)
        if after:
            self.live[after] = inode

    def sync(self, path, until):
        inode = self.live.get(path)
        if inode is not None:
            inode.sync(until)
            return
        kept = []
        for naming in self.namings:
            if naming[1] == path and naming[0] <= until:
                names_apply(self.durable, naming)
            else:
                kept.append(naming)
        self.namings = kept

    def sync_all(self, until):
        for inode in set(self.live.values()) - {None}:
            inode.sync(until)
        for folder in {naming[1] for naming in self.namings}:
            self.sync(folder, until)

    def state(self, source, how):
        """{path: bytes, or None for a folder} after a power cut: `how` is none, all or chance."""
        def arrives():
            return how == "all" or (how == "chance" and source.random() < 0.5)

        def keeps(change):
            if not arrives():
                return 0
            torn = how == "chance" and change[1] == "write" and source.random() < 0.3
            return source.randrange(0, len(change[3]) // 512 + 1) * 512 if torn else None

        names = dict(self.durable)
        for naming in self.namings:
            if arrives():
                names_apply(names, naming)
        return {path: None if inode is None else inode.left(keeps) for path, inode in names.items()
                if reachable(names, path, self.root)}


def names_apply(names, naming):
    _, _, before, after, inode = naming
    if before and names.get(before, naming) is inode:
        names.pop(before)
    if after:
        names[after] = inode


def reachable(names, path, root):
    while path != root:
        path = os.path.dirname(path)
        if path not in names or len(path) < len(root):
            return False
    return True


# ---- The trace ---------------------------------------------------------------------------------------

class Call:
    def __init__(self, name, arguments):
        self.name, self.arguments, self.began = name, arguments, 0


def pubacks(data):
    """The numbers of the PUBACKs in what was sent: whole MQTT 3.1.1 packets."""
    found, at = [], 0
    while at + 4 <= len(data):
        if data[at] == mqtt.PUBACK << 4 and data[at + 1] == 2:
            found.append(int.from_bytes(data[at + 2:at + 4], "big"))
        at += 2 + data[at + 1]
    return found


def began(disk, call):
    call.began = disk.sequence
    where = FD.match(call.arguments)
    if call.name in ("write", "writev", "sendto", "sendmsg") and where:
        path = path_of(where.group(2))
        if path.startswith(("TCP", "socket:", "UNIX")):
            data = b"".join(bytes_of(text) for text, _ in HEX.findall(call.arguments))
            disk.acknowledged.update(pubacks(data))


def inside(disk, path):
    return path == disk.root or path.startswith(disk.root + "/")


def ended(disk, call, rest, result):
    """Returns True when it did something to the data folder."""
    arguments = call.arguments + rest
    name = call.name
    if result < 0:
        return False
    where = FD.match(arguments)
    if where:
        path = path_of(where.group(2))
        if not inside(disk, path):
            return False
        return file_call(disk, name, path, arguments, call.began, result)
    texts = [bytes_of(text).decode(errors="replace") for text, _ in HEX.findall(arguments)]
    texts = [text for text in texts if text.startswith("/")]
    if not texts or not inside(disk, texts[0]):
        return False
    return name_call(disk, name, texts, arguments)


def file_call(disk, name, path, arguments, began_at, result):
    disk.sequence += 1
    disk.counts[name] = disk.counts.get(name, 0) + 1
    inode = disk.live.get(path)
    if name in ("fdatasync", "fsync"):
        disk.sync(path, began_at)
    elif name == "syncfs":
        disk.sync_all(began_at)
    elif inode is None:
        return False  # removed, or not a file
    elif name in ("pwrite64", "pwritev", "pwritev2"):
        strings = HEX.findall(arguments)
        assert all(not cut for _, cut in strings), "strace cut a buffer: -s is too small"
        data = b"".join(bytes_of(text) for text, _ in strings)[:result]
        flags = r", [\w|]+" if name == "pwritev2" else ""
        offset = int(re.search(r", (\d+)" + flags + r"\)\s*= \d+$", arguments).group(1))
        inode.changes.append((disk.sequence, "write", offset, data))
    elif name == "ftruncate":
        size = int(re.search(r", (\d+)\)\s*= 0", arguments).group(1))
        inode.changes.append((disk.sequence, "cut", size, b""))
    elif name == "fallocate":
        offset, size = re.search(r", (\d+), (\d+)\)\s*= 0", arguments).groups()
        inode.changes.append((disk.sequence, "grow", int(offset) + int(size), b""))
    else:
        raise AssertionError(f"a call on a file of the data folder that is not understood: {name}")
    return True


def name_call(disk, name, texts, arguments):
    disk.sequence += 1
    if name == "openat":
        if "O_CREAT" not in arguments or texts[0] in disk.live:
            if "O_TRUNC" in arguments and disk.live.get(texts[0]) is not None:
                disk.live[texts[0]].changes.append((disk.sequence, "cut", 0, b""))
                return True
            return False
        disk.name(None, texts[0], File())
    elif name.startswith("rename"):
        disk.name(texts[0], texts[1], disk.live[texts[0]])
    elif name.startswith("mkdir"):
        disk.name(None, texts[0], None)
    elif texts[0] in disk.live:  # unlink, unlinkat, rmdir
        disk.name(texts[0], None, disk.live[texts[0]])
    else:
        return False  # a socket
    disk.counts[name] = disk.counts.get(name, 0) + 1
    return True


def events(lines, disk):
    """Applies the trace line by line; yields after each call that changed something or was a PUBACK."""
    open_calls = {}
    for line in lines:
        found = LINE.match(line)
        if not found:
            continue
        thread, name, arguments, resumed, rest = found.groups()
        told = len(disk.acknowledged)
        changed = False
        if name:
            call = Call(name, arguments)
            unfinished = arguments.endswith("<unfinished ...>")
            if unfinished:
                call.arguments = arguments[:-len("<unfinished ...>")].rstrip()
                open_calls[thread] = call
            began(disk, call)
            result = None if unfinished else RESULT.search(arguments)
            if result:
                changed = ended(disk, call, "", int(result.group(1)))
        elif thread in open_calls:
            call = open_calls.pop(thread)
            result = RESULT.search(rest)
            if result and call.name == resumed:
                changed = ended(disk, call, rest, int(result.group(1)))
        if changed or len(disk.acknowledged) > told:
            yield


# ---- The load ----------------------------------------------------------------------------------------

class Traced(support.Gateway):
    def command(self, *more):
        return ["strace", "-f", "-y", "-xx", "-s", "2000000", "-e", "signal=none", "-e", "trace=" + CALLS, "-o",
                os.path.join(self.folder, "trace"), *super().command(*more)]

    def tracee(self):
        strace = self.run.process.pid
        with open(f"/proc/{strace}/task/{strace}/children") as file:
            return int(file.read().split()[0])


def value_of(number):
    source = random.Random(number)
    return f"{number} " + "".join(source.choices("abcdefghij", k=source.choice((20, 200, 1500))))


def load(gateway):
    gateway.weir("topic", "create", "t")
    peer = mqtt.connected(gateway.port, version=4)
    sent = done = 0
    while done < RECORDS:
        while sent < RECORDS and sent - done < WINDOW:
            sent += 1
            peer.send(mqtt.publish("t/k", value_of(sent), qos=1, number=sent, version=4))
        peer.expect(mqtt.PUBACK)
        done += 1
    peer.socket.close()


# ---- States ------------------------------------------------------------------------------------------

def write_state(folder, root, state):
    for path in sorted(state):
        to = folder + path[len(root):]
        if state[path] is None:
            os.makedirs(to, mode=0o700, exist_ok=True)
        else:
            with open(to, "wb") as file:
                file.write(state[path])


def check(reader, folder, acknowledged, what):
    done = support.run_checked([reader, folder, "t"], seconds=60)
    text = done.stdout.decode(errors="replace")
    if done.returncode != 0:
        assert not acknowledged and done.returncode == 1, f"{what}: {done.returncode} {done.stderr.decode()}"
        shutil.rmtree(folder, ignore_errors=True)
        return 0
    rows = [line.split(" ", 3) for line in text.splitlines()]
    for index, (_, offset, name, value) in enumerate(rows):
        assert int(offset) == index and name == "t/k", f"{what}: {offset} {name} where {index} comes next"
        assert value == value_of(index + 1), f"{what}: record {index + 1} is not what was sent"
    missing = sorted(number for number in acknowledged if number > len(rows))
    assert not missing, f"{what}: {len(missing)} acknowledged records are missing, the first {missing[0]}"
    shutil.rmtree(folder, ignore_errors=True)
    return len(rows)


def forgetful_is_caught(reader, folder, lines, root):
    """The check is checked: a disk that forgets every sync must be found out."""
    disk = Disk(root)
    disk.sync = lambda path, until: None
    for _ in events(lines, disk):
        pass
    os.makedirs(folder)
    write_state(folder, root, disk.state(random.Random(0), "none"))
    try:
        check(reader, folder, disk.acknowledged, "forgetful")
    except AssertionError:
        return
    raise AssertionError("a disk that forgets every sync loses nothing: this test proves nothing")


def permitted():
    """Whether strace may trace here: some containers forbid it."""
    done = subprocess.run(["strace", "-o", "/dev/null", "true"], stderr=subprocess.PIPE, check=False)
    return done.returncode == 0


def main():
    reader = sys.argv[1]
    wanted = int(sys.argv[2]) if len(sys.argv) > 2 else 200
    if os.environ.get("WEIR_SANITIZED"):
        print("skipped: a build with a sanitizer is not traced")
        sys.exit(support.SKIPPED)
    if not shutil.which("strace"):
        print("skipped: strace is missing; apt-get install strace")
        sys.exit(support.SKIPPED)
    if not permitted():
        print("skipped: strace is not permitted to trace here")
        sys.exit(support.SKIPPED)
    seed = int(os.environ.get("WEIR_SEED") or int.from_bytes(os.urandom(4), "big"))
    print(f"seed {seed} (WEIR_SEED={seed} repeats the choices)", flush=True)
    source = random.Random(seed)
    began_at = time.monotonic()
    with support.Scene() as scene:
        gateway = Traced(scene, "g", SETTINGS)
        gateway.start()
        load(gateway)
        os.kill(gateway.tracee(), 9)
        gateway.run.wait()
        traced = time.monotonic() - began_at
        with open(os.path.join(gateway.folder, "trace"), errors="replace") as file:
            lines = file.read().splitlines()
        points = sum(1 for _ in events(lines, Disk(gateway.data)))
        per_state = max(1, points * 3 // wanted)
        disk, states, checks = Disk(gateway.data), 0, []
        scratch = tempfile.mkdtemp(prefix="weir-outside-", dir="/dev/shm" if os.path.isdir("/dev/shm") else None)
        try:
            forgetful_is_caught(reader, os.path.join(scratch, "forgetful"), lines, gateway.data)
            with concurrent.futures.ThreadPoolExecutor(2) as pool:
                for point, _ in enumerate(events(lines, disk)):
                    if source.randrange(per_state) and point != points - 1:
                        continue
                    for how in ("none", "all", "chance"):
                        folder = os.path.join(scratch, str(states))
                        what = f"seed {seed}, point {point} of {points}, {how}"
                        write_state(folder, gateway.data, disk.state(source, how))
                        checks.append(pool.submit(check, reader, folder, set(disk.acknowledged), what))
                        states += 1
                        if len(checks) > 4:
                            checks[-4].result()  # no more states lie there than are being read
            read = sum(one.result() for one in checks)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    assert len(disk.acknowledged) == RECORDS, f"{len(disk.acknowledged)} PUBACKs in the trace, not {RECORDS}"
    for name in ("fdatasync", "rename"):
        assert disk.counts.get(name, 0) > 10, f"{name}: {disk.counts}"
    print(f"{len(lines)} calls traced in {traced:.1f} s: {disk.counts}; {len(disk.acknowledged)} PUBACKs; "
          f"{states} power-cut states recovered, {read} records read, 0 acknowledged lost; "
          f"{time.monotonic() - began_at:.1f} s")


if __name__ == "__main__":
    main()
