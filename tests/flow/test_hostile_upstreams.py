"""Whatever an upstream sends: a typed fault and the next step, or the answer, or an error event; never a false end."""

import asyncio
import itertools
from typing import Any

import pytest

from freehold.gateways.fake import FakeRuntime
from support.gateway import NO_ENGINE, Serve, base_url, deployment_toml, runtime_toml
from support.hostile import KEEP, Asked, Step, hostile
from support.hostile_pieces import answer, as_json, chunked, finished, head_chunked, mark, opened, reply, said
from support.hostile_ways import WAYS
from support.rawclient import Answer, ClientFormat, ask, ended_well, text_of

CLIENTS: dict[ClientFormat, tuple[ClientFormat, ...]] = {
    "openai_chat": ("openai_chat", "anthropic_messages"),
    "anthropic_messages": ("openai_chat", "anthropic_messages"),
    "openai_responses": ("openai_responses", "openai_chat"),
    "openai_completions": ("openai_completions",),
    "ollama": ("ollama", "openai_chat"),
}
"""Who asks each kind of upstream: its own format, relayed, and another, translated. No chat becomes a bare completion."""
AT_ONCE = 24
FINE = "[[fake: say=fine]]"
DEADLINES = {
    "patient": {},
    "first_content_timeout": {"first_content_timeout_s": "0.8", "total_timeout_s": "3"},
    "chunk_timeout": {"chunk_timeout_s": "0.8"},
    "total_timeout": {"total_timeout_s": "3"},
}
"""Of each runtime, named after the fault that what is asked of it ends in. The head of a whole answer has all of its time."""
LONGEST_S = 9
"""An error body that hangs is given 3 s; everything else ends much sooner."""


def cases(ways: Any, upstream: ClientFormat) -> list[tuple[str, ClientFormat, bool]]:
    return list(itertools.product(ways, CLIENTS[upstream], (False, True)))


def config_for(bad: str, good: str, upstream: str, ends: dict[str, str]) -> str:
    """Each model has a deployment and an alias of its own, so that no breaker carries over; by what is to come of it.

    It has the deadlines that it is to end by and no others: a busy machine could miss those.
    """
    places = {model: end.rpartition(" ")[2] if end.endswith("timeout") else "patient" for model, end in ends.items()}
    return (
        NO_ENGINE
        + "".join(runtime_toml(name, "local", bad, formats=f'["{upstream}"]', **held) for name, held in DEADLINES.items())
        + runtime_toml("good", "self_hosted", good, formats='["openai_chat", "openai_completions"]')
        + deployment_toml("good", "g", "g", free="true")
        + "".join(deployment_toml(place, model, model, free="true") for model, place in places.items())
        + "[aliases]\n"
        + "".join(f'"ask-{model}" = ["{place}/{model}", "good/g"]\n' for model, place in places.items())
        + '[[rules]]\nname = "in order"\ntry = ["local", "self_hosted"]\n'
    )


def outcome(client_format: ClientFormat, got: Answer, detail: Any, *, stream: bool) -> str:
    """What came of it, in the words of `hostile_ways`; anything that is none of them is spelt out."""
    first, well = detail.attempts[0], ended_well(client_format, got, stream=stream)
    ends = [attempt.end for attempt in detail.attempts]
    try:
        said_what = text_of(client_format, got, stream=stream) if well else ""
    except (KeyError, IndexError, TypeError):
        return f"no answer at all: {got.body[:300]!r}"
    if ends == ["fault", "served"] and well and said_what == "fine":
        return f"next {first.fault}"
    if ends == ["served"] and well:
        return "serves" if "fine" not in said_what else f"from nowhere: {said_what!r}"
    if ends == ["cut"] and not well and got.is_whole and b"error" in got.events_tail:
        return f"cut {first.fault}"
    if ends == ["fault"] and got.status in {400, 413} and b"error" in got.body:
        return f"told {first.fault}"
    return f"{got.status} {ends} {first.fault} {first.fault_message} whole={got.is_whole} {got.body[-300:]!r}"


@pytest.mark.parametrize("upstream", CLIENTS)
async def test_every_hostile_way_ends_as_it_must(serve: Serve, fake: FakeRuntime, upstream: ClientFormat, capsys: Any) -> None:
    wanted = {f"w{number}": case for number, case in enumerate(cases(WAYS, upstream))}
    scripts = {model: WAYS[name].script for model, (name, _, _) in wanted.items()}
    expected = {model: WAYS[name].expected(upstream, form, stream=stream) for model, (name, form, stream) in wanted.items()}
    defects: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: defects.append(context))
    async with hostile(scripts) as bad:
        served = await serve(config_for(bad.url, base_url(fake), upstream, expected))
        port, turn, loop = int(served.url.rsplit(":", 1)[1]), asyncio.Semaphore(AT_ONCE), asyncio.get_running_loop()
        answers: dict[str, tuple[Answer, float]] = {}

        async def once(model: str, client_format: ClientFormat, stream: bool) -> None:
            async with turn:
                began_s = loop.time()
                answers[model] = await ask(client_format, port, FINE, stream=stream, model=f"ask-{model}"), loop.time() - began_s

        async with asyncio.TaskGroup() as group:
            for model, (_, client_format, stream) in wanted.items():
                group.create_task(once(model, client_format, stream))
        wrong = []
        details = served.details()
        for model, (name, client_format, stream) in wanted.items():
            got, took_s = answers[model]
            came = outcome(client_format, got, details[f"ask-{model}"], stream=stream)
            if came != expected[model] or took_s > LONGEST_S:
                wrong.append(f"{name}, {client_format}, stream={stream}: {came} in {took_s:.2f} s")
        assert not wrong, "\n".join(wrong)
        assert not defects
        for detail in details.values():
            for attempt in detail.attempts:
                assert attempt.fault != "internal"
                for shown in (attempt.answered_model, attempt.fingerprint):
                    assert shown is None or (len(shown) <= 200 and shown.isprintable())
                assert attempt.usage is None or 0 <= attempt.usage.output_tokens <= 10**9
        for got, _ in answers.values():
            assert "evil" not in str(got.headers), "nothing an upstream says becomes a header"
            assert got.headers.get("x-freehold-runtime") in {*DEADLINES, "good", None}
    assert "defect" not in capsys.readouterr().err


@pytest.mark.parametrize("stream", [False, True])
async def test_bytes_behind_an_answer_reach_nobody(serve: Serve, fake: FakeRuntime, stream: bool) -> None:
    """Response splitting: what stands behind one answer must not be taken for the next one."""

    def script(asked: Asked) -> list[Step]:
        mine = asked.body["messages"][-1]["content"]
        form = asked.format
        if asked.stream:
            proper = head_chunked(form) + chunked(opened(form) + said(form, mine) + finished(form) + mark(form)) + b"0\r\n\r\n"
        else:
            proper = answer(as_json(reply(form, mine)))
        return [proper + answer(as_json(reply(form, f"stolen from {mine}"))), KEEP]

    async with hostile({"m": script}) as bad:
        served = await serve(config_for(bad.url, base_url(fake), "openai_chat", {"m": "serves"}))
        port = int(served.url.rsplit(":", 1)[1])
        for number in range(20):
            got = await ask("openai_chat", port, f"nonce {number}", stream=stream, model="ask-m")
            assert text_of("openai_chat", got, stream=stream) == f"nonce {number}"
        assert len({asked.connection for asked in bad.asked}) == 20, "a connection with bytes to spare is not used again"
    assert fake.journal == []


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_never_followed(serve: Serve, fake: FakeRuntime, status: int) -> None:
    async with hostile({}) as trap:
        where = f"HTTP/1.1 {status} Elsewhere\r\nlocation: {trap.url}/chat/completions\r\ncontent-length: 0\r\n\r\n".encode()
        async with hostile({"m": lambda _: [where]}) as bad:
            served = await serve(config_for(bad.url, base_url(fake), "openai_chat", {"m": "serves"}))
            got = await ask("openai_chat", int(served.url.rsplit(":", 1)[1]), FINE, stream=False, model="ask-m")
            assert text_of("openai_chat", got, stream=False) == "fine"
            assert served.last().attempts[0].fault == "upstream_error"
            assert "redirect" in served.last().attempts[0].fault_message
        assert trap.connections == 0
