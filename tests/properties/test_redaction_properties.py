"""Redaction over random prompts: nothing of a finding is sent, and the answer has it again wherever its stream is cut."""

import json
from functools import cache
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from freehold.chat import Finished, Started, TextDelta, ToolCallDelta, ToolCallStarted, fold
from freehold.dispatch.restoring import RestoringWriter, restore_reply
from freehold.features import Label
from freehold.policy.labels import LabelSettings, Pattern
from freehold.routing.detectors.scanner import Detectors
from freehold.routing.placeholders import MARK, Placeholders
from freehold.routing.redaction import Redaction, redact
from freehold.wire.codec import Asked
from freehold.wire.formats import CODECS

KEY = b"k" * 32
PEM = "-----BEGIN PRIVATE KEY-----\n" + "MIIEvQIBADANBgkqhkiG9w0BAQEFAASC\n" * 8 + "Bk3yQ==\n-----END PRIVATE KEY-----"
PLANTED = [
    "ghp_aB3dE6gH9jK2mN5pQ8sT1vW4yZ7bC0eF3hI6",
    "AKIAQ7ZK2MWXN4RT6BVD",
    "4111 1111 1111 1111",
    "DE89 3704 0044 0532 0130 00",
    "ann.lee@corp-mail.example.org",
    "ORION-4711",
    PEM,
]
WORDS = st.text(st.sampled_from('ab :.\n"\\/{}[]\u00e9\U0001f600_REDACT'), max_size=30)
"""Words that hold neither digits nor anything a detector takes, marks and escapes among them."""


@cache
def detectors() -> Detectors:
    pattern = Pattern(name="code", starts=("ORION-",), then="[0-9]{4}", label=Label.RESTRICTED)
    redacted = ("secrets", "cards", "ibans", "emails", "patterns")
    return Detectors(LabelSettings(default=Label.PUBLIC, patterns=(pattern,), redact=redacted))


def redacted(body: bytes, user: str = "ann", wire: Any = "openai_chat") -> Redaction | None:
    return redact(CODECS[wire].peek(body), detectors(), KEY, "key", user)


@st.composite
def prompts(draw: st.DrawFn) -> tuple[str, list[str]]:
    """A text with findings between blanks, and these."""
    found = draw(st.lists(st.sampled_from(PLANTED), min_size=1, max_size=4))
    text = draw(WORDS)
    for one in found:
        text += f" {one} {draw(WORDS)}"
    return text, found


def as_bodies(text: str) -> list[bytes]:
    """The text where a prompt can have it: as a message, escaped to the letter, as a call's arguments, beside the prompt."""
    escaped = "".join(f"\\u{unit:04x}" for unit in memoryview(text.encode("utf-16-le")).cast("H"))
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": json.dumps({"deep": [{"text": text}]})}}
    inner = f'{{"text": "{escaped}"}}'
    spelled = {"id": "c", "type": "function", "function": {"name": "f", "arguments": inner}}
    asked = {"role": "user", "content": "go on"}
    result = {"role": "tool", "tool_call_id": "c", "content": json.dumps([text, {"again": json.dumps({"it": text})}])}
    return [
        json.dumps({"model": "m", "messages": [{"role": "user", "content": text}]}).encode(),
        f'{{"model": "m", "messages": [{{"role": "user", "content": "{escaped}"}}]}}'.encode(),
        json.dumps({"model": "m", "messages": [{"role": "assistant", "content": None, "tool_calls": [call]}, asked]}).encode(),
        json.dumps({"model": "m", "messages": [{"role": "assistant", "tool_calls": [spelled]}, result, asked]}).encode(),
        json.dumps({"model": "m", "messages": [asked], "metadata": {"note": text}, "prediction": [text]}).encode(),
    ]


def all_strings(data: bytes, *, as_meant: bool = False) -> str:
    """Every string of a JSON text, and of JSON within its strings, to any depth. `as_meant`: not the spelling of the latter."""
    seen: list[str] = []

    def walk(value: Any) -> None:
        if isinstance(value, str):
            seen.append(value)
            if value[:1] in {"{", "["}:
                try:
                    within = json.loads(value)
                except ValueError:
                    return
                if as_meant:
                    seen.pop()
                walk(within)
        elif isinstance(value, dict):
            for key, one in value.items():
                seen.append(key)
                walk(one)
        elif isinstance(value, list):
            for one in value:
                walk(one)

    walk(json.loads(data))
    return "\n".join(seen)


@settings(max_examples=60, deadline=None)
@given(prompts())
@example((f"x {PEM} y", [PEM]))
def test_nothing_of_a_finding_is_left_in_what_is_sent(planted: tuple[str, list[str]]) -> None:
    text, found = planted
    for body in as_bodies(text):
        made = redacted(body)
        assert made is not None
        left = all_strings(made.body)
        for one in found:
            assert one not in left
            for line in one.split("\n"):
                assert len(line) < 12 or line not in left
        assert redacted(made.body) is None, "what is left holds something that is found"


@settings(max_examples=60, deadline=None)
@given(prompts())
def test_putting_back_gives_the_body_that_was_sent(planted: tuple[str, list[str]]) -> None:
    text, _ = planted
    for body in as_bodies(text):
        made = redacted(body)
        assert made is not None
        back = made.placeholders.put_back(made.body.decode(), in_json=True)
        # JSON within JSON is escaped once more than putting back can know.
        if all("\n" not in one for one in made.placeholders.originals.values()):
            assert all_strings(back.encode(), as_meant=True) == all_strings(body, as_meant=True)


@settings(max_examples=80, deadline=None)
@given(prompts(), st.lists(st.integers(0, 400), max_size=12), st.sampled_from(sorted(CODECS)))
def test_a_stream_cut_anywhere_gives_the_same(planted: tuple[str, list[str]], cuts: list[int], wire: str) -> None:
    text, _ = planted
    made = redacted(as_bodies(text)[0])
    assert made is not None
    table = made.placeholders
    sent = json.loads(made.body)["messages"][0]["content"] + f" {MARK}GITHUB_TOKEN_AAAAAAAAAAAAAAAA {MARK}"
    places = sorted({min(cut, len(sent)) for cut in cuts} | {0, len(sent)})
    pieces = [sent[start:end] for start, end in pairwise(places)]
    arguments = json.dumps({"text": sent})
    events: list[Any] = [Started("id", "m"), *(TextDelta(piece) for piece in pieces)]
    if wire != "openai_completions":
        events += [ToolCallStarted(0, "c", "f"), *(ToolCallDelta(0, letter) for letter in arguments)]
    events.append(Finished("stop" if wire == "openai_completions" else "tool_calls"))
    codec = CODECS[wire]  # type: ignore[index]  # every key of the table
    asked = Asked(model="m", stream_usage=False, reply_id="r", now_s=0)
    writer = RestoringWriter(codec.writer(asked), table, is_json=False)
    stream = b"".join(map(writer.write, events)) + writer.close()
    reader = codec.reader()
    streamed = fold([*reader.feed(stream), *reader.end()])
    whole = restore_reply(fold(events), table, is_json=False)
    expected = text + f" {MARK}GITHUB_TOKEN_AAAAAAAAAAAAAAAA {MARK}"
    assert whole.choices[0].parts[0].text == expected  # type: ignore[union-attr]  # it is the text
    assert [part for part in streamed.choices[0].parts if hasattr(part, "text")] == [whole.choices[0].parts[0]]
    if wire != "openai_completions":
        for reply in (whole, streamed):
            assert json.loads(reply.choices[0].parts[1].arguments) == {"text": expected}  # type: ignore[union-attr]  # it is the call


def test_every_cut_of_one_text_gives_the_same() -> None:
    made = redacted(as_bodies(f"a {PLANTED[0]} R {PLANTED[1]} b")[0])
    assert made is not None
    sent = json.loads(made.body)["messages"][0]["content"]
    for first in range(len(sent)):
        for second in range(first, len(sent), 3):
            writer = _Collecting()
            restoring = RestoringWriter(writer, made.placeholders, is_json=False)
            for piece in (sent[:first], sent[first:second], sent[second:]):
                restoring.write(TextDelta(piece))
            restoring.write(Finished("stop"))
            assert "".join(writer.texts) == f"a {PLANTED[0]} R {PLANTED[1]} b"


class _Collecting:
    """A writer that keeps the text."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def write(self, event: Any) -> bytes:
        if isinstance(event, TextDelta):
            self.texts.append(event.text)
        return b""

    def close(self) -> bytes:
        return b""

    def fault(self, fault: Any) -> bytes:  # noqa: ARG002 - none is told
        return b""


def test_a_placeholder_is_a_callers_own_and_never_part_of_what_was_written() -> None:
    body = as_bodies(f"x {PLANTED[0]}")[0]
    first, again, other = redacted(body), redacted(body), redacted(body, user="bob")
    assert first is not None
    assert again is not None
    assert other is not None
    assert first.body == again.body
    [made] = first.placeholders.originals
    assert made not in other.placeholders.originals
    quoted = redacted(as_bodies(f"what is {made}? x {PLANTED[0]}")[0])
    assert quoted is not None
    [moved] = quoted.placeholders.originals
    assert moved != made
    assert quoted.placeholders.put_back(f"{made} {moved}", in_json=False) == f"{made} {PLANTED[0]}"


def test_a_found_text_is_replaced_wherever_it_stands() -> None:
    password = "Zx9qLm4Tw2"
    messages = [
        {"role": "user", "content": f'password = "{password}"'},
        {"role": "user", "content": f"{password}? or {password}x"},
    ]
    made = redacted(msgspec.json.encode({"model": "m", "messages": messages}))
    assert made is not None
    assert password not in made.body.decode()
    assert sum(one.count for one in made.counts) == 3


@pytest.mark.parametrize("count", [1, 100])
def test_a_number_of_json_keeps_its_kind(count: int) -> None:
    body = msgspec.json.encode(
        {"model": "m", "seed": 4111111111111111, "messages": [{"role": "user", "content": PLANTED[0] * count}]}
    )
    made = redacted(body)
    if made is not None:
        assert json.loads(made.body)["seed"] == 4111111111111111


def test_the_table_tells_no_text_when_it_is_shown() -> None:
    made = redacted(as_bodies(PLANTED[0])[0])
    assert made is not None
    assert PLANTED[0] not in f"{made!r} {made.placeholders!r}"
    assert isinstance(made.placeholders, Placeholders)
