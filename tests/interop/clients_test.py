#!/usr/bin/python3
"""mosquitto_pub, mosquitto_sub, paho-mqtt, mqtt.js and the weir command exchange records, every one with
every other.

    WEIR_BIN=... clients_test.py [PART [part of a test's name]]      PART: see PARTS

Each client is a Writer and a Reader with one face: a record is a topic, bytes, a QoS, retain and the
properties of MQTT 5.0, in the words of paho_client.py. Needs mosquitto-clients, python3-paho-mqtt and
`npm ci` in this folder; what is missing is told, and the test counts as skipped.
"""
import base64
import importlib.util
import json
import os
import shutil
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "scenario"))
import support  # noqa: E402 (found through the line above)

PYTHON = sys.executable
BINARY = bytes(range(256)) * 4
QOS = (0, 1)


def encoded(data):
    return base64.b64encode(data).decode()


class Weir:
    """The command line; speaks weir.v1, has no QoS 1 or 0 of MQTT, but asks for confirmation or not."""
    name, version = "weir", 5

    @staticmethod
    def publish(gateway, records):
        for one in records:
            command = ["pub", one["topic"], "-q", str(one.get("qos", 0)), "-f", "-", "--quiet"]
            if one.get("retain"):
                command.append("-r")
                if not one["payload"]:
                    command[command.index("-f"):command.index("-f") + 2] = ["-n"]
            for name, value in Weir.headers(one.get("properties", {})):
                command += ["-H", f"{name}={value}"]
            gateway.weir(*command, stdin=one["payload"])

    @staticmethod
    def headers(properties):
        names = {"contentType": "content-type", "responseTopic": "reply", "expiry": "expiry",
                 "payloadFormat": "payload-format"}
        found = [(names[name], properties[name]) for name in names if name in properties]
        if "correlation64" in properties:
            found.append(("correlation", base64.b64decode(properties["correlation64"]).decode()))
        return found + [tuple(pair) for pair in properties.get("user", [])]

    @staticmethod
    def subscribe(scene, gateway, _qos, *filters):
        assert len(filters) == 1
        return Reader(scene, gateway.weir_command("sub", filters[0], "-o", "ndjson"), Weir.parse)

    @staticmethod
    def parse(line):
        one = json.loads(line)
        value = base64.b64decode(one["value64"]) if "value64" in one else (one["value"] or "").encode()
        properties, user = {}, []
        back = {"content-type": "contentType", "reply": "responseTopic"}
        for header in one.get("headers", []):
            name = header["name"]
            text = header["value"] if "value" in header else header["value64"]
            if name in back:
                properties[back[name]] = text
            elif name in ("expiry", "payload-format"):
                properties["expiry" if name == "expiry" else "payloadFormat"] = int(text)
            elif name == "correlation":
                properties["correlation64"] = encoded(text.encode()) if "value" in header else text
            else:
                user.append([name, text])
        if user:
            properties["user"] = user
        return {"topic": one["name"], "payload": value, "retain": one["retained"],
                "properties": properties, "key": one.get("key")}


class Mosquitto:
    """mosquitto_pub and mosquitto_sub."""

    def __init__(self, version):
        self.version, self.name = version, f"mosquitto{version}"
        self.v = ["-V", "mqttv5" if version == 5 else "mqttv311"]

    def publish(self, gateway, records):
        for one in records:
            command = ["mosquitto_pub", "-p", str(gateway.port), *self.v, "-q", str(one.get("qos", 0)),
                       "-t", one["topic"]]
            command += ["-s"] if one["payload"] else ["-n"]
            command += ["-r"] if one.get("retain") else []
            if self.version == 5:
                command += self.properties(one.get("properties", {}))
            done = support.run_checked(command, one["payload"])
            assert done.returncode == 0, done

    @staticmethod
    def properties(given):
        names = {"contentType": "content-type", "responseTopic": "response-topic",
                 "expiry": "message-expiry-interval", "payloadFormat": "payload-format-indicator"}
        found = []
        for name in (name for name in names if name in given):
            found += ["-D", "publish", names[name], str(given[name])]
        if "correlation64" in given:
            found += ["-D", "publish", "correlation-data",
                      base64.b64decode(given["correlation64"]).decode()]
        for name, value in given.get("user", []):
            found += ["-D", "publish", "user-property", name, value]
        return found

    def subscribe(self, scene, gateway, qos, *filters):
        command = ["mosquitto_sub", "-p", str(gateway.port), *self.v, "-q", str(qos)]
        for name in filters:
            command += ["-t", name]
        # Tabs part the fields; the payload in hexadecimal may hold anything.
        form = "%t\t%x\t%q\t%r\t" + ("%C\t%R\t%E\t%F\t%D\t%P" if self.version == 5 else "")
        return Reader(scene, [*command, "-F", form], self.parse)

    def parse(self, line):
        fields = line.split("\t")
        one = {"topic": fields[0], "payload": bytes.fromhex(fields[1]), "qos": int(fields[2]),
               "retain": fields[3] == "1", "properties": {}}
        if self.version == 5:
            content, reply, expiry, form, correlation, user = fields[4:]
            told = {"contentType": content, "responseTopic": reply,
                    "correlation64": correlation and encoded(correlation.encode()),
                    "expiry": expiry and int(expiry), "payloadFormat": form and int(form),
                    "user": [pair.split(":", 1) for pair in user.split(" ")] if user else ""}
            one["properties"] = {name: value for name, value in told.items() if value != ""}
        return one


class Scripted:
    """paho_client.py and mqttjs_client.mjs, told in JSON."""

    def __init__(self, name, command, version):
        self.version, self.name, self.command = version, f"{name}{version}", command

    @staticmethod
    def place(gateway):
        """Where it connects: a port, or a URL."""
        return str(gateway.port)

    def publish(self, gateway, records):
        lines = "".join(json.dumps({**one, "payload": None, "payload64": encoded(one["payload"])}) + "\n"
                        for one in records)
        done = support.run_checked([*self.command, self.place(gateway), str(self.version), "pub"],
                                   lines.encode(), 60)
        assert done.returncode == 0, (self.name, done.stderr.decode())

    def subscribe(self, scene, gateway, qos, *filters):
        return Reader(scene, [*self.command, self.place(gateway), str(self.version), "sub", str(qos),
                              *filters], self.parse)

    @staticmethod
    def parse(line):
        one = json.loads(line)
        return {**one, "payload": base64.b64decode(one["payload64"])}


class Reader:
    """A running subscriber; records as they came, without the ones that only tell that it listens."""

    def __init__(self, scene, command, parse):
        self.process, self.parse = scene.process(command), parse

    def all(self):
        return [self.parse(line.decode()) for line in self.process.lines()]

    def records(self):
        return [one for one in self.all() if one["payload"] != b"are you there"]

    def wait(self, count):
        """That many, and not one more at this time."""
        support.wait_until(
            f"{count} records at {self.process.command[:6]}; it has {len(self.records())}",
            lambda: len(self.records()) >= count or self.process.ended())
        assert len(self.records()) == count, (self.process.command, self.records()[count:],
                                              self.process.err)
        return self.records()


PAHO = [PYTHON, "-B", os.path.join(HERE, "paho_client.py")]
MQTTJS = ["node", os.path.join(HERE, "mqttjs_client.mjs")]
CLIENTS = [Weir, Mosquitto(4), Mosquitto(5), Scripted("paho", PAHO, 4), Scripted("paho", PAHO, 5),
           Scripted("mqtt.js", MQTTJS, 4), Scripted("mqtt.js", MQTTJS, 5)]
MQTT = CLIENTS[1:]
MQTT5 = [client for client in MQTT if client.version == 5]


def started(scene, *topics):
    gateway = scene.gateway()
    for topic in topics:
        gateway.weir("topic", "create", topic)
    return gateway


def listening(gateway, readers, topic):
    """Returns once a probe, published again and again, has reached every reader."""
    deadline = time.monotonic() + support.DEADLINE_S
    while not all(reader.all() for reader in readers):
        assert time.monotonic() < deadline, [reader.process.text() for reader in readers if not reader.all()]
        gateway.weir("pub", topic, "-m", "are you there", "--quiet")
    # What was published is delivered in order: no further probe comes behind the first record.
    return readers


def subscribed(scene, gateway, probe, *filters, clients=CLIENTS, qos=QOS):
    """A reader of each client at each QoS, listening; [(client, qos, reader)]."""
    made = [(client, level, client.subscribe(scene, gateway, level, *filters))
            for client in clients for level in qos if not (client is Weir and level)]
    listening(gateway, [reader for *_, reader in made], probe)
    return made


def exchanged(topic, declared):
    """Every writer at both QoS, one after the other; every reader at both must see all of it, in order."""
    with support.Scene() as scene:
        gateway = started(scene, *declared)
        readers = subscribed(scene, gateway, f"{topic}/probe", f"{topic}/#")
        sent = []
        for writer in CLIENTS:
            for qos in QOS:
                one = {"topic": f"{topic}/{writer.name}/{qos}", "qos": qos,
                       "payload": f"{writer.name} wrote \u00fc at {qos}".encode()}
                writer.publish(gateway, [one])
                sent.append(one)
        for client, level, reader in readers:
            got = reader.wait(len(sent))
            assert [(one["topic"], one["payload"]) for one in got] == (
                [(one["topic"], one["payload"]) for one in sent]), (client.name, level, got)
            assert not any(one["retain"] for one in got), client.name
            if client is Weir:
                continue
            for there, here in zip(sent, got):
                allowed = {min(there["qos"], level)}
                if there["topic"].split("/")[1] == "weir":
                    allowed = {0, level}  # no QoS of MQTT: the subscriber's
                assert here["qos"] in allowed, (client.name, level, there, here)
        if declared:
            stored = gateway.weir("sub", f"{topic}/#", "--from", "beginning", "-e", "-F", "%n %s").decode()
            assert [line for line in stored.splitlines() if not line.endswith("there")] == (
                [f"{one['topic']} {one['payload'].decode()}" for one in sent])
        print(f"    {len(CLIENTS)} writers, {len(readers)} readers, {len(sent)} records each")


def every_client_reaches_every_other_through_a_topic():
    exchanged("fair", ["fair"])


def every_client_reaches_every_other_on_live_names():
    exchanged("open", [])


def matches(pattern, name):
    """MQTT's rule, said once more, by another hand than the gateway's."""
    wanted, levels = pattern.split("/"), name.split("/")
    for at, level in enumerate(wanted):
        if level == "#":
            return True
        if at >= len(levels) or level not in ("+", levels[at]):
            return False
    return len(wanted) == len(levels)


def each_wildcard_means_the_same_to_every_client():
    names = ["w", "w/", "w//x", "w/a", "w/a/temp", "w/b/temp", "w/a/temp/", "v/a/temp", "/w/a", "W/a/temp"]
    patterns = ["w/#", "w/+", "w/+/temp", "+/a/temp", "+/+/+", "w/+/#", "#", "w/a/temp", "+", "/#", "w//+"]
    with support.Scene() as scene:
        gateway = started(scene, "w")
        readers = []
        for at, pattern in enumerate(patterns):
            for client in (Weir, MQTT[at % len(MQTT)], MQTT[(at + 3) % len(MQTT)]):
                readers.append((pattern, client, client.subscribe(scene, gateway, 1, pattern)))
        probes = {pattern: next(name for name in names if matches(pattern, name)) for pattern in patterns}
        for pattern, _, reader in readers:
            listening(gateway, [reader], probes[pattern])
        for at, name in enumerate(names):
            MQTT[at % len(MQTT)].publish(gateway, [{"topic": name, "payload": name.encode(), "qos": 1}])
        for pattern, client, reader in readers:
            expected = [name for name in names if matches(pattern, name)]
            got = [one["topic"] for one in reader.wait(len(expected))]
            # Declared and live names are different roads: the order holds on each.
            assert sorted(got) == sorted(expected), (pattern, client.name, got, expected)
            assert [one for one in got if one[0] == "w"] == [one for one in expected if one[0] == "w"]


def a_name_that_begins_with_a_dollar_is_hidden_from_wildcards():
    with support.Scene() as scene:
        gateway = started(scene)
        (_, _, reader), = subscribed(scene, gateway, "x/probe", "#", clients=[MQTT[1]], qos=(1,))
        done = support.run_checked(["mosquitto_pub", "-p", str(gateway.port), "-V", "mqttv5", "-q", "1",
                                    "-t", "$hidden/x", "-m", "m"])
        print("    mosquitto_pub to $hidden/x: exit", done.returncode, done.stderr.decode().strip())
        MQTT[1].publish(gateway, [{"topic": "x/after", "payload": b"m", "qos": 1}])
        assert [one["topic"] for one in reader.wait(1)] == ["x/after"]


def retained_round(scene, gateway, topic):
    """Each writer's retained value is there for every later reader, once, and can be replaced."""
    for version in (b"first", b"second"):
        for at, writer in enumerate(CLIENTS):
            writer.publish(gateway, [{"topic": f"{topic}/{writer.name}", "retain": True, "qos": at % 2,
                                      "payload": version + b" of " + writer.name.encode()}])
    check_retained(scene, gateway, topic, {f"{topic}/{client.name}": b"second of " + client.name.encode()
                                           for client in CLIENTS})


def check_retained(scene, gateway, topic, expected):
    readers = [(client, client.subscribe(scene, gateway, 1, f"{topic}/#")) for client in CLIENTS]
    for client, reader in readers:
        if not expected:
            listening(gateway, [reader], f"{topic}/probe")
        got = reader.wait(len(expected))
        assert {one["topic"]: one["payload"] for one in got} == expected, (client.name, got)
        assert all(one["retain"] for one in got), (client.name, got)


def a_retained_value_of_each_client_reaches_every_later_one():
    for topic, declared in (("kept", ["kept"]), ("alive", [])):
        with support.Scene() as scene:
            gateway = started(scene, *declared)
            retained_round(scene, gateway, topic)
            gateway.kill()
            gateway.start()
            check_retained(scene, gateway, topic, {
                f"{topic}/{client.name}": b"second of " + client.name.encode() for client in CLIENTS})


def a_retained_value_is_cleared_by_an_empty_one_of_each_client():
    for topic, declared in (("kept", ["kept"]), ("alive", [])):
        with support.Scene() as scene:
            gateway = started(scene, *declared)
            retained_round(scene, gateway, topic)
            for at, client in enumerate(CLIENTS):
                other = CLIENTS[(at + 1) % len(CLIENTS)]
                client.publish(gateway, [{"topic": f"{topic}/{other.name}", "payload": b"", "retain": True,
                                          "qos": 1}])
            check_retained(scene, gateway, topic, {})


def a_retained_value_reaches_those_subscribed_as_an_ordinary_one():
    with support.Scene() as scene:
        gateway = started(scene, "kept")
        readers = subscribed(scene, gateway, "kept/probe", "kept/#", qos=(1,))
        Mosquitto(5).publish(gateway, [{"topic": "kept/a", "payload": b"now", "retain": True, "qos": 1}])
        for client, _, reader in readers:
            one, = reader.wait(1)
            assert (one["payload"], one["retain"]) == (b"now", False), (client.name, one)


FULL = {"contentType": "application/json", "responseTopic": "answers/here", "correlation64": encoded(b"c-42"),
        "expiry": 3600, "payloadFormat": 1, "user": [["unit", "C"], ["place", "K\u00f6ln"], ["empty", ""]]}


def same_properties(found, expected):
    """expiry may have lost what time has passed."""
    found, expected = dict(found), dict(expected)
    passed = expected.pop("expiry", 0) - found.pop("expiry", 0)
    return 0 <= passed <= support.DEADLINE_S and found == expected


def the_properties_of_each_writer_are_the_headers_of_every_reader():
    with support.Scene() as scene:
        gateway = started(scene, "props")
        readers = subscribed(scene, gateway, "props/probe", "props/#", qos=(1,))
        writers = [Weir, *MQTT5]
        for writer in writers:
            writer.publish(gateway, [{"topic": f"props/{writer.name}", "payload": b"{}", "qos": 1,
                                      "properties": FULL}])
        for client, _, reader in readers:
            for writer, one in zip(writers, reader.wait(len(writers))):
                expected = FULL if client.version == 5 else {}
                assert one["topic"] == f"props/{writer.name}"
                assert same_properties(one["properties"], expected), (
                    f"{writer.name} to {client.name}: {one['properties']}")


def user_properties_keep_their_order_and_their_repeats():
    user = [["b", "1"], ["a", "2"], ["b", "3"], ["b", "1"]]
    with support.Scene() as scene:
        gateway = started(scene, "props")
        clients = [Weir, Mosquitto(5), Scripted("paho", PAHO, 5)]  # mqtt.js groups them by name
        readers = subscribed(scene, gateway, "props/probe", "props/#", clients=clients, qos=(1,))
        for writer in clients:
            writer.publish(gateway, [{"topic": "props/x", "payload": b"m", "qos": 1,
                                      "properties": {"user": user}}])
        for client, _, reader in readers:
            for writer, one in zip(clients, reader.wait(len(clients))):
                assert one["properties"] == {"user": user}, (writer.name, client.name, one)


def a_key_is_the_rest_of_the_name_both_ways():
    with support.Scene() as scene:
        gateway = started(scene, "sensors")
        readers = subscribed(scene, gateway, "sensors/probe/temp", "sensors/+/temp", qos=(1,))
        gateway.weir("pub", "sensors", "-k", "dev1/temp", "-m", "by key")
        Scripted("paho", PAHO, 5).publish(gateway, [{
            "topic": "sensors", "payload": b"by property", "qos": 1,
            "properties": {"user": [["weir-key", "dev2/temp"], ["kept", "yes"]]}}])
        Mosquitto(4).publish(gateway, [{"topic": "sensors/dev3/temp", "payload": b"by name", "qos": 1}])
        for client, _, reader in readers:
            got = reader.wait(3)
            assert [(one["topic"], one["payload"]) for one in got] == [
                ("sensors/dev1/temp", b"by key"), ("sensors/dev2/temp", b"by property"),
                ("sensors/dev3/temp", b"by name")], (client.name, got)
            if client.version == 5:
                assert got[1]["properties"] == {"user": [["kept", "yes"]]}, got[1]
        keys = gateway.weir("sub", "sensors/#", "--from", "beginning", "-e", "-F", "%t %k %s").decode()
        assert keys.splitlines()[-3:] == ["sensors dev1/temp by key", "sensors dev2/temp by property",
                                          "sensors dev3/temp by name"], keys


def a_null_key_is_the_topics_own_name_and_an_empty_one_ends_in_a_slash():
    with support.Scene() as scene:
        gateway = started(scene, "t")
        readers = subscribed(scene, gateway, "t", "t/#", clients=[Weir, MQTT[0], MQTT[5]], qos=(1,))
        gateway.weir("pub", "t", "-m", "null")
        gateway.weir("pub", "t", "-k", "", "-m", "empty")
        Mosquitto(5).publish(gateway, [{"topic": "t//b", "payload": b"slash", "qos": 1}])
        for client, _, reader in readers:
            assert [(one["topic"], one["payload"]) for one in reader.wait(3)] == [
                ("t", b"null"), ("t/", b"empty"), ("t//b", b"slash")], client.name
        keys = gateway.weir("sub", "t/#", "--from", "-3", "-e", "-F", "%K")
        assert keys == b"-1\n0\n2\n", keys


def a_property_that_is_reserved_is_refused_and_nothing_is_stored():
    with support.Scene() as scene:
        gateway = started(scene, "t")
        done = support.run_checked(["mosquitto_pub", "-p", str(gateway.port), "-V", "mqttv5", "-q", "1",
                                    "-t", "t/x", "-m", "m", "-D", "publish", "user-property", "weir-origin",
                                    "me"])
        assert b"failed" in done.stderr or done.returncode != 0, done
        refused = gateway.weir("pub", "t/x", "-m", "m", "-H", "weir-origin=me", code=None)
        assert refused.returncode == 4, refused
        assert gateway.weir("sub", "t/#", "--from", "beginning", "-e") == b""


def a_message_that_has_expired_reaches_nobody_over_mqtt():
    with support.Scene() as scene:
        gateway = started(scene, "t")
        for topic in ("t/short", "live/short"):
            Mosquitto(5).publish(gateway, [{"topic": topic, "payload": b"old", "qos": 1, "retain": True,
                                            "properties": {"expiry": 1}}])
        Mosquitto(5).publish(gateway, [{"topic": "t/long", "payload": b"valid", "qos": 1, "retain": True,
                                        "properties": {"expiry": 100}}])
        time.sleep(2.1)  # the passing of its second is the test's subject
        for client in MQTT5:
            reader = client.subscribe(scene, gateway, 1, "t/#", "live/#")
            one, = reader.wait(1)
            assert one["payload"] == b"valid" and 60 < one["properties"]["expiry"] <= 98, one


def any_bytes_pass_unchanged_between_all():
    payloads = [BINARY, b"\0", b"\n\n", b"x" * 200000, "\u00fc\U0001f600".encode()]
    with support.Scene() as scene:
        gateway = started(scene, "bytes")
        readers = subscribed(scene, gateway, "bytes/probe", "bytes/#", qos=(1,))
        for writer in CLIENTS:
            writer.publish(gateway, [{"topic": "bytes/x", "payload": one, "qos": 1} for one in payloads])
        for client, _, reader in readers:
            got = [one["payload"] for one in reader.wait(len(payloads) * len(CLIENTS))]
            # mqtt.js publishes in parallel, yet in order; all others one after the other.
            assert got == payloads * len(CLIENTS), client.name


def a_record_of_the_largest_size_passes_between_all():
    payload = b"m" * (1048576 - 256)
    with support.Scene() as scene:
        gateway = started(scene, "big")
        readers = subscribed(scene, gateway, "big/probe", "big/#", qos=(1,))
        for writer in (Weir, MQTT[1], MQTT[2], MQTT[5]):
            writer.publish(gateway, [{"topic": "big/x", "payload": payload, "qos": 1}])
        for client, _, reader in readers:
            assert all(one["payload"] == payload for one in reader.wait(4)), client.name


def thousands_of_records_arrive_in_order_at_qos_1():
    count = 3000
    with support.Scene() as scene:
        gateway = started(scene, "many")
        readers = subscribed(scene, gateway, "many/probe", "many/#", clients=[Weir, MQTT[1], MQTT[3], MQTT[5]],
                             qos=(1, 0))
        for at, writer in enumerate((MQTT[2], MQTT[5])):
            writer.publish(gateway, [{"topic": f"many/{at}", "payload": b"%d" % number, "qos": 1}
                                     for number in range(count)])
        lines = b"".join(b"%d\n" % number for number in range(count))
        done = support.run_checked(["mosquitto_pub", "-p", str(gateway.port), "-q", "1", "-t", "many/2", "-l"],
                                   lines, 60)
        assert done.returncode == 0, done
        gateway.weir("pub", "many/3", "-l", stdin=lines, seconds=60)
        for client, level, reader in readers:
            got = reader.wait(4 * count)
            for at in range(4):
                mine = [int(one["payload"]) for one in got if one["topic"] == f"many/{at}"]
                assert mine == list(range(count)), (client.name, level, at)


PARTS = {
    "every_client": [every_client_reaches_every_other_through_a_topic,
                     every_client_reaches_every_other_on_live_names],
    "wildcards": [each_wildcard_means_the_same_to_every_client,
                  a_name_that_begins_with_a_dollar_is_hidden_from_wildcards],
    "retained": [a_retained_value_of_each_client_reaches_every_later_one,
                 a_retained_value_is_cleared_by_an_empty_one_of_each_client,
                 a_retained_value_reaches_those_subscribed_as_an_ordinary_one],
    "properties": [the_properties_of_each_writer_are_the_headers_of_every_reader,
                   user_properties_keep_their_order_and_their_repeats,
                   a_property_that_is_reserved_is_refused_and_nothing_is_stored,
                   a_message_that_has_expired_reaches_nobody_over_mqtt],
    "keys": [a_key_is_the_rest_of_the_name_both_ways,
             a_null_key_is_the_topics_own_name_and_an_empty_one_ends_in_a_slash],
    "bytes": [any_bytes_pass_unchanged_between_all,
              a_record_of_the_largest_size_passes_between_all],
    "many": [thousands_of_records_arrive_in_order_at_qos_1],
}


def missing():
    for what, there in (("mosquitto-clients", shutil.which("mosquitto_pub")),
                        ("python3-paho-mqtt", importlib.util.find_spec("paho")),
                        ("nodejs", shutil.which("node")),
                        ("`npm ci` in tests/interop", os.path.isdir(os.path.join(HERE, "node_modules/mqtt")))):
        if not there:
            return what
    return None


if __name__ == "__main__":
    if missing():
        print(f"SKIPPED: {missing()} is not there")
        sys.exit(support.SKIPPED)
    support.run_tests(PARTS[sys.argv[1]] if sys.argv[1:] else [test for part in PARTS.values()
                                                               for test in part], *sys.argv[2:])
