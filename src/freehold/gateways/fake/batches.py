"""The fake's Batch API: files, and batches that are done when they have been looked at often enough.

Promised: what OpenAI's API refuses is refused (a purpose, a line that is wrong, a second model in one file, a file that is gone);
each line is answered as a call of its own would be; every line that was done is in a journal, with its usage. No clock: a batch
goes on by one step each time it is looked at.
"""

from collections.abc import Callable
from typing import Any, Literal
from urllib.parse import parse_qs

import msgspec

from freehold.fault import Kind, faulty
from freehold.gateways.fake.answer import CREATED_S
from freehold.gateways.fake.stage import Step, error_body, whole
from freehold.wire.multipart import is_multipart, read_form

MOST_LINES = 50_000
ENDPOINTS = ("/v1/chat/completions", "/v1/responses", "/v1/completions", "/v1/embeddings")
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


class BatchAct(msgspec.Struct, frozen=True, kw_only=True):
    """How a batch fares. Lines are counted from 0."""

    looks: int = 1
    """So often it is looked at before it is over."""
    ends: Literal["completed", "failed", "expired"] = "completed"
    done: int | None = None
    """Lines that are done before it expires or is cancelled; None: all."""
    errors: dict[int, int] = {}
    """Lines that are answered with an error status."""
    left_out: frozenset[int] = frozenset()
    """Lines that are done, and of which no file says anything."""
    backwards: bool = False
    """Results come in another order."""


class Done(msgspec.Struct, frozen=True):
    """A line that was done."""

    custom_id: str
    body: dict[str, Any]
    status: int
    usage: dict[str, Any]


class _Batch(msgspec.Struct):
    id: str
    file_id: str
    endpoint: str
    metadata: dict[str, str]
    status: str = "validating"
    looks: int = 0
    output_file_id: str | None = None
    error_file_id: str | None = None
    errors: list[dict[str, Any]] = []
    total: int = 0
    completed: int = 0
    failed: int = 0

    def told(self) -> dict[str, Any]:
        """As a client sees it."""
        return {
            "id": self.id,
            "object": "batch",
            "endpoint": self.endpoint,
            "errors": {"object": "list", "data": self.errors} if self.errors else None,
            "input_file_id": self.file_id,
            "completion_window": "24h",
            "status": self.status,
            "output_file_id": self.output_file_id,
            "error_file_id": self.error_file_id,
            "created_at": CREATED_S,
            "request_counts": {"total": self.total, "completed": self.completed, "failed": self.failed},
            "metadata": self.metadata or None,
        }


class FakeBatches:
    """Files and batches. `line` answers one line: its URL and body become a status and a body."""

    def __init__(self, line: Callable[[str, bytes], tuple[int, bytes]]) -> None:
        self._line = line
        self.act = BatchAct()
        """How batches fare that are made from now on, and those under way."""
        self.files: dict[str, tuple[str, bytes]] = {}
        """Names and contents, by id."""
        self.batches: dict[str, _Batch] = {}
        self.done: list[Done] = []
        """Every line that was done, in the order it was."""
        self._number = 0

    def answer(self, method: str, path: str, content_type: str, body: bytes) -> list[Step]:
        """The answer to one call. Raises FaultError."""
        where, _, query = path.partition("?")
        asked = {name: values[-1] for name, values in parse_qs(query).items()}
        kind, *rest = where[where.rindex("/files" if "/files" in where else "/batches") + 1 :].split("/")
        match (method, kind, *rest):
            case ("POST", "files"):
                return _json(self._keep(body, content_type))
            case ("GET", "files"):
                return _json(_page([_file(one, *self.files[one]) for one in reversed(self.files)], asked))
            case ("GET", "files", file_id, "content"):
                return whole(200, self._content(file_id), "application/octet-stream")
            case ("DELETE", "files", file_id):
                self._content(file_id)
                del self.files[file_id]
                return _json({"id": file_id, "object": "file", "deleted": True})
            case ("POST", "batches"):
                return _json(self._make(_decode(body)).told())
            case ("GET", "batches"):
                return _json(_page([one.told() for one in reversed(self.batches.values())], asked))
            case ("GET", "batches", batch_id):
                return _json(self._looked_at(self._batch(batch_id)).told())
            case ("POST", "batches", batch_id, "cancel"):
                return _json(self._cancel(self._batch(batch_id)).told())
        raise faulty(Kind.NOT_FOUND, f"there is nothing at {where[:100]}")

    def _new_id(self, prefix: str) -> str:
        self._number += 1
        return f"{prefix}fake{self._number}"

    def _keep(self, body: bytes, content_type: str) -> dict[str, Any]:
        if not is_multipart(content_type):
            raise faulty(Kind.INVALID_REQUEST, "files are sent as a form")
        form = read_form(body, content_type)
        part = form.find("file")
        if form.text("purpose") != "batch" or part is None:
            raise faulty(Kind.INVALID_REQUEST, "purpose and file must be there")
        return self._put(part.filename or "", body[part.start : part.end])

    def _put(self, filename: str, data: bytes) -> dict[str, Any]:
        file_id = self._new_id("file-")
        self.files[file_id] = (filename, data)
        return _file(file_id, filename, data)

    def _content(self, file_id: str) -> bytes:
        if file_id not in self.files:
            raise faulty(Kind.NOT_FOUND, f"No such File object: {file_id[:100]}")
        return self.files[file_id][1]

    def _batch(self, batch_id: str) -> _Batch:
        if batch_id not in self.batches:
            raise faulty(Kind.NOT_FOUND, f"No such batch: {batch_id[:100]}")
        return self.batches[batch_id]

    def _make(self, asked: dict[str, Any]) -> _Batch:
        if asked.get("completion_window") != "24h" or asked.get("endpoint") not in ENDPOINTS:
            raise faulty(Kind.INVALID_REQUEST, "completion_window or endpoint is not one there is")
        self._content(asked["input_file_id"])
        made = _Batch(self._new_id("batch_"), asked["input_file_id"], asked["endpoint"], asked.get("metadata") or {})
        self.batches[made.id] = made
        return made

    def _looked_at(self, batch: _Batch) -> _Batch:
        batch.looks += 1
        if batch.status == "cancelling":
            self._run(batch, self.act.done, "cancelled")
        elif batch.status in {"validating", "in_progress"}:
            lines = self._checked(batch)
            if batch.errors or self.act.ends == "failed":
                batch.status = "failed"
            elif batch.looks < self.act.looks:
                batch.status, batch.total = "in_progress", len(lines)
            else:
                self._run(batch, None if self.act.ends == "completed" else self.act.done, self.act.ends)
        return batch

    def _cancel(self, batch: _Batch) -> _Batch:
        if batch.status not in {"validating", "in_progress"}:
            raise faulty(Kind.INVALID_REQUEST, f"Cannot cancel a batch with status '{batch.status}'.")
        batch.status = "cancelling"
        return batch

    def _checked(self, batch: _Batch) -> list[dict[str, Any]]:
        """The lines of its file; what is wrong with them goes into its errors."""
        lines: list[dict[str, Any]] = []
        models, seen = set[str](), set[str]()
        for number, data in enumerate(self._content(batch.file_id).splitlines(), 1):
            try:
                line = _decode(data)
                custom_id, model = line["custom_id"], line["body"]["model"]
            except (msgspec.DecodeError, KeyError, TypeError):
                batch.errors.append(
                    {"code": "invalid_json_line", "line": number, "message": "This line is not parseable.", "param": None}
                )
                continue
            models.add(model)
            wrong = "duplicate_custom_id" if custom_id in seen else "mismatched_model" if len(models) > 1 else ""
            wrong = wrong or ("invalid_url" if line.get("url") != batch.endpoint else "")
            wrong = wrong or ("invalid_method" if line.get("method") != "POST" else "")
            seen.add(custom_id)
            if wrong:
                batch.errors.append({"code": wrong, "line": number, "message": wrong, "param": None})
            lines.append(line)
        if not 1 <= len(lines) <= MOST_LINES and not batch.errors:
            batch.errors.append({"code": "empty_file", "line": None, "message": "The input file is empty.", "param": None})
        return lines

    def _run(self, batch: _Batch, most: int | None, status: str) -> None:
        """Do its lines, and end it."""
        output: list[bytes] = []
        errors: list[bytes] = []
        lines = self._checked(batch)
        batch.total = len(lines)
        for number, line in enumerate(lines):
            if most is not None and number >= most:
                errors.append(_unanswered(line["custom_id"], status))
                continue
            said = self.act.errors.get(number)
            code, body = (
                (said, error_body("openai_chat", said, "told to fail"))
                if said
                else self._line(line["url"], _encode(line["body"]))
            )
            answer: dict[str, Any] = _decode(body)
            self.done.append(Done(line["custom_id"], line["body"], code, answer.get("usage") or {}))
            if number not in self.act.left_out:
                (output if code == 200 else errors).append(_answered(line["custom_id"], code, body, self._new_id("batch_req_")))
        batch.status, batch.completed, batch.failed = status, len(output), len(errors)
        if output:
            batch.output_file_id = self._put("output.jsonl", b"\n".join(output[::-1] if self.act.backwards else output))["id"]
        if errors:
            batch.error_file_id = self._put("errors.jsonl", b"\n".join(errors) + b"\n")["id"]


def _json(value: object) -> list[Step]:
    return whole(200, _encode(value))


def _file(file_id: str, filename: str, data: bytes) -> dict[str, Any]:
    return {
        "id": file_id,
        "object": "file",
        "bytes": len(data),
        "created_at": CREATED_S,
        "filename": filename,
        "purpose": "batch",
        "status": "processed",
    }


def _page(rows: list[dict[str, Any]], asked: dict[str, str]) -> dict[str, Any]:
    """A page of a list, newest first."""
    ids = [row["id"] for row in rows]
    start = ids.index(asked["after"]) + 1 if asked.get("after") in ids else 0
    limit = int(asked.get("limit", "20"))
    return {"object": "list", "data": rows[start : start + limit], "has_more": len(rows) > start + limit}


def _answered(custom_id: str, status: int, body: bytes, line_id: str) -> bytes:
    response = {"status_code": status, "request_id": line_id, "body": msgspec.Raw(body)}
    return _encode({"id": line_id, "custom_id": custom_id, "response": response, "error": None})


def _unanswered(custom_id: str, status: str) -> bytes:
    error = {"code": f"batch_{status}", "message": "This request could not be executed before the completion window expired."}
    return _encode({"id": f"batch_req_{custom_id}", "custom_id": custom_id, "response": None, "error": error})
