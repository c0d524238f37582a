"""Ways an upstream can be hostile or broken, and what must come of each: `WAYS`, one line or a few per way.

An expectation is `next FAULT` (the attempt ends in this fault, the next deployment serves), `serves` (the answer goes out
as it is), `cut FAULT` (content went out, then an error event), `told FAULT` (the caller's own fault, nobody else is asked).
"""

import gzip
import json

from support.hostile import HANG, RST, Drip
from support.hostile_pieces import (
    SSE_HEAD,
    answer,
    as_json,
    begun,
    finished,
    good,
    head,
    mark,
    opened,
    ping,
    reply,
)
from support.hostile_scripts import (
    BROKEN,
    HTML,
    INVALID,
    JSON,
    OK,
    SILENT,
    Way,
    body,
    chunk_error,
    compressed,
    deep,
    delta_without_start,
    error_event,
    error_object,
    events,
    hello,
    mid_error,
    odd_index,
    odd_usage,
    plays,
    same_length,
    says,
    split_answer,
    status,
    surrogate,
    twice,
    way,
    whole_or,
    with_length,
)

FRAMING: dict[str, Way] = {
    "an endless header": way(plays(OK + b"x: " + b"a" * 200_000, HANG), INVALID),
    "ten thousand headers": way(OK + b"".join(b"x%d: 1\r\n" % n for n in range(10_000)) + b"\r\n", INVALID),
    "no HTTP at all": way(b"SSH-2.0-OpenSSH_9.6\r\n\r\n", INVALID),
    "HTTP/0.9": way(HTML, INVALID),
    "HTTP/2": way(b"\x00\x00\x12\x04\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00\x64" + b"\x00" * 20, INVALID),
    "TLS": way(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 40, INVALID),
    "a status of one digit": way(b"HTTP/1.1 2 OK\r\n\r\n", INVALID),
    "a status beyond all": way(b"HTTP/1.1 99999 OK\r\n\r\n", INVALID),
    "status 101": way(b"HTTP/1.1 101 Switching Protocols\r\nupgrade: h2c\r\nconnection: upgrade\r\n\r\n", INVALID),
    "status 204": way(b"HTTP/1.1 204 No Content\r\n\r\n", INVALID, BROKEN),
    "status 205": way(b"HTTP/1.1 205 Reset Content\r\ncontent-length: 0\r\n\r\n", INVALID, BROKEN),
    "status 304": way(b"HTTP/1.1 304 Not Modified\r\n\r\n", "next upstream_error"),
    "a thousand 100s": way(lambda asked: [b"HTTP/1.1 100 Continue\r\n\r\n" * 1000, good(asked)], "serves"),
    "100s without end": way(plays(Drip(b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" * 500, 0, step=10**9, times=10)), INVALID),
    "a chunk size that is none": way(chunk_error(b"zz\r\nabc\r\n0\r\n\r\n"), INVALID),
    "a negative chunk": way(chunk_error(b"-5\r\nabc\r\n0\r\n\r\n"), INVALID),
    "a chunk of 2^80 bytes": way(chunk_error(b"100000000000000000000\r\nabc"), INVALID),
    "a chunk without its end": way(chunk_error(b"3\r\nabcdef\r\n0\r\n\r\n"), INVALID),
    "an endless chunk extension": way(plays(OK + b"transfer-encoding: chunked\r\n\r\n3;" + b"x" * 200_000, HANG), INVALID),
    "two framings": way(OK + JSON + b"content-length: 3\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", INVALID),
    "two lengths": way(OK + JSON + b"content-length: 2\r\ncontent-length: 5\r\n\r\n{}abc", INVALID),
    "a negative length": way(OK + JSON + b"content-length: -2\r\n\r\n{}", INVALID),
    "a length that is none": way(OK + JSON + b"content-length: two\r\n\r\n{}", INVALID),
    "a length of 2^70": way(OK + JSON + b"content-length: 1180591620717411303424\r\n\r\n{}", INVALID),
    "a body longer than its length": way(with_length(-1), INVALID, "serves"),
    "a body shorter than its length": way(with_length(9), BROKEN, "serves"),
    "another coding": way(OK + JSON + b"transfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n", INVALID),
    "gzip nobody asked for": compressed("gzip", gzip.compress(as_json(reply("openai_chat")))),
    "a gzip bomb": compressed("gzip", gzip.compress(b"a" * 20_000_000)),
    "brotli": compressed("br", b"\x0b\x02\x80abc\x03"),
    "zstd": compressed("zstd", b"(\xb5/\xfd\x04\x00"),
    "two answers in one": way(split_answer, "serves"),
    "a name of a header with a blank": way(OK + b"x y: 1\r\n" + b"content-length: 2\r\n\r\n{}", INVALID),
    "NUL in a header": way(OK + b"x: a\x00b\r\ncontent-length: 2\r\n\r\n{}", INVALID),
}
SILENCE: dict[str, Way] = {
    "silent before the head": way(plays(HANG), SILENT),
    "silent amid the head": way(plays(OK + b"content-", HANG), SILENT),
    "silent before content": way(plays(SSE_HEAD, HANG), "next total_timeout", SILENT),
    "silent behind the preamble": way(lambda a: [head(a.format) + opened(a.format), HANG], "next total_timeout", SILENT),
    "silent amid the body": way(lambda a: [begun(a), HANG], "next total_timeout", "cut chunk_timeout"),
    "silent behind the finish": way(
        lambda a: [head(a.format) + opened(a.format) + hello(a.format) + finished(a.format), HANG] if a.stream else [good(a)],
        "serves",
        openai_responses_stream="cut chunk_timeout",
        ollama_stream="cut chunk_timeout",
    ),
    "a head that drips": way(plays(Drip(OK + b"x-slow: " + b"a" * 1000, 0.02)), SILENT),
    "pings without end": way(
        lambda a: [head(a.format), Drip(ping(a.format), 0.02, step=100, times=1000)], "next total_timeout", SILENT
    ),
    "an answer that drips": way(lambda a: [Drip(good(a), 0, step=5)], "serves"),
}
CLOSES: dict[str, Way] = {
    "closed before the head": way(plays(), BROKEN),
    "reset before the head": way(plays(RST), BROKEN),
    "closed amid the head": way(OK + b"content-ty", BROKEN),
    "reset amid the head": way(plays(OK + b"content-ty", RST), BROKEN),
    "closed behind the head": way(SSE_HEAD, INVALID, BROKEN),
    "closed before content": way(lambda a: [head(a.format) + opened(a.format)], INVALID, BROKEN),
    "closed amid the body": way(lambda a: [begun(a)], BROKEN, "cut broken_stream"),
    "reset amid the body": way(lambda a: [begun(a), Drip(b"\n", 0.05), RST], BROKEN, "cut broken_stream"),
    "an empty body": way(answer(b""), INVALID),
    "blanks alone": way(answer(b" \r\n\t "), INVALID),
    "an empty stream of a length": way(answer(b"", kind="text/event-stream"), INVALID, BROKEN),
}
BODIES: dict[str, Way] = {
    "a page of HTML": way(answer(HTML, kind="text/html"), INVALID),
    "a page that does not say so": way(answer(HTML, kind="text/plain"), INVALID, ollama_stream=BROKEN),
    "a page under JSON's name": way(answer(HTML), INVALID),
    "a picture": way(answer(b"\x89PNG\r\n\x1a\n" + bytes(100), kind="image/png"), INVALID),
    "no content type": way(
        lambda a: [
            good(a)
            .replace(b"content-type: application/json\r\n", b"")
            .replace(b"content-type: text/event-stream\r\n", b"")
            .replace(b"content-type: application/x-ndjson\r\n", b"")
        ],
        "serves",
    ),
    "a content type that shouts": way(
        lambda a: [
            good(a)
            .replace(b"application/json", b"APPLICATION/JSON; charset=UTF-8")
            .replace(b"text/event-stream", b"TEXT/EVENT-STREAM")
            .replace(b"application/x-ndjson", b"APPLICATION/X-NDJSON")
        ],
        "serves",
    ),
    "a whole answer for a stream": way(lambda a: [answer(as_json(reply(a.format)))], "serves"),
    "a stream for a whole answer": way(
        lambda a: [head(a.format) + opened(a.format) + hello(a.format) + finished(a.format) + mark(a.format)], INVALID, "serves"
    ),
    "a number": way(body(b"7"), INVALID),
    "null": way(body(b"null"), INVALID, openai_completions_stream=BROKEN),
    "a list": way(body(b"[]"), INVALID),
    "an empty object": way(
        body(b"{}"), INVALID, BROKEN, anthropic_stream=INVALID, openai_responses_stream=INVALID, ollama_stream=INVALID
    ),
    "JSON of something else": way(
        body(b'{"hello":"world"}'),
        INVALID,
        BROKEN,
        anthropic_stream=INVALID,
        openai_responses_stream=INVALID,
        ollama_stream=INVALID,
    ),
    "half of it": way(lambda a: [answer(as_json(reply(a.format))[:-5])], INVALID),
    "NUL bytes": way(answer(bytes(1000)), INVALID),
    "bad UTF-8": way(lambda a: [same_length(a, b'"bad"', b'"\xff\xfe\xc0\x80"')], INVALID),
    "lone surrogates": way(surrogate, INVALID),
    "a million levels": way(body(deep), INVALID),
    "NaN": way(body(b'{"choices":[{"index":NaN}],"type":NaN}'), INVALID),
    "numbers beyond all": way(body(b'{"created":1e999,"choices":[{"index":1e999}],"type":1e999}'), INVALID),
    "a key said twice": way(whole_or(good, twice), "serves"),
    "content that is a list": way(lambda a: [same_length(a, b'"bad"', b"[1]")], INVALID),
    "content that is a number": way(lambda a: [same_length(a, b'"bad"', b"12345")], INVALID),
    "usage that is a text": way(
        lambda a: [answer(as_json(reply(a.format) | {"usage": "many", "prompt_eval_count": "many"}))], INVALID
    ),
    "a byte order mark": way(
        whole_or(lambda a: head(a.format) + b"\xef\xbb\xbf" + good(a)[len(head(a.format)) :], good),
        "serves",
        ollama_stream=INVALID,
    ),
    "an error object under 200": way(whole_or(error_object, error_object), "next upstream_error"),
    "an error event first": way(whole_or(lambda a: head(a.format) + error_event(a), error_object), "next upstream_error"),
    "an error event amid content": way(whole_or(mid_error, error_object), "next upstream_error", "cut upstream_error"),
    "usage below zero": way(odd_usage(-5), "serves"),
    "usage of 10^18": way(odd_usage(10**18), "serves"),
    "usage of 10^30": way(odd_usage(10**30), "serves"),
    "a model's name of many lines": way(lambda a: [good(a, model="m\r\nx-freehold-runtime: evil\r\n\r\n<script>")], "serves"),
    "a model's name of 100,000 letters": way(lambda a: [good(a, model="m" * 100_000)], "serves"),
}
EVENTS: dict[str, Way] = {
    "content before the role": way(events(hello, opened, finished, mark), "serves"),
    "no finish": way(
        events(opened, hello, b"data: [DONE]\n\n"),
        "serves",
        "cut broken_stream",
        anthropic_stream="cut invalid_reply",
        ollama_stream="cut invalid_reply",
    ),
    "a finish said twice": way(events(opened, hello, finished, finished, mark), "serves"),
    "no end mark": way(
        events(opened, hello, finished), "serves", openai_responses_stream="cut broken_stream", ollama_stream="cut broken_stream"
    ),
    "two end marks": way(events(opened, hello, finished, mark, mark), "serves"),
    "content behind the finish": way(events(opened, hello, finished, hello, mark), "serves"),
    "rubbish behind the end": way(events(opened, hello, finished, mark, says(b"{rubbish")), "serves"),
    "an error behind the end": way(events(opened, hello, finished, mark, says(b'{"error":{"message":"x"}}')), "serves"),
    "an end and nothing else": way(
        events(mark), "serves", BROKEN, anthropic_stream="serves", openai_responses_stream="serves", ollama_stream="serves"
    ),
    "a finish and nothing else": way(events(finished, mark), "serves"),
    "no stream of events": way(events(b"hello there, how are you\n\n"), "serves", INVALID),
    "events of no JSON": way(events(says(b"{{{{")), "serves", INVALID),
    "events of another kind": way(
        events(b"event: weather\ndata: {}\n\n", opened, hello, finished, mark),
        "serves",
        anthropic_stream=INVALID,
        ollama_stream=INVALID,
    ),
    "a delta whose call never began": way(
        whole_or(delta_without_start, good),
        "serves",
        translated_stream=INVALID,
        anthropic_stream="serves",
        openai_responses_stream="serves",
        openai_responses_translated_stream="serves",
        ollama_translated_stream="serves",
    ),
    "a choice of -1": way(odd_index(-1), "serves"),
    "a choice of 10^9": way(odd_index(10**9), "serves"),
    "rubbish amid content": way(events(opened, hello, says(b"{{{")), "serves", "cut invalid_reply"),
}
STATUSES: dict[str, Way] = {
    "401": way(status(401), "next upstream_auth"),
    "403 as a page": way(status(403, "text/html", HTML), "next upstream_auth"),
    "404 as a text": way(
        status(404, text=b"404 page not found", kind="text/plain"),
        "next upstream_error",
        anthropic_whole="next upstream_model_missing",
        anthropic_stream="next upstream_model_missing",
    ),
    "307": way(status(307, more="location: http://127.0.0.1:9/v1\r\n"), "next upstream_error"),
    "408": way(status(408, text=b""), "next upstream_error"),
    "413": way(
        status(413, text=b"\xff\xfe"),
        "told upstream_rejected",
        anthropic_whole="told too_large",
        anthropic_stream="told too_large",
    ),
    "422": way(status(422, text=b'{"detail":[{"loc":["body"],"msg":"no"}]}'), "told upstream_rejected"),
    "429 with a wait below zero": way(status(429, more="retry-after: -5\r\n"), "next rate_limited"),
    "429 with a wait of 10^9 s": way(status(429, more="retry-after: 1000000000\r\n"), "next rate_limited"),
    "429 with a date": way(status(429, more="retry-after: Fri, 31 Feb 2099 25:61:61 GMT\r\n"), "next rate_limited"),
    "429 with rubbish": way(status(429, more="retry-after: soon, perhaps\r\n", text=b"["), "next rate_limited"),
    "500 with a list": way(status(500, text=b"[1,2,3]"), "next upstream_error"),
    "500 a million levels deep": way(status(500, text=b'{"error":' + b"[" * 100_000), "next upstream_error"),
    "502 as a page": way(status(502, "text/html", HTML * 100), "next upstream_error"),
    "503 with an endless body": way(
        plays(b"HTTP/1.1 503 No\r\n\r\n", Drip(b"x" * 65536, 0, step=65536, times=100)), "next overloaded"
    ),
    "504 that hangs": way(plays(b"HTTP/1.1 504 No\r\ncontent-length: 9\r\n\r\n", HANG), "next upstream_error"),
    "529": way(
        status(529, text=json.dumps({"error": {"type": ["overloaded_error"], "message": {"a": 1}}}).encode()), "next overloaded"
    ),
    "status 299": way(status(299, text=b"{}"), INVALID),
    "status 600": way(status(600), "next upstream_error"),
}
WAYS: dict[str, Way] = {**FRAMING, **SILENCE, **CLOSES, **BODIES, **EVENTS, **STATUSES}
