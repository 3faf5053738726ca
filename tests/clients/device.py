"""A device that answers each request as the last level of its topic says.

usage: device.py PORT

It answers on the response topic with the correlation data, as MQTT 5 has it; a request without that on answers/WAY.
Each request is told on standard error.
"""

import json
import sys

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

held = []


def tell(line):
    print(line, file=sys.stderr, flush=True)


def answer(client, request, payload, correlation=None, **more):
    asked = request.properties
    topic = getattr(asked, "ResponseTopic", None) or "answers/" + way(request)
    properties = Properties(PacketTypes.PUBLISH)
    correlation = getattr(asked, "CorrelationData", None) if correlation is None else correlation
    if correlation:
        properties.CorrelationData = correlation
    for name, value in more.items():
        setattr(properties, name, value)
    client.publish(topic, payload, qos=1, properties=properties)


def way(request):
    return request.topic.rsplit("/", 1)[1]


def mirror(request):
    """The request as the device receives it."""
    asked = request.properties
    names = ("ContentType", "MessageExpiryInterval", "PayloadFormatIndicator", "ResponseTopic", "UserProperty")
    seen = {name: getattr(asked, name) for name in names if hasattr(asked, name)}
    seen["correlated"] = bool(getattr(asked, "CorrelationData", None))
    return json.dumps({"qos": request.qos, "payload": request.payload.decode("latin-1"), **seen})


def release(client, order):
    while held:
        request = held.pop(0 if order == b"forwards" else -1)
        answer(client, request, request.payload)


def on_message(client, _, request):
    tell(f"asked {way(request)} {request.payload.decode(errors='replace')}")
    match way(request):
        case "echo":
            answer(client, request, request.payload)
        case "binary":
            answer(client, request, b"\xff\0" + request.payload)
        case "described":
            pairs = [("b", "2"), ("a", "1"), ("b", "2")]
            answer(client, request, request.payload, ContentType="text/x", UserProperty=pairs, PayloadFormatIndicator=1)
        case "mirror":
            answer(client, request, mirror(request))
        case "wrong":
            answer(client, request, "wrong", b"of somebody else")
            answer(client, request, request.payload)
        case "bare":
            answer(client, request, request.payload, b"")
        case "twice":
            answer(client, request, request.payload)
            answer(client, request, "again")
        case "held":
            held.append(request)
        case "release":
            release(client, request.payload)
        case "silent":
            pass


def main():
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id="device", protocol=mqtt.MQTTv5)
    client.on_connect = lambda *_: client.subscribe("dev/#", qos=1)
    client.on_subscribe = lambda *_: tell("ready")
    client.on_message = on_message
    client.max_inflight_messages_set(1000)
    client.connect("127.0.0.1", int(sys.argv[1]))
    client.loop_forever()


main()
