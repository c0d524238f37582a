"""Rewrites a JSON schema into the part of the language that llama.cpp turns into a grammar.

A schema it does not know is refused with status 400, and some (a lower bound above the upper one) end the process
(docs/engines.md). So only what it certainly takes is kept. The result allows at least what the schema allows, with
exceptions that keep a small model from writing for ever: strings and arrays without any limit get one, and an object
with named properties has no others unless the schema says so.

References are written out where they stand; what refers to itself, or is nested too deeply, becomes any value there.
"""

from typing import Any
from urllib.parse import unquote

MAX_STRING_LENGTH = 8192
MAX_ITEMS = 64
MAX_DEPTH = 24
MAX_NODES = 4000
_TYPES = frozenset({"object", "array", "string", "number", "integer", "boolean", "null"})
_SAYS_MORE = frozenset({"additionalProperties", "anyOf", "oneOf", "allOf", "$ref"})
_FORMATS = frozenset({"date", "time", "date-time", "uuid"})
_LARGEST = 2**31 - 1

Schema = dict[str, Any]


def make_plain(schema: Any) -> Schema:
    """The schema as a grammar can be made of it. Never raises; what cannot be kept is loosened."""
    return _Rewriting(schema).rewrite(schema, 0, ())


def make_arguments(parameters: Schema | None) -> Schema:
    """The schema of a tool's arguments: always an object, and `{}` itself for a tool that takes none."""
    if not parameters or (parameters.get("properties") == {} and not any(parameters.get(key) for key in _SAYS_MORE)):
        return {"const": {}}
    plain = make_plain(parameters)
    alternatives = plain.get("anyOf", [plain])
    return plain if all(one.get("type") == "object" for one in alternatives) else {"type": "object"}


class _Rewriting:
    """One schema on its way."""

    def __init__(self, root: Any) -> None:
        self._root = root
        self._nodes = 0

    def rewrite(self, schema: Any, depth: int, within: tuple[str, ...]) -> Schema:
        self._nodes += 1
        if not isinstance(schema, dict) or depth > MAX_DEPTH or self._nodes > MAX_NODES:
            return {}
        reference = schema.get("$ref")
        if isinstance(reference, str):
            if reference in within:
                return {}
            return self.rewrite(self._find(reference), depth + 1, (*within, reference))
        if isinstance(schema.get("enum"), list) and schema["enum"]:
            return {"enum": schema["enum"]}
        if "const" in schema:
            return {"const": schema["const"]}
        for key in ("anyOf", "oneOf"):
            if isinstance(schema.get(key), list) and schema[key] and "properties" not in schema:
                outer = {"type": schema["type"]} if "type" in schema else {}
                return {"anyOf": [self.rewrite({**outer, **_dict(one)}, depth + 1, within) for one in schema[key]]}
        if isinstance(schema.get("allOf"), list) and schema["allOf"]:
            schema = self._merged(schema)
        return self._of_type(schema, depth, within)

    def _find(self, reference: str) -> Any:
        """What a reference into the same document points at (RFC 6901); None where it points at nothing."""
        if not reference.startswith("#"):
            return None
        found = self._root
        for step in unquote(reference[1:]).split("/")[1:]:
            key = step.replace("~1", "/").replace("~0", "~")
            if isinstance(found, dict):
                found = found.get(key)
            elif isinstance(found, list) and key.isdecimal() and int(key) < len(found):
                found = found[int(key)]
            else:
                return None
        return found

    def _merged(self, schema: Schema) -> Schema:
        """`allOf` of objects as one object. A part that is no plain object says nothing here: leaving it out loosens."""
        merged: Schema = {key: value for key, value in schema.items() if key != "allOf"}
        properties: Schema = dict(_dict(schema.get("properties")))
        required: list[Any] = _list(schema.get("required"))[:]
        for one in schema["allOf"]:
            part = self._find(one["$ref"]) if isinstance(one, dict) and isinstance(one.get("$ref"), str) else one
            if not isinstance(part, dict):
                continue
            for name, value in _dict(part.get("properties")).items():
                properties.setdefault(name, value)
            required += _list(part.get("required"))
            if "type" in part:
                merged.setdefault("type", part["type"])
        if properties:
            merged["properties"] = properties
            merged["required"] = required
        return merged

    def _of_type(self, schema: Schema, depth: int, within: tuple[str, ...]) -> Schema:
        kind = schema.get("type")
        if isinstance(kind, list):
            kinds = [one for one in kind if isinstance(one, str) and one in _TYPES]
            return {"anyOf": [self._of_type({**schema, "type": one}, depth, within) for one in kinds]} if kinds else {}
        if kind is None and isinstance(schema.get("properties"), dict):
            kind = "object"
        match kind:
            case "object":
                return self._object(schema, depth, within)
            case "array":
                return self._array(schema, depth, within)
            case "string":
                return _string(schema)
            case "integer" | "number":
                return {"type": kind, **_bounds(schema, "minimum", "maximum", lowest=-_LARGEST)}
            case "boolean" | "null":
                return {"type": kind}
            case _:
                return {}

    def _object(self, schema: Schema, depth: int, within: tuple[str, ...]) -> Schema:
        properties = _dict(schema.get("properties"))
        out: Schema = {"type": "object"}
        if properties:
            out["properties"] = {name: self.rewrite(value, depth + 1, within) for name, value in properties.items()}
            out["required"] = [name for name in properties if name in _list(schema.get("required"))]
        others = schema.get("additionalProperties")
        if isinstance(others, dict):
            out["additionalProperties"] = self.rewrite(others, depth + 1, within)
        elif others is not None or properties:
            out["additionalProperties"] = others is True
        return out

    def _array(self, schema: Schema, depth: int, within: tuple[str, ...]) -> Schema:
        sizes = _bounds(schema, "minItems", "maxItems")
        if "maxItems" not in sizes:
            sizes["maxItems"] = max(MAX_ITEMS, sizes.get("minItems", 0))
        return {"type": "array", "items": self.rewrite(schema.get("items"), depth + 1, within), **sizes}


def _string(schema: Schema) -> Schema:
    """Patterns are left out: what the grammar makes of them differs from what they mean."""
    if isinstance(schema.get("format"), str) and schema["format"] in _FORMATS:
        return {"type": "string", "format": schema["format"]}
    sizes = _bounds(schema, "minLength", "maxLength")
    if "maxLength" not in sizes:
        sizes["maxLength"] = max(MAX_STRING_LENGTH, sizes.get("minLength", 0))
    return {"type": "string", **sizes}


def _bounds(schema: Schema, least: str, most: str, *, lowest: int = 0) -> dict[str, int]:
    """Both limits where they are whole numbers and leave room for a value."""
    found = {key: schema[key] for key in (least, most) if type(schema.get(key)) is int and lowest <= schema[key] <= _LARGEST}
    if least in found and most in found and found[least] > found[most]:
        return {}
    return found


def _dict(value: Any) -> Schema:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
