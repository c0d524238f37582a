"""The fake's images, audio, moderations and reranks: small, deterministic, made from the request. Pure.

A picture is a one-pixel PNG, a transcript says how many bytes of which file came, audio is noise made of the text, harm
is the word "harmful", and relevance is the share of the query's words that a document has.
"""

import base64
import hashlib
import struct
import zlib
from typing import Any

import msgspec

from freehold.fault import FaultError, Kind, faulty
from freehold.gateways.fake.answer import CREATED_S, count_tokens
from freehold.gateways.fake.script import Act
from freehold.gateways.fake.stage import Close, Send, Stall, Step, whole
from freehold.wire.multipart import Form, is_multipart, read_form

PATHS = (
    "/images/generations",
    "/images/edits",
    "/images/variations",
    "/audio/transcriptions",
    "/audio/translations",
    "/audio/speech",
    "/moderations",
    "/rerank",
)
AUDIO_BYTES = 24_000
"""Of each spoken text."""
AUDIO_CHUNK_BYTES = 4_000
SECONDS_PER_BYTE = 1 / 32_000
"""16 kHz, 16 bits, one channel."""

_CATEGORIES = (
    *("hate", "hate/threatening", "harassment", "harassment/threatening", "illicit", "illicit/violent", "self-harm"),
    *("self-harm/intent", "self-harm/instructions", "sexual", "sexual/minors", "violence", "violence/graphic"),
)
_encode = msgspec.json.Encoder().encode
_Asked = dict[str, Any]


def answer_media(path: str, content_type: str, body: bytes, act: Act) -> list[Step]:
    """The steps of the answer at one of `PATHS`. Raises FaultError(INVALID_REQUEST)."""
    asked, form = _read(content_type, body)
    match path.rpartition("/")[2]:
        case "generations" | "edits" | "variations":
            return _picture(path, asked, form, act)
        case "transcriptions" | "translations":
            return _transcript(asked, form, act)
        case "speech":
            return _speak(asked, act)
        case "moderations":
            return whole(200, _encode(_moderate(asked, act)))
        case _:
            return whole(200, _encode(_rerank(asked, act)))


def _read(content_type: str, body: bytes) -> tuple[_Asked, Form | None]:
    if is_multipart(content_type):
        form = read_form(body, content_type)
        return {part.name: form.text(part.name) for part in form.parts if not part.is_file and "[" not in part.name}, form
    try:
        return msgspec.json.decode(body, type=_Asked), None
    except msgspec.DecodeError as error:
        raise _bad(f"the body is no JSON object: {error}") from None


def _picture(path: str, asked: _Asked, form: Form | None, act: Act) -> list[Step]:
    sent = b"" if form is None else b"".join(form.body[part.start : part.end] for part in form.parts if part.is_file)
    picture = base64.b64encode(draw(f"{asked.get('prompt', '')}".encode() + sent)).decode()
    tokens = count_tokens(str(asked.get("prompt") or ""))
    details = {"text_tokens": tokens, "image_tokens": 0}
    usage = {"input_tokens": tokens, "output_tokens": 64, "total_tokens": tokens + 64, "input_tokens_details": details}
    if str(asked.get("stream")).lower() == "true":
        kind = "image_edit" if path.endswith("edits") else "image_generation"
        common = {"b64_json": picture, "created_at": CREATED_S, "size": "1024x1024", "quality": "low"}
        common |= {"background": "opaque", "output_format": "png"}
        partial = {"type": f"{kind}.partial_image", "partial_image_index": 0, **common}
        return _events([partial, {"type": f"{kind}.completed", "usage": usage, **common}], act)
    reply: dict[str, Any] = {"created": CREATED_S, "data": [{"b64_json": picture}] * int(asked.get("n") or 1)}
    return whole(200, _encode(reply if act.usage == "none" else {**reply, "usage": usage}))


def draw(seed: bytes) -> bytes:
    """A PNG of one pixel, whose colour is the seed's."""
    pixel = hashlib.blake2b(seed, digest_size=3).digest()
    chunks = ((b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0)), (b"IDAT", zlib.compress(b"\0" + pixel)), (b"IEND", b""))
    packed = (struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks)
    return b"\x89PNG\r\n\x1a\n" + b"".join(packed)


def _transcript(asked: _Asked, form: Form | None, act: Act) -> list[Step]:
    file = form.find("file") if form is not None else None
    if file is None:
        raise _bad("a form with a file `file` is needed")
    size = file.end - file.start
    text = act.say or f"{size} bytes of {file.filename} were heard"
    usage: dict[str, Any] = {"type": "duration", "seconds": size * SECONDS_PER_BYTE}
    if str(asked.get("model", "")).startswith("gpt-"):
        count = count_tokens(text)
        usage = {"type": "tokens", "input_tokens": size // 100, "output_tokens": count, "total_tokens": size // 100 + count}
    if asked.get("stream") == "true":
        words: list[_Asked] = [{"type": "transcript.text.delta", "delta": word} for word in text.split(" ")]
        return _events([*words, {"type": "transcript.text.done", "text": text, "usage": usage}], act)
    if asked.get("response_format") in {"text", "srt", "vtt"}:
        return whole(200, f"{text}\n".encode(), "text/plain; charset=utf-8")
    reply: dict[str, Any] = {"text": text}
    if asked.get("response_format") == "verbose_json":
        reply |= {"language": "english", "duration": size * SECONDS_PER_BYTE, "segments": []}
    return whole(200, _encode(reply if act.usage == "none" else {**reply, "usage": usage}))


def _speak(asked: _Asked, act: Act) -> list[Step]:
    text = asked.get("input")
    if not isinstance(text, str) or not asked.get("voice"):
        raise _bad("`input` and `voice` are needed")
    audio = b"" if act.empty else speak(text)
    pieces = [audio[at : at + AUDIO_CHUNK_BYTES] for at in range(0, len(audio), AUDIO_CHUNK_BYTES)]
    if asked.get("stream_format") == "sse":
        deltas: list[_Asked] = [{"type": "speech.audio.delta", "audio": base64.b64encode(piece).decode()} for piece in pieces]
        usage = {
            "input_tokens": count_tokens(text),
            "output_tokens": len(pieces),
            "total_tokens": count_tokens(text) + len(pieces),
        }
        return _events([*deltas, {"type": "speech.audio.done", "usage": usage}], act)
    kinds = {"mp3": "audio/mpeg", "wav": "audio/wav", "opus": "audio/ogg", "aac": "audio/aac", "flac": "audio/flac"}
    return _pieces(pieces, kinds.get(str(asked.get("response_format") or "mp3"), "audio/pcm"), act)


def speak(text: str) -> bytes:
    """Noise, the same for the same text."""
    return hashlib.shake_128(text.encode()).digest(AUDIO_BYTES)


def _moderate(asked: _Asked, act: Act) -> _Asked:
    given = asked.get("input")
    inputs = given if isinstance(given, list) and all(isinstance(one, str) for one in given) else [given]
    results: list[_Asked] = []
    for one in inputs:
        harmful = "harmful" in str(one)
        results.append(
            {
                "flagged": harmful,
                "categories": {name: harmful and name == "violence" for name in _CATEGORIES},
                "category_scores": {name: 0.9 if harmful and name == "violence" else 0.01 for name in _CATEGORIES},
                "category_applied_input_types": {name: ["text"] for name in _CATEGORIES},
            }
        )
    return {"id": "modr-fake", "model": act.model or asked.get("model"), "results": results}


def _rerank(asked: _Asked, act: Act) -> _Asked:
    texts = [one if isinstance(one, str) else one.get("text", "") for one in asked.get("documents") or []]
    wanted = set(str(asked.get("query", "")).lower().split())
    scores = [len(wanted & set(text.lower().split())) / max(len(wanted), 1) for text in texts]
    best = sorted(range(len(texts)), key=lambda index: (-scores[index], index))[: asked.get("top_n") or len(texts)]
    results = [{"index": index, "relevance_score": scores[index], "document": {"text": texts[index]}} for index in best]
    tokens = sum(map(count_tokens, texts))
    return {"model": act.model or asked.get("model"), "results": results, "usage": {"total_tokens": tokens}}


def _events(events: list[_Asked], act: Act) -> list[Step]:
    pieces = [b"data: %b\n\n" % _encode(event) for event in events]
    if act.error_event is not None:
        error = b'data: {"type":"error","error":{"message":"the fake was told to fail","type":"server_error"}}\n\n'
        pieces = [error] if act.error_event == "first" else [pieces[0], error]
    return _pieces(pieces, "text/event-stream; charset=utf-8", act)


def _pieces(pieces: list[bytes], content_type: str, act: Act) -> list[Step]:
    """A chunked answer; one that is cut or stalls does so behind its head, or behind its first piece."""
    steps: list[Step] = [Send(f"HTTP/1.1 200 OK\r\ncontent-type: {content_type}\r\ntransfer-encoding: chunked\r\n\r\n".encode())]
    place = act.cut or act.stall
    kept = pieces if place is None else pieces[:1] if place == "mid" else []
    steps += [Send(b"%x\r\n%b\r\n" % (len(piece), piece)) for piece in kept if piece]
    if place is None:
        return [*steps, Send(b"0\r\n\r\n")]
    return [*steps, Close() if act.cut else Stall()]


def _bad(message: str) -> FaultError:
    return faulty(Kind.INVALID_REQUEST, message)
