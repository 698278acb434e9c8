#!/usr/bin/python3
"""Truncated, malformed and oversize input on every socket of a gateway, beside a client that behaves.

    WEIR_BIN=... bad_input_test.py [part of a test's name]

Each piece of bad input gets the answer its protocol has for it, hurts nobody else, and stores nothing.
"""
import os
import random
import socket
import struct
import sys

import mqtt_wire as mqtt
import support

PACKET_BYTES_MAX = 1114112
CONNECT_BYTES_MAX = 65536
FUZZED_STREAMS = 400
scene = gateway = None

# CONNECTs that are wrong, and the CONNACK they get (None: closed without a word).
CONNECTS = [
    ("random bytes", b"\x00\x01\x02\x03\x04", None),
    ("an HTTP request", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", None),
    ("a TLS hello", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 64, None),
    ("PUBLISH first", mqtt.publish("a", "b"), None),
    ("PINGREQ first", mqtt.packet(mqtt.PINGREQ), None),
    ("a length of five bytes", b"\x10\xff\xff\xff\xff\x7f", None),
    ("an overlong length", b"\x10\x8c\x00" + mqtt.connect()[2:], None),
    ("an empty CONNECT", mqtt.packet(mqtt.CONNECT), None),
    ("flags in the first byte", b"\x11" + mqtt.connect()[1:], None),
    ("another protocol's name", mqtt.packet(1, mqtt.text("HTTP") + b"\x05\x02\0\0\0\0\0"), None),
    ("version 9", mqtt.packet(1, mqtt.text("MQTT") + b"\x09\x02\0\0\0\0\0"), {0x84}),
    ("a reserved connect flag", mqtt.packet(1, mqtt.text("MQTT") + b"\x04\x03\0\0\0\1a"), None),
    ("a will of QoS 3", mqtt.packet(1, mqtt.text("MQTT") + b"\x04\x1e\0\0\0\1a\0\1t\0\1m"), None),
    ("a will of QoS 2", mqtt.packet(1, mqtt.text("MQTT") + b"\x05\x16\0\0\0\0\1a\0\0\1t\0\1m"), {0x9b}),
    ("a client id that is no UTF-8", mqtt.connect(b"\xc0\xaf"), None),
    ("a client id that goes on too long", mqtt.packet(1, mqtt.text("MQTT") + b"\5\2\0\0\0\0\x50a"), None),
    ("bytes behind the last field", mqtt.packet(1, mqtt.connect()[2:] + b"x"), None),
    ("an unknown property", mqtt.packet(1, mqtt.text("MQTT") + b"\5\2\0\0\2\x7f\0\0\1a"), None),
    ("a property twice", mqtt.connect(props=[(mqtt.RECEIVE_MAXIMUM, 5)] * 2), {0x82}),
    ("Receive Maximum 0", mqtt.connect(props=[(mqtt.RECEIVE_MAXIMUM, 0)]), {0x82}),
    ("Maximum Packet Size 0", mqtt.connect(props=[(mqtt.PACKET_MAXIMUM, 0)]), {0x82}),
    ("an authentication method", mqtt.connect(props=[(21, "SCRAM")]), {0x8c}),
    ("a CONNECT beyond its limit", b"\x10" + mqtt.varint(CONNECT_BYTES_MAX), None),
]

# What a connected 5.0 client must not send, and the DISCONNECT it gets.
PACKETS = [
    ("packet type 0", b"\x00\x00", {0x81}),
    ("PUBLISH with QoS 3", b"\x36" + mqtt.publish("a", "b", 1)[1:], {0x81}),
    ("PUBLISH with QoS 2", b"\x34" + mqtt.publish("a", "b", 1)[1:], {0x9b}),
    ("DUP with QoS 0", mqtt.publish("a", "b", dup=True), {0x81, 0x82}),
    ("packet id 0", mqtt.publish("a", "b", 1, 0), {0x81, 0x82}),
    ("a wildcard in a topic name", mqtt.publish("a/+", "b", 1), {0x81, 0x82, 0x90}),
    ("a topic name that is no UTF-8", mqtt.publish(b"a\xff", "b", 1), {0x81}),
    ("a topic name with NUL", mqtt.publish(b"a\0b", "b", 1), {0x81}),
    ("an empty topic name without an alias", mqtt.publish("", "b", 1), {0x82}),
    ("a topic alias of 0", mqtt.publish("a", "b", 1, props=[(mqtt.TOPIC_ALIAS, 0)]), {0x94}),
    ("a topic alias never given", mqtt.publish("", "b", 1, props=[(mqtt.TOPIC_ALIAS, 7)]), {0x82}),
    ("a Subscription Identifier from a client",
     mqtt.publish("a", "b", 1, props=[(mqtt.SUBSCRIPTION_ID, 3)]), {0x82}),
    ("a property of another packet", mqtt.publish("a", "b", 1, props=[(mqtt.PACKET_MAXIMUM, 9)]),
     {0x81, 0x82}),
    ("an expiry twice", mqtt.publish("a", "b", 1, props=[(mqtt.EXPIRY, 9)] * 2), {0x82}),
    ("a payload format of 2", mqtt.publish("a", "b", 1, props=[(mqtt.PAYLOAD_FORMAT, 2)]), {0x81, 0x82}),
    ("properties that end too late", mqtt.packet(3, b"\0\1a\0\1\x7f" + b"x" * 9, 2), {0x81}),
    ("a topic name that ends too late", mqtt.packet(3, b"\xff\xffa", 2), {0x81}),
    ("SUBSCRIBE without its flags", b"\x80" + mqtt.subscribe("a")[1:], {0x81}),
    ("SUBSCRIBE without filters", mqtt.subscribe(), {0x81, 0x82}),
    ("SUBSCRIBE with packet id 0", mqtt.subscribe("a", number=0), {0x81, 0x82}),
    ("SUBSCRIBE with QoS 3", mqtt.subscribe("a", options=3), {0x81, 0x82}),
    ("SUBSCRIBE with reserved options", mqtt.subscribe("a", options=0xc0), {0x81, 0x82}),
    ("No Local on a shared subscription", mqtt.subscribe("$share/g/a", options=5), {0x82}),
    ("Subscription Identifier 0", mqtt.subscribe("a", props=[(mqtt.SUBSCRIPTION_ID, 0)]), {0x81, 0x82}),
    ("a second CONNECT", mqtt.connect(), {0x82}),
    ("CONNACK from a client", mqtt.packet(mqtt.CONNACK, b"\0\0\0"), {0x81, 0x82}),
    ("SUBACK from a client", mqtt.packet(mqtt.SUBACK, b"\0\1\0\0"), {0x81, 0x82}),
    ("AUTH without a method", mqtt.packet(mqtt.AUTH, b"\x18\0"), {0x81, 0x82}),
    ("PINGREQ with a body", mqtt.packet(mqtt.PINGREQ, b"x"), {0x81}),
    ("PUBACK for nothing", mqtt.puback(77), {0x82}),
    ("a length of five bytes", b"\x30\xff\xff\xff\xff\x7f", {0x81}),
    ("an overlong length", b"\xc0\x80\x00", {0x81}),
    ("a packet beyond its limit", b"\x30" + mqtt.varint(PACKET_BYTES_MAX), {0x95}),
    ("a packet as long as a length can say", b"\x30\xff\xff\xff\x7f", {0x95}),
    ("DISCONNECT that asks for a session",
     mqtt.packet(mqtt.DISCONNECT, b"\0" + mqtt.properties((mqtt.SESSION_EXPIRY, 9))), {0x82}),
]


def each_wrong_connect_is_answered_or_closed():
    for name, data, expected in CONNECTS:
        with mqtt.Peer(gateway.port, data) as peer:
            peer.finish()
            got = peer.rest()
            if expected is None:
                assert not got, f"{name}: {got}"
            else:
                assert len(got) == 1 and got[0].kind == mqtt.CONNACK, f"{name}: {got}"
                assert got[0].reason() in expected, f"{name}: {got}"


def an_old_version_of_the_protocol_is_told_so_in_its_own_words():
    with mqtt.Peer(gateway.port, mqtt.packet(1, mqtt.text("MQTT") + b"\x03\x02\0\0\0\1a")) as peer:
        got = peer.rest()
        assert not got or (got[0].kind == mqtt.CONNACK and got[0].body[1] == 1), got


def each_wrong_packet_gets_disconnect_with_the_reason():
    for name, data, expected in PACKETS:
        with mqtt.connected(gateway.port, "wrong") as peer:
            got = peer.send(data).rest()
            assert len(got) == 1 and got[0].kind == mqtt.DISCONNECT, f"{name}: {got}"
            assert got[0].reason() in expected, f"{name}: reason {got[0].reason():#x}"


def each_wrong_packet_of_an_older_client_closes_its_connection():
    for name, data in (("QoS 3", b"\x36" + mqtt.publish("a", "b", 1, version=4)[1:]),
                       ("QoS 2", b"\x34" + mqtt.publish("a", "b", 1, version=4)[1:]),
                       ("a wildcard", mqtt.publish("a/#", "b", 1, version=4)),
                       ("packet id 0", mqtt.publish("a", "b", 1, 0, version=4)),
                       ("no filters", mqtt.subscribe(version=4)),
                       ("a second CONNECT", mqtt.connect(version=4)),
                       ("AUTH", mqtt.packet(mqtt.AUTH)),
                       ("oversize", b"\x30" + mqtt.varint(PACKET_BYTES_MAX))):
        with mqtt.connected(gateway.port, "wrong", 4) as peer:
            got = peer.send(data).rest()
            assert not got, f"{name}: {got}"


def a_wrong_filter_is_refused_and_the_others_are_granted():
    with mqtt.connected(gateway.port) as peer:
        answer = peer.send(mqtt.subscribe("good/#", "a/#/b", "a+", "$share/g/x", "also/good")).expect(
            mqtt.SUBACK)
        assert answer.body[-5:] == bytes([1, 0x8f, 0x8f, 0x8f, 1]), answer  # behind why the share is not there
        peer.ping()
    with mqtt.connected(gateway.port, version=4) as peer:
        answer = peer.send(mqtt.subscribe("good/#", "a/#/b", "a+", version=4)).expect(mqtt.SUBACK)
        assert answer.body[2:] == bytes([1, 0x80, 0x80]), answer
        peer.ping()


def a_stream_that_is_cut_at_any_byte_publishes_nothing():
    stream = mqtt.connect("cut") + mqtt.publish("junk/cut", "whole", 1)
    for cut in range(len(stream)):
        with mqtt.Peer(gateway.port, stream[:cut]) as peer:
            got = peer.finish().rest()
            assert mqtt.PUBACK not in [one.kind for one in got], f"cut at {cut}: {got}"


def a_stream_that_comes_byte_by_byte_is_served():
    with mqtt.Peer(gateway.port) as peer:
        for byte in mqtt.connect("slow") + mqtt.publish("good/slow", "bytewise", 1):
            peer.send(bytes([byte]))
        assert peer.expect(mqtt.CONNACK).reason() == 0
        assert peer.expect(mqtt.PUBACK).reason() == 0
        peer.ping()


def an_announced_packet_that_never_comes_holds_no_memory():
    """A hundred peers say that a megabyte comes; it does not."""
    def rss():
        with open(f"/proc/{gateway.run.process.pid}/status") as file:
            return next(int(line.split()[1]) for line in file if line.startswith("VmRSS")) * 1024
    before = rss()
    peers = [mqtt.connected(gateway.port, f"promise{n}") for n in range(100)]
    for peer in peers:
        peer.send(b"\x30" + mqtt.varint(PACKET_BYTES_MAX - 5) + b"\0\1a\0" + b"x" * 100)
    with mqtt.connected(gateway.port) as peer:
        peer.ping()
    grown = rss() - before
    for peer in peers:
        peer.socket.close()
    assert grown < 32 << 20, f"{grown} bytes for 100 promises"


def each_fuzzed_stream_leaves_the_gateway_alive():
    seed = int(os.environ.get("WEIR_SEED") or int.from_bytes(os.urandom(4), "big"))
    print(f"seed {seed} (WEIR_SEED={seed} repeats it)")
    source = random.Random(seed)
    session = [mqtt.publish("junk/a", "v", 1, props=[(mqtt.USER, ("k", "v")), (mqtt.EXPIRY, 5)]),
               mqtt.subscribe("junk/#", "+/b", props=[(mqtt.SUBSCRIPTION_ID, 9)]),
               mqtt.publish("junk/b", "v", 0, retain=True), mqtt.packet(mqtt.PINGREQ),
               mqtt.packet(mqtt.UNSUBSCRIBE, b"\0\5\0" + mqtt.text("junk/#"), 2), mqtt.puback(1),
               mqtt.packet(mqtt.DISCONNECT, b"\0\0")]
    for _ in range(int(FUZZED_STREAMS / support.SLOW)):
        head = mqtt.connect(f"fuzz{source.randrange(9)}", source.choice((4, 5)))
        body = bytearray(b"".join(source.choices(session, k=source.randrange(1, 12))))
        if source.random() < 0.3:
            body[:0] = head
            head = b""
        for _ in range(source.randrange(1, 6)):
            at = source.randrange(len(body))
            change = source.random()
            if change < 0.6:
                body[at] = source.randrange(256)
            elif change < 0.8:
                del body[at:at + source.randrange(1, 8)]
            else:
                body[at:at] = source.randbytes(source.randrange(1, 8))
            if not body:
                break
        with mqtt.Peer(gateway.port, head + bytes(body)) as peer:
            peer.finish().rest()
    assert gateway.alive(), gateway.run.text()


class Local:
    """A raw peer of the socket in the data directory: lines of JSON."""

    def __init__(self, data=b""):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(support.DEADLINE_S)
        self.socket.connect(os.path.join(gateway.data, "weir.sock"))
        self.send(data)

    def send(self, data):
        try:
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            pass

    def rest(self):
        got = b""
        try:
            while True:
                data = self.socket.recv(65536)
                if not data:
                    break
                got += data
        except ConnectionResetError:
            pass
        self.socket.close()
        return got


def each_wrong_message_on_the_local_socket_is_told_what_is_wrong():
    hello = b'{"cmd":"hello","version":1}\n'
    for name, data, code in (
            ("no JSON", b"hello\n", "malformed"),
            ("half an object", b'{"cmd":\n', "malformed"),
            ("an array", b"[1,2]\n", "malformed"),
            ("a command before hello", b'{"cmd":"topics"}\n', "protocol"),
            ("an unknown command", hello + b'{"cmd":"fly","id":1}\n', "unknown-command"),
            ("a publish without a name", hello + b'{"cmd":"publish","id":1,"value":"x"}\n', "invalid"),
            ("a wildcard as a name", hello + b'{"cmd":"publish","id":1,"name":"a/#","value":"x"}\n', "name-invalid"),
            ("a member twice", hello + b'{"cmd":"publish","cmd":"publish"}\n', "malformed"),
            ("deep nesting", hello + b'{"a":' + b"[" * 500 + b"]" * 500 + b"}\n", "malformed"),
            ("a message beyond its limit", hello + b'{"cmd":"' + b"x" * PACKET_BYTES_MAX + b'"}\n', "too-large"),
            ("a frame that is none", hello + b"\x01" + struct.pack(">I", 7) + b"\xff" * 40, "malformed"),
    ):
        peer = Local(data)
        peer.socket.shutdown(socket.SHUT_WR)
        got = peer.rest()
        at = got.find(b'"error":{')
        said = got[at:].split(b"}")[0]
        assert at >= 0 and b'"code":"' + code.encode() + b'"' in said, f"{name}: {got[-300:]}"
        assert b'"text":"' in said, f"{name}: {said}"


def a_line_that_is_cut_off_is_no_command():
    line = b'{"cmd":"hello","version":1}\n{"cmd":"publish","name":"junk/local","value":"x"}'
    for cut in range(0, len(line), 7):
        peer = Local(line[:cut])
        peer.socket.shutdown(socket.SHUT_WR)
        peer.rest()


def the_client_beside_it_was_served_throughout():
    gateway.weir("pub", "good/after", "-m", "all is well")
    while True:
        topic, payload, _ = steady.expect(mqtt.PUBLISH).message()
        if topic == "good/after":
            assert payload == b"all is well"
            break
    steady.ping()
    # Names alone: a payload that was fuzzed may have anything in it, ends of lines too.
    stored = gateway.weir("sub", "junk/#", "--from", "beginning", "-e", "-F", "%n")
    cut = {b"junk/cut", b"junk/local"} & set(stored.splitlines())
    assert not cut, cut
    gateway.serves()
    assert gateway.stop() == 0, gateway.run.text()


if __name__ == "__main__":
    with support.Scene() as scene:
        gateway = scene.gateway()
        gateway.weir("topic", "create", "junk")
        gateway.weir("topic", "create", "good")
        steady = mqtt.connected(gateway.port, "steady")
        steady.send(mqtt.subscribe("good/#", options=0)).expect(mqtt.SUBACK)
        support.run_tests(support.tests_of(globals()), *sys.argv[1:])
