"""Fits a call's arguments to its tool's schema, without inventing any.

Promised: every value comes from what the model wrote, or from a `default` that the schema itself gives; what is valid stays as it
is; whether the result is valid is for the caller to check. Done: values of another type that say the same (`"3"`, `"true"`, JSON
in a string, one value where a list is due), words of an enumeration in another case, keys in another spelling, `null` for
something that was left out.
"""

import re
from collections.abc import Iterator
from typing import Any

import msgspec

from freehold.routing.calls.lenient import NoValueError, read_value
from freehold.routing.schema import violation

MAX_DEPTH = 24
MOST_ALTERNATIVES = 32
_INTEGER = re.compile(r"[-+]?\d{1,18}(?:\.0*)?")
_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d{1,3})?")
_TYPE_NAMES = {
    "dict": "object",
    "float": "number",
    "double": "number",
    "int": "integer",
    "str": "string",
    "bool": "boolean",
    "list": "array",
    "tuple": "array",
}
"""How schemas that Python people write by hand spell types."""
_TRUE = frozenset({"true", "yes", "on"})
_FALSE = frozenset({"false", "no", "off"})
_NOTHING = frozenset({"null", "none", ""})
_Schema = dict[str, Any]


class Fitting:
    """One schema that arguments are fitted to."""

    def __init__(self, schema: _Schema) -> None:
        self._root = schema
        self.has_defaults = False
        """A missing argument was taken from the schema."""

    def fit(self, value: Any) -> Any:
        """The value as the schema wants it, as far as that can be told."""
        return self._fit(self._root, value, 0)

    def _fit(self, schema: Any, value: Any, depth: int) -> Any:
        schema = self._resolved(schema)
        if schema is None or depth > MAX_DEPTH:
            return value
        if isinstance(schema.get("enum"), list):
            return _pick(schema["enum"], value)
        if "const" in schema:
            return _pick([schema["const"]], value)
        alternatives = self._alternatives(schema)
        if alternatives:
            return self._fit_any(alternatives, value, depth)
        kinds = _kinds(schema)
        if not kinds or any(_is_a(value, kind) for kind in kinds):
            return self._inside(schema, value, depth)
        for kind in kinds:
            fitted = _as(kind, value)
            if fitted is not _UNFIT:
                return self._inside(schema, fitted, depth)
        if "array" in kinds and value is not None:
            return self._inside(schema, [value], depth)
        return value

    def _fit_any(self, alternatives: list[_Schema], value: Any, depth: int) -> Any:
        for one in alternatives:
            if self._allows(one, value):
                return value
        for one in alternatives:
            fitted = self._fit(one, value, depth + 1)
            if self._allows(one, fitted):
                return fitted
        return value

    def _allows(self, schema: _Schema, value: Any) -> bool:
        definitions: _Schema = {key: self._root[key] for key in ("$defs", "definitions") if key in self._root}
        return violation({**definitions, **schema}, value) is None

    def _alternatives(self, schema: _Schema) -> list[_Schema]:
        outer = {"type": schema["type"]} if "type" in schema else {}
        for key in ("anyOf", "oneOf"):
            found = schema.get(key)
            if isinstance(found, list) and found and "properties" not in schema:
                resolved = [self._resolved(one) for one in found[:MOST_ALTERNATIVES]]
                return [{**outer, **one} for one in resolved if one is not None]
        return []

    def _resolved(self, schema: Any) -> _Schema | None:
        """Behind references into the same document; None for what says nothing."""
        for _ in range(MAX_DEPTH):
            if not isinstance(schema, dict):
                return None
            reference = schema.get("$ref")
            if not isinstance(reference, str):
                parts = schema.get("allOf")
                return (
                    self._resolved(parts[0])
                    if isinstance(parts, list) and len(parts) == 1 and "properties" not in schema
                    else schema
                )
            found: Any = self._root
            for step in reference.removeprefix("#").split("/")[1:]:
                found = found.get(step.replace("~1", "/").replace("~0", "~")) if isinstance(found, dict) else None
            schema = found
        return None

    def _inside(self, schema: _Schema, value: Any, depth: int) -> Any:
        if isinstance(value, dict):
            return self._fit_object(schema, value, depth)
        if isinstance(value, list) and isinstance(schema.get("items"), dict):
            return [self._fit(schema["items"], one, depth + 1) for one in value]
        return value

    def _fit_object(self, schema: _Schema, value: dict[str, Any], depth: int) -> dict[str, Any]:
        properties = schema.get("properties")
        if not isinstance(properties, dict):
            return value
        required = schema.get("required")
        needed = set(map(str, required)) if isinstance(required, list) else set[str]()
        fitted: dict[str, Any] = {}
        for key, said in _renamed(value, properties):
            if key not in properties:
                if said is not None or schema.get("additionalProperties") is not False:
                    fitted[key] = said
                continue
            one = self._fit(properties[key], said, depth + 1)
            if one is None and key not in needed and not self._allows_null(properties[key]):
                continue  # models write null for what they leave out
            fitted[key] = one
        for key in properties:
            if key in needed and key not in fitted and isinstance(properties[key], dict) and "default" in properties[key]:
                fitted[key] = properties[key]["default"]
                self.has_defaults = True
        return fitted

    def _allows_null(self, schema: Any) -> bool:
        return not isinstance(schema, dict) or self._allows(schema, None)


def _renamed(value: dict[str, Any], properties: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Keys that are only spelt otherwise (`filePath` for `file_path`) by the names they are known by."""
    by_plain: dict[str, list[str]] = {}
    for key in properties:
        by_plain.setdefault(_plain(key), []).append(key)
    for key, said in value.items():
        meant = by_plain.get(_plain(key), []) if key not in properties else []
        if len(meant) == 1 and meant[0] not in value and sum(_plain(other) == _plain(key) for other in value) == 1:
            yield meant[0], said
        else:
            yield key, said


def _plain(key: str) -> str:
    return re.sub(r"[\W_]+", "", key).lower()


class _Unfit:
    """No value: what was written cannot be read as the type."""


_UNFIT = _Unfit()


def _kinds(schema: _Schema) -> list[str]:
    said = schema.get("type")
    kinds = said if isinstance(said, list) else [said] if isinstance(said, str) else []
    return [_TYPE_NAMES.get(kind, kind) for kind in kinds if isinstance(kind, str)]


def _is_a(value: Any, kind: str) -> bool:
    match kind:
        case "string":
            return isinstance(value, str)
        case "boolean":
            return isinstance(value, bool)
        case "integer":
            return isinstance(value, int) and not isinstance(value, bool)
        case "number":
            return isinstance(value, int | float) and not isinstance(value, bool)
        case "array":
            return isinstance(value, list)
        case "object":
            return isinstance(value, dict)
        case "null":
            return value is None
        case _:
            return True


def _as(kind: str, value: Any) -> Any:
    """The value as one of that type, where it says the same; else `_UNFIT`."""
    match kind:
        case "integer" | "number":
            return _as_number(kind, value)
        case "boolean" if isinstance(value, str):
            word = value.strip().lower()
            return True if word in _TRUE else False if word in _FALSE else _UNFIT
        case "string" if value is not None:
            return _as_string(value)
        case "array" | "object" if isinstance(value, str):
            return _from_text(value, list if kind == "array" else dict)
        case "object" if isinstance(value, list) and len(value) == 1 and isinstance(value[0], dict):
            return value[0]
        case "null" if isinstance(value, str) and value.strip().lower() in _NOTHING:
            return None
        case _:
            return _UNFIT


def _as_number(kind: str, value: Any) -> Any:
    if isinstance(value, float) and kind == "integer" and value.is_integer() and abs(value) < 2**53:
        return int(value)
    if not isinstance(value, str):
        return _UNFIT
    said = value.strip().replace(",", "") if re.fullmatch(r"\s*\d{1,3}(?:,\d{3})+(?:\.\d+)?\s*", value) else value.strip()
    if _INTEGER.fullmatch(said):
        return int(said.partition(".")[0])
    if kind == "number" and len(said) <= 40 and _NUMBER.fullmatch(said):
        return float(said)
    return _UNFIT


def _as_string(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list) and len(value) == 1 and isinstance(value[0], str):
        return value[0]
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _from_text(text: str, kind: type) -> Any:
    try:
        value, _ = read_value(text)
    except NoValueError:
        return _UNFIT
    return value if isinstance(value, kind) else _UNFIT


def _pick(choices: list[Any], value: Any) -> Any:
    """The one choice that says the same in another case or as another type."""
    if any(one == value and type(one) is type(value) for one in choices):
        return value
    same = [
        one for one in choices if str(one).strip().lower() == str(value).strip().lower() and not isinstance(value, dict | list)
    ]
    if value is None and None not in choices:
        return value
    return same[0] if len(same) == 1 else value
