"""Images, audio, moderations and rerank through the whole gateway, asked for by the official client."""

import io
from typing import Any

import httpx
import msgspec
import openai
import pytest

from freehold.gateways.fake import FakeRuntime
from freehold.gateways.fake.media import draw, speak
from freehold.gateways.fake.script import Act
from support.gateway import NO_ENGINE, Serve, Served, base_url, deployment_toml, runtime_toml
from support.openai_schema import fits

EVERYTHING = "{ chat = false, image_generation = true, transcription = true, speech = true, moderation = true, rerank = true }"
PNG = draw(b"a picture")
WAV = b"RIFF" + bytes(32_000)


def config(*runtimes: tuple[str, str, FakeRuntime], rules: str = "") -> str:
    parts = [NO_ENGINE]
    for name, kind, fake in runtimes:
        parts += [runtime_toml(name, kind, base_url(fake)), deployment_toml(name, "media", f"{name}-media", abilities=EVERYTHING)]
    return "\n".join([*parts, rules])


@pytest.fixture
async def served(serve: Serve, fake: FakeRuntime) -> Served:
    return await serve(config(("box", "local", fake)))


def client_of(served: Served) -> httpx.AsyncClient:
    client = httpx.AsyncClient(base_url=served.url, timeout=30, trust_env=False)
    client.close = client.aclose  # type: ignore[attr-defined]
    served.clients.append(client)
    return client


async def test_images_are_made_and_the_client_sees_the_model_it_asked_for(served: Served, fake: FakeRuntime):
    reply = await served.openai().images.generate(model="media", prompt="a red cat", n=2)
    assert reply.data is not None
    assert [bool(one.b64_json) for one in reply.data] == [True, True]
    fits("ImagesResponse", msgspec.json.decode(reply.model_dump_json(exclude_unset=True)))
    assert msgspec.json.decode(fake.journal[0].body) == {"model": "box-media", "prompt": "a red cat", "n": 2}
    row = served.last()
    assert (row.request.operation, row.request.task, row.request.outcome) == ("image_generation", "image-generation", "served")
    assert (row.request.usage.input_tokens, row.request.usage.output_tokens, row.request.usage.basis) == (4, 64, "reported")
    assert (row.attempts[0].edits, row.attempts[0].images) == (("model",), 2)


async def test_an_edit_goes_out_as_it_came_but_for_the_model(served: Served, fake: FakeRuntime):
    client = served.openai()
    reply = await client.images.edit(model="media", image=("cat.png", PNG, "image/png"), prompt="a hat", mask=PNG)
    assert reply.data
    sent = fake.journal[0]
    assert sent.headers["content-type"].startswith("multipart/form-data; boundary=")
    assert b"box-media" in sent.body
    assert sent.body.count(PNG) == 2
    with pytest.warns(DeprecationWarning, match="deprecated"):
        varied = await client.images.create_variation(model="media", image=("cat.png", PNG, "image/png"))
    assert varied.data
    assert [row.operation for row in served.rows()] == ["image_generation", "image_generation"]


async def test_streamed_images_come_as_events(served: Served):
    stream = await served.openai().images.generate(model="media", prompt="a cat", stream=True, partial_images=1)
    events = [event async for event in stream]
    assert [event.type for event in events] == ["image_generation.partial_image", "image_generation.completed"]
    fits("ImageGenStreamEvent", msgspec.json.decode(events[-1].model_dump_json(exclude_unset=True)))
    row = served.last()
    assert (row.request.stream, row.request.usage.output_tokens, row.attempts[0].images) == (True, 64, 1)


async def test_speech_is_written_down_whole_as_text_and_streamed(served: Served, fake: FakeRuntime):
    client = served.openai()
    file = ("talk.wav", io.BytesIO(WAV), "audio/wav")
    whole = await client.audio.transcriptions.create(model="media", file=file)
    assert whole.text == f"{len(WAV)} bytes of talk.wav were heard"
    fits("CreateTranscriptionResponseJson", msgspec.json.decode(whole.model_dump_json(exclude_unset=True)))
    row = served.last()
    assert (row.request.usage, row.attempts[0].audio_s) == (None, pytest.approx(1.0, rel=0.01)), "seconds are no tokens"
    text: Any = await client.audio.transcriptions.create(model="media", file=("t.wav", WAV), response_format="text")
    assert text == f"{len(WAV)} bytes of t.wav were heard\n"
    with pytest.warns(DeprecationWarning, match="deprecated"):
        translated = await client.audio.translations.create(model="media", file=("t.wav", WAV))
    assert translated.text.startswith(str(len(WAV)))
    stream = await client.audio.transcriptions.create(model="media", file=("t.wav", WAV), stream=True)
    events = [event async for event in stream]
    assert "".join(event.delta for event in events if event.type == "transcript.text.delta")
    assert events[-1].type == "transcript.text.done"
    assert served.last().attempts[0].audio_s == pytest.approx(1.0, rel=0.01)
    assert [received.path.rpartition("/")[2] for received in fake.journal] == [
        *("transcriptions", "transcriptions", "translations", "transcriptions")
    ]
    assert {row.operation for row in served.rows()} == {"transcription"}


async def test_speech_is_streamed_out_as_it_comes(served: Served):
    client = served.openai()
    pieces: list[bytes] = []
    async with client.audio.speech.with_streaming_response.create(
        model="media", voice="alloy", input="hello there", response_format="wav"
    ) as response:
        assert response.headers["content-type"] == "audio/wav"
        assert response.headers["x-content-type-options"] == "nosniff"
        async for piece in response.iter_bytes():
            pieces.append(piece)
    assert b"".join(pieces) == speak("hello there")
    row = served.last()
    assert (row.request.operation, row.request.outcome, row.request.usage) == ("speech", "served", None)


async def test_spoken_events_carry_usage(served: Served):
    async with client_of(served).stream(
        "POST", "/v1/audio/speech", json={"model": "media", "voice": "a", "input": "hi", "stream_format": "sse"}
    ) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        body = await response.aread()
    assert b'"speech.audio.done"' in body
    assert served.last().request.usage.output_tokens == 6


async def test_texts_are_moderated(served: Served, fake: FakeRuntime):
    reply = await served.openai().moderations.create(model="media", input=["fine", "harmful words"])
    assert [one.flagged for one in reply.results] == [False, True]
    assert reply.model == "media", "the client sees the model it asked for"
    fits("CreateModerationResponse", msgspec.json.decode(reply.model_dump_json(by_alias=True, exclude_unset=True)))
    assert served.last().attempts[0].edits == ("model", "reply_model")


@pytest.mark.parametrize("path", ["/v1/rerank", "/rerank"])
async def test_documents_are_put_in_order(served: Served, path: str):
    asked = {"model": "media", "query": "red cat", "documents": ["a blue dog", {"text": "the red cat"}], "top_n": 1}
    reply = (await client_of(served).post(path, json=asked)).json()
    assert (reply["model"], reply["results"][0]["index"]) == ("media", 1)
    row = served.last()
    assert (row.request.operation, row.request.usage.input_tokens) == ("rerank", 8)


async def test_a_missing_model_is_the_documented_default(serve: Serve, fake: FakeRuntime):
    served = await serve(
        config(("box", "local", fake)) + '[aliases]\n"omni-moderation-latest" = "media"\n"gpt-image-1" = "media"\n'
    )
    await served.openai().moderations.create(input="fine")
    await served.openai().images.edit(image=("cat.png", PNG, "image/png"), prompt="a hat")
    assert msgspec.json.decode(fake.journal[0].body)["model"] == "box-media"
    assert b'name="model"\r\n\r\nbox-media\r\n' in fake.journal[1].body
    assert [row.asked_model for row in served.rows()] == ["gpt-image-1", "omni-moderation-latest"]


async def test_a_deployment_without_the_ability_is_turned_away_by_name(serve: Serve, fake: FakeRuntime):
    served = await serve(f"{NO_ENGINE}{runtime_toml('box', 'local', base_url(fake))}{deployment_toml('box', 'chatty', 'c')}")
    with pytest.raises(openai.BadRequestError, match="box/chatty: cannot do speech"):
        await served.openai().audio.speech.create(model="chatty", voice="a", input="hi")
    assert not fake.journal
    assert served.last().request.outcome == "failed"


async def test_a_rule_can_match_the_operation(serve: Serve, fake: FakeRuntime, other_fake: FakeRuntime):
    rule = '[[rules]]\nname = "voices stay here"\nwhen = { operations = ["transcription"] }\nallow = { egress = "local" }\n'
    served = await serve(config(("far", "vendor", other_fake), rules=rule))
    with pytest.raises(openai.PermissionDeniedError, match="voices stay here"):
        await served.openai().audio.transcriptions.create(model="media", file=("t.wav", WAV))
    assert not other_fake.journal


@pytest.mark.parametrize(
    "act", [Act(status=503), Act(html=True), Act(cut="before-headers"), Act(cut="after-headers"), Act(empty=True)], ids=repr
)
async def test_a_fault_before_the_first_byte_of_audio_falls_back(serve: Serve, act: Act, other_fake: FakeRuntime):
    broken = FakeRuntime([act])
    await broken.start()
    try:
        served = await serve(config(("first", "local", broken), ("second", "self_hosted", other_fake)))
        audio = await served.openai().audio.speech.create(model="media", voice="a", input="hi")
        assert audio.content == speak("hi")
        row = served.last()
        assert [attempt.end for attempt in row.attempts] == ["fault", "served"]
    finally:
        await broken.stop()


async def test_audio_that_breaks_midway_is_never_taken_for_whole(serve: Serve, other_fake: FakeRuntime):
    broken = FakeRuntime([Act(cut="mid")])
    await broken.start()
    try:
        served = await serve(config(("first", "local", broken), ("second", "self_hosted", other_fake)))
        with pytest.raises(httpx.RemoteProtocolError):
            await client_of(served).post("/v1/audio/speech", json={"model": "media", "voice": "a", "input": "hi"})
        row = served.last()
        assert (row.request.outcome, row.request.fault, [attempt.end for attempt in row.attempts]) == (
            "cut",
            "broken_stream",
            ["cut"],
        )
        assert not other_fake.journal
    finally:
        await broken.stop()


async def test_events_that_break_midway_end_with_an_error_event(serve: Serve):
    broken = FakeRuntime([Act(cut="mid")])
    await broken.start()
    try:
        served = await serve(config(("first", "local", broken)))
        stream = await served.openai().audio.transcriptions.create(model="media", file=("t.wav", WAV), stream=True)
        with pytest.raises(openai.APIError, match="middle of its answer"):
            async for _ in stream:
                pass
        assert served.last().request.outcome == "cut"
    finally:
        await broken.stop()


@pytest.mark.parametrize("act", [Act(error_event="first"), Act(cut="after-headers")], ids=["error", "cut"])
async def test_an_error_before_the_first_event_falls_back(serve: Serve, act: Act, other_fake: FakeRuntime):
    broken = FakeRuntime([act])
    await broken.start()
    try:
        served = await serve(config(("first", "local", broken), ("second", "self_hosted", other_fake)))
        stream = await served.openai().images.generate(model="media", prompt="a cat", stream=True)
        assert [event.type async for event in stream][-1] == "image_generation.completed"
        assert len(served.last().attempts) == 2
    finally:
        await broken.stop()


async def test_a_client_that_leaves_ends_the_upstream(serve: Serve):
    stalled = FakeRuntime([Act(stall="mid")])
    await stalled.start()
    try:
        served = await serve(config(("first", "local", stalled)))
        asked = {"model": "media", "voice": "a", "input": "hi"}
        async with client_of(served).stream("POST", "/v1/audio/speech", json=asked) as response:
            async for _ in response.aiter_bytes():
                break
        await stalled.closed(1)
    finally:
        await stalled.stop()
    assert served.last().request.outcome == "cancelled"


@pytest.mark.parametrize(
    ("path", "sent", "param"),
    [
        ("/v1/images/generations", {"json": {"model": "media"}}, "prompt"),
        ("/v1/images/generations", {"json": {"model": "media", "prompt": "x", "n": 99}}, "n"),
        ("/v1/images/edits", {"json": {"model": "media", "prompt": "x"}}, "images"),
        ("/v1/images/edits", {"data": {"model": "media", "prompt": "x"}, "files": {"picture": b"x"}}, "image"),
        ("/v1/audio/transcriptions", {"json": {"model": "media"}}, "content-type"),
        ("/v1/audio/transcriptions", {"data": {"model": "media"}, "files": {"file": b""}}, "file"),
        ("/v1/audio/transcriptions", {"files": {"file": b"x"}}, "model"),
        ("/v1/audio/transcriptions", {"data": {"model": "media", "stream": "maybe"}, "files": {"file": b"x"}}, "stream"),
        (
            "/v1/audio/transcriptions",
            {"data": {"model": "media", "response_format": "x"}, "files": {"file": b"x"}},
            "response_format",
        ),
        ("/v1/audio/speech", {"json": {"model": "media", "input": ""}}, "input"),
        ("/v1/moderations", {"json": {"model": "media", "input": []}}, "input"),
        ("/v1/rerank", {"json": {"model": "media", "query": "x", "documents": []}}, "documents"),
        ("/v1/rerank", {"json": {"model": "media", "query": "x", "documents": [1]}}, "documents[0]"),
    ],
)
async def test_bad_input_is_told_by_the_field(served: Served, fake: FakeRuntime, path: str, sent: dict[str, Any], param: str):
    response = await client_of(served).post(path, **sent)
    assert (response.status_code, response.json()["error"]["param"]) == (400, param)
    assert not fake.journal
