"""Sends to each operation of the bridge at a URL requests that generators never make, and checks each refusal against
the OpenAPI document."""

import json
import socket
import sys
from http.client import HTTPResponse
from urllib.parse import urlsplit

import requests
from jsonschema_rs import Draft202012Validator

url, authorization, hook = sys.argv[1:4]
address = urlsplit(url)
document = requests.get(f"{url}/openapi.json", timeout=10).json()
LENGTH = "Content-Length: 2\r\n"
# query and headers, by the resulting status
CASES = {
    400: [("", f"Host: [\r\n{LENGTH}"), ("", f"Content-Length: 2\r\n{LENGTH}")],
    403: [("", f"Origin: https://evil.example\r\n{LENGTH}")],
    411: [("", "Transfer-Encoding: gzip\r\n")],
    413: [("", f"Content-Length: {10**30}\r\n")],
    414: [("?" + "x" * 8001, LENGTH)],
    415: [("", f"Content-Type: application/json\r\nContent-Encoding: gzip\r\n{LENGTH}")],
    431: [("", "X: x\r\n" * 101 + LENGTH)],
}


def answer(method, target, headers):
    host = "" if "Host:" in headers else f"Host: {address.netloc}\r\n"
    head = f"{method} {target} HTTP/1.1\r\n{host}Authorization: {authorization}\r\n{headers}\r\n"
    with socket.create_connection((address.hostname, address.port), timeout=10) as connection:
        connection.sendall(f"{head}{{}}".encode())
        reply = HTTPResponse(connection, method=method)
        reply.begin()
        return reply.status, reply.getheader("Content-Type"), reply.read()


def target(path):
    # of the two hooks of the test, one has a secret and one a signature
    return path.replace("/hooks/{name}/{secret}", hook).replace("{name}", "signed").replace("{topic}", "a").replace("{id}", "0" * 24)


def check(operation, status, kind, body, place):
    described = operation["responses"].get(str(status))
    assert described, f"{place}: {status} is not described"
    if reference := described.get("$ref"):
        described = document["components"]["responses"][reference.rsplit("/", 1)[1]]
    schema = {**described["content"][kind]["schema"], "components": document["components"]}
    errors = [error.message for error in Draft202012Validator(schema).iter_errors(json.loads(body))]
    assert not errors, f"{place}: {status}: {body}: {errors}"


count = 0
for path, operations in document["paths"].items():
    for method, operation in operations.items():
        for expected, heads in CASES.items():
            if expected == 415 and str(expected) not in operation["responses"]:
                continue
            for part, headers in heads:
                place = f"{method} {path} with {part[:8]!r} {headers[:40]!r}"
                status, kind, body = answer(method.upper(), target(path) + part, headers)
                assert status == expected, f"{place}: {status} {body}"
                check(operation, status, kind, body, place)
                count += 1
print(f"{count} refusals")
