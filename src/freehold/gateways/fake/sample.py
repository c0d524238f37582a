"""A value that satisfies a JSON schema, the same each time.

Covers what tool and output schemas use: types and lists of types, const, enum, default, required properties, arrays
with a least length, bounds of numbers and strings, the common string formats, anyOf, oneOf, allOf, local references.
`pattern` is not solved: such a string is filled as any other. Pure.
"""

from typing import Any

DEPTH_LIMIT = 8

_FORMATS = {
    "date": "2026-01-01",
    "date-time": "2026-01-01T00:00:00Z",
    "time": "00:00:00Z",
    "email": "someone@example.com",
    "uri": "https://example.com/",
    "uuid": "00000000-0000-4000-8000-000000000000",
    "ipv4": "192.0.2.1",
    "hostname": "example.com",
}


def sample(schema: dict[str, Any] | None, word: str = "example") -> Any:
    """A value for the schema; strings without a better idea are made of `word` or of their property's name."""
    return _value(schema or {"type": "object"}, schema or {}, word, 0)


def _value(schema: Any, root: dict[str, Any], word: str, depth: int) -> Any:
    if not isinstance(schema, dict) or depth > DEPTH_LIMIT:
        return None if schema is not True else word
    schema = _resolve(schema, root)
    given = [schema[key] for key in ("const", "default") if key in schema]
    given += [schema[key][0] for key in ("enum", "examples") if schema.get(key)]
    if given:
        return given[0]
    match kind := _kind(schema):
        case "object":
            properties = schema.get("properties", {})
            names = schema.get("required") or list(properties)
            return {name: _value(properties.get(name, {}), root, name, depth + 1) for name in names}
        case "array":
            return [_value(schema.get("items", {}), root, word, depth + 1)] * max(schema.get("minItems", 1), 0)
        case "integer" | "number":
            return _number(schema, whole=kind == "integer")
        case "boolean":
            return True
        case "null":
            return None
        case _:
            return _string(schema, word)


def _kind(schema: dict[str, Any]) -> str:
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = next((one for one in kind if one != "null"), "null")
    return kind or ("object" if "properties" in schema else "array" if "items" in schema else "string")


def _resolve(schema: dict[str, Any], root: dict[str, Any]) -> dict[str, Any]:
    """Follow a local reference, take the first branch of a choice, join what must hold together."""
    for _ in range(DEPTH_LIMIT):
        if isinstance(reference := schema.get("$ref"), str):
            found: Any = root
            for name in reference.removeprefix("#").strip("/").split("/"):
                found = found.get(name, {}) if isinstance(found, dict) and name else found
            schema = found if isinstance(found, dict) else {}
        elif branches := schema.get("anyOf") or schema.get("oneOf"):
            rest = {key: value for key, value in schema.items() if key not in {"anyOf", "oneOf"}}
            schema = {**rest, **next((one for one in branches if one.get("type") != "null"), branches[0])}
        elif parts := schema.get("allOf"):
            joined = {key: value for key, value in schema.items() if key != "allOf"}
            for part in parts:
                part = _resolve(part, root)  # noqa: PLW2901 - the part itself is of no further use
                properties = {**joined.get("properties", {}), **part.get("properties", {})}
                required = [*joined.get("required", []), *part.get("required", [])]
                joined = {**joined, **part, "properties": properties, "required": required}
                joined = {key: value for key, value in joined.items() if value or key not in {"properties", "required"}}
            schema = joined
        else:
            break
    return schema


def _number(schema: dict[str, Any], *, whole: bool) -> int | float:
    """The step (or 1), moved between the bounds; a bound that is left out lies one step beyond the other."""
    step = schema.get("multipleOf") or 1
    inside = step if whole else step / 2
    lows = [schema["minimum"]] if "minimum" in schema else []
    lows += [schema["exclusiveMinimum"] + inside] if "exclusiveMinimum" in schema else []
    highs = [schema["maximum"]] if "maximum" in schema else []
    highs += [schema["exclusiveMaximum"] - inside] if "exclusiveMaximum" in schema else []
    value = max([step, *lows])
    value = min([value, *highs])
    if "multipleOf" in schema:
        value = -(-value // step) * step
    return int(-(-value // 1)) if whole else value


def _string(schema: dict[str, Any], word: str) -> str:
    text = _FORMATS.get(schema.get("format", ""), word)
    while len(text) < schema.get("minLength", 0):
        text += text or "x"
    longest = max(schema.get("maxLength", len(text)), 0)
    return text[: max(longest, schema.get("minLength", 0))]
