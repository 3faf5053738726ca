"""Subscribes at QoS 2 or publishes with paho-mqtt, and prints received messages on standard error.

usage: mqtt_client.py PORT PROTOCOL subscribe TOPIC
       mqtt_client.py PORT PROTOCOL publish TOPIC QOS PAYLOAD
"""

import sys

import paho.mqtt.client as mqtt

port, protocol, what, topic, *rest = sys.argv[1:]


def tell(line):
    print(line, file=sys.stderr, flush=True)


def connected(client, _, flags, reason, properties):
    if reason.is_failure:
        sys.exit(f"refused: {reason}")
    if what == "subscribe":
        client.subscribe(topic, qos=2)
    else:
        client.publish(topic, rest[1], qos=int(rest[0]))


def subscribed(client, _, mid, reasons, properties):
    tell(f"subscribed {reasons[0].value}")


def published(client, _, mid, reason, properties):
    # after the acknowledgement, or at QoS 0 when it is written
    client.disconnect()


def received(client, _, message):
    tell(f"message {message.qos} {int(message.retain)} {message.payload.hex()}")


client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5 if protocol == "5" else mqtt.MQTTv311)
client.on_connect, client.on_subscribe = connected, subscribed
client.on_publish, client.on_message = published, received
client.connect("127.0.0.1", int(port))
client.loop_forever()
