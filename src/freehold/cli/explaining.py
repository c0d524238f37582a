"""`freehold explain`: why a request was served where it was, or where one would be."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from freehold.cli import show
from freehold.cli.logs import cost_of
from freehold.fault import FaultError
from freehold.features import Features, Finding, Progress
from freehold.record import AttemptRecord, PlannedStep, Rejected

if TYPE_CHECKING:
    from freehold.config import Config


def explain(config: Path | None, request_id: str | None, *, as_json: bool) -> None:
    """A request from the ledger; None: the newest."""
    from freehold.cli.setup import reading_ledger
    from freehold.ledger import queries

    with reading_ledger(config) as engine:
        if request_id is None:
            newest = queries.recent(engine, limit=1)
            if not newest:
                show.fail("the ledger is empty: nothing was asked yet")
            request_id = newest[0].request_id
        try:
            detail = queries.request(engine, request_id)
        except queries.AmbiguousIdError as error:
            show.fail(str(error))
    if detail is None:
        show.fail(f"there is no request {request_id!r}; `freehold log` lists them")
    if as_json:
        show.print_json({"request": detail.request, "decision": detail.decision, "attempts": detail.attempts})
        return
    row, decision = detail.request, detail.decision
    if row is None:
        show.pairs(request_id, [("outcome", "not known: it is still running, or the server was killed before it ended")])
    else:
        show.pairs(
            f"{row.request_id}: {row.outcome}",
            [
                ("asked", f"{row.asked_model} as {row.wire_format}, {'streamed' if row.stream else 'whole'}"),
                ("served by", f"{row.deployment} ({row.egress})" if row.deployment else "nobody"),
                ("why", row.reason),
                *([("fault", f"{row.fault}: {row.fault_message}")] if row.fault else []),
                ("took", f"{row.duration_ms:.1f} ms, of which {row.overhead_ms or 0:.1f} ms were ours"),
                ("cost", cost_of(row)),
            ],
        )
    if decision is not None:
        _decision(decision.features, decision.policy_version, decision.rule, decision.steps, decision.rejected)
    _attempts(detail.attempts)


def _decision(
    features: Features, policy_version: str, rule: str | None, steps: tuple[PlannedStep, ...], rejected: tuple[Rejected, ...]
) -> None:
    tokens = f"{'' if features.prompt_tokens_exact else '~'}{features.prompt_tokens}"
    counts = ((features.messages, "message"), (features.tools, "tool"), (features.images, "image"))
    held = ", ".join(show.counted(count, noun) for count, noun in counts)
    show.pairs(
        "what was known",
        [
            ("task", f"{features.task.value} ({features.task_reason})"),
            ("label", f"{features.label.value} ({features.label_reason})"),
            *([("found", _found(features.findings))] if features.findings else []),
            *([("redacted", _redacted(features))] if features.redacted else []),
            ("prompt", f"{tokens} tokens in {held}"),
            ("caller", f"{features.caller.user} (key {features.caller.key})"),
            ("session", f"{features.session or '-'}{f' of {features.agent}' if features.agent else ''}"),
            *([("tools returned", _progress(features.progress))] if features.progress is not None else []),
            ("ceiling", features.ceiling.value),
        ],
    )
    show.pairs(
        f"the decision (policy {policy_version}, {f'rule {rule!r}' if rule else 'built-in order'})",
        [(f"{number}. {step.deployment}", step.reason) for number, step in enumerate(steps, 1)]
        or [("refused", "no deployment is left")],
    )
    if rejected:
        show.pairs("rejected", [(one.deployment, one.reason) for one in rejected])


def _found(findings: tuple[Finding, ...]) -> str:
    """Kinds and places; the text itself is nowhere kept."""
    return "; ".join(
        f"{one.kind} in piece {one.block}, {f'string {one.part}' if one.part >= 0 else 'across its texts'}, at {one.offset}"
        for one in findings
    )


def _progress(progress: Progress) -> str:
    """How the agent fares, as rules see it."""
    return (
        f"{progress.results} results lately in {progress.turns} turns, {progress.failed_results} failed "
        f"(of the newest ten {progress.failed_share:.0%}), the same failure {progress.repeated_failures} times, "
        f"{progress.edits_without_progress} edits of one file without progress"
    )


def _redacted(features: Features) -> str:
    """What was replaced before anything was sent, and the label there was."""
    counts = ", ".join(f"{one.count} {one.kind}" for one in features.redacted)
    before = features.label_before
    return f"{counts}{f'; the label was {before.value}' if before is not None else ''}"


def _attempts(attempts: tuple[AttemptRecord, ...]) -> None:
    for attempt in attempts:
        usage = attempt.usage
        show.pairs(
            f"attempt {attempt.number}: {attempt.deployment}, {attempt.end}",
            [
                ("mode", _mode(attempt)),
                *([("tool calls", ", ".join(repairs))] if (repairs := _repairs(attempt)) else []),
                ("models", f"sent {attempt.sent_model}, answered {attempt.answered_model or 'unsaid'}"),
                ("took", f"{attempt.duration_ms:.1f} ms, first content after {_ms(attempt.first_content_ms)}"),
                *([("fault", f"{attempt.fault}: {attempt.fault_message}")] if attempt.fault else []),
                *[
                    (f"check {verdict.check}", f"{'poor' if verdict.poor else 'good'} {verdict.detail}")
                    for verdict in attempt.verdicts
                ],
                *(
                    [
                        (
                            "usage",
                            f"{usage.input_tokens} in ({usage.cached_tokens} cached), {usage.output_tokens} out, {usage.basis}",
                        )
                    ]
                    if usage
                    else []
                ),
                ("cost", cost_of(attempt)),
            ],
        )


REPAIRS = {
    "call_by_schema": "asked again, held to the tools' schemas",
    "call_from_text": "read from text",
    "call_json": "broken JSON mended",
    "call_name": "a name in near spelling",
    "call_arguments": "arguments fitted to the schema",
    "call_defaults": "missing arguments from the schema's defaults",
    "call_left": "one could not be repaired and was passed on as it was written",
}
"""What was done about an attempt's tool calls, by the name of the edit."""


def _mode(attempt: AttemptRecord) -> str:
    edits = [edit for edit in attempt.edits if edit not in REPAIRS]
    return f"{attempt.mode}{', edited: ' + ', '.join(edits) if edits else ''}"


def _repairs(attempt: AttemptRecord) -> list[str]:
    return [said for edit, said in REPAIRS.items() if edit in attempt.edits]


def _ms(value: float | None) -> str:
    return "never" if value is None else f"{value:.1f} ms"


def dry_run(
    config: Path | None, request: Path, endpoint: str | None, wire_format: str | None, headers: list[str], *, as_json: bool
) -> None:
    """Decide a request body now. No model is asked, nothing is written; loopback is looked at, as a server would."""
    from freehold.cli.finding import with_found
    from freehold.cli.guess import content_type_of
    from freehold.cli.setup import load_config
    from freehold.server.rehearsal import rehearse

    named = _named(endpoint, wire_format)
    loaded = with_found(load_config(config))
    try:
        body = request.read_bytes()
    except OSError as error:
        show.fail(f"{request}: {error.strerror}")
    said = {"content-type": content_type_of(body), **_headers_of(headers)}
    meant = named or _guessed(loaded, body, said)
    try:
        rehearsed = rehearse(loaded, meant, body, said)
    except FaultError as error:
        place = f" (at {error.fault.param})" if error.fault.param else ""
        show.fail(f"{error.fault.kind}: {error.fault.message}{place}{'' if named else _as_guessed(meant)}")
    features, plan = rehearsed.features, rehearsed.plan
    steps = tuple(PlannedStep(step.placed.id, step.reason, step.redacted) for step in plan.steps)
    if as_json:
        show.print_json(
            {
                "endpoint": meant,
                "is_guessed": named is None,
                "policy_version": loaded.policy.version,
                "features": features,
                "rule": plan.rule,
                "steps": steps,
                "rejected": plan.rejected,
                "budgets": dict(rehearsed.budgets),
                "refusal": None if plan.refusal is None else msgspec.to_builtins(plan.refusal),
            }
        )
        return
    print(f"as a request to {meant}{'' if named else ' (guessed; --endpoint says otherwise)'}")
    _decision(features, loaded.policy.version, plan.rule, steps, plan.rejected)
    if rehearsed.budgets:
        show.pairs("budgets, as if nothing of them were spent", list(rehearsed.budgets))
    if plan.refusal is not None:
        show.pairs("refusal", [(plan.refusal.kind.value, plan.refusal.message)])


def _named(endpoint: str | None, wire_format: str | None) -> str | None:
    """The endpoint that the options name; None: they name none."""
    from freehold.server.rehearsal import CHATS, ENDPOINTS
    from freehold.wire.formats import CODECS

    if wire_format is None:
        if endpoint is None or endpoint in ENDPOINTS:
            return endpoint
        show.fail(f"--endpoint is one of {', '.join(ENDPOINTS)}, not {endpoint!r}", 2)
    if endpoint is not None:
        show.fail("--endpoint and --format say the same thing: give one of them", 2)
    meant = next((path for path, codec in CHATS.items() if wire_format == codec.FORMAT), None)
    if meant is None:
        show.fail(f"--format is one of {', '.join(CODECS)}, not {wire_format!r}", 2)
    return meant


def _guessed(config: "Config", body: bytes, headers: Mapping[str, str]) -> str:
    """The endpoint that a body looks like. Ends the command where it looks like none, or like several."""
    from freehold.cli.guess import MESSAGES, guess
    from freehold.server.rehearsal import ENDPOINTS

    if "anthropic-version" in headers:
        return MESSAGES
    fitting = guess(body, lambda model: tuple(one.deployment.abilities for one in config.policy.resolve(model) or ()))
    if len(fitting) != 1:
        looks = f"fits {', '.join(fitting)}" if fitting else f"looks like no request that is decided ({', '.join(ENDPOINTS)} are)"
        show.fail(f"the body {looks}; say with --endpoint where it would be sent", 2)
    return fitting[0]


def _as_guessed(endpoint: str) -> str:
    return f"; it was taken for a request to {endpoint}, --endpoint says otherwise"


def _headers_of(lines: list[str]) -> Mapping[str, str]:
    headers = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon:
            show.fail(f"a header is `name: value`, not {line!r}", 2)
        headers[name.strip().lower()] = value.strip()
    return headers
