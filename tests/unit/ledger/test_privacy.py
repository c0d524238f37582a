"""No column of the ledger can carry a prompt or an answer: every field of every record is accounted for here."""

import msgspec

from freehold.features import Caller, Features, Finding, Progress
from freehold.record import AttemptRecord, DecisionRecord, PlannedStep, Rejected, RequestRecord, Verdict
from freehold.routing.situation import Health, Situation
from freehold.storage.schema import metadata

# What a text field holds. A new field must be put here by someone who has looked at what goes in.
IDS = {"request_id", "attempt_id", "session", "sticky", "policy_version", "fingerprint", "version", "price_version"}
NAMES = {
    *("caller_key", "caller_user", "caller_team", "key", "user", "team", "dataset", "project"),
    *("deployment", "runtime", "asked_model", "sent_model", "answered_model", "agent", "rule", "check"),
}
WORDS_OF_A_LIST = {
    *("operation", "wire_format", "task", "label", "ceiling", "request_class", "outcome", "fault", "cost_basis", "price_version"),
    *("egress", "mode", "end", "edits", "basis", "state", "auxiliary", "label_before", "dearer"),
}
WORDS_OF_OURS = {"reason", "task_reason", "label_reason", "fault_message", "detail", "situation"}
HEADERS_OF_THE_CALLER = {"hints"}
NO_TEXT = {
    *("at_ms", "started_ms", "first_content_ms", "duration_ms", "overhead_ms", "now_ms", "hour", "seed"),
    *(
        "number",
        "status",
        "attempts",
        "stream",
        "prompt_tokens_counted",
        "cost_nano_usd",
        "poor",
        "windows",
        "audio_s",
        "sent_bytes",
    ),
    *("prompt_tokens", "prompt_tokens_exact", "max_tokens", "messages", "tools", "images", "schema", "logprobs", "choices"),
    *("fill_in", "needs_echo", "needs_raw", "fetches"),
    *("turns", "results", "failed_results", "failed_share", "repeated_failures", "edits_without_progress"),
}
PARTS = {"decided", "features", "findings", "steps", "rejected", "verdicts", "usage", "caller", "health", "down"} | {
    # Kinds and counts of what was replaced; names a key is limited to; budgets by name, in words of ours.
    *("redacted", "rights", "budgets"),
    # Counts of what an agent's tools returned.
    "progress",
}
ACCOUNTED = IDS | NAMES | WORDS_OF_A_LIST | WORDS_OF_OURS | HEADERS_OF_THE_CALLER | NO_TEXT | PARTS


def test_every_field_of_a_record_is_accounted_for() -> None:
    structs: list[type[msgspec.Struct]] = [
        *(RequestRecord, AttemptRecord, DecisionRecord, PlannedStep, Rejected, Verdict),
        *(Features, Caller, Situation, Health, Progress),
    ]
    fields = {name for struct in structs for name in struct.__struct_fields__}
    assert fields - ACCOUNTED == set()


def test_a_finding_is_a_word_of_ours_and_positions() -> None:
    types = {field.name: field.type for field in msgspec.structs.fields(Finding)}
    assert types == {"kind": str, "block": int, "part": int, "offset": int, "length": int}


def test_what_counts_messages_is_a_number_and_not_the_messages() -> None:
    types = {field.name: field.type for field in msgspec.structs.fields(Features)}
    for name in ("messages", "tools", "images", "fetches", "choices", "prompt_tokens"):
        assert types[name] is int
    for name in ("schema", "logprobs", "stream"):
        assert types[name] is bool


def test_no_table_has_a_column_that_no_record_has() -> None:
    ours = {
        "place",
        "input_tokens",
        "output_tokens",
        "cached_tokens",
        "cache_write_tokens",
        "reasoning_tokens",
        "audio_input_tokens",
        "audio_output_tokens",
        "image_input_tokens",
        "cache_write_1h_tokens",
        "usage_basis",
    }
    for table in ("requests", "attempts", "decisions"):
        assert set(metadata.tables[table].columns.keys()) - ACCOUNTED - ours == set()
