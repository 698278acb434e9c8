#!/usr/bin/python3
"""A publisher or a subscriber on Debian's python3-paho-mqtt, told what to do in JSON.

    paho_client.py PORT VERSION pub                 a JSON object a line on standard input:
                                                    topic, payload64, qos, retain, properties
    paho_client.py PORT VERSION sub QOS FILTER...   a JSON object a line on standard output, the same
    paho_client.py PORT VERSION work ID QOS FILTER  the same as client ID, but first what was granted, and
                                                    why not: {"granted": [CODE...], "reason": TEXT}

VERSION is 4 or 5. properties: contentType, responseTopic, correlation64, expiry, payloadFormat,
user [[name, value]...]. mqttjs_client.mjs speaks the same. pub ends once everything is acknowledged.
"""
import base64
import json
import sys
import threading

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

WAIT_S = 60
NAMES = {"contentType": "ContentType", "responseTopic": "ResponseTopic",
         "expiry": "MessageExpiryInterval", "payloadFormat": "PayloadFormatIndicator"}


def properties_of(given):
    made = Properties(PacketTypes.PUBLISH)
    for name, attribute in NAMES.items():
        if name in given:
            setattr(made, attribute, given[name])
    if "correlation64" in given:
        made.CorrelationData = base64.b64decode(given["correlation64"])
    if given.get("user"):
        made.UserProperty = [tuple(pair) for pair in given["user"]]
    return made


def properties_told(found):
    told = {}
    for name, attribute in NAMES.items():
        if hasattr(found, attribute):
            told[name] = getattr(found, attribute)
    if hasattr(found, "CorrelationData"):
        told["correlation64"] = base64.b64encode(found.CorrelationData).decode()
    if hasattr(found, "UserProperty"):
        told["user"] = [list(pair) for pair in found.UserProperty]
    return told


def connected(port, version, on_message=None, client_id=""):
    client = mqtt.Client(client_id, protocol=mqtt.MQTTv5 if version == 5 else mqtt.MQTTv311)
    there = threading.Event()
    client.on_connect = lambda *_: there.set()
    client.on_message = on_message
    client.max_inflight_messages_set(200)
    client.connect("127.0.0.1", port)
    client.loop_start()
    if not there.wait(WAIT_S):
        sys.exit("no CONNACK")
    return client


def publish_all(client, version):
    waiting = []
    for line in sys.stdin:
        one = json.loads(line)
        given = {"properties": properties_of(one["properties"])} if one.get("properties") else {}
        waiting.append(client.publish(one["topic"], base64.b64decode(one["payload64"]), one.get("qos", 0),
                                      one.get("retain", False), **(given if version == 5 else {})))
    for info in waiting:
        info.wait_for_publish(WAIT_S)
        if not info.is_published():
            sys.exit("not acknowledged")
    client.disconnect()


def tell(_client, _user, message):
    found = getattr(message, "properties", None)
    print(json.dumps({"topic": message.topic, "payload64": base64.b64encode(message.payload).decode(),
                      "qos": message.qos, "retain": bool(message.retain),
                      "properties": properties_told(found) if found else {}}), flush=True)


def granted(_client, _user, _mid, codes, found=None):
    print(json.dumps({"granted": [getattr(code, "value", code) for code in codes],
                      "reason": getattr(found, "ReasonString", None)}), flush=True)


def main():
    port, version, verb = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    if verb == "pub":
        publish_all(connected(port, version), version)
        return
    client = connected(port, version, tell, sys.argv.pop(4) if verb == "work" else "")
    if verb == "work":
        client.on_subscribe = granted
    qos = int(sys.argv[4])
    if version == 5:
        client.subscribe([(name, mqtt.SubscribeOptions(qos=qos)) for name in sys.argv[5:]])
    else:
        client.subscribe([(name, qos) for name in sys.argv[5:]])
    threading.Event().wait()


main()
