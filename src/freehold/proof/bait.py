"""What tempts a gateway to leave: local servers that point elsewhere, vendors behind every local model, a hostile environment.

All addresses here are the sinkhole's or nobody's. Nothing is served from here but scripted answers on loopback.
"""

from collections.abc import Mapping
from pathlib import Path

import msgspec

from freehold.gateways.fake import Act, Received
from freehold.proof.fetching import obey
from freehold.proof.packets import ANSWER_V4, ANSWER_V6

KEPT_KEY = "keyring"
PORT, BOX_PORT, OLLAMA_PORT, RELAY_PORT = 8840, 9401, 11434, 9402
AWAY = f"http://{ANSWER_V4}"
PLAIN, SPENT = "plain", "spent"
"""Models of a local server that answer; the second one's budget is soon spent, which is told to somebody elsewhere."""
HOSTILE = {
    "HTTP_PROXY": f"{AWAY}:3128",
    "HTTPS_PROXY": f"{AWAY}:3128",
    "ALL_PROXY": f"socks5h://{ANSWER_V4}:1080",
    "http_proxy": f"{AWAY}:3128",
    "https_proxy": f"{AWAY}:3128",
    "all_proxy": f"socks5h://{ANSWER_V4}:1080",
    "NO_PROXY": "",
    "no_proxy": "",
    "OTEL_EXPORTER_OTLP_ENDPOINT": f"{AWAY}:4318",
    "OTEL_TRACES_EXPORTER": "otlp",
    "OTEL_METRICS_EXPORTER": "otlp",
    "OTEL_LOGS_EXPORTER": "otlp",
    "HF_ENDPOINT": AWAY,
    "HF_HUB_OFFLINE": "0",
    "HF_TOKEN": "hf_planted",
    "OPENAI_BASE_URL": f"{AWAY}/v1",
    "OPENAI_API_BASE": f"{AWAY}/v1",
    "ANTHROPIC_BASE_URL": AWAY,
    "OLLAMA_HOST": f"{ANSWER_V4}:11434",
    "PIP_INDEX_URL": f"{AWAY}/simple",
    "SENTRY_DSN": f"http://planted@{ANSWER_V4}/1",
    "WANDB_BASE_URL": AWAY,
    "SSL_CERT_FILE": "/nonexistent/planted.pem",
    "OPENAI_API_KEY": "sk-planted",
    "ANTHROPIC_API_KEY": "sk-ant-planted",
    "GEMINI_API_KEY": "planted",
    "MISTRAL_API_KEY": "planted",
    "GROQ_API_KEY": "planted",
    "DEEPSEEK_API_KEY": "planted",
    "OPENROUTER_API_KEY": "planted",
    "AWS_ACCESS_KEY_ID": "planted",
    "AWS_SECRET_ACCESS_KEY": "planted",
    "DBUS_SESSION_BUS_ADDRESS": f"tcp:host={ANSWER_V4},port=1234",
    "DATABASE_URL": f"postgresql://planted@{ANSWER_V4}/x",
    "PGHOST": str(ANSWER_V4),
    "PGSERVICE": "planted",
    "REDIS_URL": f"redis://{ANSWER_V4}:6379/0",
}
"""Each is one that some library obeys by itself."""
HOPS = {
    "hop-301": (301, AWAY),
    "hop-302": (302, AWAY),
    "hop-303": (303, AWAY),
    "hop-307": (307, AWAY),
    "hop-308": (308, AWAY),
    "hop-tls": (307, f"https://{ANSWER_V4}"),
    "hop-name": (307, "http://redirected.example"),
    "hop-six": (308, f"http://[{ANSWER_V6}]"),
    "hop-schemeless": (302, f"//{ANSWER_V4}"),
    "hop-created": (201, AWAY),
    "hop-refresh": (200, AWAY),
    "hop-upgrade": (426, AWAY),
}
"""Models of a local server that answers with a status and a place to go on to."""
FAILURES: dict[str, Act] = {
    "fails-503": Act(status=503, retry_after="0"),
    "fails-429": Act(status=429, retry_after="0"),
    "fails-html": Act(html=True),
    "fails-cut": Act(cut="before-headers"),
    "fails-event": Act(error_event="first"),
    "fails-empty": Act(empty=True),
    "fails-refusal": Act(refuse=True),
    "fails-mid": Act(cut="mid"),
}
"""Models of a local server that fail, each way a reason to go on elsewhere."""
_ALL = "{ context = 32000, tools = true, images = true, json_schema = true, reasoning = true, logprobs = true, completion = true"
_EVERY = f"{_ALL}, embeddings = true, image_generation = true, transcription = true, speech = true, moderation = true, rerank = true }}"
_FORMATS = '["openai_chat", "openai_responses", "openai_completions", "anthropic_messages", "ollama"]'
_RUNTIMES = (
    ("box", "local", f"http://127.0.0.1:{BOX_PORT}/v1", ""),
    ("relay", "local", f"http://127.0.0.1:{RELAY_PORT}/v1", ""),
    ("lake", "vendor", f"https://{ANSWER_V4}/v1", "env:OPENAI_API_KEY"),
    ("named", "vendor", "https://api.vendor.example/v1", "env:OPENAI_API_KEY"),
    ("tls", "vendor", "https://api.anthropic.com/v1", "env:ANTHROPIC_API_KEY"),
    ("six", "vendor", f"https://[{ANSWER_V6}]/v1", ""),
    ("rack", "self_hosted", "http://rack.team.example:8000/v1", ""),
    ("shelf", "self_hosted", "http://10.9.8.7:8000/v1", ""),
)
AWAYS = tuple(name for name, kind, _, _ in _RUNTIMES if kind != "local")


def write_config(*, embedded: bool, open_wide: bool = False) -> str:
    """`freehold.toml` with a vendor behind every local model. `open_wide`: as far as a file can loosen things."""
    ceiling = '[egress]\nceiling = "vendor"\n'
    first = '["vendor", "self_hosted", "local"]' if open_wide else '["local", "vendor", "self_hosted"]'
    parts = [
        f'[server]\nport = {PORT}\n[log]\nformat = "json"\n[defaults]\nembedded = {str(embedded).lower()}\n{ceiling}',
        f"[discovery]\nlocal = true\nvendors = true\nports = [{OLLAMA_PORT}, {RELAY_PORT}]\nevery_s = 1\n",
    ]
    for name, kind, url, key in _RUNTIMES:
        secret = f'api_key = "{key}"\n' if key else ""
        secret += "batch_api = true\n" if kind == "vendor" else ""
        parts.append(f'[[runtimes]]\nname = "{name}"\nkind = "{kind}"\nbase_url = "{url}"\nformats = {_FORMATS}\n{secret}')
    # Two requests are the whole budget, so that the first one raises an alert and the third is turned to what is free.
    parts.append(f'[alerts]\nwebhook = "https://{ANSWER_V4}/alert"\negress = "vendor"\napi_key = "env:OPENAI_API_KEY"\n')
    parts.append(
        f'[[budgets]]\nname = "bait"\nwindow = "day"\ntokens = 300\nlocal_tokens = true\nwhen = {{ models = ["{SPENT}"] }}\n'
    )
    local = [PLAIN, SPENT, *HOPS, *FAILURES]
    parts += [_deployment("box", model) for model in local]
    parts += [_deployment(name, f"{name}-model") for name in AWAYS]
    # Last: it counts as a vendor's once it is seen, and on loopback it would take the bait before those that are away.
    parts.append(_deployment("relay", "passed-on"))
    away = [f'"{name}/{name}-model"' for name in AWAYS]
    parts.append("[aliases]\n" + "".join(f'"or-{model}" = ["box/{model}", {", ".join(away)}]\n' for model in local))
    parts.append(f'"away-first" = [{", ".join(away)}, "box/{PLAIN}"]\n"away" = [{", ".join(away)}]\n')
    escalate = '{ on = ["empty", "refusal", "invalid_json"], to = ["vendor", "self_hosted"], at_most = 2, hold = "whole" }'
    parts.append(f'[[rules]]\nname = "tempted"\ntry = {first}\nescalate = {escalate}\n')
    return "".join(parts)


def write_stores() -> dict[str, str]:
    """By name, `freehold.toml` with something kept elsewhere: a ledger and accounts are refused when it is read, a key is missing."""
    first = f"[server]\nport = {PORT + 1}\n[discovery]\nlocal = false\nvendors = false\n"
    wide = 'egress = "self_hosted"\n'
    key = (
        f'[[runtimes]]\nname = "kept"\nkind = "local"\nbase_url = "http://127.0.0.1:{BOX_PORT}/v1"\napi_key = "keyring:planted"\n'
    )
    return {
        "postgres": f'{first}[storage]\nurl = "postgresql://planted@{ANSWER_V4}/planted"\n{wide}',
        "postgres-name": f'{first}[storage]\nurl = "postgresql://planted@ledger.team.example/planted"\n{wide}',
        "redis": f'{first}[storage]\nredis = "redis://{ANSWER_V4}:6379/0"\n{wide}',
        "redis-name": f'{first}[storage]\nredis = "rediss://accounts.team.example:6379/0"\n{wide}',
        KEPT_KEY: f"{first}{key}",
    }


def _deployment(runtime: str, model: str) -> str:
    return (
        f'[[deployments]]\nid = "{runtime}/{model}"\nmodel = "{model}"\nruntime = "{runtime}"\nserved_as = "{model}"\n'
        f"abilities = {_EVERY}\nfree = true\n"
    )


def play(received: Received) -> Act | None:
    """The local server: an ordinary one for `plain`, else as its model's name says. It fetches what engines fetch."""
    obey(received.body)
    model = _model_of(received.body)
    if model in HOPS:
        status, to = HOPS[model]
        return Act(raw=_redirect(status, f"{to}{received.path}"))
    return FAILURES.get(model)


def play_ollama(received: Received) -> Act | None:
    """An Ollama whose models run elsewhere."""
    told: dict[str, object] = {
        "/api/version": {"version": "0.12.0"},
        "/api/tags": {"models": [_cloud("gpt-oss:120b-cloud"), _cloud("qwen3-coder:480b-cloud")]},
        "/api/ps": {"models": []},
    }
    body = told.get(received.path)
    if received.path == "/":
        return Act(raw=_whole(b"Ollama is running", "text/plain"))
    if body is None and received.method == "GET":
        return Act(status=404)
    return None if body is None else Act(raw=_whole(msgspec.json.encode(body)))


def play_relay(received: Received) -> Act | None:
    """A gateway that the file calls local."""
    return Act(raw=_whole(b'"I\'m alive!"')) if received.path == "/health/liveliness" else None


def environment(outside: Mapping[str, str], home: str, *, local_only: bool) -> dict[str, str]:
    """What the gateway and the commands see: an empty home, and everything that libraries follow by themselves."""
    kept = {name: outside[name] for name in ("PATH", "LANG", "PYTHONPATH", "LD_LIBRARY_PATH", "VIRTUAL_ENV") if name in outside}
    return {
        **kept,
        **HOSTILE,
        "HOME": f"{home}/empty",
        "FREEHOLD_HOME": f"{home}/data",
        "FREEHOLD_CONFIG": f"{home}/freehold.toml",
        "COLUMNS": "80",
        **({"FREEHOLD_LOCAL_ONLY": "1"} if local_only else {}),
    }


def share_weights(data_dir: Path, home: Path) -> None:
    """Let the gateway under proof find the weights that are here, and nothing else of this user's data."""
    weights = data_dir / "weights"
    if weights.is_dir():
        (home / "data" / "weights").symlink_to(weights, target_is_directory=True)


def _model_of(body: bytes) -> str:
    try:
        read = msgspec.json.decode(body)
    except (msgspec.DecodeError, ValueError):
        return ""
    return str(read.get("model", "")) if isinstance(read, dict) else ""


def _cloud(name: str) -> dict[str, object]:
    return {"name": name, "model": name, "remote_host": AWAY, "remote_model": name, "size": 384, "details": {}}


def _redirect(status: int, to: str) -> bytes:
    where = f'location: {to}\r\nrefresh: 0; url={to}\r\nalt-svc: h2="{ANSWER_V4}:80"\r\nlink: <{to}>; rel=preload\r\n'
    upgrade = "connection: upgrade\r\nupgrade: h2c\r\n" if status == 426 else ""
    return f"HTTP/1.1 {status} Moved\r\n{where}{upgrade}content-type: application/json\r\ncontent-length: 2\r\n\r\n{{}}".encode()


def _whole(body: bytes, content_type: str = "application/json") -> bytes:
    head = f"HTTP/1.1 200 OK\r\ncontent-type: {content_type}\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n"
    return head.encode() + body
