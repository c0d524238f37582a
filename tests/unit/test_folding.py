import msgspec

from freehold.chat import (
    Choice,
    Event,
    Finished,
    ReasoningDelta,
    ReasoningPart,
    Reply,
    Started,
    TextDelta,
    TextPart,
    ToolCallDelta,
    ToolCallPart,
    ToolCallStarted,
    Usage,
    UsageReported,
    fold,
    unfold,
)


def parts_of(*events: Event) -> tuple[object, ...]:
    return fold(events).choices[0].parts


def test_deltas_of_one_kind_become_one_part():
    assert parts_of(TextDelta("a"), TextDelta(""), TextDelta("b"), ReasoningDelta("c"), ReasoningDelta("d"), TextDelta("e")) == (
        TextPart("ab"),
        ReasoningPart("cd"),
        TextPart("e"),
    )


def test_a_signature_closes_its_block_of_thinking():
    assert parts_of(ReasoningDelta("a"), ReasoningDelta("", signature="s"), ReasoningDelta("b")) == (
        ReasoningPart("a", "s"),
        ReasoningPart("b"),
    )


def test_encrypted_thinking_is_a_block_of_its_own():
    assert parts_of(ReasoningDelta("a"), ReasoningDelta("", redacted="x"), ReasoningDelta("b")) == (
        ReasoningPart("a"),
        ReasoningPart("", None, "x"),
        ReasoningPart("b"),
    )


def test_interleaved_calls_keep_their_arguments_apart():
    assert parts_of(
        ToolCallStarted(0, "x", "f"),
        ToolCallDelta(0, '{"a"'),
        ToolCallStarted(1, "y", "g"),
        ToolCallDelta(1, "{}"),
        ToolCallDelta(0, ":1}"),
    ) == (ToolCallPart("x", "f", '{"a":1}'), ToolCallPart("y", "g", "{}"))


def test_a_refusal_stands_apart_from_the_text():
    choice = fold([TextDelta("no", refusal=True), TextDelta("!", refusal=True), Finished("refusal")]).choices[0]
    assert (choice.parts, choice.refusal, choice.finish) == ((), "no!", "refusal")


def test_the_first_start_and_the_last_usage_hold():
    first, last = Usage(input_tokens=1, output_tokens=0), Usage(input_tokens=1, output_tokens=9)
    reply = fold([Started("a", "m", 1, first), Started("b"), UsageReported(first), UsageReported(last)])
    assert (reply.id, reply.usage) == ("a", last)
    assert fold([Started("a", usage=first), TextDelta("x")]).usage == first


def test_a_choice_that_was_cut_has_no_finish():
    assert fold([TextDelta("x")]).choices[0].finish is None


def test_unfolding_gives_one_delta_per_block():
    tokens = msgspec.Raw(b"[1]")
    choice = Choice(
        parts=(ReasoningPart("r", "s"), TextPart("t"), ToolCallPart("x", "f", ""), ToolCallPart("y", "g", "{}")),
        finish="tool_calls",
        logprobs=(tokens, tokens),
        refusal="no",
    )
    reply = Reply(id="a", model="m", created_s=1, choices=(choice,), usage=Usage(input_tokens=1, output_tokens=2))
    assert list(unfold(reply)) == [
        Started("a", "m", 1),
        ReasoningDelta("r", 0, "s"),
        TextDelta("t", 0, tokens),
        ToolCallStarted(0, "x", "f"),
        ToolCallStarted(1, "y", "g"),
        ToolCallDelta(1, "{}"),
        TextDelta("no", refusal=True),
        TextDelta("", 0, tokens),
        Finished("tool_calls"),
        UsageReported(Usage(input_tokens=1, output_tokens=2)),
    ]
    assert fold(unfold(reply)) == reply
