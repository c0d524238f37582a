"""OpenAI's published schemas, to hold what we write against."""

from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import jsonschema_rs
import msgspec
import pytest

SPEC = Path(__file__).resolve().parents[2].parent / "shared" / "specs" / "openai-openapi.json"


def _accept_null(schema: Any) -> Any:
    """OpenAPI 3.0 wrote `nullable`; JSON Schema, which 3.1 uses, says it with a type."""
    if isinstance(schema, list):
        return [_accept_null(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    told = {key: _accept_null(value) for key, value in schema.items()}
    if told.pop("nullable", False) is True:
        return {"anyOf": [told, {"type": "null"}]}
    return told


@cache
def _components() -> dict[str, Any]:
    return {"schemas": _accept_null(msgspec.json.decode(SPEC.read_bytes())["components"]["schemas"])}


def fits(name: str, value: object) -> None:
    """Fails where a value is not what OpenAI's published schema of that name allows; skips where there is none."""
    if not SPEC.exists():
        pytest.skip("OpenAI's published schema is not beside the project: what we write was not validated against it")
    schema = {"$ref": f"#/components/schemas/{name}", "components": _components()}
    error = jsonschema.exceptions.best_match(jsonschema.Draft202012Validator(schema).iter_errors(value))
    assert error is None, f"{name} at {error.json_path}: {error.message[:300]}"


@cache
def _validator(name: str) -> Any:
    schema = {"$ref": f"#/components/schemas/{name}", "components": _components()}
    return jsonschema_rs.validator_for(schema, offline=True, validate_formats=False)


def complaints(name: str, value: object) -> list[str]:
    """What is wrong with a value, with its place: for many values of one schema. Skips as `fits` does."""
    if not SPEC.exists():
        pytest.skip("OpenAI's published schema is not beside the project: what we write was not validated against it")
    return [f"{'/'.join(map(str, error.instance_path))}: {error.message[:300]}" for error in _validator(name).iter_errors(value)]
