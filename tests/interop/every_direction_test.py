#!/usr/bin/python3
"""mosquitto, nngcat, mqtt.js over WebSocket and a plain WebSocket client exchange records in every direction.

    WEIR_BIN=... every_direction_test.py [PART OF A PAIR'S NAME]

    client       as a producer                                  as a consumer
    mosquitto    mosquitto_pub: MQTT 3.1.1 over TCP             mosquitto_sub
    nngcat       PUSH to the gateway's PULL                     SUB of the gateway's PUB
    websockets   python3-websockets: weir.v1 in JSON, at /v1    the same, subscribed
    mqtt.js-4    MQTT 3.1.1 over WebSocket, at /mqtt            the same
    mqtt.js-5    MQTT 5.0 over WebSocket, at /mqtt              the same

Every ordered pair is a test named PRODUCER_to_CONSUMER: the records of payloads() go under a declared
topic, then on a live name, and must arrive byte for byte, once and in order on each. What a consumer has
in the end is all that was sent to it, and nothing else. The consumers listen before the first record and
only to their own names; one gateway serves all.

Needs mosquitto-clients, nng-utils and python3-websockets: without them it fails. Without node, or `npm ci`
in this folder, the pairs of mqtt.js are left out, and the test then counts as skipped.
"""
import ast
import base64
import os
import shutil
import sys
import time
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "scenario")]
import clients_test  # noqa: E402 (found through the line above)
import mapping_test  # noqa: E402
import support  # noqa: E402

ROADS = ("stored", "live")  # the first is declared as a topic, the second is not
PROBE, FENCE = "probe", "fence"


def payloads(where):
    """What goes over one road from one producer to one consumer, in order; all different."""
    return [
        f"first from {where}".encode(),
        b"",
        f"Grüße von {where}: 21,5 °C \U0001f321 \u65e5\u672c".encode(),
        (f"{where}; ".encode() * 10000)[:10000],
        bytes(range(256)) + where.encode(),
        b"\n\r\n\t\"\\" + where.encode() + b"\n",
        b"\xff\xfe\0" + where.encode(),
        f"last from {where}".encode(),
    ]


def name_of(road, consumer, producer):
    return f"{road}/{consumer.name}/{producer.name}/Köln"


def filters_of(consumer):
    return [f"{road}/{consumer.name}/#" for road in ROADS]


# ---- Clients: publish(name, values) returns when the gateway has them; records() is what came so far ----

class Mqtt:
    """One of clients_test.py's MQTT clients, at QoS 1 both ways."""

    def __init__(self, scene, gateway, client, name):
        self.gateway, self.client, self.name = gateway, client, name
        self.reader = client.subscribe(scene, gateway, 1, *filters_of(self))

    def publish(self, name, values):
        self.client.publish(self.gateway, [{"topic": name, "payload": value, "qos": 1} for value in values])

    def records(self):
        return [(one["topic"], one["payload"]) for one in self.reader.all()]


class MqttJs(clients_test.Scripted):
    """mqtt.js at /mqtt; it asks for subprotocol mqtt, and goes when the gateway does not agree to it."""

    def __init__(self, version):
        super().__init__("mqtt.js", clients_test.MQTTJS, version)

    @staticmethod
    def place(gateway):
        return "ws://{}:{}/mqtt".format(*mapping_test.http_of(gateway))


class Nngcat:
    """A process for each record that goes in, one for all that come out."""
    name = "nngcat"

    def __init__(self, scene, gateway):
        self.scene, self.gateway = scene, gateway
        command = [mapping_test.NNGCAT, "--sub0", "--dial", gateway.ports()["nng.pub"], "--quoted"]
        for pattern in filters_of(self):
            command += ["--subscribe", pattern.rstrip("#")]
        self.process = scene.process(command)

    def publish(self, name, values):
        for value in values:
            self.push(name.encode() + b"\0" + value)

    def push(self, body):
        """PUSH is told nothing, and records of two connections have no order: so the next one waits until
        the gateway has decided this one. The interval keeps nngcat from leaving before."""
        path = self.scene.path("body")
        with open(path, "wb") as file:
            file.write(body)
        before = decided(self.gateway)
        process = self.scene.process([mapping_test.NNGCAT, "--push0", "--dial", self.gateway.ports()["nng.pull"],
                                      "--file", path, "--interval", "3600"])
        support.wait_until("the gateway to take nngcat's record",
                           lambda: process.ended() or decided(self.gateway) > before)
        assert not process.ended() and decided(self.gateway) == before + 1, process.text()
        process.end()

    def records(self):
        bodies = [ast.literal_eval("b" + line.decode()) for line in self.process.lines()]
        return [(name.decode(), value) for name, value in (body.split(b"\0", 1) for body in bodies)]


class WebSockets(mapping_test.WebSocket):
    """weir.v1 in JSON: text as `value`, all else as `base64`, both ways."""
    name = "websockets"

    def greet(self):
        assert self.socket.subprotocol == "weir.v1", self.socket.subprotocol
        self.ask({"cmd": "hello", "version": 1})
        for pattern in filters_of(self):
            self.ask({"cmd": "subscribe", "filter": pattern})

    def publish(self, name, values):
        for value in values:
            super().publish({"name": name, **self.member(value)})

    @staticmethod
    def member(value):
        try:
            if b"\0" not in value:
                return {"value": value.decode()}
        except UnicodeDecodeError:
            pass
        return {"base64": base64.b64encode(value).decode()}

    def records(self):
        return [(one["name"], self.value(one)) for one in list(self.got)]

    def value(self, one):
        value = one["value"].encode() if "value" in one else base64.b64decode(one["base64"])
        told = {name: one[name] for name in ("value", "base64") if name in one}
        assert told == self.member(value), one
        return value


def decided(gateway):
    """How many records the gateway has taken, stored or live."""
    host, port = mapping_test.http_of(gateway)
    with urllib.request.urlopen(f"http://{host}:{port}/metrics", timeout=support.DEADLINE_S) as answer:
        lines = answer.read().decode().splitlines()
    return int(next(line for line in lines if line.startswith("weir_records_received_total ")).split()[1])


# ---- The test ------------------------------------------------------------------------------------

def listening(gateway, consumers):
    """Returns when a probe, published again and again, has come to every consumer on every road."""
    deadline = time.monotonic() + support.DEADLINE_S
    while deaf := [f"{road}/{consumer.name}/{PROBE}" for consumer in consumers for road in ROADS
                   if not any(name == f"{road}/{consumer.name}/{PROBE}" for name, _ in consumer.records())]:
        assert time.monotonic() < deadline, f"nobody hears {deaf}"
        for name in deaf:
            gateway.weir("pub", name, "-m", "are you there", "--quiet")


def got(consumer, road):
    """What the consumer has from that road, without the probes."""
    return [one for one in consumer.records() if one[0].startswith(f"{road}/") and not one[0].endswith(PROBE)]


def same(what, found, sent):
    """Fails with the first difference only: some values are long."""
    for at, (here, there) in enumerate(zip(found, sent)):
        assert here == there, f"{what}: record {at} is {str(here)[:300]}, not {str(there)[:300]}"
    assert len(found) == len(sent), f"{what}: {len(found)} records, not {len(sent)}"


def exchange(producer, consumer, sent):
    """All of payloads() over each road. `sent` keeps what goes to the consumer, for everything_is_there."""
    for road in ROADS:
        name = name_of(road, consumer, producer)
        values = payloads(f"{producer.name} to {consumer.name}, {road}")
        sent[road, consumer.name] += [(name, value) for value in values]
        producer.publish(name, values)

        def found():
            return [one for one in got(consumer, road) if one[0] == name]
        support.wait_until(f"{len(values)} records of {name} at {consumer.name}",
                           lambda: len(found()) >= len(values))
        same(name, found(), [(name, value) for value in values])


def everything_is_there(gateway, consumers, sent):
    """Behind a last record nothing is on its way: nothing came twice, late, or to somebody else."""
    for consumer in consumers:
        for road in ROADS:
            name = f"{road}/{consumer.name}/{FENCE}"
            gateway.weir("pub", name, "-m", "the end", "--quiet")
            support.wait_until(name, lambda: name in [one[0] for one in got(consumer, road)])
            same(f"all of {road} at {consumer.name}", got(consumer, road),
                 sent[road, consumer.name] + [(name, b"the end")])


def pairs(gateway, clients):
    """The tests, named for run_tests."""
    sent = {(road, client.name): [] for road in ROADS for client in clients}

    def named(name, test):
        test.__name__ = name
        return test
    tests = [named(f"{producer.name}_to_{consumer.name}",
                   lambda producer=producer, consumer=consumer: exchange(producer, consumer, sent))
             for producer in clients for consumer in clients]
    return tests + [named("no_consumer_has_anything_else",
                          lambda: everything_is_there(gateway, clients, sent))]


def missing_node():
    if shutil.which("node") is None:
        return "node (package nodejs)"
    if not os.path.isdir(os.path.join(HERE, "node_modules/mqtt")):
        return "mqtt.js (`npm ci` in tests/interop)"
    return None


def main(*part):
    for tool, package in (("mosquitto_pub", "mosquitto-clients"), ("nngcat", "nng-utils")):
        assert shutil.which(tool), f"{tool} is not there: install {package}"
    with support.Scene() as scene:
        gateway = scene.gateway("http.enabled=true", "http.port=0", "nng.enabled=true",
                                *(f"nng.{name}.url=tcp://127.0.0.1:0" for name in ("rep", "pull", "pub", "push")))
        gateway.weir("topic", "create", ROADS[0])
        websockets = WebSockets(scene, gateway)
        clients = [Mqtt(scene, gateway, clients_test.Mosquitto(4), "mosquitto"), Nngcat(scene, gateway),
                   websockets]
        if not missing_node():
            clients += [Mqtt(scene, gateway, MqttJs(version), f"mqtt.js-{version}") for version in (4, 5)]
        try:
            listening(gateway, clients)
            support.run_tests(pairs(gateway, clients), *part)
        finally:
            websockets.end()


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except SystemExit as end:
        if end.code == 0 and missing_node():
            print(f"SKIPPED: the pairs of mqtt.js over WebSocket did not run: {missing_node()} is not there")
            sys.exit(support.SKIPPED)
        raise
