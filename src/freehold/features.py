"""What is known of a request before it is decided: the only thing policy may look at.

A frozen value, logged with every decision, so that the decision can be computed again. Gathered by
`routing.features`; matched by `policy`.
"""

from enum import StrEnum
from typing import Literal

import msgspec

from freehold.chat import WireFormat
from freehold.runtime import Egress


class Label(StrEnum):
    """Data classification, lowest first. Compare with `LABEL_ORDER`."""

    PUBLIC = "public"
    INTERNAL = "internal"
    CONFIDENTIAL = "confidential"
    RESTRICTED = "restricted"


LABEL_ORDER: dict[Label, int] = {label: rank for rank, label in enumerate(Label)}


Auxiliary = Literal["title", "compaction", "token_count", "web_search", "other"]
"""Kinds of side jobs that agents ask for beside their main loop."""


class Task(StrEnum):
    """The kind of work, named by a deterministic classifier."""

    COMPLETION = "completion"
    DOCSTRING = "docstring"
    FIX_FROM_ERROR = "fix-from-error"
    EDIT = "edit"
    EXPLAIN = "explain"
    TEST = "test"
    REVIEW = "review"
    SUMMARISE = "summarise"
    EXTRACT = "extract"
    TRANSLATE = "translate"
    CLASSIFY = "classify"
    ARCHITECTURE = "architecture"
    WIDE_REFACTOR = "wide-refactor"
    THREAT_MODEL = "threat-model"
    AGENT_TURN = "agent-turn"
    AUXILIARY = "auxiliary"
    EMBEDDING = "embedding"
    IMAGE_GENERATION = "image-generation"
    TRANSCRIPTION = "transcription"
    SPEECH = "speech"
    MODERATION = "moderation"
    RERANK = "rerank"
    CHAT = "chat"


Right = Literal["chat", "embeddings", "images", "audio", "moderation", "rerank", "files", "batches", "admin"]
"""A kind of endpoint that a virtual key may use. `chat` covers completions and token counts."""


class Rights(msgspec.Struct, frozen=True, kw_only=True):
    """What a virtual key is limited to. None: the key does not limit it; an empty tuple leaves nothing."""

    operations: tuple[Right, ...] | None = None
    """None: everything but `admin`, which must be named."""
    models: tuple[str, ...] | None = None
    """Globs: over the name that is asked for, which then means what it always means; and over ids of models and deployments."""
    datasets: tuple[str, ...] | None = None
    """Datasets its requests may be tagged with; the first one holds where a request names none."""


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """Who asks. On a keyless loopback: the local user."""

    key: str = "local"
    """The virtual key's name, never its value."""
    user: str = "local"
    team: str | None = None
    ceiling: Egress = Egress.VENDOR
    label: Label | None = None
    dataset: str | None = None
    """Whose data it works on, where the key or a header says so."""
    project: str | None = None
    rights: Rights | None = None
    """What the key is limited to; None: nothing beside ceiling and label."""


class Finding(msgspec.Struct, frozen=True, array_like=True):
    """What a detector found in a prompt: what kind of thing, and where. Never the text."""

    kind: str
    """Such as `aws-access-key`, `path:GLOB` or `pattern:NAME`."""
    block: int
    """Which piece of the prompt, from 0: system, each message, the tools; then the other fields of the body."""
    part: int
    """Which string of the piece's JSON, keys included, from 0; -1: it spans several texts."""
    offset: int
    """Characters before it in that string; in all texts as one, where it spans several."""
    length: int


class Redacted(msgspec.Struct, frozen=True, array_like=True):
    """How often something of one kind was replaced by a placeholder before a request was sent. Never the text."""

    kind: str
    count: int


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """How an agent fares, as its conversation shows: what its tools returned lately. Older results are not looked at."""

    turns: int
    """Of the model, in the whole conversation."""
    results: int
    """Of tools, the newest 40 at most."""
    failed_results: int
    """Of these."""
    failed_share: float
    """Of the newest ten results, 0 to 1; 0 before there are four."""
    repeated_failures: int
    """How often one action failed in the same way and never succeeded since: the same tool with the same arguments, the same
    error of a command, or the same complaint about edits of one file."""
    edits_without_progress: int
    """How often one file was edited and the same failure came after it."""


class Features(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a rule may match and a plan may weigh."""

    operation: str
    """`chat`, `completion`, `embeddings`, `count_tokens`, `image_generation`, `transcription`, `speech`, `moderation` or `rerank`."""
    wire_format: WireFormat | None
    asked_model: str
    caller: Caller
    prompt_tokens: int
    """Of the whole prompt: system, messages and tools."""
    prompt_tokens_exact: bool
    """Counted with the asked model's own tokenizer; otherwise an estimate."""
    max_tokens: int | None
    messages: int
    stream: bool
    tools: int
    """How many tools are offered."""
    images: int
    schema: bool
    """Structured output is asked for."""
    logprobs: bool
    choices: int
    """`n` of the request; for several prompts the sum over them."""
    task: Task
    task_reason: str
    """Why the classifier said so, in words."""
    label: Label
    label_reason: str = "server"
    """Which source set the label: server, key, header, dataset, path, pattern or detector, with its name."""
    findings: tuple[Finding, ...] = ()
    """What detectors found, the highest labels first; sixteen at most."""
    redacted: tuple[Redacted, ...] = ()
    """What was replaced by placeholders; all else here, `findings` apart, is of the text that is left."""
    label_before: Label | None = None
    """The label before anything was replaced; None: nothing was."""
    session: str | None
    """Opaque id of the client's session, scoped to the caller by whoever stores it."""
    agent: str | None = None
    """Client program as recognised from its headers: `claude-code`, `codex`, `opencode` ..."""
    request_class: str | None = None
    """main, subagent, compaction, auxiliary ..., where the client says so."""
    auxiliary: Auxiliary | None = None
    """The kind of side job, where it is known to be one; None: it is none, or nothing shows it."""
    progress: Progress | None = None
    """How the agent fares; None: no tool has returned anything in this conversation."""
    ceiling: Egress = Egress.VENDOR
    """The tightest of server, caller and header ceilings, before any rule."""
    fill_in: bool = False
    """A completion has a suffix: what is asked for lies between two texts."""
    needs_raw: bool = False
    """A completion says what only a runtime of its own format can be asked: token ids, several prompts, `echo` ..."""
    needs_echo: bool = False
    """It wants `echo` or `best_of`, which some servers of that format pass over without a word."""
    fetches: int = 0
    """What whoever serves it would fetch from elsewhere: media named by an address, tools on servers that the request names."""
    dearer: str = ""
    """The field by which it asks a vendor for other rates than its price says, such as `service_tier`; "": none."""
    hints: dict[str, str] = {}
    """Request headers `x-freehold-hint-*`, lower-cased, without the prefix."""
