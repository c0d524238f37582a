"""Completions: nothing is lost, cuts change nothing, and no bytes whatever raise anything but a fault."""

import contextlib
import itertools
import json
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from freehold.chat import Event, Finished, Started, TextDelta, Usage, UsageReported, fold, unfold
from freehold.fault import FaultError
from freehold.runtime import FillIn
from freehold.wire import openai_completions
from freehold.wire.codec import Asked, Sent
from freehold.wire.openai_completions.fim import fill_in

QUICK = settings(max_examples=60, deadline=None)
ASKED = Asked(model="m", stream_usage=True, reply_id="r", now_s=1)
text = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
counts = st.integers(0, 10**6)


@st.composite
def replies(draw: st.DrawFn) -> list[Event]:
    """The events of a reply of one to three choices, interleaved."""
    events: list[Event] = [Started("id", "m", 5, None, draw(st.none() | st.just("fp")))]
    choices = draw(st.integers(1, 3))
    for _ in range(draw(st.integers(0, 6))):
        said, at = draw(text.filter(bool)), draw(st.integers(0, choices - 1))
        logprobs = [{"token": said, "logprob": -0.5, "bytes": list(said.encode()), "top_logprobs": []}]
        events.append(TextDelta(said, at, draw(st.none() | st.just(msgspec.Raw(msgspec.json.encode(logprobs))))))
    for at in draw(st.permutations(range(choices))):
        events.append(Finished(draw(st.sampled_from(["stop", "length", "content_filter"])), None, at))
    cached = draw(counts)
    usage = Usage(input_tokens=cached + draw(counts), output_tokens=draw(counts), cached_tokens=cached)
    return [*events, UsageReported(usage)]


def write(events: list[Event]) -> bytes:
    writer = openai_completions.writer(ASKED)
    return b"".join(map(writer.write, events)) + writer.close()


def read(stream: bytes, cuts: list[int] | None = None) -> list[Event]:
    reader = openai_completions.reader()
    edges = [0, *sorted(cuts or []), len(stream)]
    return [*(event for start, end in itertools.pairwise(edges) for event in reader.feed(stream[start:end])), *reader.end()]


@QUICK
@given(replies(), st.data())
def test_what_is_written_is_read_again_wherever_it_is_cut(events: list[Event], data: st.DataObject) -> None:
    stream = write(events)
    cuts = data.draw(st.lists(st.integers(0, len(stream)), max_size=5))
    assert fold(read(stream, cuts)) == fold(events)
    pipe = openai_completions.relay_pipe(ASKED)
    edges = [0, *sorted(cuts), len(stream)]
    out = b"".join(pipe.feed(stream[start:end]) for start, end in itertools.pairwise(edges)) + pipe.end()
    assert out == stream
    assert not pipe.tap.edits
    assert pipe.tap.usage == fold(events).usage


@QUICK
@given(replies())
def test_a_whole_answer_says_what_the_stream_said(events: list[Event]) -> None:
    reply = fold(events)
    body = openai_completions.write_whole(reply, ASKED)
    again = fold(openai_completions.reader().whole(body))
    assert [choice.parts for choice in again.choices] == [choice.parts for choice in reply.choices]
    assert [choice.finish for choice in again.choices] == [choice.finish for choice in reply.choices]
    assert again.usage == reply.usage
    assert openai_completions.relay_whole(body, ASKED)[0] is body
    assert fold(unfold(again)) == again


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=6,
)
prompts = (
    text
    | st.lists(text, max_size=3)
    | st.lists(st.integers(0, 99), max_size=3)
    | st.lists(st.lists(st.integers(), max_size=2))
    | JSON
)
bodies = st.fixed_dictionaries(
    {"model": st.just("m") | JSON, "prompt": prompts},
    optional={
        name: JSON | sensible
        for name, sensible in {
            "suffix": text, "max_tokens": st.integers(-3, 99), "n": st.integers(0, 3), "best_of": st.integers(0, 3),
            "echo": st.booleans(), "logprobs": st.integers(0, 5), "stop": st.lists(text, max_size=2), "stream": st.booleans(),
            "stream_options": st.just({"include_usage": True}), "logit_bias": st.just({"5": 1}),
        }.items()
    },
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(bodies)
def test_any_body_is_taken_or_refused_and_a_relay_changes_only_what_it_names(body: dict[str, Any]) -> None:
    marks = FillIn(prefix="<P>", suffix="<S>", middle="<M>", stop=("<E>",))
    try:
        envelope = openai_completions.peek(json.dumps(body).encode())
        described = [openai_completions.describe(block) for block in envelope.blocks]
        out, edits = openai_completions.relay_request(envelope, Sent(model="served", max_tokens_ceiling=50, fill_in=marks))
    except FaultError:
        return
    assert described
    fields = {
        "model": {"model"}, "usage_asked": {"stream_options"}, "max_tokens_clamped": {"max_tokens"},
        "fim_prompt": {"prompt", "suffix", "stop"},
    }  # fmt: skip
    changed = set().union(*(fields[edit] for edit in edits))
    sent = json.loads(out)
    assert {key: value for key, value in sent.items() if key not in changed} == {
        key: value for key, value in body.items() if key not in changed
    }
    try:
        request = openai_completions.read_request(envelope)
    except FaultError:
        return
    assert not envelope.needs_raw
    assert not envelope.fill_in
    assert request.max_tokens == envelope.max_tokens


@given(
    st.binary(max_size=60)
    | replies().map(write).flatmap(lambda one: st.integers(0, len(one)).map(lambda at: one[:at] + b"\x00" + one[at:]))
)
@QUICK
def test_no_bytes_of_an_upstream_raise_anything_but_a_fault(stream: bytes) -> None:
    pipe = openai_completions.relay_pipe(ASKED)
    for attempt in (
        lambda: read(stream),
        lambda: pipe.feed(stream) + pipe.end(),
        lambda: openai_completions.reader().whole(stream),
        lambda: openai_completions.relay_whole(stream, ASKED),
    ):
        with contextlib.suppress(FaultError):
            attempt()


@given(text, text)
@QUICK
def test_both_texts_stand_in_a_filled_prompt_whole_and_in_order(before: str, behind: str) -> None:
    psm = fill_in(FillIn(prefix="<P>", suffix="<S>", middle="<M>"), before, behind)
    assert psm == "<P>" + before + "<S>" + behind + "<M>"
    spm = fill_in(FillIn(prefix="<P>", suffix="<S>", order="spm"), before, behind)
    assert spm == "<S>" + behind + "<P>" + before
