"""MQTT from raw sockets: packets made byte by byte, right or wrong, and a peer that sends them.

Only as much of MQTT 3.1.1 and 5.0 as the tests say themselves; standard library only. Reads end at
support.DEADLINE_S.
"""
import socket
import struct

import support

(CONNECT, CONNACK, PUBLISH, PUBACK, PUBREC, PUBREL, PUBCOMP, SUBSCRIBE, SUBACK, UNSUBSCRIBE, UNSUBACK,
 PINGREQ, PINGRESP, DISCONNECT, AUTH) = range(1, 16)
(PAYLOAD_FORMAT, EXPIRY, CONTENT_TYPE, RESPONSE_TOPIC, CORRELATION, SUBSCRIPTION_ID) = (
    1, 2, 3, 8, 9, 11)
SESSION_EXPIRY, RECEIVE_MAXIMUM, TOPIC_ALIAS_MAXIMUM, TOPIC_ALIAS, MAXIMUM_QOS, USER, PACKET_MAXIMUM = (
    17, 33, 34, 35, 36, 38, 39)
SHARED_AVAILABLE, REASON_STRING, ASSIGNED_ID = 42, 31, 18
_SIZES = {1: "B", 2: "I", 17: "I", 19: "H", 23: "B", 25: "B", 33: "H", 34: "H", 35: "H", 36: "B",
          37: "B", 39: "I", 40: "B", 41: "B", 42: "B"}


def varint(value):
    out = bytearray()
    while True:
        value, low = divmod(value, 128)
        out.append(low | (0x80 if value else 0))
        if not value:
            return bytes(out)


def text(value):
    value = value.encode() if isinstance(value, str) else value
    return struct.pack(">H", len(value)) + value


def packet(kind, body=b"", flags=0):
    return bytes([kind << 4 | flags]) + varint(len(body)) + body


def properties(*pairs):
    """(identifier, number | bytes | str | (name, value)), as they stand in a packet."""
    out = b""
    for name, value in pairs:
        out += bytes([name])
        if name in _SIZES:
            out += struct.pack(">" + _SIZES[name], value)
        elif name == SUBSCRIPTION_ID:
            out += varint(value)
        elif name == USER:
            out += text(value[0]) + text(value[1])
        else:
            out += text(value)
    return varint(len(out)) + out


def connect(client="raw", version=5, clean=True, keep_alive=0, props=(), will=None):
    """will: (topic, payload)."""
    flags = (2 if clean else 0) | (4 if will else 0)
    body = text("MQTT") + bytes([version, flags]) + struct.pack(">H", keep_alive)
    body += properties(*props) if version == 5 else b""
    body += text(client)
    if will:
        body += (properties() if version == 5 else b"") + text(will[0]) + text(will[1])
    return packet(CONNECT, body)


def publish(topic, payload=b"", qos=0, number=1, version=5, props=(), retain=False, dup=False):
    payload = payload.encode() if isinstance(payload, str) else payload
    body = text(topic) + (struct.pack(">H", number) if qos else b"")
    body += properties(*props) if version == 5 else b""
    return packet(PUBLISH, body + payload, (8 if dup else 0) | qos << 1 | (1 if retain else 0))


def subscribe(*filters, number=1, version=5, options=1, props=()):
    body = struct.pack(">H", number) + (properties(*props) if version == 5 else b"")
    for name in filters:
        body += text(name) + bytes([options])
    return packet(SUBSCRIBE, body, 2)


def puback(number):
    return packet(PUBACK, struct.pack(">H", number))


class Packet:
    """One that came: kind, flags, body."""

    def __init__(self, first, body):
        self.kind, self.flags, self.body = first >> 4, first & 15, body

    def __repr__(self):
        return f"<packet {self.kind} flags {self.flags} {self.body[:60].hex()}>"

    def number(self):
        return struct.unpack(">H", self.body[:2])[0]

    def reason(self):
        """Of PUBACK, CONNACK, DISCONNECT: 0 when it is left out."""
        at = {PUBACK: 2, CONNACK: 1, DISCONNECT: 0}[self.kind]
        return self.body[at] if len(self.body) > at else 0

    def properties(self, at):
        """A list of (identifier, value) from there on, and where they end."""
        def span():
            nonlocal at
            size = struct.unpack(">H", self.body[at:at + 2])[0]
            at += 2 + size
            return self.body[at - size:at]

        def number():
            nonlocal at
            value = shift = 0
            while True:
                byte = self.body[at]
                at += 1
                value |= (byte & 127) << shift
                shift += 7
                if byte < 128:
                    return value
        found, size = [], number()
        end = at + size
        while at < end:
            name = self.body[at]
            at += 1
            if name in _SIZES:
                form = ">" + _SIZES[name]
                found.append((name, struct.unpack_from(form, self.body, at)[0]))
                at += struct.calcsize(form)
            elif name == SUBSCRIPTION_ID:
                found.append((name, number()))
            elif name == USER:
                key = span()
                found.append((name, (key, span())))
            else:
                found.append((name, span()))
        return found, at

    def message(self, version=5):
        """Of PUBLISH: topic, payload, properties."""
        size = struct.unpack(">H", self.body[:2])[0]
        at = 2 + size + (2 if self.flags & 6 else 0)
        found = []
        if version == 5:
            found, at = self.properties(at)
        return self.body[2:2 + size].decode(), self.body[at:], found

    def publish_number(self):
        at = 2 + struct.unpack(">H", self.body[:2])[0]
        return struct.unpack(">H", self.body[at:at + 2])[0]


class Silence(AssertionError):
    """Nothing came in time."""


class Peer:
    """A raw connection."""

    def __init__(self, port, data=b""):
        self.socket = socket.create_connection(("127.0.0.1", port), support.DEADLINE_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.got = b""
        self.send(data)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, data):
        """What the other side closed while it came is no error: the answer tells."""
        try:
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            pass
        return self

    def finish(self):
        """Sends nothing more; still reads."""
        try:
            self.socket.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        return self

    def more(self):
        try:
            data = self.socket.recv(65536)
        except ConnectionResetError:
            return False
        except socket.timeout:
            raise Silence("waited in vain for bytes or the end") from None
        self.got += data
        return bool(data)

    def _whole(self):
        """The length of the head and of the whole first packet, when it is there."""
        length = shift = 0
        for at in range(1, min(5, len(self.got))):
            length |= (self.got[at] & 127) << shift
            shift += 7
            if self.got[at] < 128:
                return (at + 1, at + 1 + length) if len(self.got) >= at + 1 + length else None
        return None

    def packet(self):
        """The next one; None at the end of the stream."""
        while True:
            whole = self._whole()
            if whole:
                found = Packet(self.got[0], self.got[whole[0]:whole[1]])
                self.got = self.got[whole[1]:]
                return found
            if not self.more():
                return None

    def expect(self, kind):
        found = self.packet()
        assert found and found.kind == kind, f"expected packet {kind}, got {found}"
        return found

    def rest(self):
        """All packets up to the end of the stream, which must come."""
        found = []
        while True:
            one = self.packet()
            if one is None:
                return found
            found.append(one)

    def ping(self):
        """Fails unless it is still served."""
        self.send(packet(PINGREQ)).expect(PINGRESP)
        return self


def connected(port, client="raw", version=5, **options):
    """A peer whose CONNECT was accepted."""
    peer = Peer(port, connect(client, version, **options))
    accepted = peer.expect(CONNACK)
    assert accepted.reason() == 0, accepted
    peer.accepted = accepted
    return peer
