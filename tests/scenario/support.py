"""What the scenario and interop tests share: a gateway in a folder of its own, and nothing left behind.

    with support.Scene() as scene:                 one temporary folder; all started in it is ended
        gateway = scene.gateway("limits.headers_max=2")
        gateway.port                               MQTT's, chosen by the system
        gateway.weir("pub", "site/a", "-m", "x")   a command against this gateway
        gateway.kill()                             as kill -9
        gateway.start()                            again, on the same data

Standard library only. Every wait has a deadline, which the environment's WEIR_SLOW multiplies (for a
gateway built with a sanitizer). WEIR_BIN names the program. A process started here dies with the test,
however the test ends: the kernel is asked to kill it when its parent goes.
"""
import ctypes
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

SLOW = float(os.environ.get("WEIR_SLOW", "1"))
DEADLINE_S = 60 * min(SLOW, 2)  # of ctest's 180 s: a wait in vain shall still be told by its name
BIN = os.environ.get("WEIR_BIN", "weir")
SKIPPED = 77  # ctest's SKIP_RETURN_CODE
PR_SET_PDEATHSIG = 1
CLONE_NEWNS, CLONE_NEWUSER = 0x20000, 0x10000000
SANITIZER = ("ERROR: AddressSanitizer", "ERROR: LeakSanitizer", "WARNING: ThreadSanitizer",
             "runtime error:", "assertion failed", "Assertion")
_libc = ctypes.CDLL(None)


def die_with_parent():
    """In the child, before exec."""
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def wait_until(what, condition, seconds=None):
    """The first true value of condition(); fails with `what` once the deadline has passed."""
    until = time.monotonic() + (DEADLINE_S if seconds is None else seconds * SLOW)
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > until:
            raise AssertionError(f"waited in vain: {what}")
        time.sleep(0.002)


def own_mounts():
    """Moves this process into a mount namespace of its own; as another user than root, into a user
    namespace as well, where that may be had. Once; harmless where it is not permitted."""
    if getattr(own_mounts, "done", False):
        return
    own_mounts.done = True
    user, group = os.geteuid(), os.getegid()
    if _libc.unshare(CLONE_NEWNS | (CLONE_NEWUSER if user else 0)) != 0:
        return
    if user:
        for name, text in (("setgroups", "deny"), ("uid_map", f"0 {user} 1"), ("gid_map", f"0 {group} 1")):
            with open(f"/proc/self/{name}", "w") as file:
                file.write(text)
    subprocess.run(["mount", "--make-rprivate", "/"], stderr=subprocess.DEVNULL, check=False)


class Process:
    """A child whose output is collected as it comes."""

    def __init__(self, command, stdin=subprocess.DEVNULL, cwd=None, env=None):
        self.command = command
        self.process = subprocess.Popen(
            command, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=cwd,
            env=env, preexec_fn=die_with_parent)
        self.out, self.err = bytearray(), bytearray()
        self.readers = [threading.Thread(target=self._collect, args=pair, daemon=True)
                        for pair in ((self.process.stdout, self.out), (self.process.stderr, self.err))]
        for reader in self.readers:
            reader.start()

    @staticmethod
    def _collect(pipe, into):
        for data in iter(lambda: pipe.read1(65536), b""):
            into += data
        pipe.close()

    def wait(self, seconds=None):
        """The exit code; fails when the process has not ended by the deadline."""
        try:
            code = self.process.wait(DEADLINE_S if seconds is None else seconds * SLOW)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.command[:3]} did not end: {self.text()}") from None
        for reader in self.readers:
            reader.join(DEADLINE_S)
        return code

    def ended(self):
        return self.process.poll() is not None

    def lines(self):
        """Whole lines of standard output so far."""
        return bytes(self.out).split(b"\n")[:-1]

    def wait_lines(self, count, seconds=None):
        wait_until(f"{count} lines of {self.command[:4]}, has {len(self.lines())}; {self.text()[-400:]}",
                   lambda: len(self.lines()) >= count or
                   (self.ended() and not self.readers[0].is_alive()), seconds)
        assert len(self.lines()) >= count, f"{self.command[:4]} ended early: {self.text()}"
        return self.lines()

    def text(self):
        """Both streams, for a person."""
        return (self.out + self.err).decode(errors="replace")

    def end(self):
        """Kills it if it still runs; always reaps it."""
        if not self.ended():
            self.process.kill()
        self.process.wait()
        for reader in self.readers:
            reader.join(DEADLINE_S)
        if self.process.stdin:
            self.process.stdin.close()


class Gateway:
    """`weir serve` on one data directory, started as often as a test wants."""

    def __init__(self, scene, name, settings=(), arguments=(), data=None):
        self.scene = scene
        self.folder = scene.path(name)
        os.makedirs(self.folder, exist_ok=True)
        self.data = data or os.path.join(self.folder, "data")
        self.ports_file = os.path.join(self.folder, "ports")
        self.settings = ["mqtt.port=0", "http.enabled=false", "nng.enabled=false", *settings]
        self.arguments = list(arguments)
        self.files_max = None  # its limit of open files
        self.run = None
        self.port = None
        self.ports_kept = False

    def command(self, *more):
        command = [BIN, "serve", "--data", self.data, "--ports", self.ports_file, *self.arguments, *more]
        for setting in self.settings:
            command += ["--set", setting]
        if self.files_max is not None:
            few = "import os,resource,sys; most = int(sys.argv[1]); " \
                  "resource.setrlimit(resource.RLIMIT_NOFILE, (most, most)); os.execv(sys.argv[2], sys.argv[2:])"
            command = [sys.executable, "-c", few, str(self.files_max), *command]
        return command

    def launch(self, *more):
        """Starts it and does not wait."""
        if os.path.exists(self.ports_file):
            os.unlink(self.ports_file)  # a killed gateway's
        self.run = self.scene.process(self.command(*more))
        return self.run

    def start(self, *more):
        """Starts it and waits until it says that it is ready. With ports_keep somebody may have got one
        of its ports while it was gone: then again, until they are free."""
        deadline = time.monotonic() + DEADLINE_S
        self.launch(*more)
        while self.ports_kept and not self.said_ready() and time.monotonic() < deadline:
            if "in use" not in self.log():
                break
            self.launch(*more)
        self.wait_ready()
        return self

    def said_ready(self):
        """True once it is ready; false when it has ended instead."""
        wait_until(f"the gateway's readiness: {self.run.text()}",
                   lambda: self.run.ended() or b" ready:" in self.run.out)
        return b" ready:" in self.run.out

    def ports_keep(self):
        """The ports and URLs that it has now are those of every later start."""
        keys = {"mqtt": "mqtt.port", "http": "http.port"}
        bound = self.ports()
        for name, key in keys.items():
            if name in bound:
                self.settings.append(f"{key}={bound[name].rsplit(':', 1)[1]}")
        self.settings += [f"{name}.url={url}" for name, url in bound.items() if name.startswith("nng.")]
        self.ports_kept = True

    def wait_ready(self):
        self.said_ready()
        assert not self.run.ended(), f"the gateway did not start: {self.run.text()}"
        self.port = int(self.ports()["mqtt"].rsplit(":", 1)[1])

    def ports(self):
        with open(self.ports_file) as file:
            return dict(line.split(" ", 1) for line in file.read().splitlines())

    def kill(self):
        """SIGKILL, and it is gone when this returns."""
        self.run.end()

    def stop(self):
        """SIGTERM; the exit code."""
        self.run.process.send_signal(signal.SIGTERM)
        return self.run.wait()

    def signal(self, number):
        self.run.process.send_signal(number)

    def log(self):
        return self.run.err.decode(errors="replace")

    def alive(self):
        return not self.run.ended()

    def weir_command(self, *arguments):
        return [BIN, *arguments, "--data", self.data]

    def weir(self, *arguments, stdin=b"", code=0, seconds=None):
        """Runs a command of the CLI against this gateway; its standard output."""
        done = run_checked(self.weir_command(*arguments), stdin, seconds)
        assert code is None or done.returncode == code, (
            f"weir {' '.join(arguments)}: exit {done.returncode}, not {code}: "
            f"{done.stdout.decode(errors='replace')[-500:]}{done.stderr.decode(errors='replace')}")
        return done.stdout if code is not None else done

    def weir_starts(self, *arguments):
        """The same, left running."""
        return self.scene.process(self.weir_command(*arguments))

    def serves(self):
        """Fails unless a record goes in and comes out again."""
        self.weir("topic", "create", "alive")
        self.weir("pub", "alive/yes", "-m", "still here")
        out = self.weir("sub", "alive/yes", "--from", "-1", "-e")
        assert out == b"still here\n", out


def run_checked(command, stdin=b"", seconds=None):
    """Runs a command to its end; a CompletedProcess with both streams."""
    return subprocess.run(command, input=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          timeout=DEADLINE_S if seconds is None else seconds * SLOW,
                          preexec_fn=die_with_parent)


class Scene:
    """A temporary folder and everything that a test started; gone when the block is left."""

    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="weir-scene-")
        self.processes = []
        self.gateways = []
        self.mounts = []

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        complaints = []
        good = kind is None or (kind is SystemExit and error.code in (None, 0, SKIPPED))
        try:
            if not good:
                self.tell()
            for process in self.processes:
                process.end()
            complaints = [line for process in self.processes for line in sanitizer_lines(process)]
        finally:
            for mount in reversed(self.mounts):
                subprocess.run(["umount", "-l", mount], check=False)
            shutil.rmtree(self.folder, ignore_errors=True)
        if complaints and good:
            raise AssertionError("\n".join(complaints))
        return False

    def tell(self):
        """On failure: what every process said last."""
        for process in self.processes:
            lines = [line[:300] for line in process.text().splitlines()[-12:]]
            if lines:
                print(f"---- {' '.join(process.command)[:200]}", *lines, sep="\n", file=sys.stderr)

    def path(self, *parts):
        return os.path.join(self.folder, *parts)

    def process(self, command, **options):
        process = Process(command, **options)
        self.processes.append(process)
        return process

    def gateway(self, *settings, name=None, arguments=(), data=None, start=True):
        gateway = Gateway(self, name or f"g{len(self.gateways)}", settings, arguments, data)
        self.gateways.append(gateway)
        return gateway.start() if start else gateway

    def mount(self, size):
        """A tmpfs of that size, or None when mounting is not permitted. Only this process and its
        children see it, so that it is gone with them."""
        own_mounts()
        folder = self.path(f"mount{len(self.mounts)}")
        os.mkdir(folder)
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "weir-test", folder],
                              stderr=subprocess.PIPE, check=False)
        if done.returncode != 0:
            return None
        self.mounts.append(folder)
        return folder


def sanitizer_lines(process):
    """What a sanitizer or an assertion said, with the lines behind it."""
    text = process.err.decode(errors="replace")
    for mark in SANITIZER:
        at = text.find(mark)
        if at >= 0:
            return [text[at:at + 4000]]
    return []


def data_file(name):
    """A file of recorded data beside the checkout (or in WEIR_SHARED_DATA), or None."""
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    for folder in (os.environ.get("WEIR_SHARED_DATA"), os.path.join(root, "..", "shared", "data")):
        if folder and os.path.exists(os.path.join(folder, name)):
            return os.path.join(folder, name)
    return None


def run_tests(tests, part=None):
    """Runs functions whose names are sentences, in order; exits with how it went."""
    failed = ran = 0
    for test in tests:
        if part and part not in test.__name__:
            continue
        ran += 1
        began = time.monotonic()
        try:
            test()
            verdict = "ok"
        except Exception as error:  # every failure is told, then the next test runs
            import traceback
            traceback.print_exc()
            verdict = f"FAILED: {error}"
            failed += 1
        print(f"{test.__name__}: {verdict} ({time.monotonic() - began:.2f} s)", flush=True)
    print(f"{ran - failed} of {ran} passed")
    sys.exit(1 if failed or not ran else 0)


def tests_of(names):
    """The tests of a module's globals(), in the order in which they stand in it."""
    found = [value for name, value in names.items() if callable(value) and
             name.startswith(("a_", "an_", "the_", "each_", "every_", "no_")) and
             getattr(value, "__module__", "") == "__main__"]
    return sorted(found, key=lambda test: test.__code__.co_firstlineno)
