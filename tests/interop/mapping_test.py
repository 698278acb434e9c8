#!/usr/bin/python3
"""docs/mapping.md is true: every field of its table goes from every producer to every consumer.

    WEIR_BIN=... mapping_test.py TABLE [PRODUCER [CONSUMER]]

The table is the test's list. SAMPLES has a value for each field, SAY and TOLD have what each word of a
cell means; a row without a sample, a word without a meaning, and a sample or a meaning that the table does
not use all fail. One record goes from each producer for each field that it can say, under a topic of its
own; a consumer that has no word for a field must get the record without it.

Needs python3-paho-mqtt, python3-websockets and nng-utils; what is missing is told, and the test counts as
skipped.
"""
import ast
import asyncio
import base64
import importlib.util
import itertools
import json
import os
import queue
import re
import shutil
import socket
import sys
import threading
import time
import urllib.parse

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "scenario"))
import support  # noqa: E402 (found through the line above)

BEGAN = time.time()
NNGCAT = shutil.which("nngcat")
NOTHING = "–"
VALUE = b"value"
KEY = "k"
BYTES = b"\x00\xff"
PROPERTIES = ["ContentType", "ResponseTopic", "MessageExpiryInterval", "CorrelationData",
              "PayloadFormatIndicator", "UserProperty"]
COLUMNS = ["MQTT 5.0", "MQTT 3.1.1", "weir.v1", "weir.v1 over REQ", "nng PULL", "nng PUB"]

# field: (what is sent, what a consumer is told when the producer has no word for it)
SAMPLES = {
    "key": ("dev1/temp", None),
    "key-null": (None, None),
    "key-empty": ("", None),
    "key-text": ("a+b#c%", None),
    "key-bytes": (b"\xff\x2f\x00", None),
    "live": (KEY, None),
    "value": ("21.5 °C".encode(), None),
    "value-bytes": (BYTES, None),
    "value-empty": (b"", None),
    "value-null": (None, None),
    "content-type": ("text/plain", None),
    "expiry": (3600, None),
    "reply": ("answers/here", None),
    "correlation": ("c-1", None),
    "correlation-bytes": (BYTES, None),
    "traceparent": ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", None),
    "headers": ([["b", "1"], ["a", "Köln"], ["b", "2"], ["c", ""]], []),
    "header-bytes": ([["raw", BYTES]], []),
    "header-null": ([["none", None]], []),
    "payload-format": ("1", None),
    "retain": (True, False),
    "qos-0": (0, 1),
    "qos-1": (1, 1),
}
# Where a producer without the word sends nothing for that field: it would be another field's record.
CARRIED_BY_NAME_OR_VALUE = [field for field in SAMPLES if field.startswith(("key", "live", "value"))]


# ---- What the words of a cell mean ---------------------------------------------------------------

def full_name(topic, key):
    return topic if key is None else f"{topic}/{key}"


def key_of(name, topic):
    """The key as a name tells it: behind the topic."""
    assert name == topic or name.startswith(topic + "/"), (name, topic)
    return None if name == topic else name[len(topic) + 1:]


def decoded_key(name, topic):
    """What a percent-encoded key was: text where it is some."""
    key = key_of(name, topic)
    assert re.fullmatch(r"[^\0+#]*", key) and "%" in key, name
    data = urllib.parse.unquote_to_bytes(key)
    try:
        return data.decode() if b"\0" not in data else data
    except UnicodeDecodeError:
        return data


def in_base64(value):
    return {"base64": base64.b64encode(value).decode()} if isinstance(value, bytes) else value


def out_of_base64(value):
    return base64.b64decode(value["base64"]) if isinstance(value, dict) else value


def put(name, value, record):
    record[name] = value


def put_user(record, pairs):
    record["user"] = record.get("user", []) + pairs


def user_of(got, name):
    return next((value for at, value in got["user"] if at == name), None)


def headers_of(got):
    return [[name, out_of_base64(value)] for name, value in got.get("headers", [])]


def header_of(got, name):
    return dict(headers_of(got)).get(name)


def say_key_property(record, topic, key):
    record["name"] = topic
    put_user(record, [["weir-key", key]])


def say_topic(record, topic, key, member="key"):
    record.pop("name")
    record["topic"] = topic
    if key is not None:
        record[member] = base64.b64encode(key).decode() if isinstance(key, bytes) else key


def say_value(record, value, member="value"):
    record.pop("value")
    record[member] = value


def told_encoded(got, topic):
    assert user_of(got, "weir-key-encoded") == "1", got
    return decoded_key(got["name"], topic)


def told_empty_values(got):
    """As null, since nothing but the table tells the difference."""
    assert all(value == "" for _, value in got["user"]), got
    return [[name, None] for name, _ in got["user"]]


def told_left(got, whole=SAMPLES["expiry"][0]):
    """The whole of an expiry, when what is left of it is less by no more than has passed."""
    left = got.get("MessageExpiryInterval")
    return whole if left is not None and whole - (time.time() - BEGAN) - 1 <= left <= whole else left


def told_since(got):
    assert "expiry" not in got or BEGAN <= got["time"] / 1000 + 0.001 and got["time"] / 1000 <= time.time(), got
    return got.get("expiry")


def told_member(got, *names):
    assert all(got.get(name) is True for name in names[1:]), got
    return got.get(names[0])


def told_no_key(got, topic):
    assert "key" not in got and "key_base64" not in got and got["topic"] == got["name"] == topic, got


def told_empty(got):
    assert got["value"] == b"", got


NAME = {"say": lambda r, t, v: put("name", full_name(t, v), r), "told": lambda g, t: key_of(g["name"], t)}
PAYLOAD = {"say": lambda r, t, v: put("value", v, r), "told": lambda g, t: g["value"]}
ENCODED = {"told": lambda g, t: decoded_key(g["name"], t)}
EMPTY = {"told": lambda g, t: told_empty(g)}


def plain(name):
    return {"say": lambda r, t, v: put(name, v, r), "told": lambda g, t: g.get(name)}


MQTT = {
    "topic name `T/key`": NAME, "topic name `T`": NAME, "topic name `T/`": NAME, "topic name": NAME,
    "percent-encoded": ENCODED, "payload": PAYLOAD, "an empty payload": EMPTY, "QoS": plain("qos"),
    "RETAIN": {"say": lambda r, t, v: put("retain", v, r)},
    "RETAIN, when subscribing later": {"told": lambda g, t: g["later"]()}}
MQTT5 = {
    **{word: MQTT[word] for word in MQTT if word != "percent-encoded"},
    "topic name `T`, user property `weir-key`": {"say": say_key_property},
    "percent-encoded, user property `weir-key-encoded`": {"told": told_encoded},
    "Content Type": plain("ContentType"), "Response Topic": plain("ResponseTopic"),
    "Message Expiry Interval": {"say": lambda r, t, v: put("MessageExpiryInterval", v, r)},
    "what is left of it": {"told": lambda g, t: told_left(g)},
    "Correlation Data": {
        "say": lambda r, t, v: put("CorrelationData", v.encode() if isinstance(v, str) else v, r),
        "told": lambda g, t: g.get("CorrelationData")},
    "user property `traceparent`": {"say": lambda r, t, v: put_user(r, [["traceparent", v]]),
                                    "told": lambda g, t: user_of(g, "traceparent")},
    "user property with an empty value": {"told": lambda g, t: told_empty_values(g)},
    "user properties": {"say": lambda r, t, v: put_user(r, v), "told": lambda g, t: g["user"]},
    "Payload Format Indicator": {
        "say": lambda r, t, v: put("PayloadFormatIndicator", int(v), r),
        "told": lambda g, t: str(g["PayloadFormatIndicator"]) if "PayloadFormatIndicator" in g else None},
}
HEADERS = {"say": lambda r, t, v: put("headers", [[name, in_base64(value)] for name, value in v], r),
           "told": lambda g, t: headers_of(g)}
WEIR1 = {
    "`topic` and `key`": {"say": say_topic, "told": lambda g, t: g["topic"] == t and g["key"]},
    "`topic` without `key`": {"say": say_topic, "told": lambda g, t: told_no_key(g, t)},
    "`key`, `name_encoded`": {"told": lambda g, t: told_member(g, "key", "name_encoded")},
    "`key_base64`": {"say": lambda r, t, v: say_topic(r, t, v, "key_base64")},
    "`key_base64`, `name_encoded`": {
        "told": lambda g, t: base64.b64decode(told_member(g, "key_base64", "name_encoded"))},
    "`name`": NAME,
    "`name`, `live`": {"told": lambda g, t: told_member(g, "live") and key_of(g["name"], t)},
    "`value`": {"say": lambda r, t, v: say_value(r, v.decode()), "told": lambda g, t: g["value"].encode()},
    "`base64`": {"say": lambda r, t, v: say_value(r, base64.b64encode(v).decode(), "base64"),
                 "told": lambda g, t: base64.b64decode(g["base64"])},
    "`value` is null": {"say": lambda r, t, v: say_value(r, None), "told": lambda g, t: g["value"]},
    "`content_type`": plain("content_type"), "`reply`": plain("reply"),
    "`expiry`": {"say": lambda r, t, v: put("expiry", v, r)},
    "`expiry`, counted from `time`": {"told": lambda g, t: told_since(g)},
    "`correlation`": plain("correlation"), "`traceparent`": plain("traceparent"),
    "`headers`": HEADERS, "`headers`, null": HEADERS,
    "`headers`, in base64": HEADERS,
    "`headers`, `payload-format`": {
        "say": lambda r, t, v: put("headers", [["payload-format", v]], r),
        "told": lambda g, t: header_of(g, "payload-format")},
    "`retain`": {"say": lambda r, t, v: put("retain", v, r)},
}
WEIR1_PUSH = {**WEIR1, "`retained`, when subscribing later": {"told": lambda g, t: g["later"]()}}
NNG = {"name `T/key`": NAME, "name `T`": NAME, "name `T/`": NAME, "name": NAME, "behind the NUL": PAYLOAD}
WORDS = {
    "MQTT 5.0": MQTT5, "MQTT 3.1.1": MQTT, "weir.v1": WEIR1_PUSH,
    "weir.v1 over REQ": {word: WEIR1[word] for word in WEIR1 if word != "`name`, `live`"},
    "nng PULL": NNG,
    "nng PUB": {**NNG, "percent-encoded": ENCODED, "an empty payload": EMPTY}}


def correlation_in_headers(record, topic, value):
    record["headers"] = [["correlation", in_base64(value)]]


# The same word, but the header's name is the field's.
OWN = {("correlation-bytes", "`headers`, in base64"): {
    "say": correlation_in_headers, "told": lambda g, t: header_of(g, "correlation")}}
# Text to one is bytes to the other: MQTT's Correlation Data has no text.
AS_TEXT = {("correlation", "Correlation Data")}


# ---- The table -----------------------------------------------------------------------------------

class Table:
    """rows[field][column] is (what a producer says, what a consumer is told)."""

    def __init__(self, text):
        lines = [[cell.strip() for cell in line.strip().strip("|").split("|")]
                 for line in text.splitlines() if line.startswith("|")]
        head = lines[0]
        assert head[2:-1] == COLUMNS, head
        self.rows = {}
        for cells in lines[2:]:
            assert len(cells) == len(head) and cells[-1], cells
            field = cells[0].strip("`")
            assert field not in self.rows, field
            self.rows[field] = {column: self.halves(cell) for column, cell in zip(COLUMNS, cells[2:-1])}
        self.check()

    @staticmethod
    def halves(cell):
        parts = cell.split(" → ")
        return (parts[0], parts[-1])

    def check(self):
        assert set(self.rows) == set(SAMPLES), set(self.rows) ^ set(SAMPLES)
        for column, words in WORDS.items():
            said = {cells[column][0] for cells in self.rows.values()} - {NOTHING}
            told = {cells[column][1] for cells in self.rows.values()} - {NOTHING}
            if column == "nng PULL":
                told = set()
            if column == "nng PUB":
                said = set()
            for kind, used in (("say", said), ("told", told)):
                unknown = {word for word in used if kind not in words.get(word, {})}
                assert not unknown, f"{column}: the test does not know how to {kind} {unknown}"
            idle = set(words) - said - told
            assert not idle, f"{column}: the table does not use {idle}"

    def word(self, field, column, kind):
        text = self.rows[field][column][0 if kind == "say" else 1]
        if text == NOTHING:
            return None
        meaning = OWN.get((field, text), WORDS[column][text])[kind]
        if kind == "told" and (field, text) in AS_TEXT:
            return lambda got, topic: (meaning(got, topic) or b"").decode() or None
        return meaning


def refuses(text):
    try:
        Table(text)
    except AssertionError:
        return True
    return False


def the_table_is_the_list(text):
    """A row, a word or a column that is not tested cannot stand in the table, nor the other way round."""
    Table(text)
    row = next(line for line in text.splitlines() if line.startswith("| `reply`"))
    assert refuses(text.replace(row, row.replace("`reply`", "`sender`", 1) + "\n" + row)), "another row"
    assert refuses(text.replace(row + "\n", "")), "a row less"
    assert refuses(text.replace("| Response Topic |", "| Reply Topic |")), "another word"
    assert refuses(text.replace("| Response Topic |", "| – |")), "a word less"
    assert refuses(text.replace("| nng PUB |", "| nng BUS |")), "another column"


# ---- Clients -------------------------------------------------------------------------------------

def http_of(gateway):
    """(host, port) of the HTTP listener."""
    host, port = gateway.ports()["http"].split("//")[-1].strip("/").rsplit(":", 1)
    return host, int(port)


class Mqtt:
    """paho-mqtt: a producer, and a consumer of everything at QoS 1."""
    reads = writes = True

    def __init__(self, scene, gateway, version, transport="tcp"):
        self.column = f"MQTT {version}"
        self.name = self.column + ("" if transport == "tcp" else " over WebSocket")
        self.version, self.transport = version, transport
        self.port = gateway.port if transport == "tcp" else http_of(gateway)[1]
        self.clients, self.got = [], []
        self.client = self.subscribed("#", self.got)

    def subscribed(self, pattern, into):
        import paho.mqtt.client as mqtt
        client = mqtt.Client(protocol=mqtt.MQTTv5 if self.version == "5.0" else mqtt.MQTTv311,
                             transport=self.transport)
        granted = threading.Event()
        client.on_connect = lambda *_: client.subscribe(pattern, qos=1)
        client.on_subscribe = lambda *_: granted.set()
        client.on_message = lambda _client, _user, message: into.append(self.read(message))
        client.connect("127.0.0.1", self.port)
        client.loop_start()
        self.clients.append(client)
        assert granted.wait(support.DEADLINE_S), "no SUBACK"
        return client

    @staticmethod
    def read(message):
        found = getattr(getattr(message, "properties", None), "__dict__", {})
        got = {name: found[name] for name in PROPERTIES if name in found}
        return {**got, "user": [list(pair) for pair in got.get("UserProperty", [])], "name": message.topic,
                "value": message.payload, "qos": message.qos, "retain": bool(message.retain)}

    def begin(self, topic):
        return {"name": full_name(topic, KEY), "value": VALUE, "qos": 1}

    def publish(self, record):
        from paho.mqtt.packettypes import PacketTypes
        from paho.mqtt.properties import Properties
        more = {}
        if self.version == "5.0":
            more["properties"] = Properties(PacketTypes.PUBLISH)
            for name in set(record) - {"name", "value", "qos", "retain", "user"}:
                setattr(more["properties"], name, record[name])
            if "user" in record:
                more["properties"].UserProperty = [tuple(pair) for pair in record["user"]]
        sent = self.client.publish(record["name"], record["value"], record["qos"], record.get("retain", False),
                                   **more)
        sent.wait_for_publish(support.DEADLINE_S)
        assert sent.is_published(), record

    def find(self, topic):
        return [got for got in list(self.got) if got["name"].split("/")[0] == topic]

    def later(self, name, fence):
        """Whether a subscriber who comes now is given the name's value as the retained one."""
        got = []
        client = self.subscribed(name, got)
        fence(name)
        support.wait_until(f"the fence of {name}", lambda: got and got[-1]["value"] == b"fence")
        client.disconnect()
        return [one["retain"] for one in got] == [True, False]

    def end(self):
        for client in self.clients:
            client.disconnect()
            client.loop_stop()


class Weir1:
    """What the transports of weir.v1 share."""
    reads = writes = True
    column = "weir.v1"

    def begin_talk(self):
        self.answers, self.got, self.ids = {}, [], itertools.count(1)
        self.slots = {}

    def heard(self, text):
        message = json.loads(text)
        if message.get("type") == "records":
            self.got += [{**one, "subscription": message["subscription"]} for one in message["records"]]
        elif "id" in message:
            self.slots[message["id"]].put(message)

    def ask(self, command):
        number = next(self.ids)
        self.slots[number] = queue.Queue()
        self.send(json.dumps({**command, "id": number}))
        answer = self.slots[number].get(timeout=support.DEADLINE_S)
        assert answer.get("ok"), (command, answer)
        return answer

    def greet(self):
        self.ask({"cmd": "hello", "version": 1})
        self.main = self.ask({"cmd": "subscribe", "filter": "#"})["subscription"]

    @staticmethod
    def begin(topic):
        return {"name": full_name(topic, KEY), "value": VALUE.decode()}

    def publish(self, record):
        self.ask({"cmd": "publish", **record})

    def find(self, topic):
        return [got for got in list(self.got)
                if got["subscription"] == self.main and got["name"].split("/")[0] == topic]

    def later(self, name, fence):
        number = self.ask({"cmd": "subscribe", "filter": name, "retained": True})["subscription"]
        fence(name)

        def got():
            return [one for one in list(self.got) if one["subscription"] == number]
        support.wait_until(f"the fence of {name}", lambda: got() and got()[-1].get("value") == "fence")
        self.ask({"cmd": "unsubscribe", "subscription": number})
        return [one.get("retained", False) for one in got()] == [True, False]


class LocalSocket(Weir1):
    name = "local socket"

    def __init__(self, scene, gateway):
        self.begin_talk()
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(os.path.join(gateway.data, "weir.sock"))
        threading.Thread(target=self.listen, daemon=True).start()
        self.greet()

    def listen(self):
        with self.socket.makefile("rb") as lines:
            for line in lines:
                self.heard(line)

    def send(self, text):
        self.socket.sendall(text.encode() + b"\n")

    def end(self):
        self.socket.shutdown(socket.SHUT_RDWR)


class WebSocket(Weir1):
    """python3-websockets, on a loop in a thread of its own."""
    name = "WebSocket"

    def __init__(self, scene, gateway):
        self.begin_talk()
        self.url = "ws://{}:{}/v1".format(*http_of(gateway))
        self.loop = asyncio.new_event_loop()
        threading.Thread(target=self.loop.run_forever, daemon=True).start()
        self.run(self.connect())
        self.greet()

    def run(self, work):
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(support.DEADLINE_S)

    async def connect(self):
        import websockets
        self.socket = await websockets.connect(self.url, subprotocols=["weir.v1"], max_size=None)
        self.listening = asyncio.ensure_future(self.listen())

    async def listen(self):
        async for text in self.socket:
            self.heard(text)

    def send(self, text):
        self.run(self.socket.send(text))

    def end(self):
        self.run(self.socket.close())
        self.loop.call_soon_threadsafe(self.loop.stop)


class Req(Weir1):
    """nngcat --req0: a process for each command; it fetches what it is to find."""
    name = column = "weir.v1 over REQ"

    def __init__(self, scene, gateway):
        self.url = gateway.ports()["nng.rep"]
        self.token = None
        self.token = self.ask({"cmd": "hello", "version": 1})["session"]

    def ask(self, command):
        if self.token is not None:
            command = {**command, "session": self.token}
        done = support.run_checked([NNGCAT, "--req0", "--dial", self.url, "--raw", "--data",
                                    json.dumps(command)])
        assert done.stdout, (command, done)
        answer = json.loads(done.stdout)
        assert answer.get("ok"), (command, answer)
        return answer

    def find(self, topic):
        try:
            return self.ask({"cmd": "fetch", "topic": topic})["records"]
        except AssertionError:
            return []  # no such topic: a live name

    def end(self):
        pass


class Pull:
    """nngcat --push0 into the gateway's PULL: a process for each record."""
    name = column = "nng PULL"
    reads, writes = False, True

    def __init__(self, scene, gateway):
        self.scene, self.url, self.count = scene, gateway.ports()["nng.pull"], itertools.count()
        self.processes = []

    @staticmethod
    def begin(topic):
        return {"name": full_name(topic, KEY), "value": VALUE}

    def publish(self, record):
        path = self.scene.path(f"body{next(self.count)}")
        with open(path, "wb") as file:
            file.write(record["name"].encode() + b"\0" + record["value"])
        self.processes.append(self.scene.process([NNGCAT, "--push0", "--dial", self.url, "--file", path,
                                                  "--delay", "1", "--count", "1"]))

    def end(self):
        assert all(process.wait() == 0 for process in self.processes)


class Pub:
    """nngcat --sub0 of the gateway's PUB."""
    name = column = "nng PUB"
    reads, writes = True, False

    def __init__(self, scene, gateway):
        self.process = scene.process([NNGCAT, "--sub0", "--dial", gateway.ports()["nng.pub"], "--quoted"])

        def listens():
            gateway.weir("pub", "probe/of/sub", "-m", "are you there", "--quiet")
            return self.process.lines()
        support.wait_until("nngcat to listen", listens)

    def find(self, topic):
        found = []
        for line in self.process.lines():
            name, value = ast.literal_eval("b" + line.decode()).split(b"\0", 1)
            if name.decode().split("/")[0] == topic:
                found.append({"name": name.decode(), "value": value})
        return found

    def end(self):
        pass


# ---- The test ------------------------------------------------------------------------------------

def topic_of(producer, field):
    return f"{field}-from-" + re.sub(r"[^a-z0-9]+", "-", producer.name.lower())


def says(table, producer, field):
    """Whether the producer sends a record for that field: one that it has no word for goes without."""
    return table.word(field, producer.column, "say") is not None or field not in CARRIED_BY_NAME_OR_VALUE


def publish_all(table, producer):
    for field, (value, _) in SAMPLES.items():
        if not says(table, producer, field):
            continue
        topic = topic_of(producer, field)
        record = producer.begin(topic)
        say = table.word(field, producer.column, "say")
        if say is not None:
            say(record, topic, value)
        producer.publish(record)


def found(table, producer, consumer, field, fence):
    """The one record of that field, as the consumer got it; None where it gets none."""
    topic = topic_of(producer, field)
    if field == "live" and table.word(field, consumer.column, "told") is None:
        assert consumer.find(topic) == [], (producer.name, consumer.name, field)
        return None
    got = support.wait_until(f"{field} from {producer.name} at {consumer.name}", lambda: [
        one for one in consumer.find(topic) if one.get("value") not in ("fence", b"fence")])
    assert len(got) == 1, (producer.name, consumer.name, got)
    return {**got[0], "later": lambda: consumer.later(full_name(topic, KEY), fence)}


def check(table, producer, consumer, field, fence):
    got = found(table, producer, consumer, field, fence)
    told = table.word(field, consumer.column, "told")
    sent, default = SAMPLES[field]
    expected = sent if table.word(field, producer.column, "say") else default
    where = f"{field} from {producer.name} to {consumer.name}"
    if told is not None and got is not None:
        value = told(got, topic_of(producer, field))
        assert value == expected, f"{where}: {value!r}, not {expected!r}: {got}"
    elif got is not None:
        untold(got, consumer, where)
    if got is not None and field not in CARRIED_BY_NAME_OR_VALUE:
        value = got["value"].encode() if isinstance(got["value"], str) else got["value"]
        assert value == VALUE, f"{where}: the value is {got['value']!r}"
    return table.word(field, producer.column, "say") is not None and told is not None


def untold(got, consumer, where):
    """Nothing of a field that the consumer has no word for."""
    rest = set(got) - {"name", "value", "later", "user", "UserProperty", "qos", "retain", "topic", "key",
                       "partition", "offset", "time", "live", "subscription", "retained"}
    assert not rest and not got.get("user"), f"{where}: {got}"


def pairs_check(table, producers, consumers, fence, only):
    failures = []
    for producer, consumer in itertools.product(producers, consumers):
        if only and (producer.name, consumer.name)[:len(only)] != tuple(only):
            continue
        carried = checked = 0
        for field in SAMPLES:
            if not says(table, producer, field):
                continue
            try:
                carried += check(table, producer, consumer, field, fence)
                checked += 1
            except Exception as error:  # every failure is told, then the next field is looked at
                failures.append(f"{field} from {producer.name} to {consumer.name}: {error!r}")
                print(f"FAILED: {failures[-1]}", flush=True)
        print(f"{producer.name} to {consumer.name}: {carried} fields carried, {checked - carried} "
              f"without a word for it and rightly absent", flush=True)
    return failures


def an_expiry_counts_from_the_records_time(mqtt, weir1, fence):
    """MQTT 5.0 is told what is left, and nothing of what has expired; weir.v1 has both as they are stored."""
    for topic, seconds in (("expired", 1), ("expiring", 3600)):
        weir1.ask({"cmd": "topic", "action": "create", "topic": topic})
        weir1.publish({"name": topic, "value": "x", "expiry": seconds, "retain": True})
    published = time.time()
    support.wait_until("the expiry", lambda: time.time() > published + 2)
    assert not mqtt.later("expired", fence), "MQTT 5.0 got what has expired"
    got = []
    mqtt.subscribed("expiring", got)
    support.wait_until("the retained value", lambda: got)
    assert got[0]["retain"] and got[0]["MessageExpiryInterval"] < told_left(got[0]) == 3600, got
    assert weir1.later("expired", fence), "weir.v1 did not get what has expired"
    for topic, seconds in (("expired", 1), ("expiring", 3600)):
        record = weir1.ask({"cmd": "fetch", "topic": topic})["records"][0]
        assert told_since(record) == seconds, record
    print("an expiry counts from the record's time")


def main(path, *only):
    with open(path, encoding="utf-8") as file:
        text = file.read()
    the_table_is_the_list(text)
    table = Table(text)
    with support.Scene() as scene:
        urls = [f"nng.{name}.url=tcp://127.0.0.1:0" for name in ("rep", "pull", "pub", "push")]
        gateway = scene.gateway("http.enabled=true", "http.port=0", "nng.enabled=true", *urls)
        local = LocalSocket(scene, gateway)
        clients = [*(Mqtt(scene, gateway, version, transport) for version in ("5.0", "3.1.1")
                     for transport in ("tcp", "websockets")), WebSocket(scene, gateway), local,
                   Req(scene, gateway), Pull(scene, gateway), Pub(scene, gateway)]
        producers = [client for client in clients if client.writes]
        consumers = [client for client in clients if client.reads]
        assert {client.column for client in clients} == set(COLUMNS)
        for producer, field in itertools.product(producers, SAMPLES):
            if field != "live":
                local.ask({"cmd": "topic", "action": "create", "topic": topic_of(producer, field),
                           "durability": "memory"})
        for producer in producers:
            publish_all(table, producer)

        def fence(name):
            local.ask({"cmd": "publish", "name": name, "value": "fence"})
        failures = pairs_check(table, producers, consumers, fence, only)
        an_expiry_counts_from_the_records_time(clients[0], local, fence)
        for client in clients:
            client.end()
        assert not failures, f"{len(failures)} of the table's words are not true; the first: {failures[0]}"
        assert gateway.stop() == 0
    print(f"{len(producers)} producers, {len(consumers)} consumers, {len(SAMPLES)} fields")


if __name__ == "__main__":
    missing = [name for name in ("paho", "websockets") if importlib.util.find_spec(name) is None]
    if missing or NNGCAT is None:
        print(f"SKIPPED: needs python3-paho-mqtt, python3-websockets and nng-utils; missing: {missing}, "
              f"nngcat: {NNGCAT}")
        sys.exit(support.SKIPPED)
    main(*sys.argv[1:])
