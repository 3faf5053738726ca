"""One client of paho-mqtt for the process, with its own thread, as in the tutorial."""

import paho.mqtt.client
from django.conf import settings


def on_connect(client, _userdata, _flags, reason, _properties):
    print("connected" if reason == 0 else f"not connected: {reason}")
    client.subscribe("django/mqtt")


def on_message(_client, _userdata, message):
    print(f"{message.topic}: {message.payload}")


client = paho.mqtt.client.Client(paho.mqtt.client.CallbackAPIVersion.VERSION2)
client.on_connect = on_connect
client.on_message = on_message
client.username_pw_set(settings.MQTT_USER, settings.MQTT_PASSWORD)
client.connect(settings.MQTT_SERVER, settings.MQTT_PORT, settings.MQTT_KEEPALIVE)
client.loop_start()
