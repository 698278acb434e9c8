#!/usr/bin/env python3
"""RFC 6455 from raw sockets, against a gateway: framing, fragmentation, control frames, close codes,
UTF-8, masks, the handshake, limits, interleaving; what libwebsockets 4.1.6 lets pass, item by item.

Each test is a function whose name is a sentence that can be false. The number in its first line is the
RFC's section, or [LWS n] for the list in docs/decisions/0020-websocket.md.
"""
import base64
import hashlib
import json
import os
import signal
import socket
import ssl
import struct
import sys
import time

import support

DEADLINE_S = support.DEADLINE_S
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
MESSAGE_MAX = 1114112  # limits.packet_bytes_max
FRAGMENTS_MAX = 1024
CONT, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
MASK = b"\x37\xfa\x21\x3d"


TLS_CONTEXT = None  # set while a test speaks TLS


class Gateway:
    """A gateway of its own (support.py), and its HTTP port."""

    def __init__(self, *settings):
        self.own = scene.gateway("http.enabled=true", "http.port=0", "http.test_echo=true", *settings)
        self.port = int(self.own.ports()["http"].rsplit(":", 1)[1])
        self.process = self.own.run.process

    def rss_bytes(self):
        for line in open(f"/proc/{self.process.pid}/status"):
            if line.startswith("VmRSS"):
                return int(line.split()[1]) * 1024
        return 0

    def has_grown_by_at_most(self, bound, since):
        """A sanitizer keeps freed memory for a while: nothing is said then."""
        return support.SLOW > 1 or self.rss_bytes() - since <= bound

    def stop(self):
        return self.own.stop()


scene = None
gateway = None


def mask(payload, key=MASK):
    whole = (key * (len(payload) // 4 + 1))[:len(payload)]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(whole, "big")).to_bytes(len(payload), "big")


def frame(opcode, payload=b"", fin=True, bits=0, masked=True, length=None):
    """length: what the head claims, and in how many bytes: (value, 0, 2 or 8)."""
    first = (0x80 if fin else 0) | bits | opcode
    value, size = length or (len(payload), 0 if len(payload) < 126 else 2 if len(payload) < 65536 else 8)
    head = bytes([first, (0x80 if masked else 0) | (value if size == 0 else 126 if size == 2 else 127)])
    head += b"" if size == 0 else struct.pack(">H" if size == 2 else ">Q", value)
    return head + (MASK + mask(payload) if masked else payload)


def close(code, reason=b""):
    return frame(CLOSE, struct.pack(">H", code) + reason)


class Peer:
    """A raw client. Reads of frames fail after DEADLINE_S."""

    def __init__(self, port=None):
        self.socket = socket.create_connection(("127.0.0.1", port or gateway.port), DEADLINE_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if TLS_CONTEXT is not None:
            self.socket = TLS_CONTEXT.wrap_socket(self.socket, server_hostname="localhost")
        self.got = b""

    def send(self, data):
        self.socket.sendall(data)

    def bytewise(self, data):
        for byte in data:
            self.socket.sendall(bytes([byte]))

    def more(self):
        """False at the end of the stream."""
        try:
            data = self.socket.recv(65536)
        except ConnectionResetError:
            return False
        self.got += data
        return bool(data)

    def take(self, count):
        while len(self.got) < count:
            if not self.more():
                raise EOFError(f"the stream ended with {self.got!r}")
        data, self.got = self.got[:count], self.got[count:]
        return data

    def answer(self):
        """Status, fields (lower case), body of what is Content-Length long."""
        while b"\r\n\r\n" not in self.got:
            if not self.more():
                raise EOFError(f"no whole answer: {self.got!r}")
        head, self.got = self.got.split(b"\r\n\r\n", 1)
        lines = head.decode("latin-1").split("\r\n")
        fields = {}
        for line in lines[1:]:
            name, value = line.split(":", 1)
            fields[name.lower()] = value.strip()
        status = int(lines[0].split()[1])
        body = self.take(int(fields.get("content-length", 0))) if status != 101 else b""
        return status, fields, body

    def frame(self):
        """fin, opcode, payload; the server's rules are checked."""
        first, second = self.take(2)
        assert first & 0x70 == 0, f"reserved bits from the server: {first:#x}"
        assert second & 0x80 == 0, "5.1: a server does not mask"
        length = second & 0x7f
        if length == 126:
            length = struct.unpack(">H", self.take(2))[0]
            assert length > 125, "5.2: shortest form"
        elif length == 127:
            length = struct.unpack(">Q", self.take(8))[0]
            assert length > 65535, "5.2: shortest form"
        return bool(first & 0x80), first & 0x0f, self.take(length)

    def message(self, controls=None):
        """opcode, payload of a whole message; control frames between go to `controls`."""
        kind, whole = None, b""
        while True:
            fin, opcode, payload = self.frame()
            if opcode >= CLOSE:
                assert fin and len(payload) <= 125
                if controls is None:
                    return opcode, payload
                controls.append((opcode, payload))
                continue
            assert (opcode == CONT) == (kind is not None), "5.4: order of fragments"
            kind = opcode if kind is None else kind
            whole += payload
            if fin:
                return kind, whole

    def ended(self):
        """True when the server ends the stream in time; what it still sends is read."""
        try:
            while self.more():
                pass
            return True
        except TimeoutError:
            return False

    def expect_close(self, code, reason=None):
        opcode, payload = CONT, b""
        while opcode != CLOSE:
            _, opcode, payload = self.frame()
        got = struct.unpack(">H", payload[:2])[0] if payload else None
        assert got == code, f"close code {got} {payload[2:]!r} instead of {code}"
        payload[2:].decode()
        if reason is not None:
            assert payload[2:] == reason, payload
        started = time.monotonic()
        assert self.ended(), "7.1.1: the server closes first"
        assert time.monotonic() - started < 5
        self.socket.close()


KEY = base64.b64encode(b"0123456789abcdef").decode()


def request(path="/echo", method="GET", version="HTTP/1.1", **changed):
    """A request; a field set to None is left out, a list gives several lines."""
    fields = {"Host": f"127.0.0.1:{gateway.port}", "Upgrade": "websocket", "Connection": "Upgrade",
              "Sec-WebSocket-Key": KEY, "Sec-WebSocket-Version": "13",
              "Sec-WebSocket-Protocol": path.strip("/") if path != "/v1" else "weir.v1"}
    fields.update({name.replace("_", "-"): value for name, value in changed.items()})
    text = f"{method} {path} {version}\r\n"
    for name, value in fields.items():
        for one in value if isinstance(value, list) else [value]:
            text += "" if one is None else f"{name}: {one}\r\n"
    return (text + "\r\n").encode("latin-1")


def status_of(data, port=None):
    """The answer to a request that must not become a WebSocket: it is given, and the connection ends."""
    peer = Peer(port)
    peer.send(data)
    status, fields, _ = peer.answer()
    assert status != 101, "it was upgraded"
    assert "close" in fields["connection"]
    assert peer.ended(), "a refused connection is closed"
    peer.socket.close()
    return status, fields


def opened(path="/echo", port=None, **changed):
    peer = Peer(port)
    peer.send(request(path, **changed))
    status, _, body = peer.answer()
    assert status == 101, (status, body)
    return peer


def echoes(peer, opcode, payload):
    peer.send(frame(opcode, payload))
    got = peer.message()
    assert got == (opcode, payload), (got[0], len(got[1]))


def closes(data, code, path="/echo"):
    """These bytes after the upgrade end the connection with this code, sent whole and byte by byte."""
    for send in (Peer.send, Peer.bytewise):
        if send is Peer.bytewise and len(data) > 2000:
            continue
        peer = opened(path)
        try:
            send(peer, data)
        except (BrokenPipeError, ConnectionResetError):
            pass  # it was closed before all was sent
        peer.expect_close(code)


# ---- The handshake -------------------------------------------------------------------------------


def the_accept_field_proves_that_the_key_was_read():
    """4.2.2"""
    peer = Peer()
    peer.send(request())
    status, fields, _ = peer.answer()
    assert status == 101
    assert fields["sec-websocket-accept"] == base64.b64encode(
        hashlib.sha1(KEY.encode() + GUID).digest()).decode()
    assert fields["sec-websocket-protocol"] == "echo"
    assert fields["upgrade"].lower() == "websocket" and fields["connection"].lower() == "upgrade"


def a_handshake_that_comes_byte_by_byte_is_taken():
    """4.1"""
    peer = Peer()
    peer.bytewise(request())
    assert peer.answer()[0] == 101
    echoes(peer, TEXT, b"slow")


def frames_behind_the_request_are_not_lost():
    """4.1: a client must wait; one that does not is served all the same"""
    peer = Peer()
    peer.send(request() + frame(TEXT, b"early") + frame(PING, b"p"))
    assert peer.answer()[0] == 101
    assert peer.message() == (TEXT, b"early")
    assert peer.message() == (PONG, b"p")


def any_version_but_13_is_answered_426_with_version_13():
    """4.4, [LWS 3]"""
    for version in ("12", "99", "0", "8", "13, 8", None, ["13", "13"]):
        status, fields = status_of(request(Sec_WebSocket_Version=version))
        assert status == 426, (version, status)
        assert fields["sec-websocket-version"] == "13"


def any_method_but_get_is_refused():
    """4.1, [LWS 3]"""
    for method in ("POST", "PUT", "HEAD", "OPTIONS", "get"):
        status, _ = status_of(request(method=method)) if method != "HEAD" else (405, None)
        assert status == 405, (method, status)


def any_version_of_http_but_1_1_is_refused():
    """4.1"""
    assert status_of(request(version="HTTP/1.0"))[0] == 505
    assert status_of(request(version="HTTP/2.0"))[0] == 505
    assert status_of(request(version="HTTP/1.1x"))[0] == 400


def a_key_that_is_not_16_bytes_is_refused():
    """4.1, [LWS 3]"""
    short = base64.b64encode(b"abc").decode()
    long = base64.b64encode(b"0123456789abcdefg").decode()
    for key in (short, long, "", KEY[:-2], KEY[:-1], KEY[:-3] + "!==", None, [KEY, KEY]):
        status, _ = status_of(request(Sec_WebSocket_Key=key))
        assert status == 400, (key, status)


def a_request_without_exactly_one_host_is_refused():
    """4.1, [LWS 3]"""
    for host in (None, "", ["a", "a"]):
        assert status_of(request(Host=host))[0] == 400


def upgrade_and_connection_must_both_ask():
    """4.1"""
    assert status_of(request(Upgrade=None))[0] == 426
    assert status_of(request(Upgrade="h2c"))[0] == 426
    assert status_of(request(Connection=None))[0] == 400
    assert status_of(request(Connection="keep-alive"))[0] == 400
    opened(Connection="keep-alive, upgrade", Upgrade="WebSocket")


def a_get_without_upgrade_is_answered_and_closed():
    """[LWS 4]"""
    plain = {"Upgrade": None, "Connection": None, "Sec_WebSocket_Key": None,
             "Sec_WebSocket_Version": None, "Sec_WebSocket_Protocol": None}
    started = time.monotonic()
    assert status_of(request("/v1", **plain))[0] == 426
    assert status_of(request("/mqtt", **plain))[0] == 426
    assert status_of(request("/nothing", **plain))[0] == 404
    assert time.monotonic() - started < 2


def the_subprotocol_is_required_and_must_fit_the_path():
    """RELIABILITY 6.7: a client that names none did not mean us"""
    for offered in (None, "chat", "weir.v1", "mqtt", "ECHO", ""):
        assert status_of(request(Sec_WebSocket_Protocol=offered))[0] == 400, offered
    assert status_of(request("/v1", Sec_WebSocket_Protocol="mqtt"))[0] == 400
    assert status_of(request("/mqtt", Sec_WebSocket_Protocol="weir.v1"))[0] == 400
    assert status_of(request("/other", Sec_WebSocket_Protocol="weir.v1"))[0] == 404
    opened("/mqtt", Sec_WebSocket_Protocol="chat, mqttv3.1")
    opened("/echo", Sec_WebSocket_Protocol=["chat", "superchat, echo"])


def a_foreign_origin_is_refused():
    """10.2; no list: the same host, by a loopback name"""
    port = gateway.port
    for origin in ("http://evil.example", "null", f"http://127.0.0.1:{port + 1}", "",
                   f"http://127.0.0.1:{port}.evil.example", "file://"):
        assert status_of(request(Origin=origin))[0] == 403, origin
    rebound = f"evil.example:{port}"
    assert status_of(request(Host=rebound, Origin="http://" + rebound))[0] == 403
    opened(Origin=f"http://127.0.0.1:{port}")
    opened(Host=f"localhost:{port}", Origin=f"http://localhost:{port}")
    opened()


def listed_origins_may_connect_beside_the_same_host():
    """10.2, setting http.origins"""
    other = Gateway("http.origins=https://a.example, http://b.example:81")
    try:
        opened(port=other.port, Origin="https://a.example").socket.close()
        opened(port=other.port, Origin="http://b.example:81").socket.close()
        same = f"127.0.0.1:{other.port}"
        opened(port=other.port, Host=same, Origin="http://" + same).socket.close()
        for origin in ("https://a.example:444", "http://a.example"):
            assert status_of(request(Origin=origin), other.port)[0] == 403
    finally:
        assert other.stop() == 0


def no_extension_is_agreed():
    """9.1, [LWS 7]: permessage-deflate stays off"""
    peer = Peer()
    peer.send(request(Sec_WebSocket_Extensions="permessage-deflate; client_max_window_bits"))
    status, fields, _ = peer.answer()
    assert status == 101 and "sec-websocket-extensions" not in fields
    peer.send(frame(TEXT, b"x", bits=0x40))
    peer.expect_close(1002)


def a_malformed_head_is_answered_400():
    """RFC 9112 3"""
    good = request()
    for bad in (b"GET /echo\r\n\r\n", b"\x16\x03\x01\x02\x00\r\n\r\n", b"\r\n\r\n",
                good.replace(b"Host: ", b"Host : "), good.replace(b"\r\nUpgrade", b"\r\n Upgrade"),
                good.replace(b"websocket", b"web\0socket"), good.replace(b"\r\nUpgrade", b"\nUpgrade")):
        assert status_of(bad)[0] == 400, bad
    assert status_of(good.replace(b"\r\n\r\n", b"\r\nContent-Length: 3\r\n\r\nabc"))[0] == 400


def a_head_above_16_kib_or_100_fields_is_answered_431():
    """limits on header bytes"""
    assert status_of(request(X="a" * 16384))[0] == 431
    assert status_of(request(X=["a"] * 100))[0] == 431
    opened(X="a" * 12000)


def a_field_whose_name_begins_like_a_known_one_is_harmless():
    """lws 4.1.6 hangs in its parser for 10 s"""
    started = time.monotonic()
    for name in ("Sec", "Sec-WebSocket-Ke", "Ac", "H", "Con", "upg"):
        assert opened(**{name: "x"}).socket.close() is None
        peer = Peer()
        peer.send(f"GET /healthz HTTP/1.1\r\nHost: h\r\n{name}: x\r\n\r\n".encode())
        assert peer.answer()[0] == 200
    assert time.monotonic() - started < 5


def a_head_that_does_not_come_in_time_is_answered_408():
    """slow loris"""
    other = Gateway("http.upgrade_ms_max=500")
    try:
        slow = [Peer(other.port) for _ in range(20)]
        started = time.monotonic()
        for at, peer in enumerate(slow):
            peer.send(request()[:at])
        opened(port=other.port).socket.close()
        for peer in slow:
            status, _, _ = peer.answer()
            assert status == 408 and peer.ended()
        assert 0.4 < time.monotonic() - started < 5
    finally:
        assert other.stop() == 0


# ---- Framing -------------------------------------------------------------------------------------


def messages_of_every_length_come_back():
    """5.2"""
    peer = opened()
    for size in (0, 1, 125, 126, 127, 128, 65535, 65536, 65537, MESSAGE_MAX):
        echoes(peer, BINARY, bytes(i * 7 & 255 for i in range(min(size, 997))) * (size // 997 + 1)
               if size > 997 and False else bytes([size & 255]) * size)
        echoes(peer, TEXT, b"*" * min(size, 70000))


def frames_that_come_byte_by_byte_are_read():
    """5.2, Autobahn 1.1.8"""
    peer = opened()
    peer.bytewise(frame(BINARY, bytes(range(256))) + frame(TEXT, "κόσμε".encode()))
    assert peer.message() == (BINARY, bytes(range(256)))
    assert peer.message() == (TEXT, "κόσμε".encode())


def many_frames_in_one_segment_are_all_read():
    """5.2"""
    peer = opened()
    peer.send(b"".join(frame(BINARY, bytes([i & 255]) * (i % 130)) for i in range(1000)))
    for i in range(1000):
        assert peer.message() == (BINARY, bytes([i & 255]) * (i % 130))


def an_unmasked_frame_ends_the_connection():
    """5.1, [LWS 2]"""
    closes(frame(TEXT, b"hello", masked=False), 1002)
    closes(frame(PING, b"", masked=False), 1002)
    closes(frame(CLOSE, struct.pack(">H", 1000), masked=False), 1002)


def each_reserved_bit_is_refused():
    """5.2"""
    for bits in (0x10, 0x20, 0x40, 0x70):
        closes(frame(TEXT, b"x", bits=bits), 1002)
        closes(frame(PING, b"x", bits=bits), 1002)


def each_reserved_opcode_is_refused():
    """5.2"""
    for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15):
        closes(frame(opcode, b"x"), 1002)


def lengths_in_more_bytes_than_needed_are_refused():
    """5.2"""
    closes(frame(BINARY, b"x" * 125, length=(125, 2)), 1002)
    closes(frame(BINARY, b"x" * 125, length=(125, 8)), 1002)
    closes(frame(BINARY, b"", length=(65535, 8)), 1002)
    closes(frame(BINARY, b"", length=(1 << 63, 8)), 1002)


def a_claim_of_2_to_the_62_is_refused_at_the_frame_head():
    """[LWS 5]"""
    for claim in (1 << 62, MESSAGE_MAX + 1):
        peer = opened()
        peer.send(frame(BINARY, b"", length=(claim, 8))[:10])  # not even its mask
        peer.expect_close(1009)


def endless_fragments_are_refused_at_the_message_limit():
    """[LWS 5]: bytes are counted across fragments"""
    peer = opened("/mqtt")
    before = gateway.rss_bytes()
    sent = 0
    piece = frame(CONT, b"\0" * 65000, fin=False)
    try:
        peer.send(frame(BINARY, b"\x30", fin=False))
        while sent < 33 << 20:
            peer.send(piece)
            sent += 65000
    except (BrokenPipeError, ConnectionResetError):
        pass
    assert sent < 33 << 20, "33 MiB were taken"
    assert gateway.has_grown_by_at_most(16 << 20, before)
    closes(frame(BINARY, b"x" * MESSAGE_MAX, fin=False) + frame(CONT, b"y"), 1009)


def the_1025th_fragment_is_refused():
    """CVE-2026-48779: the number of fragments is bounded, too"""
    peer = opened()
    peer.send(frame(BINARY, b"", fin=False) + frame(CONT, b"", fin=False) * (FRAGMENTS_MAX - 2) +
              frame(CONT, b"!"))
    assert peer.message() == (BINARY, b"!")
    peer.send(frame(BINARY, b"", fin=False) + frame(CONT, b"", fin=False) * FRAGMENTS_MAX)
    peer.expect_close(1009)


def an_upload_of_1_mib_does_not_wait_for_turns():
    """[LWS 8]: mosquitto on lws needs 25 s"""
    peer = opened()
    started = time.monotonic()
    echoes(peer, BINARY, b"u" * (1 << 20))
    assert time.monotonic() - started < 2


# ---- Fragments and control frames -----------------------------------------------------------------


def fragments_make_one_message():
    """5.4"""
    peer = opened()
    peer.send(frame(TEXT, b"a", fin=False) + frame(CONT, b"", fin=False) + frame(CONT, b"b", fin=False)
              + frame(CONT, b"c"))
    assert peer.message() == (TEXT, b"abc")
    peer.send(frame(BINARY, b"", fin=False) + frame(CONT, b""))
    assert peer.message() == (BINARY, b"")


def control_frames_are_answered_between_fragments():
    """5.4, 5.5"""
    peer = opened()
    peer.send(frame(TEXT, b"a", fin=False))
    peer.send(frame(PING, b"1") + frame(PONG, b"ignored"))
    peer.send(frame(CONT, b"b", fin=False) + frame(PING, b"2") + frame(CONT, b"c"))
    controls = []
    assert peer.message(controls) == (TEXT, b"abc")
    while len(controls) < 2:
        controls.append(peer.frame()[1:])
    assert controls == [(PONG, b"1"), (PONG, b"2")], controls


def fragments_out_of_order_are_refused():
    """5.4"""
    closes(frame(CONT, b"x"), 1002)
    closes(frame(CONT, b"x", fin=False), 1002)
    closes(frame(TEXT, b"x") + frame(CONT, b"x"), 1002)
    closes(frame(TEXT, b"x", fin=False) + frame(TEXT, b"x"), 1002)
    closes(frame(TEXT, b"x", fin=False) + frame(BINARY, b"x", fin=False), 1002)


def a_ping_is_answered_with_its_payload():
    """5.5.2, 5.5.3"""
    peer = opened()
    for payload in (b"", b"x", bytes(range(125))):
        peer.send(frame(PING, payload))
        assert peer.message() == (PONG, payload)
    peer.send(frame(PONG, b"unasked") + frame(TEXT, b"still here"))
    assert peer.message() == (TEXT, b"still here")


def ten_pings_at_once_are_answered_the_last_one_too():
    """5.5.3, Autobahn 2.10 and 2.11, [LWS 1]"""
    for send in (Peer.send, Peer.bytewise):
        peer = opened()
        send(peer, b"".join(frame(PING, b"payload-%d" % i) for i in range(10)))
        for i in range(10):
            assert peer.message() == (PONG, b"payload-%d" % i)


def the_newest_of_a_flood_of_unread_pings_is_answered():
    """5.5.3, [LWS 1]: who does not read costs one payload, not all of them"""
    peer = opened()
    before = gateway.rss_bytes()
    peer.socket.settimeout(0.5)
    count, per = 0, 200
    try:
        while count < 400000:
            peer.send(b"".join(frame(PING, b"%0120d" % (count + i)) for i in range(per)))
            count += per
    except TimeoutError:
        pass  # back-pressure: it does not take more
    peer.socket.settimeout(DEADLINE_S)
    assert gateway.has_grown_by_at_most(16 << 20, before)
    newest = b""
    for _ in range(count):
        _, opcode, payload = peer.frame()
        assert opcode == PONG and payload > newest, "pongs in order"
        newest = payload
        if int(newest) >= count - 1:
            break
    assert int(newest) >= count - 1, (int(newest), count)


def a_long_or_fragmented_control_frame_is_refused():
    """5.5"""
    for opcode in (CLOSE, PING, PONG):
        closes(frame(opcode, b"x" * 126), 1002)
        closes(frame(opcode, b"\x03\xe8", fin=False), 1002)


# ---- Closing -------------------------------------------------------------------------------------


def a_close_is_answered_with_its_code():
    """5.5.1, 7.4"""
    for code in (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999,
                 4000, 4999):
        peer = opened()
        peer.send(close(code, b"why"))
        peer.expect_close(code)
    peer = opened()
    peer.send(frame(CLOSE))
    peer.expect_close(None)
    peer = opened()
    peer.send(close(1000, b"x" * 123))
    peer.expect_close(1000)


def a_close_code_that_must_not_be_sent_is_refused():
    """7.4, [LWS 6]"""
    for code in (0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535):
        closes(close(code), 1002)
    closes(frame(CLOSE, b"\x03"), 1002)


def a_close_reason_that_is_not_utf8_is_refused():
    """8.1, [LWS 6]"""
    closes(close(1000, b"\xce"), 1007)
    closes(close(1000, b"\xff" * 10), 1007)


def nothing_is_answered_after_a_close():
    """5.5.1"""
    peer = opened()
    peer.send(close(1000) + frame(TEXT, b"late") + frame(PING, b"late") + b"\xff\xff\xff")
    peer.expect_close(1000)


def a_peer_that_goes_without_a_close_frame_costs_nothing():
    """7.1.5"""
    for _ in range(200):
        peer = opened()
        peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        peer.socket.close()
    echoes(opened(), TEXT, b"alive")


# ---- Text ----------------------------------------------------------------------------------------


def text_is_utf8_wherever_it_is_cut():
    """8.1"""
    peer = opened()
    text = "κόσμε \U0010ffff\ud7ff\ue000 ok".encode()
    echoes(peer, TEXT, text)
    for at in range(len(text)):
        peer.send(frame(TEXT, text[:at], fin=False) + frame(CONT, text[at:]))
        assert peer.message() == (TEXT, text)
    echoes(peer, BINARY, b"\xff\xfe\x80")


def text_that_is_not_utf8_is_refused():
    """8.1"""
    for bad in (b"\xc0\xaf", b"\xe0\x80\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xf8\x88\x80\x80\x80",
                b"\xff", b"ok\x80", b"\xce", b"\xe1\xbd"):
        closes(frame(TEXT, bad), 1007)
    closes(frame(TEXT, b"\xce", fin=False) + frame(CONT, b""), 1007)
    closes(frame(TEXT, b"ok", fin=False) + frame(CONT, b"\xba", fin=False), 1007)


def text_that_cannot_become_utf8_fails_before_the_rest_has_come():
    """8.1, Autobahn 6.4"""
    peer = opened()
    peer.send(frame(TEXT, b"\xce\xba\xf4\x90" + b"x" * 60000)[:8 + 4])  # head, mask, 4 bytes
    peer.expect_close(1007)


def text_on_an_mqtt_connection_is_refused():
    """[MQTT-6.0.0-1], [LWS 9]"""
    closes(frame(TEXT, b"\xc0\x00"), 1003, "/mqtt")
    closes(frame(TEXT, b"", fin=False), 1003, "/mqtt")


# ---- Above the frames ----------------------------------------------------------------------------


def connect_packet(client_id):
    body = b"\x00\x04MQTT\x04\x02\x00\x3c" + struct.pack(">H", len(client_id)) + client_id
    return bytes([0x10, len(body)]) + body


def stream_of(peer, count):
    data = b""
    while len(data) < count:
        opcode, payload = peer.message()
        assert opcode == BINARY, "[MQTT-6.0.0-1]"
        data += payload
    return data


def mqtt_packets_may_be_cut_by_frames_anywhere():
    """[MQTT-6.0.0-2]"""
    data = connect_packet(b"cut") + b"\xc0\x00" * 3
    for cut in (1, 2, 3, 5, len(data)):
        peer = opened("/mqtt")
        for at in range(0, len(data), cut):
            peer.send(frame(BINARY, data[at:at + cut]))
        assert stream_of(peer, 4 + 6) == b"\x20\x02\x00\x00" + b"\xd0\x00" * 3
        peer.socket.close()
    peer = opened("/mqtt")
    for at, byte in enumerate(data):
        last = at == len(data) - 1
        peer.send(frame(BINARY if at == 0 else CONT, bytes([byte]), fin=last))
    assert stream_of(peer, 4 + 6) == b"\x20\x02\x00\x00" + b"\xd0\x00" * 3


def a_malformed_mqtt_packet_ends_the_websocket_too():
    """MQTT 4.13"""
    peer = opened("/mqtt")
    peer.send(frame(BINARY, b"\xc0\x00"))  # before CONNECT
    peer.expect_close(1008)


def an_mqtt_disconnect_closes_with_1000():
    """MQTT 3.14.4"""
    peer = opened("/mqtt")
    peer.send(frame(BINARY, connect_packet(b"bye")))
    assert stream_of(peer, 4)[:2] == b"\x20\x02"
    peer.send(frame(BINARY, b"\xe0\x00"))
    peer.expect_close(1000)


def an_mqtt_client_id_that_comes_again_takes_over():
    """[MQTT-3.1.4-2]"""
    first = opened("/mqtt")
    first.send(frame(BINARY, connect_packet(b"twice")))
    assert stream_of(first, 4) == b"\x20\x02\x00\x00"
    second = opened("/mqtt")
    second.send(frame(BINARY, connect_packet(b"twice")))
    assert stream_of(second, 4) == b"\x20\x02\x00\x00"
    first.expect_close(1008)
    second.send(frame(BINARY, b"\xc0\x00"))
    assert stream_of(second, 2) == b"\xd0\x00"


def weir_v1_speaks_json_from_the_first_message():
    """docs/weir.v1.md"""
    peer = opened("/v1")
    peer.send(frame(TEXT, b'{"cmd":"hello",', fin=False) + frame(CONT, b'"version":1}'))
    opcode, payload = peer.message()
    assert opcode == TEXT
    assert "error" not in json.loads(payload), payload
    peer.send(frame(TEXT, b'{"cmd":"no-such-command","id":7}'))
    opcode, payload = peer.message()
    assert opcode == TEXT and json.loads(payload)["id"] == 7 and "error" in json.loads(payload)
    peer.send(close(1000))
    peer.expect_close(1000)


def weir_v1_without_hello_is_limited_to_64_kib():
    """limit connect_bytes_max"""
    peer = opened("/v1")
    peer.send(frame(TEXT, b"", length=(65537, 8))[:10])
    peer.expect_close(1009)


def connections_do_not_disturb_one_another():
    """interleaving"""
    peers = [opened() for _ in range(50)]
    for at, peer in enumerate(peers):
        peer.send(frame(TEXT, b"begin %d " % at, fin=False))
    for at, peer in enumerate(peers):
        if at % 5 == 0:
            peer.send(frame(11, b""))
        else:
            peer.send(frame(CONT, b"end %d" % at))
    for at, peer in enumerate(peers):
        if at % 5 == 0:
            peer.expect_close(1002)
        else:
            assert peer.message() == (TEXT, b"begin %d end %d" % (at, at))


def a_peer_that_does_not_read_is_not_read():
    """back-pressure both ways"""
    peer = opened()
    before = gateway.rss_bytes()
    peer.socket.settimeout(0.5)
    piece = frame(BINARY, b"p" * 65536)
    sent = 0
    try:
        while sent < 2000:
            peer.send(piece)
            sent += 1
    except TimeoutError:
        pass
    assert sent < 2000, "125 MiB were taken from a peer that reads nothing"
    assert gateway.has_grown_by_at_most(32 << 20, before)
    other = opened()
    started = time.monotonic()
    echoes(other, TEXT, b"served")
    assert time.monotonic() - started < 0.1
    peer.socket.settimeout(DEADLINE_S)
    for _ in range(sent):  # and when it reads, everything is there
        assert peer.message() == (BINARY, b"p" * 65536)


def a_silent_peer_is_asked_and_then_closed():
    """5.5.2, setting http.ping_ms"""
    other = Gateway("http.ping_ms=400")
    try:
        dead, alive = opened(port=other.port), opened(port=other.port)
        assert dead.message() == (PING, b"")
        for _ in range(4):
            assert alive.message() == (PING, b"")
            alive.send(frame(PONG))
        dead.expect_close(1008)
        echoes(alive, TEXT, b"alive")
    finally:
        assert other.stop() == 0


def the_same_is_served_inside_tls():
    """wss and https: setting http.tls.certificate"""
    global TLS_CONTEXT
    certificate, key = scene.path("certificate.pem"), scene.path("key.pem")
    done = support.run_checked(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-days", "2",
         "-keyout", key, "-out", certificate])
    assert done.returncode == 0, done.stderr
    other = Gateway(f"http.tls.certificate={certificate}", f"http.tls.key={key}")
    try:
        plain = Peer(other.port)
        plain.send(request())
        assert plain.ended() and b"HTTP" not in plain.got, "plain bytes at a TLS port"
        TLS_CONTEXT = ssl.create_default_context(cafile=certificate)
        peer = opened(port=other.port)
        for size in (0, 1, 126, 70000, 1 << 20):
            echoes(peer, BINARY, b"t" * size)
        peer.bytewise(frame(TEXT, b"byte by byte") + frame(PING, b"p"))
        assert peer.message() == (TEXT, b"byte by byte") and peer.message() == (PONG, b"p")
        peer.send(close(1000))
        peer.expect_close(1000)
        status, _, body = get("/metrics", port=other.port)
        assert status == 200 and body.startswith(b"# HELP")
        assert status_of(request(Sec_WebSocket_Version="12"), other.port)[0] == 426
    finally:
        TLS_CONTEXT = None
        assert other.stop() == 0


def connections_over_the_limit_are_told_503():
    """limit connections_max"""
    other = Gateway("limits.connections_max=3")
    try:
        peers = [opened(port=other.port) for _ in range(3)]
        over = Peer(other.port)
        assert over.answer()[0] == 503 and over.ended()
        peers[0].send(close(1000))
        peers[0].expect_close(1000)
        until = time.monotonic() + DEADLINE_S
        while time.monotonic() < until:
            again = Peer(other.port)
            again.send(request())
            if again.answer()[0] == 101:
                break
            again.socket.close()
        echoes(again, TEXT, b"room again")
    finally:
        assert other.stop() == 0


def a_drain_tells_each_peer_and_closes_with_1001():
    """7.4.1: going away"""
    other = Gateway()
    echo, mqtt, v1 = (opened(path, port=other.port) for path in ("/echo", "/mqtt", "/v1"))
    half = Peer(other.port)
    half.send(b"GET /")
    mqtt.send(frame(BINARY, connect_packet(b"drained")))
    assert stream_of(mqtt, 4) == b"\x20\x02\x00\x00"
    v1.send(frame(TEXT, b'{"cmd":"hello","version":1}'))
    assert v1.message()[0] == TEXT
    other.process.send_signal(signal.SIGTERM)
    opcode, payload = v1.message()
    assert opcode == TEXT and "drain" in payload.decode(), payload
    for peer in (echo, mqtt, v1):
        peer.expect_close(1001)
    assert half.ended()
    assert other.own.run.wait() == 0


# ---- HTTP beside it ------------------------------------------------------------------------------


def get(path, method="GET", port=None):
    peer = Peer(port)
    peer.send(f"{method} {path} HTTP/1.1\r\nHost: h\r\n\r\n".encode("latin-1"))
    return peer.answer()


def health_and_metrics_are_served():
    """/healthz, /readyz, /metrics"""
    status, fields, body = get("/healthz")
    assert status == 200 and json.loads(body)["status"] == "ok"
    assert fields["x-content-type-options"] == "nosniff"
    status, _, body = get("/readyz")
    assert status == 200 and json.loads(body) == {"ready": True}
    status, fields, body = get("/metrics")
    assert status == 200 and fields["content-type"].startswith("text/plain; version=0.0.4")
    families, samples = {}, {}
    for line in body.decode().splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split()
            assert name not in families, f"{name} twice"
            families[name] = kind
        elif not line.startswith("#"):
            name, value = line.rsplit(" ", 1)
            assert name.split("{")[0] == list(families)[-1], "samples stand under their family"
            samples[name] = float(value)
    assert families["weir_records_received_total"] == "counter"
    assert samples['weir_websocket_opened_echo_total{adapter="http"}'] > 0
    assert samples['weir_websocket_refused_frames_total{adapter="http"}'] > 0


def the_client_library_is_served_as_it_stands_in_the_tree():
    """/weir.js, from memory"""
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    status, fields, body = get("/weir.js")
    assert status == 200 and fields["content-type"].startswith("text/javascript")
    assert body == open(os.path.join(root, "clients", "javascript", "weir.js"), "rb").read()
    peer = Peer()
    peer.send(b"HEAD /weir.js HTTP/1.1\r\nHost: h\r\n\r\n")
    assert peer.ended() and int(peer.got.split(b"content-length: ")[1].split(b"\r")[0]) == len(body)
    assert peer.got.endswith(b"\r\n\r\n"), "HEAD has no body"


def paths_never_become_files():
    """RELIABILITY 6.7, 6.8: pages are served from memory"""
    for path in ("/../etc/passwd", "/%2e%2e/etc/passwd", "//etc/passwd", "/./healthz", "/metrics/",
                 "/healthz%00", "/" + "a" * 9000, "/metrics%20"):
        assert get(path)[0] == 404, path
    assert get("/healthz?x=1")[0] == 200
    assert get("*")[0] == 400
    assert get("http://127.0.0.1/healthz")[0] == 400


def other_methods_are_refused_on_pages():
    """GET and HEAD only; a body is never read as a second request"""
    for method in ("POST", "PUT", "DELETE", "TRACE", "CONNECT"):
        peer = Peer()
        peer.send(f"{method} /metrics HTTP/1.1\r\nHost: h\r\nContent-Length: 30\r\n\r\n"
                  "GET /healthz HTTP/1.1\r\n\r\n".encode())
        assert peer.answer()[0] == 405 and peer.ended()
        assert b"HTTP/1.1" not in peer.got


TESTS = [value for value in list(globals().values())
         if callable(value) and getattr(value, "__module__", "") == "__main__"
         and not isinstance(value, type) and "_" in value.__name__ and value.__doc__
         and value.__name__ not in ("status_of",)]


def main():
    global gateway, scene
    with support.Scene() as scene:
        gateway = Gateway()
        try:
            support.run_tests(TESTS, sys.argv[1] if len(sys.argv) > 1 else None)
        finally:
            code = gateway.stop()
            assert code == 0, f"the gateway ended with {code}"


if __name__ == "__main__":
    main()
