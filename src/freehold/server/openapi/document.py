"""Puts the OpenAPI 3.1 document together: exactly the routes that are served, each with its entry in `operations`.

Promised: the same routes give the same bytes; every error status is one of the fault table's.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from freehold import __version__
from freehold.fault import FAULTS, Kind
from freehold.features import Label
from freehold.runtime import Egress
from freehold.server.idempotency.asked import HEADER, LONGEST
from freehold.server.openapi.anthropic_shapes import AnthropicError
from freehold.server.openapi.ollama_shapes import OllamaError
from freehold.server.openapi.openai_shapes import OpenAIError
from freehold.server.openapi.operations import FORM, JSON, OPERATIONS, Operation, Spelling

Schema = dict[str, Any]
_REF = "#/components/schemas/{name}"
_ERRORS: dict[Spelling, tuple[type, ...]] = {
    "openai": (OpenAIError,),
    "anthropic": (AnthropicError,),
    "ollama": (OllamaError,),
    "by_header": (OpenAIError, AnthropicError),
    "none": (),
}
_UNSEEN = frozenset({Kind.CLIENT_GONE})
"""Nobody is left to be told."""
_DOOR = frozenset({Kind.INVALID_REQUEST, Kind.FORBIDDEN, Kind.NOT_FOUND, Kind.METHOD_NOT_ALLOWED, Kind.INTERNAL})
"""Kinds that any path may answer with; the door spells them in the path's format."""
_KEYED = _DOOR | {Kind.UNAUTHENTICATED, Kind.UNKNOWN_MODEL, Kind.LEDGER_BEHIND, Kind.SHUTTING_DOWN}
_REPEATED = frozenset({Kind.IDEMPOTENCY_UNDER_WAY, Kind.IDEMPOTENCY_UNKNOWN, Kind.IDEMPOTENCY_MISMATCH, Kind.IDEMPOTENCY_AWAY})
_BODIED = _KEYED | {Kind.TOO_LARGE, Kind.UNSUPPORTED}


def make_document(routes: Iterable[tuple[str, str]], tails: Iterable[str]) -> bytes:
    """The document of these routes, as JSON. A route without an entry is left out; a test sees to it that there is none."""
    below = tuple(f"{prefix}{{id}}" for prefix in tails)
    served = [*routes, *(route for route in OPERATIONS if route[1].startswith(below))]
    entries = [(*route, OPERATIONS[route]) for route in served if route in OPERATIONS]
    schemas, components = _schemas(entries)
    paths: dict[str, Schema] = {}
    for method, path, operation in entries:
        paths.setdefault(path, {})[method.lower()] = _operation(method, path, operation, schemas)
    return msgspec.json.encode(
        {
            "openapi": "3.1.0",
            "info": {
                "title": "Freehold",
                "version": __version__,
                "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
                "description": "A local-first hybrid AI gateway. The path names the wire format, nothing else does.",
            },
            "security": [{}, {"bearer": []}, {"apiKey": []}],
            "paths": paths,
            "components": {
                "schemas": components,
                "securitySchemes": {
                    "bearer": {"type": "http", "scheme": "bearer"},
                    "apiKey": {"type": "apiKey", "in": "header", "name": "x-api-key"},
                },
            },
        }
    )


def _schemas(entries: Iterable[tuple[str, str, Operation]]) -> tuple[dict[type, Schema], dict[str, Schema]]:
    shapes: dict[type, None] = {}
    for _, _, operation in entries:
        for shape in (operation.body, operation.answer, *operation.statuses.values(), *_ERRORS[operation.spelling]):
            if shape is not None:
                shapes[shape] = None
    made, components = msgspec.json.schema_components(tuple(shapes), ref_template=_REF)
    return dict(zip(shapes, made, strict=True)), components


def _operation(method: str, path: str, operation: Operation, schemas: Mapping[type, Schema]) -> Schema:
    said: Schema = {
        "operationId": _id_of(method, path),
        "summary": operation.summary,
        "responses": _responses(operation, schemas),
    }
    parameters = _parameters(path, operation)
    if parameters:
        said["parameters"] = parameters
    if operation.keyless:
        said["security"] = []
    if operation.body is not None:
        said["requestBody"] = {"required": True, "content": {operation.body_type: {"schema": schemas[operation.body]}}}
    return said


def _id_of(method: str, path: str) -> str:
    words = "".join(letter if letter.isalnum() else " " for letter in path).split()
    return "_".join([method.lower(), *words])


def _responses(operation: Operation, schemas: Mapping[type, Schema]) -> Schema:
    content: Schema = {operation.answer_type: {"schema": schemas[operation.answer]} if operation.answer is not None else {}}
    if operation.stream_type is not None:
        content[operation.stream_type] = {}
    served: Schema = {"description": operation.summary, "content": content}
    headers = _answer_headers(operation)
    if headers:
        served["headers"] = headers
    responses: Schema = {"200": served}
    for status, shape in operation.statuses.items():
        responses[str(status)] = {"description": operation.summary, "content": {JSON: {"schema": schemas[shape]}}}
    errors = [schemas[shape] for shape in _ERRORS[operation.spelling]]
    if errors:
        schema = errors[0] if len(errors) == 1 else {"anyOf": errors}
        for status, means in _faults(operation).items():
            responses[str(status)] = {"description": means, "content": {JSON: {"schema": schema}}}
            if status in {429, 503}:
                responses[str(status)]["headers"] = {"retry-after": _header("Seconds to wait, where that is known.", "integer")}
    return responses


def _faults(operation: Operation) -> dict[int, str]:
    """What each error status of an operation may mean."""
    kinds = frozenset(Kind) if operation.decides else _BODIED if operation.body is not None else _KEYED
    if operation.keeps_keys:
        kinds |= _REPEATED
    meant: dict[int, list[str]] = {}
    for kind, meaning in FAULTS.items():
        if kind in kinds and kind not in _UNSEEN:
            meant.setdefault(meaning.status, []).append(f"{kind}: {meaning.says}")
    return {status: " ".join(meant[status]) for status in sorted(meant)}


def _parameters(path: str, operation: Operation) -> list[Schema]:
    parameters: list[Schema] = []
    if path.endswith("{id}"):
        parameters.append({"name": "id", "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}})
    if operation.spelling == "by_header":
        parameters.append(_asked("anthropic-version", "Sent: the answer is in Anthropic's form.", {"type": "string"}))
    if operation.decides:
        labels, classes = [label.value for label in Label], [egress.value for egress in Egress]
        parameters += [
            _asked("x-freehold-label", "Raises the data label of this request.", {"enum": labels}),
            _asked("x-freehold-ceiling", "Lowers how far this request may travel.", {"enum": classes}),
            _asked(
                "x-freehold-timeout-s",
                "Seconds until the whole answer must be there, as a plain decimal. It can only shorten what the runtime allows.",
                {"type": "number", "exclusiveMinimum": 0, "maximum": 86400},
            ),
        ]
    if operation.decides or operation.keeps_keys:
        said = "One key for each request, such as a UUID: what comes again under it is answered again, and not paid again."
        parameters.append(_asked(HEADER, said, {"type": "string", "pattern": f"^[!-~]{{1,{LONGEST}}}$"}))
    if operation.caches:
        said = "`no-cache`: not from the response cache; `no-store`: not into it either."
        parameters.append(_asked("cache-control", said, {"enum": ["no-cache", "no-store"]}))
    return parameters


def _asked(name: str, description: str, schema: Schema) -> Schema:
    return {"name": name, "in": "header", "required": False, "description": description, "schema": schema}


def _answer_headers(operation: Operation) -> Schema:
    if operation.spelling == "none" or (operation.answer_type not in {JSON, FORM} and not operation.decides):
        return {}
    headers = {"x-freehold-request-id": _header("The id of this request in the ledger.")}
    if operation.decides:
        headers |= {
            "x-freehold-runtime": _header("Who served it. Missing on a stream that had to wait, as are the next three."),
            "x-freehold-deployment": _header("The deployment that served it."),
            "x-freehold-egress": _header("How far it travelled: local, self_hosted or vendor."),
            "x-freehold-reason": _header("Why there, in words."),
            "x-freehold-warning": _header(
                "What to know of this answer, such as `prompt_cut: ...`; missing where there is nothing."
            ),
        }
    if operation.decides or operation.keeps_keys:
        headers |= {
            "idempotent-replayed": _header(
                "`true`: the answer that this Idempotency-Key had; `false`: its former request was not answered and may have been paid."
            ),
            "x-freehold-first-request-id": _header("That request's id in the ledger."),
        }
    if operation.caches:
        headers["x-freehold-cache"] = _header("`hit`: answered from the response cache, without a call.")
    return headers


def _header(description: str, kind: str = "string") -> Schema:
    return {"description": description, "schema": {"type": kind}}
