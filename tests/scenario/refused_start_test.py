#!/usr/bin/python3
"""Starts that must not succeed: each says in one line what is wrong and what to do, soon, and leaves a
gateway that runs beside it unharmed.

    WEIR_BIN=... refused_start_test.py [part of a test's name]
"""
import os
import re
import socket
import sys

import support

USAGE, ERROR, REFUSED = 2, 1, 4  # exit codes of programs/commands.h


def refused(gateway, code, *words, arguments=()):
    """Starts it, which must end with that code and say the words; what it said."""
    gateway.launch(*arguments)
    ended = gateway.run.wait()
    said = gateway.run.err.decode()
    assert ended == code, f"exit {ended}, not {code}: {gateway.run.text()}"
    assert b"ready" not in gateway.run.out, gateway.run.text()
    assert not os.path.exists(gateway.ports_file), "a ports file was left"
    lines = [line for line in said.splitlines() if line.startswith("weir: ")]
    assert len(lines) == 1, f"not one message: {said}"
    for word in words:
        assert str(word) in lines[0], f"{word!r} is missing: {lines[0]}"
    print(f"    {lines[0]}")
    return lines[0]


def configured(scene, text):
    path = scene.path("weir.yaml")
    with open(path, "w") as file:
        file.write(text)
    return path


def each_mistake_in_the_configuration_is_told_with_its_line_and_column():
    with support.Scene() as scene:
        for text, place, *words in (
                ("mqtt:\n  prot: 1883\n", "2:3", "prot", "port"),
                ("mqtt:\n  port: 1883\nmtqq:\n  port: 1\n", "3:1", "mtqq"),
                ("mqtt:\n  port: 70000\n", "2:9", "65535"),
                ("mqtt:\n  port: soon\n", "2:9", "soon"),
                ("limits:\n  headers_max: 0\n", "2:16", "headers_max"),
                ("limits:\n  headers_max: 2\n  header_max: 2\n", "3:3", "headers_max"),
                ("mqtt:\n  enabled: perhaps\n", "2:12", "perhaps"),
                ("topics:\n  - name: site\n    partitons: 3\n", "3:5", "partitons"),
                ("topics:\n  - name: a+b\n", "2:11", "a topic's name"),
                ("topics:\n  - name: site\n  - name: site\n", "3:", "site"),
                ("topics:\n  - name: site\n    durability: rock\n", "3:17", "rock"),
                ("mqtt:\n  port: [1883\n", "3:", ""),
                ("mqtt:\n\tport: 1883\n", "2:", ""),
                ("mqtt:\n  port: 1\n  port: 2\n", "3:3", "port"),
                ("mqtt:\n  address: 0.0.0.0\n", "2:12", "insecure"),
        ):
            path = configured(scene, text)
            gateway = scene.gateway(arguments=["-c", path], start=False)
            gateway.settings = []
            refused(gateway, USAGE, f"{path}:{place}", *words)


def a_limit_of_too_few_open_files_is_told_with_how_many_it_needs():
    with support.Scene() as scene:
        gateway = scene.gateway("loops=1", "http.enabled=true", "http.port=0", start=False)
        gateway.files_max = 60
        refused(gateway, ERROR, "may have 60 open files", "needs 192", "ulimit -n")


def a_wrong_setting_of_the_command_line_is_told_with_the_nearest_key():
    with support.Scene() as scene:
        refused(scene.gateway("mqtt.prot=1", start=False), USAGE, "mqtt.prot", "mqtt.port", "weir config")
        refused(scene.gateway("mqtt.port", start=False), USAGE, "KEY=VALUE")
        refused(scene.gateway("limits.in_flight_max=0", start=False), USAGE, "limits.in_flight_max")


def a_configuration_file_that_is_not_there_is_told_by_name():
    with support.Scene() as scene:
        gateway = scene.gateway(arguments=["-c", scene.path("nowhere.yaml")], start=False)
        refused(gateway, USAGE, "nowhere.yaml", "No such file")


def a_busy_port_is_refused_and_says_which_setting_to_change():
    with support.Scene() as scene, socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen(1)
        port = busy.getsockname()[1]
        gateway = scene.gateway(start=False)
        gateway.settings[0] = f"mqtt.port={port}"
        refused(gateway, ERROR, f"127.0.0.1:{port}", "mqtt.port")
        gateway.settings[0] = "mqtt.port=0"
        gateway.start().serves()  # the data directory was given back
        assert gateway.stop() == 0


def a_second_gateway_on_the_same_data_is_told_the_owners_pid():
    with support.Scene() as scene:
        owner = scene.gateway()
        second = scene.gateway(data=owner.data, start=False)
        said = refused(second, REFUSED, owner.run.process.pid, owner.data, "--take-over")
        assert re.search(rf"\b{owner.run.process.pid}\b", said), said
        owner.serves()
        assert owner.stop() == 0
        second.start().serves()
        assert second.stop() == 0


def a_second_gateway_with_other_ports_only_is_refused_as_well():
    with support.Scene() as scene:
        owner = scene.gateway()
        second = scene.gateway("local.enabled=false", data=owner.data, start=False)
        refused(second, REFUSED, owner.run.process.pid)
        owner.serves()


def a_killed_owner_stands_in_nobodys_way():
    with support.Scene() as scene:
        owner = scene.gateway()
        owner.serves()
        owner.kill()
        scene.gateway(data=owner.data).serves()


def a_data_directory_below_a_file_is_told_by_its_path():
    with support.Scene() as scene:
        path = scene.path("file")
        with open(path, "w"):
            pass
        refused(scene.gateway(data=path, start=False), ERROR, path, "no directory")
        refused(scene.gateway(data=os.path.join(path, "data"), start=False), ERROR, path,
                "Not a directory")


def a_read_only_data_directory_is_told_with_the_systems_reason():
    with support.Scene() as scene:
        folder = read_only_folder(scene)
        if folder is None:
            print("    SKIPPED: as root, and mounting is not permitted here")
            return
        reason = "Read-only file system" if os.geteuid() == 0 else "Permission denied"
        refused(scene.gateway(data=os.path.join(folder, "data"), start=False), ERROR,
                os.path.join(folder, "data"), reason)
        refused(scene.gateway(data=folder, start=False), ERROR, folder, reason)


def read_only_folder(scene):
    """For root a folder's mode is no bar; a read-only mount is."""
    if os.geteuid() != 0:
        folder = scene.path("locked")
        os.mkdir(folder, 0o500)
        return folder
    folder = scene.mount("1m,ro")
    return folder


def a_data_directory_of_another_version_is_left_as_it_is():
    with support.Scene() as scene:
        gateway = scene.gateway()
        gateway.serves()
        assert gateway.stop() == 0
        path = os.path.join(gateway.data, "owner")
        with open(path, "rb") as file:
            before = file.read()
        changed = bytearray(before)
        changed[0:8] = b"WEIROWN9"
        names = tree(gateway.data)
        with open(path, "wb") as file:
            file.write(changed)
        gateway.launch()
        support.wait_until("an end or readiness", lambda: gateway.run.ended() or
                           b"ready" in gateway.run.out)
        if gateway.run.ended():
            assert tree(gateway.data) >= names, "files are gone"
        else:
            gateway.serves()  # the owner file is rebuilt from the locks' names; nothing is lost
            assert gateway.weir("sub", "alive/yes", "--from", "beginning", "-e").count(b"still here") == 2


def tree(folder):
    return {os.path.join(at, name) for at, _, names in os.walk(folder) for name in names
            if not name.startswith("lock-")}


def a_data_directory_with_a_wrecked_journal_stops_the_start_and_keeps_its_files():
    with support.Scene() as scene:
        gateway = scene.gateway()
        gateway.serves()
        gateway.kill()
        names = tree(gateway.data)
        for at, _, files in os.walk(os.path.join(gateway.data, "journal")):
            for name in files:
                if name.endswith(".wal"):
                    with open(os.path.join(at, name), "r+b") as file:
                        file.write(b"\xa5" * 4096)
        gateway.launch()
        code = gateway.run.wait()
        said = gateway.run.err.decode()
        assert code == ERROR and "journal" in said, f"exit {code}: {said}"
        print(f"    {said.splitlines()[-1]}")
        assert tree(gateway.data) >= names - {os.path.join(gateway.data, "weir.sock")}, "files are gone"


def a_client_without_a_gateway_is_told_how_to_start_one():
    with support.Scene() as scene:
        gateway = scene.gateway(start=False)
        done = gateway.weir("pub", "a", "-m", "x", code=None)
        assert done.returncode == 1 and b"weir serve" in done.stderr, done


if __name__ == "__main__":
    support.run_tests(support.tests_of(globals()), *sys.argv[1:])
