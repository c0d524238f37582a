"""Single-shot operations: what is looked at, what is edited, what a reply shows."""

import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from freehold.chat import Usage
from freehold.fault import FaultError, Kind
from freehold.wire.singles import SINGLE_SHOTS, SingleShot
from freehold.wire.singles.audio import TRANSCRIPTIONS
from freehold.wire.singles.images import EDITS, GENERATIONS
from freehold.wire.singles.moderations import MODERATIONS
from freehold.wire.singles.rerank import RERANK
from freehold.wire.singles.shape import relay_json, relay_request
from freehold.wire.singles.speech import SPEECH, audio_type
from freehold.wire.singles.stream import AudioPipe, SingleEventRelay, write_error_event

FORM = "multipart/form-data; boundary=b"


def form(**fields: str) -> bytes:
    lines = [f'--b\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n' for name, value in fields.items()]
    file = '--b\r\nContent-Disposition: form-data; name="file"; filename="f.wav"\r\n\r\nRIFF\r\n'
    return "".join([*lines, file, "--b--\r\n"]).encode()


def test_a_relay_with_the_same_name_sends_the_very_same_bytes():
    bodies = {
        "/images/generations": b'{"prompt" : "p","model":"m", "x":[1,  2]}',
        "/audio/speech": b'{"model":"m","input":"i","voice":{"id":"v"}}',
        "/moderations": b'{"model":"m","input":[{"type":"image_url","image_url":{"url":"https://example.invalid/x"}}]}',
        "/rerank": b'{"model":"m","query":"q","documents":["a"],"top_n":1}',
    }
    for shot in SINGLE_SHOTS:
        body = bodies.get(shot.path)
        if body is not None:
            assert relay_request(shot.peek(body, "application/json"), "m") == (body, ())
            edited, edits = relay_request(shot.peek(body, "application/json"), "other")
            assert edits == ("model",)
            assert json.loads(edited) == {**json.loads(body), "model": "other"}
    upload = form(model="m", language="en")
    assert relay_request(TRANSCRIPTIONS.peek(upload, FORM), "m") == (upload, ())
    assert relay_request(TRANSCRIPTIONS.peek(upload, FORM), "w") == (upload.replace(b"\r\nm\r\n", b"\r\nw\r\n"), ("model",))


def test_what_a_decision_looks_at_is_read():
    asked = GENERATIONS.peek(b'{"prompt":"a cat","n":3,"stream":true}', "")
    assert (asked.texts, asked.choices, asked.stream, asked.names_model) == (("a cat",), 3, True, False)
    edit = EDITS.peek(b'{"prompt":"p","images":[{"image_url":"https://x.invalid"},{"file_id":"f"}]}', "application/json")
    assert edit.images == 2
    mixed = MODERATIONS.peek(b'{"input":[{"type":"text","text":"a"},{"type":"image_url","image_url":{"url":"u"}}]}', "")
    assert (mixed.model, mixed.texts, mixed.images, mixed.inputs) == ("omni-moderation-latest", ("a",), 1, 2)
    ranked = RERANK.peek(b'{"model":"m","query":"q","documents":["short",{"text":"a longer one"}]}', "")
    assert (ranked.texts, ranked.inputs) == (("q a longer one",), 2)


@pytest.mark.parametrize(
    ("usage", "shown"),
    [
        ({"input_tokens": 3, "output_tokens": 4, "total_tokens": 7}, Usage(input_tokens=3, output_tokens=4, basis="reported")),
        ({"prompt_tokens": 3, "total_tokens": 3}, Usage(input_tokens=3, output_tokens=0, basis="reported")),
        ({"total_tokens": 9}, Usage(input_tokens=9, output_tokens=0, basis="reported")),
        ({"type": "duration", "seconds": 2.5}, None),
        ({"input_tokens": -3}, None),
        ({"input_tokens": "many"}, None),
        (None, None),
    ],
)
def test_tokens_are_counted_only_where_tokens_are_reported(usage: Any, shown: Usage | None):
    _, said = relay_json(json.dumps({"text": "t", "usage": usage}).encode(), TRANSCRIPTIONS, "m")
    assert said.usage == shown


def test_a_reply_keeps_its_bytes_but_for_the_model():
    body = b'{"results" : [{"index":0}], "model":"theirs", "meta":{"x": 1.0}}'
    out, shown = relay_json(body, RERANK, "asked")
    assert json.loads(out) == {**json.loads(body), "model": "asked"}
    assert b'{"x": 1.0}' in out
    assert (shown.answered_model, shown.edits) == ("theirs", ("reply_model",))
    assert relay_json(body, RERANK, "theirs")[0] is body


@pytest.mark.parametrize(
    ("shot", "body", "kind"),
    [
        (RERANK, b"<html>", Kind.INVALID_REPLY),
        (RERANK, b"[]", Kind.INVALID_REPLY),
        (RERANK, b"{}", Kind.INVALID_REPLY),
        (RERANK, b'{"results":[]}', Kind.INVALID_REPLY),
        (RERANK, b'{"results":{"a":1}}', Kind.INVALID_REPLY),
        (GENERATIONS, b'{"data":null}', Kind.INVALID_REPLY),
        (TRANSCRIPTIONS, b'{"text":null}', Kind.INVALID_REPLY),
        (SPEECH, b'{"ok":true}', Kind.INVALID_REPLY),
        (MODERATIONS, b'{"error":{"message":"slow down","type":"rate_limit_error"}}', Kind.RATE_LIMITED),
    ],
)
def test_what_is_no_reply_is_a_fault(shot: SingleShot, body: bytes, kind: Kind):
    with pytest.raises(FaultError) as caught:
        relay_json(body, shot, "m")
    assert caught.value.fault.kind is kind


@pytest.mark.parametrize(
    ("said", "asked", "sent"),
    [
        ("audio/x-wav; rate=16000", None, "audio/x-wav"),
        ("text/html", None, "audio/mpeg"),
        ("", '"opus"', "audio/ogg"),
        ("application/octet-stream", '"wav"', "audio/wav"),
        ("audio/<script>", '"unheard-of"', "application/octet-stream"),
        ("", "null", "audio/mpeg"),
    ],
)
def test_audio_is_declared_as_audio(said: str, asked: str | None, sent: str):
    more = "" if asked is None else f',"response_format":{asked}'
    assert audio_type(said, SPEECH.peek(f'{{"model":"m","input":"i"{more}}}'.encode(), "")) == sent


STREAM = (
    b": a comment\n\n"
    b'event: transcript.text.delta\ndata: {"type":"transcript.text.delta","delta":"he"}\n\n'
    b'data: {"type":"transcript.text.delta","delta":"llo","model":"theirs"}\r\n\r\n'
    b'data: {"type":"transcript.text.done","text":"hello","usage":{"input_tokens":5,"output_tokens":2}}\n\n'
)


def test_a_stream_cut_anywhere_comes_out_the_same():
    def run(*pieces: bytes) -> tuple[bytes, Any]:
        relay = SingleEventRelay(TRANSCRIPTIONS, "asked")
        return b"".join([*map(relay.feed, pieces), relay.end()]), relay.tap.usage

    whole = run(STREAM)
    assert whole[0] == STREAM.replace(b'"theirs"}\r\n\r\n', b'"asked"}\n\n')
    assert whole[1] == Usage(input_tokens=5, output_tokens=2, basis="reported")
    for at in range(len(STREAM) + 1):
        assert run(STREAM[:at], STREAM[at:]) == whole


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"<!doctype html>\n\n", Kind.INVALID_REPLY),
        (b"data: nonsense\n\n", Kind.INVALID_REPLY),
        (b'event: error\ndata: {"message":"x"}\n\n', Kind.UPSTREAM_ERROR),
        (b'data: {"error":{"message":"x","type":"server_error"}}\n\n', Kind.UPSTREAM_ERROR),
        (b'data: {"type":"transcript.text.delta","delta":"x"}\n\n', Kind.BROKEN_STREAM),
        (b"", Kind.BROKEN_STREAM),
    ],
)
def test_a_stream_that_is_none_or_ends_early_is_a_fault(data: bytes, kind: Kind):
    relay = SingleEventRelay(TRANSCRIPTIONS, "asked")
    with pytest.raises(FaultError) as caught:
        relay.feed(data)
        relay.end()
    assert caught.value.fault.kind is kind


def test_no_audio_at_all_is_a_fault():
    with pytest.raises(FaultError):
        AudioPipe().end()


def test_the_event_that_ends_a_broken_stream_is_openais_error(fits_openai: Callable[[str, object], None]):
    with pytest.raises(FaultError) as caught:
        AudioPipe().end()
    event = msgspec.json.decode(write_error_event(caught.value.fault).removeprefix(b"data: ").strip())
    fits_openai("ErrorResponse", {"error": event["error"]})


@pytest.mark.parametrize(
    ("shot", "body", "param"),
    [
        (MODERATIONS, b'{"input":[{"type":"text","text":"a","text":"b"}]}', "input"),
        (MODERATIONS, b'{"input":["x",{"type":"image_url","image_url":{"url":"u","url":"v"}}]}', "input"),
        (RERANK, b'{"model":"m","query":"q","documents":["x",{"text":"a", "text":"b"}]}', "documents"),
        (RERANK, b'{"model":"m","query":"q","documents":[{"text":"a","meta":[{"k":1,"\\u006b":2}]}]}', "documents"),
    ],
)
def test_a_key_said_twice_inside_an_input_is_refused(shot: SingleShot, body: bytes, param: str):
    with pytest.raises(FaultError, match="stands twice") as raised:
        shot.peek(body, "application/json")
    assert (raised.value.fault.kind, raised.value.fault.param) == (Kind.INVALID_REQUEST, param)
    assert shot.peek(
        body.replace(b'"text":"b"', b'"more":"b"').replace(b'"url":"v"', b'"v":"v"').replace(b"\\u006b", b"l"), ""
    ).inputs
