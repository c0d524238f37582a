import json
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from freehold.dispatch.schema_answer import SchemaAnswer

CALLS = '{"calls": [{"name": "a", "arguments": {"x": 1}}, {"name": "b", "arguments": {}}]}'


def read(pieces: list[str], *, reply_is_json: bool = False) -> tuple[str, list[tuple[str, str]]]:
    answer = SchemaAnswer(reply_is_json=reply_is_json)
    words = "".join([answer.feed(piece) for piece in pieces])
    rest, calls = answer.end()
    return words + rest, calls


@pytest.mark.parametrize(
    ("written", "words", "calls"),
    [
        ('{"reply": "hello"}', "hello", []),
        ('\n{ \t"reply"\r\n:\n "hello" \n}\n', "hello", []),
        (r'{"reply": "a\"b\\c\n\t\u00e9\ud83d\ude00"}', 'a"b\\c\n\té😀', []),
        (r'{"reply": "half \ud83d pair"}', "half � pair", []),
        (r'{"reply": "two halves \ud83d\ud83d\ude00 and \ude00"}', "two halves �😀 and �", []),
        ('{"reply": "a raw\nline and a bad \\x escape"}', "a raw\nline and a bad \\x escape", []),
        (CALLS, "", [("a", '{"x": 1}'), ("b", "{}")]),
        (CALLS.replace(" ", "\n  "), "", [("a", '{"x":\n  1}'), ("b", "{}")]),
        ('{"calls": [{"arguments": {"x": 1}, "name": "a"}]}', "", [("a", '{"x": 1}')]),
        ('{"calls": [{"name": "a"}]}', "", [("a", "{}")]),
        ('{"calls": [{"name": "a", "arguments": "{\\"x\\": 1}"}]}', "", [("a", '{"x": 1}')]),
        ('{"calls": [{"name": "a", "arguments": {}}], "reply": "and words"}', "and words", [("a", "{}")]),
        ('{"reply": "and words", "calls": [{"name": "a", "arguments": {}}]}', "and words", [("a", "{}")]),
        ('{"calls": [{"name": "a", "arguments": {}}], "reply": null}', "", [("a", "{}")]),
        ("Paris is the capital.", "Paris is the capital.", []),
        ("  not { json", "  not { json", []),
        ('{"other": 1}', '{"other": 1}', []),
        ('{"reply": 5}', "5", []),
        ('{"reply": ["a"]}', '["a"]', []),
        ('{"reply": "x"} and more', "xand more", []),
        ('{"calls": [{"name": "a", "argu', '{"calls": [{"name": "a", "argu', []),
        ('{"calls": [{"name": "a", "arguments": {"x": [1, "}"]}},\n {"name": "b", "argu', "", [("a", '{"x": [1, "}"]}')]),
        (CALLS[:-2], "", [("a", '{"x": 1}'), ("b", "{}")]),
        ('{"calls": [{"name": "a", "arguments": {"x": "é"}}, {"na', "", [("a", '{"x": "é"}')]),
        ('{"calls": [5, {"name": "a"}', '{"calls": [5, {"name": "a"}', []),
        ('{"reply": "cut in the mid', "cut in the mid", []),
        ('{"reply": "cut in an escape \\u00', "cut in an escape ", []),
        ('{"rep', '{"rep', []),
        ("", "", []),
        (" \n", "", []),
        ("[" * 100_000, "[" * 100_000, []),
        ('{"calls":' + "[" * 100_000, '{"calls":' + "[" * 100_000, []),
    ],
)
def test_what_was_written_is_read(written: str, words: str, calls: list[tuple[str, str]]) -> None:
    assert read([written]) == (words, calls)


def test_a_structured_reply_is_its_json() -> None:
    assert read(['{"reply": {"n": ', "1}}"], reply_is_json=True) == ('{"n": 1}', [])
    assert read(['{"reply": "x"}'], reply_is_json=True) == ('"x"', [])


def test_words_come_out_as_they_come_in() -> None:
    answer = SchemaAnswer()
    assert [answer.feed(piece) for piece in ['{"rep', 'ly": "on', "e tw", "o\\", 'n three"', "}"]] == [
        "",
        "on",
        "e tw",
        "o",
        "\n three",
        "",
    ]
    assert answer.end() == ("", [])


def test_prose_streams_too() -> None:
    answer = SchemaAnswer()
    assert [answer.feed(piece) for piece in [" ", "I ", "think"]] == ["", " I ", "think"]


TEXTS = st.one_of(
    st.text().map(lambda text: json.dumps({"reply": text})),
    st.text().map(lambda text: json.dumps({"reply": text}, ensure_ascii=False, indent=1)),
    st.lists(st.tuples(st.text(min_size=1), st.dictionaries(st.text(), st.integers())), min_size=1, max_size=3).map(
        lambda calls: json.dumps({"calls": [{"name": name, "arguments": arguments} for name, arguments in calls]})
    ),
    st.text(),
    st.text(alphabet='{}[]":,\\ureplycasd08 \n').map(lambda text: '{"reply": "' + text),
)


@settings(max_examples=150, deadline=None)
@given(TEXTS, st.data())
def test_every_cut_gives_the_same_words_and_calls(written: str, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.sets(st.integers(0, len(written)), max_size=8)) | {0, len(written)})
    assert read([written[one:other] for one, other in pairwise(cuts)]) == read([written])
    assert read(list(written)) == read([written])


@settings(max_examples=100, deadline=None)
@given(st.text())
def test_any_reply_survives(text: str) -> None:
    assert read([json.dumps({"reply": text})]) == (text, [])


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.text(), st.dictionaries(st.text(), st.text(), max_size=3)), min_size=1, max_size=4))
def test_any_calls_survive(calls: list[tuple[str, dict[str, str]]]) -> None:
    written = json.dumps({"calls": [{"name": name, "arguments": arguments} for name, arguments in calls]})
    words, read_calls = read([written])
    assert words == ""
    assert [(name, json.loads(arguments)) for name, arguments in read_calls] == calls
