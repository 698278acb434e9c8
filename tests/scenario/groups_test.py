"""Consumer groups through three front ends: the C client's whole road on each of them; and members
that are killed in turn under load, after which every record has been accepted exactly once.

    groups_test.py GROUP_CLIENT
"""
import json
import os
import socket
import sys

import support

CLIENT = sys.argv[1]
RECORDS = 3000
KILLS = 9


def gateway_of(scene):
    gateway = scene.gateway("http.enabled=true", "http.port=0", "nng.enabled=true",
                            "nng.rep.url=tcp://127.0.0.1:0")
    bound = gateway.ports()
    urls = {
        "websocket": "ws://127.0.0.1:%s/v1" % bound["http"].rsplit(":", 1)[1],
        "nng": "nng+" + bound["nng.rep"],
        "local": "unix:" + os.path.join(gateway.data, "weir.sock"),
    }
    return gateway, urls


class Talk:
    """weir.v1 on the local socket, one command at a time."""

    def __init__(self, gateway):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(support.DEADLINE_S)
        self.socket.connect(os.path.join(gateway.data, "weir.sock"))
        self.lines = self.socket.makefile("rb")
        self.ask(cmd="hello", version=1)

    def ask(self, **command):
        self.socket.sendall(json.dumps(command).encode() + b"\n")
        answer = json.loads(self.lines.readline())
        assert answer.get("ok"), f"{command}: {answer}"
        return answer


def the_c_client_walks_the_whole_road_on_every_front_end():
    for name in ("local", "websocket", "nng"):
        with support.Scene() as scene:
            _, urls = gateway_of(scene)
            done = support.run_checked([CLIENT, "road", urls[name]])
            assert done.returncode == 0, (name, done.stderr.decode(errors="replace"))


def members_killed_in_turn_leave_every_record_accepted_once():
    with support.Scene() as scene:
        gateway, urls = gateway_of(scene)
        talk = Talk(gateway)
        talk.ask(cmd="topic", action="create", topic="work", durability="os")
        talk.ask(cmd="group", action="create", group="workers", model="queue", topic="work",
                 lease_ms=2000, delivery_limit=-1)
        names = list(urls)

        def worker(name):
            return scene.process([CLIENT, "work", urls[name], "workers", name])

        workers = {name: worker(name) for name in names}
        everyone = list(workers.values())
        for process in everyone:
            process.wait_lines(1)
        sent = 0
        for kill in range(KILLS + 1):
            step = RECORDS // (KILLS + 1)
            talk.ask(cmd="publish", topic="work", records=[{"key": str(i), "value": str(i)}
                                                           for i in range(sent, sent + step)])
            sent += step
            if kill < KILLS:
                name = names[kill % len(names)]
                before = len(workers[name].lines())
                support.wait_until(f"{name} to accept something",
                                   lambda: len(workers[name].lines()) > before or settled(talk) == sent)
                workers[name].end()
                workers[name] = worker(name)
                everyone.append(workers[name])
        support.wait_until(f"{sent} records settled", lambda: settled(talk) == sent)
        group = talk.ask(cmd="group", action="info", group="workers")["group"]
        fates = {fate: count for fate, count in group["fates"].items() if count}
        assert fates == {"accepted": sent}, fates
        told = [int(line) for process in everyone for line in process.lines() if not line.startswith(b"#")]
        assert len(told) == len(set(told)), "a record was accepted twice"
        assert set(told) <= set(range(sent)), "a record that was never sent"
        origins = {member["origin"] for member in group["members"]}
        assert origins == set(names), group["members"]
        lost = sent - len(told)
        assert lost <= KILLS, f"{lost} confirmations are missing, {KILLS} members were killed"


def settled(talk):
    group = talk.ask(cmd="group", action="info", group="workers")["group"]
    return sum(count for fate, count in group["fates"].items() if fate != "pending")


support.run_tests([
    the_c_client_walks_the_whole_road_on_every_front_end,
    members_killed_in_turn_leave_every_record_accepted_once,
])
