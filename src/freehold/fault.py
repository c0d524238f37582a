"""Faults: a failure with a kind and a source, and one table that says what each kind does.

`FAULTS` is the whole truth: the HTTP status a caller sees, whether the next step of the plan may be tried, and
whether the deployment's breaker counts it. A wire format only spells a fault; it decides nothing.
"""

from enum import StrEnum

import msgspec


class Source(StrEnum):
    """Who caused it."""

    CALLER = "caller"
    POLICY = "policy"
    UPSTREAM = "upstream"
    FREEHOLD = "freehold"


class Meaning(msgspec.Struct, frozen=True):
    """What a kind of fault does."""

    source: Source
    status: int
    falls_back: bool
    """Another deployment may be tried, as long as no content went out."""
    trips: bool
    """Counts against the deployment's circuit breaker."""
    says: str
    """What it means and what helps, for the generated fault table in the docs."""


class Kind(StrEnum):
    """Every kind of fault there is."""

    INVALID_REQUEST = "invalid_request"
    UNSUPPORTED = "unsupported"
    CONTEXT_OVERFLOW = "context_overflow"
    UNKNOWN_MODEL = "unknown_model"
    NOT_FOUND = "not_found"
    METHOD_NOT_ALLOWED = "method_not_allowed"
    TOO_LARGE = "too_large"
    HEAD_TOO_LARGE = "head_too_large"
    REQUEST_TIMEOUT = "request_timeout"
    UNAUTHENTICATED = "unauthenticated"
    FORBIDDEN = "forbidden"
    CLIENT_GONE = "client_gone"
    LOOP_STOPPED = "loop_stopped"
    REFUSED_BY_POLICY = "refused_by_policy"
    EGRESS_REFUSED = "egress_refused"
    NO_DEPLOYMENT = "no_deployment"
    RATE_EXCEEDED = "rate_exceeded"
    BUDGET_SPENT = "budget_spent"
    BUDGET_BUSY = "budget_busy"
    IDEMPOTENCY_UNDER_WAY = "idempotency_under_way"
    IDEMPOTENCY_UNKNOWN = "idempotency_unknown"
    IDEMPOTENCY_MISMATCH = "idempotency_mismatch"
    ENGINE_NOT_READY = "engine_not_ready"
    WEIGHTS_MISSING = "weights_missing"
    CONNECT_FAILED = "connect_failed"
    CONNECT_TIMEOUT = "connect_timeout"
    FIRST_CONTENT_TIMEOUT = "first_content_timeout"
    CHUNK_TIMEOUT = "chunk_timeout"
    TOTAL_TIMEOUT = "total_timeout"
    RATE_LIMITED = "rate_limited"
    OVERLOADED = "overloaded"
    UPSTREAM_AUTH = "upstream_auth"
    UPSTREAM_MODEL_MISSING = "upstream_model_missing"
    UPSTREAM_REJECTED = "upstream_rejected"
    UPSTREAM_ERROR = "upstream_error"
    INVALID_REPLY = "invalid_reply"
    BROKEN_STREAM = "broken_stream"
    LEDGER_BEHIND = "ledger_behind"
    BUDGETS_AWAY = "budgets_away"
    IDEMPOTENCY_AWAY = "idempotency_away"
    SHUTTING_DOWN = "shutting_down"
    INTERNAL = "internal"


_C, _P, _U, _F = Source.CALLER, Source.POLICY, Source.UPSTREAM, Source.FREEHOLD

FAULTS: dict[Kind, Meaning] = {
    Kind.INVALID_REQUEST: Meaning(
        _C, 400, False, False, "The body is not what the wire format allows; the message names the field."
    ),
    Kind.UNSUPPORTED: Meaning(
        _C, 400, False, False, "The target's wire format cannot say this; drop the field or pick another model."
    ),
    Kind.CONTEXT_OVERFLOW: Meaning(
        _C, 400, True, False, "The prompt is longer than the deployment serves; only a larger one is tried."
    ),
    Kind.UNKNOWN_MODEL: Meaning(_C, 404, False, False, "No deployment or alias has this name; `freehold models` lists them."),
    Kind.NOT_FOUND: Meaning(_C, 404, False, False, "There is nothing at this path."),
    Kind.METHOD_NOT_ALLOWED: Meaning(_C, 405, False, False, "The path exists, with another method."),
    Kind.TOO_LARGE: Meaning(_C, 413, False, False, "The body is over `server.max_body_bytes`."),
    Kind.HEAD_TOO_LARGE: Meaning(_C, 431, False, False, "The request's head is too long or has too many headers."),
    Kind.REQUEST_TIMEOUT: Meaning(_C, 408, False, False, "The request did not arrive whole in time."),
    Kind.UNAUTHENTICATED: Meaning(_C, 401, False, False, "This server asks for a key and none, or an unknown one, was sent."),
    Kind.FORBIDDEN: Meaning(_C, 403, False, False, "Host or Origin is not on the allow-list, or the key may not do this."),
    Kind.CLIENT_GONE: Meaning(_C, 499, False, False, "The client closed the connection; the upstream was cancelled."),
    Kind.LOOP_STOPPED: Meaning(
        _C,
        400,
        False,
        False,
        "A session asks the same again and again, or far faster than anybody works; `[sessions]` says how often.",
    ),
    Kind.REFUSED_BY_POLICY: Meaning(_P, 403, False, False, "A gate left no deployment; the message names the rule."),
    Kind.EGRESS_REFUSED: Meaning(_P, 403, False, False, "The call would have left the egress ceiling; the connector refused it."),
    Kind.NO_DEPLOYMENT: Meaning(
        _P, 503, False, False, "No deployment can serve this now; the message says why each was rejected."
    ),
    Kind.BUDGET_SPENT: Meaning(
        _P,
        402,
        True,
        False,
        "A budget does not pay for this; the message names it, what is left of it, and when it is whole again.",
    ),
    Kind.BUDGET_BUSY: Meaning(
        _P,
        429,
        True,
        False,
        "What is left of a budget is reserved by requests under way, or it is whole again within a minute; see `retry-after`.",
    ),
    Kind.RATE_EXCEEDED: Meaning(
        _P,
        429,
        True,
        False,
        "A rate of this server (`[[rates]]`) is used up; the message names it, `retry-after` says for how long.",
    ),
    Kind.IDEMPOTENCY_UNDER_WAY: Meaning(
        _C, 409, False, False, "A request with this `Idempotency-Key` is under way; ask again to get its answer."
    ),
    Kind.IDEMPOTENCY_UNKNOWN: Meaning(
        _C,
        409,
        False,
        False,
        "A request with this `Idempotency-Key` was begun and its answer is not there to be given again; the message names it. "
        "Only a new key asks, and pays, anew.",
    ),
    Kind.IDEMPOTENCY_MISMATCH: Meaning(
        _C, 422, False, False, "This `Idempotency-Key` was sent with another request; each request needs a key of its own."
    ),
    Kind.ENGINE_NOT_READY: Meaning(_U, 503, True, False, "The local engine is starting or restarting."),
    Kind.WEIGHTS_MISSING: Meaning(
        _U, 503, True, False, "The engine's weight file is missing or damaged; `freehold pull` fetches it again."
    ),
    Kind.CONNECT_FAILED: Meaning(_U, 502, True, True, "Nobody answered at the runtime's address."),
    Kind.CONNECT_TIMEOUT: Meaning(_U, 504, True, True, "The runtime did not accept a connection in time."),
    Kind.FIRST_CONTENT_TIMEOUT: Meaning(_U, 504, True, True, "The runtime accepted the request but sent no content in time."),
    Kind.CHUNK_TIMEOUT: Meaning(_U, 504, True, True, "The runtime went silent in the middle of its answer."),
    Kind.TOTAL_TIMEOUT: Meaning(_U, 504, True, False, "The answer took longer than the total deadline."),
    Kind.RATE_LIMITED: Meaning(_U, 429, True, True, "The runtime limits requests; `retry-after` is passed on."),
    Kind.OVERLOADED: Meaning(_U, 503, True, True, "The runtime has no capacity left."),
    Kind.UPSTREAM_AUTH: Meaning(_U, 502, True, False, "The runtime refused our credentials; check its `api_key` reference."),
    Kind.UPSTREAM_MODEL_MISSING: Meaning(_U, 502, True, False, "The runtime does not know the model it is configured to serve."),
    Kind.UPSTREAM_REJECTED: Meaning(_C, 400, False, False, "The runtime found fault with the request; its words are passed on."),
    Kind.UPSTREAM_ERROR: Meaning(_U, 502, True, True, "The runtime failed."),
    Kind.INVALID_REPLY: Meaning(_U, 502, True, True, "The runtime's answer is not what its wire format allows."),
    Kind.BROKEN_STREAM: Meaning(_U, 502, True, True, "The runtime's answer ended before its end."),
    Kind.LEDGER_BEHIND: Meaning(
        _F, 503, False, False, "Rows wait to be written faster than the store takes them; ask again in a moment."
    ),
    Kind.BUDGETS_AWAY: Meaning(
        _F,
        503,
        True,
        False,
        "The store of budgets cannot be reached, so nothing that is paid for is sent; ask again in a moment.",
    ),
    Kind.IDEMPOTENCY_AWAY: Meaning(
        _F,
        503,
        False,
        False,
        "The store of idempotency keys cannot be reached, so a request that has one is not sent; ask again in a moment.",
    ),
    Kind.SHUTTING_DOWN: Meaning(_F, 503, False, False, "This server is stopping; ask again."),
    Kind.INTERNAL: Meaning(_F, 500, False, False, "A defect of Freehold; the request id finds it in the log."),
}

LASTING = frozenset({Kind.UPSTREAM_AUTH, Kind.UPSTREAM_MODEL_MISSING, Kind.WEIGHTS_MISSING, Kind.IDEMPOTENCY_UNKNOWN})
"""What the same request meets again until someone mends the configuration, or it: clients are told not to repeat it."""


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """One failure. `message` is for people: it names the place and the remedy and holds no secret and no prompt."""

    kind: Kind
    message: str
    param: str | None = None
    """The field of the request at fault, as a path such as `messages[2].content`."""
    status: int | None = None
    """The upstream's own HTTP status, where there was one."""
    retry_after_s: float | None = None
    is_quoted: bool = False
    """The message is an upstream's own words, which may repeat what it was asked. The caller may read them; nobody keeps them."""
    details: dict[str, str | int | float | list[str] | None] = {}
    """Machine-readable facts: `limit_tokens`, `prompt_tokens`, `rule`, `ceiling`, `error_code` ..."""

    @property
    def meaning(self) -> Meaning:
        """The row of the table for this kind."""
        return FAULTS[self.kind]

    @property
    def recorded(self) -> str:
        """The message as logs and the ledger may hold it: without an upstream's words."""
        if not self.is_quoted:
            return self.message
        return f"the runtime answered {self.status}; its words went to the caller and are not kept"


class FaultError(Exception):
    """Carries a fault up to whoever may act on it."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(f"{fault.kind}: {fault.message}")
        self.fault = fault


def faulty(kind: Kind, message: str, *, param: str | None = None, **details: str | float | list[str] | None) -> FaultError:
    """Make a fault ready to be raised."""
    return FaultError(Fault(kind=kind, message=message, param=param, details=details))
