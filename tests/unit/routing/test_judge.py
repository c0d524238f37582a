from typing import Any

import msgspec
import pytest

from freehold.chat import (
    Choice,
    FinishReason,
    Opaque,
    OutputFormat,
    ReasoningPart,
    Reply,
    TextPart,
    Tool,
    ToolCallPart,
    Usage,
)
from freehold.routing.judge import CHECKS, Evidence, judge

WEATHER = Tool("weather", None, {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]})


def say(text: str, finish: FinishReason | None = "stop", *calls: ToolCallPart) -> Reply:
    parts = ((TextPart(text),) if text else ()) + calls
    return Reply(choices=(Choice(parts=parts, finish=finish),))


def call(arguments: str, name: str = "weather") -> ToolCallPart:
    return ToolCallPart("c1", name, arguments)


def found(check: str, reply: Reply, **asked: Any) -> str | None:
    """What the check found; None when the reply is not poor."""
    (verdict,) = judge(Evidence(reply=reply, **asked), (check,))
    assert verdict.check == check
    return verdict.detail if verdict.poor else None


def test_a_good_answer_passes_every_check_in_the_order_asked():
    verdicts = judge(Evidence(reply=say("Paris.")), tuple(CHECKS))
    assert [verdict.check for verdict in verdicts] == list(CHECKS)
    assert not any(verdict.poor for verdict in verdicts)


def test_an_unknown_check_is_an_error():
    with pytest.raises(KeyError):
        judge(Evidence(reply=say("x")), ("vibes",))


@pytest.mark.parametrize(
    ("reply", "detail"),
    [
        (Reply(), "no choice at all"),
        (say(""), "no text and no tool call"),
        (say(" \n\t "), "no text and no tool call"),
        (Reply(choices=(Choice(parts=(ReasoningPart("hm"),), finish="stop"),)), "only thinking"),
        (say("0"), None),
        (say("", "tool_calls", call("{}")), None),
        (say("", "pause"), None),
        (Reply(choices=(Choice(refusal="no", finish="stop"),)), None),
        (Reply(choices=(Choice(finish="stop"), Choice(parts=(TextPart("x"),), finish="stop"))), None),
        (Reply(choices=(Choice(finish="stop"), Choice(finish="stop"))), "no text and no tool call"),
    ],
)
def test_empty(reply: Reply, detail: str | None):
    assert found("empty", reply) == detail


REFUSALS = [
    "I'm sorry, but I can't help with that.",
    "I\u2019m sorry, I cannot assist with that request.",
    "Sorry, I can't do that.",
    "I cannot provide instructions for this.",
    "I can't help with creating malware.",
    "Unfortunately, I am not able to access your files.",
    "As an AI language model, I do not have opinions.",
    "I must decline this request.",
    "**I'm sorry**, but I won't write that.",
    "I apologize, but I cannot fulfill this request.",
    "Es tut mir leid, aber ich kann dir dabei nicht helfen.",
    "Ich kann diese Anfrage leider nicht beantworten.",
    "Leider kann ich das nicht machen.",
    "Je suis désolé, mais je ne peux pas répondre à cette demande.",
    "Lo siento, pero no puedo ayudarte con eso.",
    "Mi dispiace, ma non posso aiutarti.",
    "Desculpe, mas não posso ajudar com isso.",
    "抱歉\uff0c我无法帮助您。",
    "申し訳ありませんが、お手伝いできません。",
]
ANSWERS = [
    "I'm sorry to hear that your build fails. Set CGO_ENABLED=0 and try again.",
    "Sorry for the confusion! The fix is to await the call.",
    "Unfortunately the API has no such flag; use `--filter` instead.",
    "I can't reproduce the bug on 3.12, so it must be the old wheel.",
    "I cannot find an unused import in this file.",
    "You cannot help being slow here: the loop is quadratic.",
    "Ich kann den Fehler nachstellen, er liegt in Zeile 3.",
    "Je peux vous aider : remplacez la boucle.",
    "No, puedes usar una lista.",
    "We can help by caching the result.",
    "I will not use recursion here, because Python has no tail calls. Instead:\n\nwhile n: n //= 2",
    "I'm sorry, but I can't use the old API. Here it is with the new one:\n```python\nrun()\n```",
    "I'm sorry, but I can't tell which one you mean. " + "Both work as follows. " * 40,
    "",
]


@pytest.mark.parametrize("text", REFUSALS)
def test_a_short_answer_that_opens_with_inability_is_a_refusal(text: str):
    detail = found("refusal", say(text))
    assert detail is not None
    assert detail.startswith("opens with a refusal")


@pytest.mark.parametrize("text", ANSWERS)
def test_an_answer_that_helps_is_no_refusal(text: str):
    assert found("refusal", say(text)) is None


@pytest.mark.parametrize("text", REFUSALS)
def test_an_answer_with_code_or_a_call_is_never_a_refusal(text: str):
    assert found("refusal", say(text + "\n```sh\nls\n```")) is None
    assert found("refusal", say(text, "tool_calls", call("{}"))) is None


@pytest.mark.parametrize("finish", ["refusal", "content_filter"])
def test_a_refusal_by_finish_or_field_counts(finish: FinishReason):
    assert found("refusal", say("", finish)) == f"finished with {finish}"
    assert found("refusal", Reply(choices=(Choice(refusal="No.", finish="stop"),))) == "said in the refusal field"


def usage(tokens: int) -> Usage:
    return Usage(input_tokens=5, output_tokens=tokens)


@pytest.mark.parametrize(
    ("finish", "tokens", "limit", "poor"),
    [
        ("length", 500, None, True),
        ("length", 500, 32_000, True),  # clamped by the window: a larger one would have said more
        ("length", 100, 100, False),  # the client's own limit
        ("length", 96, 100, False),
        ("length", None, 2, False),  # no report: three characters may be two tokens
        ("length", None, 200, True),  # but never two hundred
        ("stop", 100, 100, False),
        (None, 10, None, True),
        ("tool_calls", 10, 10, False),
    ],
)
def test_truncated_unless_the_client_set_that_limit(
    finish: FinishReason | None, tokens: int | None, limit: int | None, poor: bool
):
    reply = say("abc", finish)
    if tokens is not None:
        reply = msgspec.structs.replace(reply, usage=usage(tokens))
    assert (found("truncated", reply, max_tokens=limit) is not None) == poor


SCHEMA = OutputFormat(
    kind="json_schema",
    schema={"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"], "additionalProperties": False},
)
OBJECT = OutputFormat(kind="json_object")


@pytest.mark.parametrize(
    ("text", "output", "detail"),
    [
        ("plain words", None, None),
        ("plain words", OBJECT, "not JSON"),
        ('```json\n{"n": 1}\n```', OBJECT, "not JSON"),
        ('{"n": 1} and more', OBJECT, "not JSON"),
        ('{"n": NaN}', OBJECT, "not JSON"),
        ("[1]", OBJECT, "not a JSON object"),
        (' {"x": 1}\n', OBJECT, None),
        ('{"n": 1}', SCHEMA, None),
        ('{"n": "1"}', SCHEMA, "violates `type` of the schema"),
        ("{}", SCHEMA, "violates `required` of the schema"),
        ('{"n": 1, "secret-of-the-answer": 2}', SCHEMA, "violates `additionalProperties` of the schema"),
        ("[" * 100_000, OBJECT, "not JSON"),
        ("\ud800", OBJECT, "not JSON"),
        ("", OBJECT, "not JSON"),
        ("7", OutputFormat(kind="json_schema"), None),
    ],
)
def test_invalid_json_against_what_was_asked(text: str, output: OutputFormat | None, detail: str | None):
    assert found("invalid_json", say(text), output=output) == detail


def test_a_tool_call_instead_of_the_structured_answer_is_judged_as_a_call_only():
    assert found("invalid_json", say("", "tool_calls", call('{"city": "Oslo"}')), output=SCHEMA) is None


@pytest.mark.parametrize(
    ("arguments", "detail"),
    [
        ('{"city": "Oslo"}', None),
        ('{"city": "Oslo", "unit": "c"}', None),
        ("", "call 1: arguments violate `required`"),
        ('{"city": 3}', "call 1: arguments violate `type`"),
        ('{"city": "Os', "call 1: arguments are not JSON"),
        ('["Oslo"]', "call 1: arguments are not an object"),
    ],
)
def test_tool_arguments_against_the_tools_own_schema(arguments: str, detail: str | None):
    assert found("invalid_tool_arguments", say("", "tool_calls", call(arguments)), tools=(WEATHER,)) == detail


def test_a_call_of_a_tool_that_was_not_offered_is_poor_unless_a_vendors_own_tool_was():
    reply = say("", "tool_calls", call("{}", "web_search"))
    assert found("invalid_tool_arguments", reply, tools=(WEATHER,)) == "call 1: no such tool"
    assert found("invalid_tool_arguments", reply) == "call 1: no such tool"
    opaque = Opaque("anthropic_messages", "web_search_20250305", msgspec.Raw(b"{}"))
    assert found("invalid_tool_arguments", reply, tools=(WEATHER, opaque)) is None


def test_the_second_of_two_parallel_calls_is_judged_too():
    reply = say("", "tool_calls", call('{"city": "Oslo"}'), call("{}"))
    assert found("invalid_tool_arguments", reply, tools=(WEATHER,)) == "call 2: arguments violate `required`"


def test_a_tool_without_a_schema_takes_any_object():
    assert found("invalid_tool_arguments", say("", "tool_calls", call("")), tools=(Tool("weather", None, None),)) is None


LOOPS = [
    "The answer is as follows. " * 40,
    "Let me check the file again.\n" * 30,
    "Intro that is fine. " + "na " * 200,
    " ".join(f"Step {n}: I should look at the file and then look at the file again and then look at it" for n in range(40)),
]
NO_LOOPS = [
    "=" * 500,
    "0, " * 300,
    "AAAA" * 200,
    "| - | - |\n" * 60,
    "".join(f"    case {n}: return handlers[{n * 7}](request, {n});\n" for n in range(60)),
    "".join(f'{{"id": {n}, "name": "user{n}", "mail": "u{n}@example.org"}}, ' for n in range(60)),
    "\n".join(f"def test_{name}(): assert run({name!r}) == {name.upper()!r}" for name in "abcdefghijklmnopqrstuvwxyz"),
    "yes yes yes",
]


@pytest.mark.parametrize("text", LOOPS)
def test_going_in_circles_is_found_in_text_and_in_thinking(text: str):
    assert found("repeats", say(text)) is not None
    assert found("repeats", Reply(choices=(Choice(parts=(ReasoningPart(text), TextPart("x")), finish="stop"),))) is not None


@pytest.mark.parametrize("text", NO_LOOPS)
def test_regular_text_is_no_loop(text: str):
    assert found("repeats", say(text)) is None


def test_the_same_call_three_times_is_a_loop_and_twice_is_not():
    same = call('{"city": "Oslo"}')
    other = call('{"city": "Bergen"}')
    assert found("repeats", say("", "tool_calls", same, same, same)) == "the same tool call over and over"
    assert found("repeats", say("", "tool_calls", same, same, other, other)) is None


def test_no_verdict_quotes_the_answer():
    marker = "sesame7351"
    reply = say(f"I'm sorry, but I can't help with {marker}.", "length", call(f'{{"{marker}": "{marker}"}}', marker))
    verdicts = judge(Evidence(reply=reply, tools=(WEATHER,), output=SCHEMA), tuple(CHECKS))
    assert sum(verdict.poor for verdict in verdicts) >= 2
    assert marker not in repr(verdicts)
