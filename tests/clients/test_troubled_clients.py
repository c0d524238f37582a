"""The real agents and SDKs when their runtime is in trouble: they wait as told, shorten, repeat or report, and never loop.

What a client asked, and when, is read from the gateway's own ledger: the runtime alone would not show who waited, since a
deployment that asked for time is left alone anyway. What each client did is kept in docs/clients.json.
"""

import secrets
from pathlib import Path

import msgspec
import pytest

from clients.conftest import Troubled
from clients.launching import CLIENTS, RUNTIMES, Ended, configuration, launched, requests_of, version_of
from clients.troubles import OVERFLOW, WAIT_S, Moment, Trouble, TroubledModel, once, once_amid
from freehold.gateways.fake import Act, FakeRuntime
from freehold.record import RequestRecord
from support.reading_model import EDITED, file_with_code

pytestmark = [pytest.mark.clients, pytest.mark.timeout(300)]

AGENTS = ["Claude Code", "Codex CLI", "opencode", "Qwen Code", "Continue CLI", "llm", "aider"]
SDKS = [
    "OpenAI SDK, Chat Completions",
    "OpenAI SDK, Responses",
    "Anthropic SDK",
    "Ollama client",
    "LangChain",
    "pydantic-ai",
    "Vercel AI SDK",
]
RETRIES_NOTHING = {"Ollama client"}
REPEATS_NO_STREAM = {"llm", "OpenAI SDK, Chat Completions", "OpenAI SDK, Responses", "Ollama client"}
"""Their streams cannot be taken up again: the program that reads them decides."""
SHORTENS = {"Claude Code", "opencode", "Qwen Code"}
LATE_S = 12
"""A wait may be so much longer than asked for: backing off and a busy machine."""
MOST_REFUSED = {"opencode": 2, "Claude Code": 2, "aider": 10}
"""A refusal costs one request. opencode asks for a title beside its work; Claude Code asks once more, unstreamed, on a 404; aider
takes 402 and 403 for what passes (LiteLLM's `APIError`), for a minute, and cannot be told from the OpenAI SDK."""
REFUSED_S = 60
"""A refused client is watched for so long, its start included."""
PATIENCE_S = 15
"""A trouble that never ends is watched for so long, from the first request on."""
MOST_REQUESTS = 25
"""More in that time is a loop."""


def overflow_once(moment: Moment) -> Act | None:
    return OVERFLOW if moment.times == 0 and moment.has_read else None


def broken_for_ever(moment: Moment) -> Act | None:
    return msgspec.structs.replace(moment.act, cut="mid")


FOR_EVER: dict[str, Trouble] = {
    "down": lambda _: Act(status=503),
    "refusing its credentials": lambda _: Act(status=401),
    "too small": lambda _: OVERFLOW,
    "breaking off": broken_for_ever,
}


class Refusal(msgspec.Struct, frozen=True):
    """Why the gateway serves nobody."""

    fault: str
    config: str = ""
    options: tuple[str, ...] = ()
    """Of `freehold launch`."""


REFUSALS = {
    "a rule refuses": Refusal(
        "refused_by_policy", '[[rules]]\nname = "nothing here"\nwhen = { operations = ["chat"] }\ndeny = { egress = "local" }\n'
    ),
    "no such model": Refusal("unknown_model", options=("--model", "nowhere/none")),
    "a budget is spent": Refusal(
        "budget_spent",
        '[[budgets]]\nname = "ten-tokens"\nwindow = "day"\ntokens = 10\nlocal_tokens = true\nover = "refuse"\n',
    ),
}


class Run(msgspec.Struct, frozen=True):
    """One client's work in one trouble."""

    ended: Ended
    asked: list[RequestRecord]
    did: bool
    """The work is done: the code was said, or stands in the file twice."""


async def worked(
    name: str,
    trouble: Trouble,
    home: Path,
    *,
    longest_s: float = 100,
    window: int = 100_000,
    refusal: Refusal | None = None,
) -> Run:
    """`longest_s`: from its first request on; of one that is refused, from its start."""
    model = TroubledModel(trouble, calls_tools=name != "aider")
    runtime = FakeRuntime(script=model)
    url = await runtime.start()
    work, config = home / "work", home / "freehold.toml"
    work.mkdir()
    code = f"FH-{secrets.token_hex(12)}"
    file = file_with_code(work, code)
    refusal = refusal or Refusal("")
    config.write_text(configuration(url, RUNTIMES["openai_chat, strict"], window) + refusal.config)
    words = [*refusal.options, *(word.replace("{file}", str(file)) for word in CLIENTS[name].words)]
    since = None if refusal.fault else model.asked
    ended = await launched(config, words, work, home=home, longest_s=longest_s, since=since)
    await runtime.stop()
    did = f"{EDITED} {code}" in file.read_text() if name == "aider" else f"The code is {code}" in ended.said
    return Run(ended, requests_of(home), did)


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("name", [*AGENTS, *SDKS])
async def test_it_waits_as_long_as_it_is_told(name: str, status: int, tmp_path: Path, troubled: Troubled) -> None:
    run = await worked(name, once(Act(status=status, retry_after=str(WAIT_S))), tmp_path)
    at = next(at for at, row in enumerate(run.asked) if row.fault in {"rate_limited", "overloaded"})
    if name in RETRIES_NOTHING:
        assert_reported(run, str(status))
        troubled(name, version_of(CLIENTS[name].package), f"{status} with retry-after", "reported")
        return
    waited_s = (run.asked[at + 1].at_ms - run.asked[at].at_ms) / 1000
    assert WAIT_S - 0.1 <= waited_s <= WAIT_S + LATE_S, run
    assert sum(row.outcome == "failed" and row.fault != "unsupported" for row in run.asked) == 1, run
    assert run.did, run
    troubled(name, version_of(CLIENTS[name].package), f"{status} with retry-after", "waited, went on")


@pytest.mark.parametrize("name", [*AGENTS, *SDKS])
async def test_an_overflow_makes_it_shorten_its_conversation_or_say_so(name: str, tmp_path: Path, troubled: Troubled) -> None:
    if name == "aider":
        pytest.skip("aider sends one request: there is nothing to shorten")
    run = await worked(name, overflow_once, tmp_path)
    assert len(run.asked) <= MOST_REQUESTS
    if name in SHORTENS:
        at = next(at for at, row in enumerate(run.asked) if row.fault == "context_overflow")
        assert any(row.task == "auxiliary" for row in run.asked[at:]), "it shortened nothing, or is not recognised"
        assert run.did, run
    else:
        assert_reported(run, "context", "room")
    troubled(name, version_of(CLIENTS[name].package), "overflow", "shortened, went on" if name in SHORTENS else "reported")


@pytest.mark.parametrize(("name", "window"), [("opencode", 9500), ("Codex CLI", 11_500)])
async def test_a_window_little_longer_than_its_prompt_is_enough(name: str, window: int, tmp_path: Path) -> None:
    run = await worked(name, lambda _: None, tmp_path, window=window)
    assert run.did, run
    assert len(run.asked) <= 4, "it shortens its conversation although all of it fits"


@pytest.mark.parametrize("place", ["before-headers", "in-tool", "mid"])
@pytest.mark.parametrize("name", [*AGENTS, *SDKS])
async def test_an_answer_that_breaks_off_is_asked_for_again_or_reported(
    name: str, place: str, tmp_path: Path, troubled: Troubled
) -> None:
    is_answer = place == "mid" and name != "aider"
    run = await worked(name, once_amid(place, answer=is_answer), tmp_path)
    assert len(run.asked) <= MOST_REQUESTS
    reports = name in (RETRIES_NOTHING if place == "before-headers" else REPEATS_NO_STREAM)
    if reports:
        assert_reported(run, "closed the connection")
    else:
        assert run.did, run
        # None, where a kept connection died before an answer began: the gateway itself asks again.
        assert sum(row.outcome in {"failed", "cut"} and row.fault != "unsupported" for row in run.asked) <= 1, run
    told = "reported" if reports else "asked again, went on"
    troubled(name, version_of(CLIENTS[name].package), f"cut {place.replace('-', ' ')}", told)


@pytest.mark.parametrize("runtime", FOR_EVER)
@pytest.mark.parametrize("name", [*AGENTS, "Anthropic SDK", "Vercel AI SDK"])
async def test_no_trouble_makes_it_loop(name: str, runtime: str, tmp_path: Path, troubled: Troubled) -> None:
    run = await worked(name, FOR_EVER[runtime], tmp_path, longest_s=PATIENCE_S)
    assert not run.did
    assert 1 <= len(run.asked) <= MOST_REQUESTS, run
    was_stopped = any(row.fault == "loop_stopped" for row in run.asked)
    if was_stopped:
        assert run.ended.code is not None, "it goes on although it was told to stop"
    ending = "stopped by the gateway" if was_stopped else "gave up" if run.ended.code is not None else "still trying"
    told = f"{len(run.asked)} requests, {ending}"
    troubled(name, version_of(CLIENTS[name].package), f"runtime always {runtime}", told)


@pytest.mark.parametrize("reason", REFUSALS)
@pytest.mark.parametrize("name", [*AGENTS, "OpenAI SDK, Responses", "Vercel AI SDK"])
async def test_a_refusal_is_reported_and_not_asked_again(name: str, reason: str, tmp_path: Path, troubled: Troubled) -> None:
    refusal = REFUSALS[reason]
    run = await worked(name, lambda _: None, tmp_path, longest_s=REFUSED_S, refusal=refusal)
    assert {row.fault for row in run.asked} == {refusal.fault}, run
    assert len(run.asked) <= MOST_REFUSED.get(name, 1), run
    gave_up = run.ended.code is not None
    assert gave_up or name == "aider", run
    ending = "gave up" if gave_up else "still trying"
    troubled(name, version_of(CLIENTS[name].package), f"refused: {reason}", f"{len(run.asked)} requests, {ending}")


def assert_reported(run: Run, *words: str) -> None:
    """It said what was wrong, with few requests and without a made-up answer."""
    said = (run.ended.said + run.ended.log).lower()
    assert any(word in said for word in words), run
    assert not run.did
    assert len(run.asked) <= 6, run
