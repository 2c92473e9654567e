"""docs/reference/results.schema.json, as a validator."""
import json
import pathlib

import jsonschema

DOCS = pathlib.Path(__file__).resolve().parents[2] / "docs/reference"


def read(name):
    return (DOCS / name).read_text(encoding="utf-8")


def root():
    return json.loads(read("results.schema.json"))


def closed(schema):
    """The schema without room for other fields: readers skip fields that they do not know, but the
    program writes none that the schema does not have."""
    if isinstance(schema, list):
        return [closed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    is_object = "type" in schema and isinstance(schema.get("properties"), dict)
    more = {"additionalProperties": False} if is_object else {}
    return {key: closed(value) for key, value in schema.items()} | more


def validator():
    jsonschema.Draft202012Validator.check_schema(root())
    return jsonschema.Draft202012Validator(closed(root()))
