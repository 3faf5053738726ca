"""Checks the OpenAPI document at a URL: each schema is one, and each example is what its schema says."""

import sys

import requests
from jsonschema_rs import Draft202012Validator, meta

document = requests.get(sys.argv[1], timeout=10).json()
schemas = examples = 0


def check(schema, values, place):
    global examples
    # references are resolved within the document
    validator = Draft202012Validator({**schema, "components": document["components"]})
    for value in values:
        examples += 1
        for error in validator.iter_errors(value):
            sys.exit(f"{place}: {value}: {error.message}")


def walk(value, place):
    global schemas
    if isinstance(value, list):
        for number, item in enumerate(value):
            walk(item, f"{place}/{number}")
    if not isinstance(value, dict):
        return
    if isinstance(schema := value.get("schema"), dict):
        schemas += 1
        meta.validate({"$schema": "https://json-schema.org/draft/2020-12/schema", **schema})
        named = [example["value"] for example in value.get("examples", {}).values()]
        check(schema, named + ([value["example"]] if "example" in value else []), place)
    for name, item in value.items():
        walk(item, f"{place}/{name}")


for name, schema in document["components"]["schemas"].items():
    meta.validate(schema)
    check(schema, schema.get("examples", []), name)
walk(document["paths"], "paths")
walk(document["components"], "components")
names = [operation["operationId"] for path in document["paths"].values() for operation in path.values()]
assert len(set(names)) == len(names), names
print(f"{len(names)} operations, {schemas} schemas and {examples} examples")
