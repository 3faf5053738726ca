"""The minimal settings of Django, and the five settings of the tutorial."""

import os

SECRET_KEY = "only-for-the-benchmark"
ALLOWED_HOSTS = ["127.0.0.1"]
ROOT_URLCONF = "urls"
USE_TZ = True
# on in the tutorial; it takes memory only with a database
DEBUG = True

MQTT_SERVER = "127.0.0.1"
MQTT_PORT = int(os.environ["MQTT_PORT"])
MQTT_KEEPALIVE = 60
MQTT_USER = ""
MQTT_PASSWORD = ""
