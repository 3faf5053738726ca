"""Listens to the bridge at a URL, and checks the answer and its first event against the OpenAPI document, as
other tools wait for the end of a response."""

import json
import sys

import requests
from jsonschema_rs import Draft202012Validator

url = sys.argv[1]
document = requests.get(f"{url}/openapi.json", timeout=10).json()


def validator(name):
    schema = {"$ref": f"#/components/schemas/{name}", "components": document["components"]}
    return Draft202012Validator(schema)


validator("FilterRefused").validate({"reason_code": None, "error": "asked, outcome unknown"})


def publish():
    properties = {"content_type": "text/plain", "correlation_data": "42", "message_expiry_interval": 60,
                  "payload_format_indicator": 1, "response_topic": "r", "user_properties": [["a", "1"], ["a", "2"]]}
    message = {"topic": "kitchen/light", "msg": "on", "qos": 1, "properties": properties}
    requests.post(f"{url}/publish", json=message, timeout=10).raise_for_status()
    picture = {"topic": "kitchen/picture", "msg": "/w==", "payload_encoding": "base64"}
    requests.post(f"{url}/publish", json=picture, timeout=10).raise_for_status()


described = document["paths"]["/messages"]["get"]["responses"]["200"]
# after an event that this daemon does not know
headers = {"Last-Event-ID": "0-0-0"}
with requests.get(f"{url}/messages", {"topic": "kitchen/#"}, headers=headers, stream=True, timeout=10) as reply:
    reply.raise_for_status()
    assert reply.headers["Content-Type"] in described["content"], reply.headers
    for name, header in described["headers"].items():
        assert reply.headers[name] == header["schema"]["const"], reply.headers
    kind, seen = "", []
    for line in reply.iter_lines(chunk_size=1, decode_unicode=True):
        name, _, text = line.partition(": ")
        if name == "" and text == "mqtt-bridge":
            publish()
        if name == "event":
            kind = text
        if name == "data":
            validator({"message": "Message", "lagged": "Lagged"}[kind]).validate(json.loads(text))
            seen.append((kind, json.loads(text)))
        if len(seen) == 3:
            break
assert [kind for kind, _ in seen] == ["lagged", "message", "message"], seen
assert len(seen[1][1]["properties"]) == 6 and "payload_base64" in seen[2][1], seen
print("three events")
