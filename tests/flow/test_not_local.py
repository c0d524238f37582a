"""What the file calls local and answers like something else is counted as what it is, before the first request."""

import msgspec
import pytest

from freehold.gateways.discovery import Known, read_known
from freehold.gateways.fake import Act, FakeRuntime, Received
from freehold.server import app, discovering
from support.gateway import NO_ENGINE, Serve, base_url, deployment_toml, runtime_toml

LOCAL_ONLY = {"FREEHOLD_LOCAL_ONLY": "1"}
BODY = {"messages": [{"role": "user", "content": "hello"}]}
LOOKING = f"[discovery]\nevery_s = 3600\n{NO_ENGINE}"


@pytest.fixture(autouse=True)
def no_port_but_declared_ones_and_no_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    known = read_known()
    engines = tuple(msgspec.structs.replace(one, ports=(), address_variable=None, processes=()) for one in known.engines)
    monkeypatch.setattr(discovering, "read_known", lambda: Known(engines, known.relays, known.relay_headers))
    monkeypatch.setattr(app, "LOOKS_WITHIN_S", 60.0)  # however busy the machine is that looks


def json_answer(text: str) -> Act:
    head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(text)}\r\nconnection: close\r\n\r\n"
    return Act(raw=(head + text).encode())


def litellm(received: Received) -> Act | None:
    return json_answer('"I\'m alive!"') if received.path == "/health/liveliness" else None


def ollama(received: Received) -> Act | None:
    tags = '{"models":[{"name":"big:latest","model":"big:latest","remote_host":"https://ollama.com","size":400}]}'
    told = {"/api/version": '{"version":"0.12.0"}', "/api/tags": tags, "/api/ps": '{"models":[]}'}
    if received.method == "GET":
        return json_answer(told[received.path]) if received.path in told else Act(status=404)
    return None


@pytest.mark.parametrize(("script", "served_as"), [(litellm, "any"), (ollama, "big")])
async def test_a_gateway_or_a_remote_model_that_the_file_calls_local_serves_nothing_local_only(
    serve: Serve, script: object, served_as: str
) -> None:
    fake = FakeRuntime(script)  # type: ignore[arg-type]  # checked by the fake
    await fake.start()
    try:
        box = runtime_toml("box", "local", base_url(fake)) + deployment_toml("box", "m", served_as)
        served = await serve(LOOKING + box, environ=LOCAL_ONLY)
        placed = served.app.config.policy.placed["box/m"]
        assert placed.egress == "vendor"
        with pytest.raises(Exception, match="ceiling") as refused:
            await served.openai().chat.completions.create(model="m", **BODY)
        assert getattr(refused.value, "status_code", 0) == 403
        assert not [one for one in fake.journal if one.path.endswith(("/chat/completions", "/api/chat"))]
    finally:
        await fake.stop()


async def test_an_ordinary_server_nobody_knows_keeps_the_class_its_operator_gave_it(serve: Serve, fake: FakeRuntime) -> None:
    box = runtime_toml("box", "local", base_url(fake)) + deployment_toml("box", "m", "fake-chat")
    served = await serve(LOOKING + box, environ=LOCAL_ONLY)
    assert served.app.config.policy.placed["box/m"].egress == "local"
    reply = await served.openai().chat.completions.create(model="m", **BODY)
    assert reply.choices[0].message.content
