"""A client written for EMQX: the examples of its documentation, with nothing changed but the address and the key.

usage: emqx.py ADDRESS KEY SECRET
"""

import sys

import requests
from requests.auth import HTTPBasicAuth

address, key, secret = sys.argv[1:]
api = f"http://{address}/api/v5"
auth = HTTPBasicAuth(key, secret)


def post(path, body, auth=auth):
    reply = requests.post(f"{api}{path}", json=body, auth=auth, timeout=20)
    print(path, reply.status_code, reply.json())
    return reply.status_code, reply.json()


def is_id(answer):
    return list(answer) == ["id"] and len(answer["id"]) == 32 and int(answer["id"], 16) >= 0


NOBODY = {"reason_code": 16, "message": "no_matching_subscribers"}

# Message Publishing API: Publish a Message
status, answer = post("/publish", {"topic": "t/a", "qos": 1, "payload": "Hello EMQX"})
assert status == 200 and is_id(answer)

# the example of the OpenAPI page with all fields
example = {
    "payload_encoding": "plain",
    "topic": "api/example/topic",
    "qos": 0,
    "clientid": "api_example_client",
    "payload": "hello emqx api",
    "properties": {
        "payload_format_indicator": 0,
        "message_expiry_interval": 0,
        "response_topic": "some_other_topic",
        "correlation_data": "string",
        "user_properties": {"foo": "bar"},
        "content_type": "text/plain",
    },
    "retain": False,
}
status, answer = post("/publish", example)
assert status == 200 and is_id(answer)

status, answer = post("/publish", {"topic": "t/nobody", "qos": 1, "payload": "Hello EMQX"})
assert (status, answer) == (202, NOBODY)

# Bulk Publish Messages
status, answer = post(
    "/publish/bulk",
    [{"topic": "t/a", "qos": 0, "payload": "Hello EMQX"}, {"topic": "t/b", "qos": 1, "payload": "Hi EMQX"}],
)
assert status == 200 and len(answer) == 2 and all(is_id(one) for one in answer)
assert answer[0]["id"] != answer[1]["id"]

bulk = [{"topic": "t/nobody", "qos": 1, "payload": "x"}, {"topic": "t/b", "qos": 1, "payload": "SGkgRU1RWA==", "payload_encoding": "base64"}]
status, answer = post("/publish/bulk", bulk)
assert status == 202 and answer[0] == NOBODY and is_id(answer[1])

# what clients read from an error
status, answer = post("/publish", {"topic": "t/#", "payload": "x"})
assert status == 400 and answer["reason_code"] == 144 and "wildcard" in answer["message"]
status, answer = post("/publish", {"topic": "t/a", "qos": 1, "payload": "x"}, HTTPBasicAuth(key, "wrong"))
assert status == 401 and answer["code"] == "BAD_API_KEY_OR_SECRET" and answer["message"]
