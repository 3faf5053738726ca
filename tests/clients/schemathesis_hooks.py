"""Rules of the interface that the OpenAPI document cannot express."""

import base64
import itertools
import json
import os
import re

import schemathesis
from hypothesis import strategies

text = strategies.text(strategies.characters(exclude_categories=["Cc", "Cs", "Cn"]), max_size=8)
objects = strategies.lists(strategies.dictionaries(text, text, min_size=1, max_size=2), max_size=3)
in_base64 = objects.map(lambda value: base64.b64encode(json.dumps(value).encode()).decode())
schemathesis.openapi.format("aws-user-properties", in_base64)
schemathesis.openapi.format("idempotency-key", strategies.uuids().map(str))


names = ("msg", "payload")


def is_base64(text):
    try:
        return isinstance(text, str) and base64.b64encode(base64.b64decode(text, validate=True)).decode() == text
    except ValueError:
        return False


def encoded(message):
    """With `payload_encoding` set to `base64` the payload must be base64: a rule about two fields, which the document
    gives in words."""
    if isinstance(message, dict) and message.get("payload_encoding") == "base64":
        for name in names:
            if isinstance(message.get(name), str):
                message = {**message, name: base64.b64encode(message[name].encode(errors="replace")).decode()}
    return message


def is_encoded(message):
    if not isinstance(message, dict) or message.get("payload_encoding") != "base64":
        return True
    return all(is_base64(message[name]) for name in names if name in message)


@schemathesis.hook
def map_body(context, body):
    return [encoded(message) for message in body] if isinstance(body, list) else encoded(body)


@schemathesis.hook
def map_path_parameters(context, path_parameters):
    """Most calls of a hook have a right name and the secret, which nothing in the document gives; half of the requests
    about a stored message are about one that there is."""
    path = context.operation.path
    if path == "/outbox/{id}" and str(path_parameters.get("id", "")) < "8":
        return {"id": os.environ["STORED_ID"]}
    if not path.startswith("/hooks/") or len(str(path_parameters.get("name", ""))) % 8 == 7:
        return path_parameters
    right = {"name": "h" if "{secret}" in path else "signed", "secret": os.environ["HOOK_SECRET"]}
    return {name: right.get(name, value) for name, value in path_parameters.items()}


def is_whole(value, most):
    """Whether it is a number that the document allows, such as 7, 7.0, or "7" in a parameter."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return False
    if isinstance(value, str) and not (value.isascii() and value.isdecimal()):
        return False
    return 0 <= float(value) <= most and float(value).is_integer()


def with_qos(fields):
    """With QoS 1 where it is 0. What is invalid stays so."""
    return {**fields, "qos": 1} if is_whole(fields.get("qos", 0), 0) else fields


def without(fields, name):
    """Without a number of 32 bits. What is invalid stays."""
    return {other: fields[other] for other in fields if other != name} if is_whole(fields.get(name), 2**32 - 1) else fields


def for_outbox(message):
    if not isinstance(message, dict):
        return message
    properties = message.get("properties")
    if isinstance(properties, dict):
        message = {**message, "properties": without(properties, "message_expiry_interval")}
    return with_qos(message)


numbers = itertools.count()


def with_own_key(headers):
    """With a key that no other case has, as it would be the key of another request. What is invalid stays so."""
    key = headers.get("Idempotency-Key")
    is_bare = isinstance(key, str) and re.fullmatch(r"[!#-+\--:<-~]{1,240}", key)
    return {**headers, "Idempotency-Key": f"{key}-{next(numbers)}"} if is_bare else headers


@schemathesis.hook
def before_call(context, case, kwargs):
    """`ttl` needs the preference and QoS 1 or 2, and excludes an expiry interval: rules about several places, which the
    document gives in words."""
    case.headers = with_own_key(case.headers or {})
    query, body = case.query, case.body
    in_query = isinstance(query, dict) and "ttl" in query
    if not in_query and not (isinstance(body, dict) and "ttl" in body and case.path == "/publish"):
        return
    case.headers = {**case.headers, "Prefer": "respond-async"}
    if in_query and case.path == "/topics/{topic}":
        case.query = with_qos(without(query, "messageExpiry"))
    elif isinstance(body, list):
        case.body = [for_outbox(message) for message in body]
    else:
        case.body = for_outbox(body)


@schemathesis.hook
def filter_case(context, case):
    """Leaves out cases for which the documentation has a difference.

    A byte outside ASCII in the head closes the connection without a response, which tiny_http does; a plus in a
    parameter is a plus, while Python writes a space so; and what is not made by the hook above may be no base64.
    """
    # nobody learns which hooks exist: with a wrong secret no method is told
    methods = {"/hooks/{name}": {"POST"}, "/hooks/{name}/{secret}": {"GET", "POST"}}
    if case.method not in methods.get(case.path, {case.method}):
        return False
    messages = case.body if isinstance(case.body, list) else [case.body]
    headers_are_ascii = all(str(value).isascii() for value in case.headers.values())
    has_space = any(" " in str(value) for value in (case.query or {}).values())
    return headers_are_ascii and not has_space and all(is_encoded(message) for message in messages)
