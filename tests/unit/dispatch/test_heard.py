"""What was said in a stream that broke is counted, however its vendor packs it and however it comes in."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from freehold.chat import Usage
from freehold.dispatch.heard import Heard
from freehold.fit.tokens import load_counter
from freehold.wire.said import texts_in
from support.packed_streams import FORMATS, SAID, one_by_one, spelled

ONE_BY_ONE = one_by_one(40)
MARKS = {"ollama": b"\n"}


def heard(name: str, pieces: list[bytes], said: list[str]) -> int:
    """Tokens by what comes in, of which the first that has any of the text is the first content."""
    one, has_content = Heard(MARKS.get(name, b"data: ")), False
    words = json.dumps(said[0]).encode()
    for piece in pieces:
        if has_content:
            one.more(piece)
        else:
            one.first(piece)
            has_content = words in piece
    return one.tokens()


def grouped(events: list[bytes], sizes: list[int]) -> list[bytes]:
    """So many events at a time, again and again."""
    pieces: list[bytes] = []
    while events:
        for size in sizes:
            pieces.append(b"".join(events[:size]))
            events = events[size:]
    return [piece for piece in pieces if piece]


@pytest.mark.parametrize("name", FORMATS)
@given(sizes=st.lists(st.integers(1, 7), min_size=1, max_size=5), heard_events=st.integers(6, 40))
def test_events_that_come_one_or_several_at_a_time_are_counted_alike(name: str, sizes: list[int], heard_events: int) -> None:
    events = spelled(name, SAID)[:heard_events]
    before = len(spelled(name, []))
    true = load_counter("o200k_base").count("".join(SAID[: max(len(events) - before, 0)]))
    if heard_events > before + sizes[0]:
        assert 0.85 * true <= heard(name, grouped(events, sizes), SAID) <= 1.6 * true
    words = spelled(name, ONE_BY_ONE)[: before + 10 * heard_events]
    assert abs(heard(name, grouped(words, sizes), ONE_BY_ONE) - (len(words) - before)) <= 2


@given(at=st.lists(st.integers(1, 6000), max_size=12))
def test_a_stream_that_is_cut_anywhere_is_counted_roughly(at: list[int]) -> None:
    whole = b"".join(spelled("openai_chat", SAID))
    ends = sorted({min(one, len(whole)) for one in at} | {len(whole)})
    pieces = [whole[begin:end] for begin, end in zip([0, *ends], ends, strict=False)]
    true = load_counter("o200k_base").count("".join(SAID))
    assert heard("openai_chat", pieces, SAID) <= 1.7 * true


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b"", (0, 0)),
        (b'{"content":""}', (0, 0)),
        (b'{"content" : "abc", "model": "not this"}', (1, 3)),
        (b'{"text":"a\\u00e9\\n\\"b"}', (1, 6)),
        (b'{"partial_json":"{\\"a\\":"}{"delta":"x"}', (2, 6)),
        (b'ent":"half"} {"content":"whole"} {"content":"ha', (1, 5)),
        (b'{"content":"\\ud83d"}', (1, 6)),
        (b'{"content":"\xff\xfe\\q"}', (1, 4)),
        (b'{"content":null,"text":{"content":[]}}', (0, 0)),
    ],
)
def test_text_is_found_under_the_keys_of_all_formats(data: bytes, found: tuple[int, int]) -> None:
    assert texts_in(data) == found


def test_a_long_piece_without_an_end_is_looked_through_once() -> None:
    assert texts_in(b'"content":"' + b"\\a" * 1_000_000) == (0, 0)
    assert texts_in(b'"content":"' * 100_000)[0] <= 100_000


def test_a_whole_answer_is_kept_only_where_nobody_counted_it() -> None:
    body = json.dumps({"choices": [{"message": {"content": "".join(SAID)}}]}).encode()
    told, untold = Heard(b"data: "), Heard(b"data: ")
    told.whole(body, Usage(input_tokens=1, output_tokens=1))
    untold.whole(body, None)
    assert told.tokens() == 1
    true = load_counter("o200k_base").count("".join(SAID))
    assert true <= untold.tokens() <= 1.5 * true
