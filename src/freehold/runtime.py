"""Runtimes and deployments: where a model can run, and one model at one such place.

`Runtime = Local | SelfHosted | Vendor` is a tagged union over who runs the machine. Egress classes are ordered
`local < self_hosted < vendor`. A field a kind does not have *does not apply* to it; `None` means *applies, not
known*, and policy takes unknown as the worst case. Nothing here does I/O.
"""

import datetime as dt
from enum import StrEnum
from typing import Literal

import msgspec

from freehold.chat import WireFormat


class Egress(StrEnum):
    """How far a call travels. Ordered: compare with `within`, never by name."""

    LOCAL = "local"
    SELF_HOSTED = "self_hosted"
    VENDOR = "vendor"

    def within(self, ceiling: "Egress") -> bool:
        """Whether a call of this class stays at or below `ceiling`."""
        return EGRESS_ORDER[self] <= EGRESS_ORDER[ceiling]


EGRESS_ORDER: dict[Egress, int] = {Egress.LOCAL: 0, Egress.SELF_HOSTED: 1, Egress.VENDOR: 2}


def lower(one: Egress, other: Egress) -> Egress:
    """The tighter of two ceilings."""
    return one if one.within(other) else other


class Launch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An engine process that Freehold itself starts and watches."""

    engine: Literal["llama", "embed"]
    weights: str
    """Name in the weights manifest (`smollm2-135m-instruct`) or a path to a GGUF file."""
    context: int = 8192
    """Tokens one request may use, prompt and answer together."""
    slots: int = 4
    threads: int | None = None
    """None: physical cores less one, at least one."""


class _Reach(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What every kind has: a name, an address, the wire formats spoken there (best first), a secret's reference."""

    name: str
    base_url: str | None = None
    """Including the `/v1` of OpenAI-style servers; None when Freehold launches the engine itself."""
    formats: tuple[WireFormat, ...] = ("openai_chat",)
    api_key: str | None = None
    """`env:NAME`, `file:PATH` or `keyring:NAME`; never the key itself."""
    quirks: tuple[str, ...] = ()
    connect_timeout_s: float = 5.0
    first_content_timeout_s: float = 120.0
    chunk_timeout_s: float = 60.0
    total_timeout_s: float = 1800.0
    max_connections: int = 256
    """Calls at a time; an embedded chat engine takes no more than it has slots."""
    queue_wait_s: float = 0.5
    """With all of them busy: how long a request waits before it spills over to the next step, where the plan has one."""


class Local(_Reach, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="local"):
    """Run by the engineer, on the workstation in front of them: paid in watts and amortisation."""

    launch: Launch | None = None
    device: str | None = None
    memory_gib: float | None = None
    watts_busy: float | None = None
    watts_idle: float | None = None
    usd_per_kwh: float | None = None
    price_usd: float | None = None
    """What the machine cost. Spread over `lifetime_hours` of work."""
    lifetime_hours: float | None = None
    """Hours of work it is expected to do: 3 years at 4 hours a day are 4380."""


class SelfHosted(_Reach, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="self_hosted"):
    """Run by the team, on infrastructure it owns: paid in electricity, operation and headroom."""

    region: str | None = None
    device: str | None = None
    usd_per_hour: float | None = None
    """Of one replica."""
    replicas: int | None = None
    """None counts as one."""
    sla: str | None = None


class Vendor(_Reach, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="vendor"):
    """Run by a vendor behind an API: paid per token, patched silently."""

    region: str | None = None
    retention_days: int | None = None
    trains_on_inputs: bool | None = None
    sla: str | None = None
    batch_api: bool = False
    """Lines of batches are handed on to the vendor's own Batch API (OpenAI's), at its price and in its time."""


Runtime = Local | SelfHosted | Vendor


def egress_of(runtime: Runtime) -> Egress:
    """The egress class a call to this runtime has."""
    match runtime:
        case Local():
            return Egress.LOCAL
        case SelfHosted():
            return Egress.SELF_HOSTED
        case Vendor():
            return Egress.VENDOR


class FillIn(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the models of a family are asked to fill in the middle: marks they were trained with, and their order."""

    prefix: str
    """Stands before the text before the cursor."""
    suffix: str
    """Stands before the text behind the cursor."""
    middle: str = ""
    """Stands at the end, where the model goes on; some families have none."""
    order: Literal["psm", "spm"] = "psm"
    """Prefix, suffix, middle; or suffix, prefix, middle."""
    stop: tuple[str, ...] = ()
    """What ends the middle, beside the model's own end of text."""


class Model(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Facts of a model, wherever it runs. Open weights and licence are an axis apart from egress."""

    id: str
    open_weights: bool | None = None
    licence: str | None = None
    """SPDX identifier where there is one."""
    tokenizer: str | None = None
    """`o200k_base`, `cl100k_base` where counted exactly offline; None: estimated."""
    fim: str | None = None
    """The family whose fill-in-the-middle marks it knows, such as `qwen-coder`; "none" where it knows none."""


class Abilities(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a deployment can really do. `None` is *not known* and counts as the worst case."""

    context: int | None = None
    """Tokens, prompt and answer together, as this deployment serves them (not the model's maximum)."""
    max_output: int | None = None
    tools: bool = False
    images: bool = False
    json_schema: bool = False
    reasoning: bool = False
    logprobs: bool = False
    embeddings: bool = False
    image_generation: bool = False
    """It makes images: generations, edits, variations."""
    transcription: bool = False
    """Speech to text, translations of speech too."""
    speech: bool = False
    """Text to speech."""
    moderation: bool = False
    rerank: bool = False
    chat: bool = True
    completion: bool | None = None
    """It goes on with a text (`/v1/completions`). None: where it chats. A base model has this and no `chat`."""


SINGLE_OPERATIONS = ("embeddings", "image_generation", "transcription", "speech", "moderation", "rerank")
"""Operations that need an ability of their own and nothing else; each ability has the operation's name."""


class Rates(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What units cost. A share of the tokens without a rate of its own costs what the whole costs, but for what is always
    dearer: audio, and cache writes kept for an hour. Those without a rate make the cost unknown.
    """

    input_usd_per_mtok: float
    output_usd_per_mtok: float
    cached_input_usd_per_mtok: float | None = None
    """Read from the prompt cache."""
    cache_write_usd_per_mtok: float | None = None
    """Written to the prompt cache for 5 minutes, or however long the vendor keeps it."""
    cache_write_1h_usd_per_mtok: float | None = None
    audio_input_usd_per_mtok: float | None = None
    audio_output_usd_per_mtok: float | None = None
    image_input_usd_per_mtok: float | None = None
    image_usd: float | None = None
    """Each image in an answer, on top of tokens."""
    audio_usd_per_hour: float | None = None
    """Audio by its length, on top of tokens."""
    request_usd: float | None = None
    """Each answered request, on top of all else."""


class LongPromptRates(Rates, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Rates for the whole request once its prompt is long."""

    above_input_tokens: int
    """They hold for prompts of more tokens than this, cached ones included."""


class Tariff(Rates, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Rates, and those of long prompts."""

    long_prompts: tuple[LongPromptRates, ...] = ()
    """By rising length."""


class Price(Tariff, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Metered price in USD. On a deployment, None means unknown, which is never zero."""

    batch: Tariff | None = None
    """What the vendor's own batch API charges: for lines of batches on a runtime with `batch_api`. All else pays the price above."""
    since: dt.date | None = None
    """The first day (UTC) it holds; None: it always did."""
    until: dt.date | None = None
    """The first day (UTC) it no longer holds; None: it still does."""


class Deployment(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One model on one runtime, under the name it has there."""

    id: str
    """Unique, by convention `runtime/model`."""
    model: str
    runtime: str
    served_as: str
    abilities: Abilities = Abilities()
    price: Price | tuple[Price, ...] | None = None
    """One price, or several with dates: of those that hold on the day of an attempt, the last one counts."""
    free: bool | None = None
    """Free by declaration. None: true for a local runtime, unknown elsewhere."""
    quirks: tuple[str, ...] = ()
    """Names from `data/quirks.toml`, on top of the runtime's own."""


class Placed(msgspec.Struct, frozen=True, kw_only=True):
    """A deployment joined with its runtime and its model's facts: what routing and dispatch work with."""

    deployment: Deployment
    runtime: Runtime
    model: Model
    egress: Egress
    fill_in: FillIn | None = None
    """How a prompt and a suffix become one prompt for this model; None: it is not known to fill in."""
    price_version: str | None = None
    """Where its price comes from and which one it is: source, date, hash. None: it has none."""
    asked_by_model: bool = True
    """Whether the model's own name, asked for, means this deployment too. Not where a vendor was merely found."""

    @property
    def id(self) -> str:
        """The deployment's id."""
        return self.deployment.id

    @property
    def quirks(self) -> tuple[str, ...]:
        """Its own and its runtime's."""
        return (*self.deployment.quirks, *self.runtime.quirks)


def completes(placed: Placed) -> bool:
    """Whether a deployment goes on with a text: raw where its runtime speaks Completions, else as a message of a chat."""
    able = placed.deployment.abilities
    return able.chat if able.completion is None else able.completion


def fills_in(placed: Placed) -> bool:
    """Whether it can be given a suffix: its runtime takes one, or its model has marks and its runtime reads them.

    A vendor does not read marks in a prompt, or should not.
    """
    quirks = placed.quirks
    if "suffix" in quirks or "mistral_fim" in quirks:
        return True
    return placed.fill_in is not None and placed.egress is not Egress.VENDOR


def places_of(runtime: Runtime) -> int:
    """Calls a runtime takes at a time. An engine's own queue would hide that it is full, and cannot spill over."""
    launch = runtime.launch if isinstance(runtime, Local) else None
    if launch is None or launch.engine != "llama":
        return runtime.max_connections
    return min(runtime.max_connections, launch.slots)
