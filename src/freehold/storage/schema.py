"""The tables, as SQLAlchemy Core says them: the one place that names a column's type, its bounds and its meaning.

`docs/ledger.md` is generated from the words here, and the migrations are proven to build exactly this. Ids are
text that sorts by time. Times are Unix milliseconds, durations milliseconds, money integer nano-USD. NULL says *not
known* or *does not apply*, never zero. Attempts and decisions name their request without a foreign key: they are
written before its final row.

A row's price is its cells and its indexes. So `request_id`, which sorts by time, is the only way to walk; columns that
are nearly always NULL stand last, where a row can end before them; and the tables keep their rowid, which measured
better than WITHOUT ROWID.
"""

from typing import get_args

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Double,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from freehold.chat import UsageBasis
from freehold.features import Label
from freehold.record import AttemptEnd, CostBasis, Outcome
from freehold.runtime import Egress

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    }
)


def _one_of(column: str, values: tuple[str, ...]) -> CheckConstraint:
    """The column holds one of these words; NULL passes, where the column allows it.

    Spelled with OR: SQLite builds a table for each IN of more than two words, which costs a fifth of a row's time.
    """
    return CheckConstraint(" OR ".join(f"\"{column}\" = '{value}'" for value in values), name=column)


def _usage_columns() -> list[Column[int] | Column[str]]:
    return [
        Column("input_tokens", BigInteger, doc="Tokens in, cached ones included; NULL: no usage is known."),
        Column("output_tokens", BigInteger, doc="Tokens out, reasoning included."),
        Column("cached_tokens", BigInteger, doc="Read from the prompt cache, a share of `input_tokens`."),
        Column("cache_write_tokens", BigInteger, doc="Written to the prompt cache, a share of `input_tokens`."),
        Column("reasoning_tokens", BigInteger, doc="A share of `output_tokens`."),
        Column("usage_basis", Text, doc="measured (counted by us), reported (by the runtime) or estimated."),
    ]


def _rare_usage_columns() -> list[Column[int]]:
    return [
        Column("cache_write_1h_tokens", BigInteger, doc="Written to be kept for an hour, a share of `cache_write_tokens`."),
        Column("audio_input_tokens", BigInteger, doc="A share of `input_tokens`."),
        Column("audio_output_tokens", BigInteger, doc="A share of `output_tokens`."),
        Column("image_input_tokens", BigInteger, doc="A share of `input_tokens`."),
    ]


def _place() -> Column[int]:
    """The row's place in the table: SQLite's own rowid, which costs nothing to keep."""
    return Column(
        "place",
        BigInteger().with_variant(Integer, "sqlite"),
        nullable=False,
        autoincrement=True,
        doc="Counts up in the order of writing; what `--follow` goes by.",
    )


requests = Table(
    "requests",
    metadata,
    Column("request_id", Text, nullable=False, doc="`req_...`; unique, sorts by time."),
    Column("at_ms", BigInteger, nullable=False, doc="When the request arrived."),
    Column(
        "operation",
        Text,
        nullable=False,
        doc="`chat`, `count_tokens`, `embeddings`, `image_generation`, `transcription`, `speech`, `moderation` or `rerank`.",
    ),
    Column("wire_format", Text, doc="The client's wire format."),
    Column("caller_key", Text, nullable=False, doc="The virtual key's name, never its value."),
    Column("caller_user", Text, nullable=False, doc="Who asked; `local` on a keyless loopback."),
    Column("asked_model", Text, nullable=False, doc="The model the client named."),
    Column("task", Text, nullable=False, doc="The kind of work, from the classifier's closed list."),
    Column("label", Text, nullable=False, doc="Data classification."),
    Column("stream", Boolean(create_constraint=False), nullable=False, doc="A streamed answer was asked for."),
    Column("policy_version", Text, nullable=False, doc="The policy in force; see `policies`."),
    Column("outcome", Text, nullable=False, doc="How it ended for the client."),
    Column("status", Integer, nullable=False, doc="HTTP status the client saw; 499: it had gone."),
    Column("deployment", Text, doc="The deployment that answered; NULL: none did."),
    Column("runtime", Text, doc="The runtime it stands on."),
    Column("egress", Text, doc="How far the answering call travelled."),
    Column("reason", Text, nullable=False, doc="Why it was served there, in words."),
    Column("attempts", Integer, nullable=False, doc="How many upstream attempts were made."),
    Column("prompt_tokens_counted", BigInteger, nullable=False, doc="The prompt as counted before the decision."),
    Column("cost_nano_usd", BigInteger, doc="Cost of all attempts; NULL: unknown, which is never zero."),
    Column("cost_basis", Text, nullable=False, doc="Where the cost comes from."),
    Column("first_content_ms", Double, doc="From arrival to the first content; NULL: there was none."),
    Column("duration_ms", Double, nullable=False, doc="From arrival to the end."),
    Column("overhead_ms", Double, doc="Our share: total less the time spent waiting for upstreams."),
    *_usage_columns(),
    Column("caller_team", Text, doc="The user's team."),
    Column("session", Text, doc="Opaque id of the client's session."),
    Column("agent", Text, doc="The client program as recognised: `claude-code`, `codex` ..."),
    Column("fault", Text, doc="The kind of fault, where it failed."),
    Column(
        "fault_message",
        Text,
        doc="What the client was told; no prompt, no secret, and no words of a runtime, which may quote both.",
    ),
    *_rare_usage_columns(),
    _place(),
    PrimaryKeyConstraint("place"),
    UniqueConstraint("request_id"),
    _one_of("outcome", get_args(Outcome)),
    _one_of("cost_basis", get_args(CostBasis)),
    _one_of("usage_basis", get_args(UsageBasis)),
    _one_of("egress", tuple(Egress)),
    _one_of("label", tuple(Label)),
    info={"says": "One final row per request, whatever happened to it."},
)
Index(
    None,
    requests.c.session,
    requests.c.request_id,
    sqlite_where=requests.c.session.is_not(None),
    postgresql_where=requests.c.session.is_not(None),
)

attempts = Table(
    "attempts",
    metadata,
    Column("request_id", Text, nullable=False, doc="The request it was made for."),
    Column("number", Integer, nullable=False, doc="From 1, in the order they were made."),
    Column("deployment", Text, nullable=False, doc="Where it went."),
    Column("runtime", Text, nullable=False, doc="The runtime that deployment stands on."),
    Column("egress", Text, nullable=False, doc="How far the call travelled."),
    Column("sent_model", Text, nullable=False, doc="The model named by us upstream."),
    Column("answered_model", Text, doc="The model the upstream said it answered with."),
    Column("mode", Text, nullable=False, doc="relay (bytes kept) or translate (through the neutral middle)."),
    Column("started_ms", BigInteger, nullable=False, doc="When the attempt began."),
    Column("first_content_ms", Double, doc="From the attempt's start to its first content."),
    Column("duration_ms", Double, nullable=False, doc="From the attempt's start to its end."),
    Column("end", Text, nullable=False, doc="How it ended."),
    Column("status", Integer, doc="The upstream's HTTP status, where it sent one."),
    Column("cost_nano_usd", BigInteger, doc="NULL: unknown, which is never zero."),
    Column("cost_basis", Text, nullable=False, doc="Where the cost comes from."),
    Column(
        "edits",
        Text,
        nullable=False,
        doc="JSON list: names of the edits made to a relayed request or reply; `settled_as_reserved` where what it cost or used "
        "is not known and was taken to be what was reserved.",
    ),
    *_usage_columns(),
    Column("fingerprint", Text, doc="The upstream's system fingerprint."),
    Column("fault", Text, doc="The kind of fault, where it failed."),
    Column("fault_message", Text, doc="What went wrong; no prompt, no secret, and no words of the runtime."),
    Column("images", Integer, doc="Images in the answer; NULL: it is no answer of images."),
    Column("audio_s", Double, doc="Seconds of audio, as the runtime reported them."),
    Column("price_version", Text, doc="The price it was costed by: source, date, hash; NULL: there was none."),
    Column("verdicts", Text, doc="JSON list: what the named checks said of the reply; NULL: there was none."),
    *_rare_usage_columns(),
    Column("sent_bytes", BigInteger, doc="Of the request's body, where it left this machine; NULL: it did not."),
    PrimaryKeyConstraint("request_id", "number"),
    _one_of("mode", ("relay", "translate")),
    _one_of("end", get_args(AttemptEnd)),
    _one_of("cost_basis", get_args(CostBasis)),
    _one_of("usage_basis", get_args(UsageBasis)),
    _one_of("egress", tuple(Egress)),
    info={"says": "One row per upstream attempt."},
)

decisions = Table(
    "decisions",
    metadata,
    Column("request_id", Text, nullable=False, doc="The request that was decided."),
    Column("at_ms", BigInteger, nullable=False, doc="When it was decided."),
    Column("policy_version", Text, nullable=False, doc="The policy that decided; its text is in `policies`."),
    Column("rule", Text, doc="The preference rule that ordered the plan; NULL: the built-in order."),
    Column(
        "decided",
        Text,
        nullable=False,
        doc="JSON: `features` (all that was known of the request, no prompt text), `situation` (health, sessions, clock and seed "
        "as they were), `steps` (the deployments to try, each with its reason), `rejected` (those left out, each with its "
        "reason and gate).",
    ),
    PrimaryKeyConstraint("request_id"),
    info={"says": "One row per decision, with all that went into it, so that it can be computed again."},
)

policies = Table(
    "policies",
    metadata,
    Column("version", Text, nullable=False, doc="Hash of the policy."),
    Column("source", Text, nullable=False, doc="JSON: the policy itself."),
    Column("first_used_ms", BigInteger, nullable=False, doc="When it first decided something here."),
    PrimaryKeyConstraint("version"),
    info={"says": "Each policy that ever decided something, once."},
)

meta = Table(
    "meta",
    metadata,
    Column(
        "name",
        Text,
        nullable=False,
        doc="`created_ms`, `created_by`; `process/MARK`: a process that writes here; `budgets_id`, `ledger_id`: with Redis, its budgets and this ledger.",
    ),
    Column("value", Text, nullable=False, doc="Its value."),
    PrimaryKeyConstraint("name"),
    info={"says": "Facts about this store itself."},
)

files = Table(
    "files",
    metadata,
    Column(
        "file_id", Text, nullable=False, doc="`file-...`; sorts by time. The bytes lie in the data directory, under this name."
    ),
    Column("caller_key", Text, nullable=False, doc="Whose it is; nobody else finds it."),
    Column("caller_user", Text, nullable=False, doc="The user of that key."),
    Column("purpose", Text, nullable=False, doc="`batch` or `batch_output`."),
    Column("filename", Text, nullable=False, doc="As the client named it."),
    Column("size_bytes", BigInteger, nullable=False, doc="How large it is."),
    Column("created_ms", BigInteger, nullable=False, doc="When it came."),
    PrimaryKeyConstraint("file_id"),
    info={"says": "One row per file that a client left or a batch made."},
)

batches = Table(
    "batches",
    metadata,
    Column("batch_id", Text, nullable=False, doc="`batch_...`; sorts by time. Its requests have it as their `session`."),
    Column("caller_key", Text, nullable=False, doc="Whose it is; nobody else finds it."),
    Column("caller_user", Text, nullable=False, doc="The user of that key."),
    Column("caller", Text, nullable=False, doc="JSON: the caller, with the ceiling and label that hold for every line."),
    Column("headers", Text, nullable=False, doc="JSON: the `x-freehold-*` headers it was made with."),
    Column("endpoint", Text, nullable=False, doc="The path its lines ask."),
    Column("input_file_id", Text, nullable=False, doc="The file its lines are in."),
    Column("metadata", Text, nullable=False, doc="JSON: what the client attached."),
    Column("created_ms", BigInteger, nullable=False, doc="When it was made."),
    Column("expires_ms", BigInteger, nullable=False, doc="When it ends, done or not."),
    Column("is_over", Boolean(create_constraint=False), nullable=False, doc="Nothing will change about it any more."),
    Column("state", Text, nullable=False, doc="JSON: status, counts, result files, times, errors."),
    PrimaryKeyConstraint("batch_id"),
    info={"says": "One row per batch."},
)

virtual_keys = Table(
    "virtual_keys",
    metadata,
    Column("name", Text, nullable=False, doc="Named in rows, rules and budgets as the caller's key; used once, for good."),
    Column("caller_user", Text, nullable=False, doc="Whose it is."),
    Column("caller_team", Text, doc="The team of that user."),
    Column("project", Text, doc="The project all its requests are tagged with."),
    Column("ceiling", Text, nullable=False, doc="The highest egress class its requests may reach."),
    Column("label", Text, doc="The least label of its requests."),
    Column("rights", Text, nullable=False, doc="JSON: operations, models and datasets it is limited to."),
    Column("created_ms", BigInteger, nullable=False, doc="When it was made."),
    Column("created_by", Text, nullable=False, doc="The key that made it; `cli` for the command line."),
    Column("expires_ms", BigInteger, doc="From then on it opens nothing."),
    Column("revoked_ms", BigInteger, doc="When it was revoked."),
    PrimaryKeyConstraint("name"),
    info={"says": "One row per virtual key, revoked ones too."},
)

key_secrets = Table(
    "key_secrets",
    metadata,
    Column("digest", Text, nullable=False, doc="BLAKE3 of the secret, in hexadecimal; the secret itself is kept nowhere."),
    Column("key_name", Text, nullable=False, doc="Whose secret it is."),
    Column("hint", Text, nullable=False, doc="How it begins, to recognise it by."),
    Column("created_ms", BigInteger, nullable=False, doc="When it was drawn."),
    Column("ends_ms", BigInteger, doc="From then on it opens nothing: its key was rotated."),
    PrimaryKeyConstraint("digest"),
    info={"says": "The secrets that open virtual keys; two of one key while it is rotated."},
)

accounts = Table(
    "accounts",
    metadata,
    Column("account", Text, nullable=False, doc="A budget in one of its windows."),
    Column("spent", BigInteger, nullable=False, doc="Settled, in the account's unit: nano-USD or tokens."),
    Column("reserved", BigInteger, nullable=False, doc="What attempts under way may still cost."),
    PrimaryKeyConstraint("account"),
    CheckConstraint("spent >= 0", name="spent"),
    CheckConstraint("reserved >= 0", name="reserved"),
    info={"says": "How each budget stands, where the store is SQL alone."},
)

reservations = Table(
    "reservations",
    metadata,
    Column("attempt_id", Text, nullable=False, doc="The attempt it was made for; gone when that is settled or let go."),
    Column("owner", Text, nullable=False, doc="The process that made it: machine, process id and start time."),
    Column("lapses_ms", BigInteger, nullable=False, doc="From then on it is settled by anybody, unless it was renewed."),
    Column("charges", Text, nullable=False, doc="JSON: what is reserved, by account."),
    Column("attempt", Text, doc="JSON: what its row is made from if it lapses; NULL: there will be none."),
    PrimaryKeyConstraint("attempt_id"),
    info={"says": "One row per attempt that is paid for and under way."},
)
Index(None, reservations.c.lapses_ms)

money_flags = Table(
    "money_flags",
    metadata,
    Column("attempt_id", Text, nullable=False, doc="The attempt it is about."),
    Column(
        "flag",
        Text,
        nullable=False,
        doc="lapsed (its process died or was cut off: settled at what was reserved), overrun (it cost more than was reserved) "
        "or unwritten (its row was refused by the database).",
    ),
    Column("account", Text, nullable=False, doc="The account it is about."),
    Column("at_ms", BigInteger, nullable=False, doc="When it was noticed."),
    Column("reserved", BigInteger, nullable=False, doc="What had been reserved of that account."),
    Column("spent", BigInteger, nullable=False, doc="What was charged."),
    PrimaryKeyConstraint("attempt_id", "flag", "account"),
    _one_of("flag", ("lapsed", "overrun", "unwritten")),
    info={"says": "What did not go as reserved, each in a row of its own."},
)

idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column(
        "digest",
        Text,
        nullable=False,
        doc="A hash over the client's `Idempotency-Key`, who sent it, where to, and under which ceiling and label.",
    ),
    Column("fingerprint", Text, nullable=False, doc="A hash of what was asked, keyed by the client's key."),
    Column("request_id", Text, nullable=False, doc="The request that was served, or is under way, under this key."),
    Column("owner", Text, nullable=False, doc="The process that serves it: machine, process id and start time."),
    Column(
        "state",
        Text,
        nullable=False,
        doc="under_way, answered, or left (its client left, or the server stopped, when some of it may have been paid).",
    ),
    Column("lapses_ms", BigInteger, nullable=False, doc="From then on nobody waits for it any more, if it is still under way."),
    Column("ends_ms", BigInteger, nullable=False, doc="From then on the key is forgotten."),
    Column("size_bytes", BigInteger, nullable=False, doc="Of `answer`."),
    Column(
        "answer",
        LargeBinary,
        doc="What the client was answered, encrypted under a key made from the client's own; NULL: too large to be kept, or not to leave this machine.",
    ),
    PrimaryKeyConstraint("digest"),
    _one_of("state", ("under_way", "answered", "left")),
    info={"says": "One row per `Idempotency-Key` of the last day: what a repeat of the request is answered."},
)
Index(None, idempotency_keys.c.ends_ms)

alembic_version = Table(
    "alembic_version",
    MetaData(),
    Column("version_num", String(32), nullable=False),
    PrimaryKeyConstraint("version_num", name="alembic_version_pkc"),
)
"""Alembic's own table, so that a fresh store is stamped, and a version read, without importing Alembic."""
