"""Ollama's published schemas, to hold what we write against."""

from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

SPEC = Path(__file__).resolve().parents[2].parent / "shared" / "specs" / "ollama-openapi.yaml"


@cache
def _components() -> dict[str, Any]:
    components: dict[str, Any] = yaml.safe_load(SPEC.read_text())["components"]
    return components


def fits(name: str, value: object) -> None:
    """Fails where a value is not what Ollama's schema of that name allows; skips where there is none."""
    if not SPEC.exists():
        pytest.skip("Ollama's published schema is not beside the project: what we write was not validated against it")
    schema = {"$ref": f"#/components/schemas/{name}", "components": _components()}
    error = jsonschema.exceptions.best_match(jsonschema.Draft202012Validator(schema).iter_errors(value))
    assert error is None, f"{name} at {error.json_path}: {error.message[:300]}"


def fields(name: str) -> set[str]:
    """The fields the schema of that name knows."""
    if not SPEC.exists():
        pytest.skip("Ollama's published schema is not beside the project")
    return set(_components()["schemas"][name]["properties"])
