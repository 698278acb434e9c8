"""nng as people use it: plain nngcat against `weir serve`, on tcp, ipc and ws, in every direction."""
import json
import shutil
import sys

import support

NNGCAT = shutil.which("nngcat")
TRANSPORTS = {"tcp": "tcp://127.0.0.1:0", "ipc": "ipc://{folder}/nng.{socket}",
              "ws": "ws://127.0.0.1:0/{socket}"}


class Nng:
    """A gateway with nng on one transport."""

    def __init__(self, scene, transport, *settings):
        urls = [f"nng.{socket}.url=" + TRANSPORTS[transport].format(folder=scene.folder, socket=socket)
                for socket in ("rep", "pull", "pub", "push")]
        self.scene = scene
        self.gateway = scene.gateway("nng.enabled=true", "nng.push.topic=work", *urls, *settings)
        for topic in ("sensors", "work"):
            self.gateway.weir("topic", "create", topic)

    def url(self, socket):
        return self.gateway.ports()[f"nng.{socket}"]

    def listen(self, protocol, socket, *more):
        return self.scene.process([NNGCAT, f"--{protocol}", "--dial", self.url(socket), "--quoted", *more])

    def say(self, protocol, socket, body):
        """Sends one body, NULs and all."""
        path = self.scene.path(f"body.{socket}")
        with open(path, "wb") as file:
            file.write(body)
        done = support.run_checked([NNGCAT, f"--{protocol}", "--dial", self.url(socket), "--file", path,
                                    "--delay", "1", "--count", "1"])
        assert done.returncode == 0, done

    def ask(self, command):
        """One REQ process, one command, its reply. (With --count it needs an --interval, too.)"""
        done = support.run_checked([NNGCAT, "--req0", "--dial", self.url("rep"), "--raw", "--data",
                                    json.dumps(command)])
        assert done.stdout, f"no reply to {command}: {done}"
        return json.loads(done.stdout)


def push_to_pull_arrives(transport):
    with support.Scene() as scene:
        nng = Nng(scene, transport)
        nng.say("push0", "pull", b"sensors/dev1/temp\0" + b"21.5")
        out = support.wait_until("the record", lambda: nng.gateway.weir(
            "sub", "sensors/#", "--from", "-1", "-e"))
        assert out == b"21.5\n", out


def pub_to_sub_arrives(transport):
    with support.Scene() as scene:
        nng = Nng(scene, transport)
        sub = nng.listen("sub0", "pub", "--subscribe", "sensors/")
        # nngcat does not say when it is connected: publish until it has heard one.
        def heard():
            nng.gateway.weir("pub", "other/name", "-m", "not asked for")
            nng.gateway.weir("pub", "sensors/dev1", "-m", "hello")
            return sub.lines()
        lines = support.wait_until("a message at nngcat", heard)
        assert lines[0] == b'"sensors/dev1\\x00hello"', lines


def push_hands_out_work(transport):
    with support.Scene() as scene:
        nng = Nng(scene, transport)
        for i in range(10):
            nng.gateway.weir("pub", f"work/{i}", "-m", f"job {i}")
        pull = nng.listen("pull0", "push")
        lines = pull.wait_lines(10)
        assert lines == [f'"work/{i}\\x00job {i}"'.encode() for i in range(10)], lines


def rep_publishes_and_fetches(transport):
    with support.Scene() as scene:
        nng = Nng(scene, transport)
        token = nng.ask({"cmd": "hello", "version": 1})["session"]
        sent = nng.ask({"cmd": "publish", "session": token, "name": "sensors/a", "value": "x"})
        assert sent["ok"] and sent["offset"] == 0 and sent["level"] == "disk", sent
        got = nng.ask({"cmd": "fetch", "session": token, "topic": "sensors", "offset": 0})
        assert got["records"][0]["value"] == "x", got
        refused = nng.ask({"cmd": "subscribe", "session": token, "filter": "#"})
        assert refused["error"]["code"] == "not-offered", refused
        nng.gateway.kill()
        nng.gateway.start()
        gone = nng.ask({"cmd": "ping", "session": token})
        assert gone["error"]["code"] == "not-found", gone
        token = nng.ask({"cmd": "hello", "version": 1})["session"]
        got = nng.ask({"cmd": "fetch", "session": token, "topic": "sensors", "offset": 0})
        assert got["records"][0]["value"] == "x", got
        assert nng.gateway.stop() == 0


if __name__ == "__main__":
    if NNGCAT is None:
        print("nngcat is not installed (package nng-utils)")
        sys.exit(support.SKIPPED)
    for transport in TRANSPORTS:
        for test in (push_to_pull_arrives, pub_to_sub_arrives, push_hands_out_work,
                     rep_publishes_and_fetches):
            test(transport)
            print(f"ok {test.__name__} {transport}", flush=True)
