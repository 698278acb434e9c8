#!/usr/bin/python3
"""Fails on an arrow between rooms that docs/rooms.md does not allow.

    rooms_test.py SOURCE_FOLDER BUILD_FOLDER

Looks at three things: every #include of every tracked C file, every weir_room() of CMake, and the libc
symbols that core's objects want. Each check is also shown something that it must refuse.
"""
import glob
import os
import re
import subprocess
import sys
import unittest

SOURCE, BUILD = "", ""

# C11, POSIX and Linux: what "libc" means in the table.
LIBC = re.compile(
    r"^(assert|complex|ctype|dirent|dlfcn|endian|errno|fcntl|float|fnmatch|ftw|getopt|glob|grp|inttypes|limits|locale|malloc|math|"
    r"netdb|poll|pthread|pwd|sched|semaphore|setjmp|signal|spawn|stdarg|stdalign|stdatomic|stdbool|stddef|stdint|stdio|"
    r"stdlib|stdnoreturn|string|strings|termios|threads|time|unistd|wait)\.h$"
    r"|^(sys|net|netinet|arpa|linux|gnu|sanitizer)/"
)

# What would go round core/env. Not here: fprintf and its like to stderr, memory, strings, mutexes (they
# order what threads of env do, and wait for nothing else).
FORBIDDEN = set(
    """time gettimeofday clock clock_gettime clock_getres nanosleep clock_nanosleep usleep sleep alarm timer_create
    timerfd_create open open64 __open_2 __open64_2 openat openat64 creat close read __read_chk pread pread64 __pread_chk
    __pread64_chk readv preadv preadv64 write pwrite pwrite64 writev pwritev pwritev64 fsync fdatasync sync syncfs
    sync_file_range fallocate fallocate64 posix_fallocate ftruncate ftruncate64 truncate rename renameat unlink unlinkat
    link mkdir mkdirat rmdir opendir readdir readdir64 stat stat64 fstat fstat64 lstat lstat64 fstatat statvfs fstatvfs
    fopen fopen64 fdopen freopen fread mmap mmap64 munmap msync flock lockf fcntl fcntl64 ioctl getrandom getentropy
    random srandom rand srand rand_r drand48 arc4random arc4random_buf pthread_create pthread_cond_wait
    pthread_cond_timedwait pthread_join sem_wait sem_timedwait eventfd pipe pipe2 poll ppoll select epoll_create1 epoll_wait
    socket connect accept accept4 send recv syscall fork execve getenv kill""".split()
)
PURE_ROOMS = ["base", "journal", "batch", "log", "engine"]


def table_read(text):
    """Room -> (set of rooms or header files it may include, set of library headers)."""
    rooms = {}
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if len(cells) != 4 or not re.match(r"^`[a-z0-9_/]+`$", cells[0]):
            continue
        rooms[cells[0].strip("`")] = (
            set(re.findall(r"`([^`]+)`", cells[1])),
            set(re.findall(r"`([^`]+)`", cells[2])),
        )
    return rooms


def room_of(rooms, path):
    parts = path.split("/")
    for length in range(len(parts) - 1, 0, -1):
        name = "/".join(parts[:length])
        if name in rooms:
            return name
    return None


def covers(allowed, target):
    """`core/base` covers core/base/map.h; `include/weir/base.h` covers itself only."""
    return any(target == one or target.startswith(one + "/") for one in allowed)


def library_of(rooms, header):
    for _, libraries in rooms.values():
        for library in libraries:
            if header == library or (library.endswith("/") and header.startswith(library)):
                return library
    return None


def include_fault(rooms, path, header, quoted, exists):
    """One sentence, or None when the include is allowed."""
    room = room_of(rooms, path)
    if room is None:
        return f"{path} belongs to no room of docs/rooms.md"
    target = None
    if header.startswith("weir/"):
        target = "include/" + header
    elif quoted:
        beside = os.path.normpath(os.path.join(os.path.dirname(path), header))
        target = beside if exists(beside) else header
    if target is not None:
        own = room_of(rooms, target)
        if own is None:
            return f"{path} includes {header}, which belongs to no room"
        if own == room or target == "include/weir/base.h" or covers(rooms[room][0], target):
            return None
        return f"{path}: {room} may not include {target}"
    library = library_of(rooms, header)
    if library is not None:
        return None if library in rooms[room][1] else f"{path}: {room} may not use the library of <{header}>"
    return None if LIBC.match(header) else f"{path}: no room names the library of <{header}>"


def tracked(*patterns):
    out = subprocess.run(["git", "-c", "safe.directory=*", "-C", SOURCE, "ls-files", "-z", "--", *patterns], check=True, capture_output=True)
    names = out.stdout.decode().split("\0")
    return [name for name in names if name and os.path.exists(os.path.join(SOURCE, name))]


def includes(path):
    with open(os.path.join(SOURCE, path), encoding="utf-8") as file:
        for line in file:
            match = re.match(r'^\s*#\s*include\s+(["<])([^">]+)[">]', line)
            if match:
                yield match.group(2), match.group(1) == '"'


def cmake_rooms(path, text):
    """(room's folder, names of the rooms it links) of each weir_room() in a CMakeLists.txt."""
    for call in re.findall(r"weir_room\(([^)]*)\)", text):
        words = call.split()
        linked, taking = [], False
        for word in words[1:]:
            if word in ("SOURCES", "LIBRARIES", "ROOMS"):
                taking = word == "ROOMS"
            elif taking:
                linked.append(word)
        yield os.path.dirname(path), linked


def room_named(rooms, name):
    """`proto_mqtt` is adapters/proto/mqtt; `base` is core/base; `client` is clients/c."""
    if name == "client":
        return "clients/c"
    tail = name.replace("_", "/")
    return next((room for room in (tail, "core/" + tail, "adapters/" + tail) if room in rooms), None)


def link_fault(rooms, folder, name):
    target = room_named(rooms, name)
    if target is None:
        return f"{folder}/CMakeLists.txt links {name}, which is no room"
    if covers(rooms.get(folder, (set(), set()))[0], target) or target == "core/base":
        return None
    return f"{folder}/CMakeLists.txt: {folder} may not link {target}"


def wanted_symbols(objects):
    out = subprocess.run(["nm", "-u", "-A", *objects], check=True, capture_output=True, text=True)
    for line in out.stdout.splitlines():
        match = re.match(r"^(.*?):?\s+[Uw]\s+(\S+)$", line)
        if match:
            yield match.group(1), match.group(2).split("@")[0]


class Rooms(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        with open(os.path.join(SOURCE, "docs/rooms.md"), encoding="utf-8") as file:
            cls.rooms = table_read(file.read())

    def exists(self, path):
        return os.path.exists(os.path.join(SOURCE, path))

    def test_every_include_has_its_arrow_in_the_table(self):
        files = tracked("*.c", "*.h")
        self.assertGreater(len(files), 20)
        faults = []
        for path in files:
            for header, quoted in includes(path):
                faults.append(include_fault(self.rooms, path, header, quoted, self.exists))
        self.assertEqual([fault for fault in faults if fault], [])

    def test_planted_arrows_are_caught(self):
        planted = [
            ("core/base/map.c", "core/engine/state.h", True),  # upwards
            ("core/batch/read.c", "core/env/env.h", True),  # a pure room that reaches for files
            ("adapters/mqtt/mqtt.c", "adapters/local/local.h", True),  # one adapter to another
            ("adapters/proto/mqtt/codec.c", "uv.h", False),  # a codec with a loop
            ("core/log/tail.c", "uv.h", False),
            ("core/engine/engine.c", "jansson.h", False),
            ("programs/main.c", "core/base/map.h", True),  # past the public headers
            ("adapters/mqtt/mqtt.c", "tests/unit/x.h", True),  # nothing includes tests
            ("core/base/map.c", "curl/curl.h", False),  # a library nobody named
            ("elsewhere/x.c", "stdio.h", False),  # a folder that is no room
        ]
        for path, header, quoted in planted:
            with self.subTest(path=path, header=header):
                self.assertIsNotNone(include_fault(self.rooms, path, header, quoted, lambda _: False))

    def test_allowed_arrows_are_not_caught(self):
        allowed = [
            ("core/base/map.c", "weir/base.h", True),
            ("core/engine/engine.c", "core/journal/journal.h", True),
            ("adapters/mqtt/mqtt.c", "uv.h", False),
            ("core/env/posix.c", "sys/stat.h", False),
        ]
        for path, header, quoted in allowed:
            with self.subTest(path=path, header=header):
                self.assertIsNone(include_fault(self.rooms, path, header, quoted, lambda _: False))

    def test_the_table_has_no_cycle(self):
        above = {room: {target for target in allowed if target in self.rooms} for room, (allowed, _) in self.rooms.items()}
        done = set()
        while len(done) < len(above):
            ready = [room for room, targets in above.items() if room not in done and targets <= done]
            self.assertTrue(ready, f"a cycle among {sorted(set(above) - done)}")
            done.update(ready)

    def test_rooms_link_only_what_they_may_include(self):
        faults = []
        for path in tracked("*CMakeLists.txt"):
            with open(os.path.join(SOURCE, path), encoding="utf-8") as file:
                for folder, linked in cmake_rooms(path, file.read()):
                    self.assertIn(folder, self.rooms)
                    faults += [link_fault(self.rooms, folder, name) for name in linked]
        self.assertGreater(len(faults), 5)
        self.assertEqual([fault for fault in faults if fault], [])

    def test_planted_link_is_caught(self):
        planted = list(cmake_rooms("core/base/CMakeLists.txt", "weir_room(base ROOMS engine LIBRARIES x)"))
        self.assertEqual(planted, [("core/base", ["engine"])])
        self.assertIsNotNone(link_fault(self.rooms, "core/base", "engine"))

    def test_core_reaches_the_system_only_through_env(self):
        archives = [path for room in PURE_ROOMS for path in glob.glob(f"{BUILD}/core/{room}/libweir_{room}.a")]
        self.assertEqual(len(archives), len(PURE_ROOMS), "build the core first")
        faults = [
            f"{where} wants {symbol}"
            for where, symbol in wanted_symbols(archives)
            if symbol in FORBIDDEN and not (symbol == "write" and "log.c" in where)
        ]
        self.assertEqual(faults, [])

    def test_env_itself_would_be_caught(self):
        archive = f"{BUILD}/core/env/libweir_env.a"
        symbols = {symbol for _, symbol in wanted_symbols([archive])}
        self.assertTrue({"clock_gettime", "fdatasync"} & symbols & FORBIDDEN)


if __name__ == "__main__":
    SOURCE, BUILD = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
    unittest.main(argv=[sys.argv[0], "-v"] + sys.argv[3:])
