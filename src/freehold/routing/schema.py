"""Checking a value against a JSON schema that came with a request.

Promised: nothing is fetched for a `$ref`, from the network or from a file; patterns are matched with a bound on
backtracking; the answer names the keyword that was violated and never the value. Not done: `format`, which the
specification leaves to annotations.
"""

from typing import Any

import jsonschema_rs
import msgspec

BACKTRACKS = 100_000
"""Steps one pattern may take on one string before it counts as not matched."""
PATTERN_BYTES = 1_000_000
"""Compiled size of one pattern."""


def violation(schema: dict[str, Any], value: Any) -> str | None:
    """The keyword that `value` violates; None when it satisfies the schema.

    A schema that cannot be used (malformed, or it refers to another document) is satisfied by everything: it says
    something about the client and nothing about the answer.
    """
    patterns = jsonschema_rs.FancyRegexOptions(backtrack_limit=BACKTRACKS, size_limit=PATTERN_BYTES)
    try:
        validator = jsonschema_rs.validator_for(schema, offline=True, validate_formats=False, pattern_options=patterns)
        if validator.is_valid(value):
            return None
        error = next(iter(validator.iter_errors(value)), None)
    except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError, ValueError, TypeError, RecursionError):
        return None
    if error is None:
        return None
    return next((str(step) for step in reversed(error.schema_path) if isinstance(step, str)), "schema")


def read_json(text: str) -> tuple[bool, Any]:
    """Whether the text is JSON, and its value."""
    try:
        return True, msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return False, None
