"""Fields by which a request would steer whoever serves it: to a host, a file, code, a template or another model. Pure.

What Freehold does not know it passes on, which is right for sampling options and wrong for these: an engine or a relay obeys
them behind the decision, where no ceiling, no key's models and no price is looked at. They are refused, for every runtime alike.

Field names are also matched as engines in Go match them (Ollama, LocalAI): whatever the letters' case, the last one counts. A
name that is another spelling of one that was decided by is refused, since the two of us would read different requests.
"""

from collections.abc import Iterable

from freehold.fault import FaultError, Kind, faulty

_HOST = "a request picks no host"
_CODE = "a request brings no code"
_FILE = "a request picks no file"
_TEMPLATE = "a request brings no template"
_MODEL = "which models serve is decided here: ask for one by `model`"
_SESSION = "a request names no state of another"

STEERING = {
    "api_base": _HOST,  # LiteLLM's proxy
    "base_url": _HOST,  # LiteLLM's proxy
    "bootstrap_host": _HOST,  # SGLang, where prefill and decoding are apart
    "bootstrap_port": _HOST,
    "bootstrap_room": _HOST,
    "ec_transfer_params": _HOST,  # vLLM: where encoder outputs are fetched from
    "kv_transfer_params": _HOST,  # vLLM: `remote_host`, `remote_port`
    "custom_logit_processor": _CODE,  # SGLang: a pickled function
    "logits_processors": _CODE,  # vLLM: a qualified name that is imported
    "lora_path": _FILE,  # SGLang
    "chat_template": _TEMPLATE,  # vLLM, SGLang: Jinja
    "fallbacks": _MODEL,  # LiteLLM's proxy
    "models": _MODEL,  # OpenRouter
    "session_params": _SESSION,  # SGLang
}
"""Field to the reason why it is refused. Where each is understood stands beside it."""
_IN_TEMPLATE_OPTIONS = ("chat_template", "tokenizer", "tokenize", "conversation")
"""vLLM gave `chat_template_kwargs` to a function of which these are arguments."""

_READ = frozenset({
    "best_of", "cache_salt", "chat_template_kwargs", "context", "documents", "echo", "format", "functions", "images", "input",
    "instructions", "keep_alive", "logprobs", "max_completion_tokens", "max_output_tokens", "max_tokens", "mcp_servers", "messages",
    "metadata", "model", "n", "options", "output_config", "output_format", "previous_response_id", "prompt", "query", "raw",
    "response_format", "service_tier", "speed", "stream", "stream_options", "suffix", "system", "template", "text", "think",
    "thinking", "tool_choice", "tools", "user",
})  # fmt: skip
"""Fields that a decision, a price or an edit goes by."""
_KNOWN = _READ | STEERING.keys()


def refuse_steering(names: Iterable[str]) -> None:
    """Refuse a body with such a field at its top. Raises FaultError(INVALID_REQUEST) naming it."""
    for name in names:
        if name in STEERING:
            raise _refused(name, STEERING[name])
    together = "".join(names)
    if together.isascii() and together.islower():
        return
    for name in names:
        folded = name.casefold()
        if folded != name and folded in _KNOWN:
            said = f"{name[:100]}: some servers read it as `{folded}`; write it so, and once"
            raise faulty(Kind.INVALID_REQUEST, said, param=name[:100])


def refuse_template_options(options: object) -> None:
    """Refuse `chat_template_kwargs` that hold more than what a template is told. Raises FaultError(INVALID_REQUEST)."""
    for name in _IN_TEMPLATE_OPTIONS:
        if isinstance(options, dict) and name in options:
            raise _refused(f"chat_template_kwargs.{name}", _TEMPLATE)


def _refused(name: str, why: str) -> FaultError:
    return faulty(Kind.INVALID_REQUEST, f"{name[:100]}: is not taken: {why}; leave it out", param=name[:100])
