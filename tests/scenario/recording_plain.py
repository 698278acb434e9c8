#!/usr/bin/python3
"""A plain WebSocket subscriber on python3-websockets: subscribes from the end, and when its connection is
lost, connects and subscribes from the end again. Nothing is resumed. Ends only when it is killed.

    recording_plain.py HTTP_PORT FILTER

On standard output one line for each record: partition, offset, full name, value; "# connected" at each
connection; "# dropped {..}" and "# gap {..}" as the gateway tells them.
"""
import asyncio
import json
import sys

import websockets
from websockets.exceptions import WebSocketException

RETRY_S = 0.005
LOST = (OSError, WebSocketException, asyncio.TimeoutError)


async def ask(socket, command):
    await socket.send(json.dumps(command))
    answer = json.loads(await socket.recv())
    assert answer.get("ok"), answer


async def one_connection(port, pattern):
    async with websockets.connect(f"ws://127.0.0.1:{port}/v1", subprotocols=["weir.v1"], max_size=None,
                                  open_timeout=60, close_timeout=1) as socket:
        await ask(socket, {"cmd": "hello", "version": 1})
        await ask(socket, {"cmd": "subscribe", "filter": pattern})
        print("# connected", flush=True)
        async for text in socket:
            message = json.loads(text)
            for one in message.get("records", []):
                print(one["partition"], one["offset"], one["name"], one["value"])
            if message["type"] != "records":
                print(f"# {message['type']} {text}")
            sys.stdout.flush()


async def main(port, pattern):
    while True:
        try:
            await one_connection(port, pattern)
        except LOST:
            await asyncio.sleep(RETRY_S)


asyncio.run(main(*sys.argv[1:]))
