"""The process of a llama.cpp engine: loads one GGUF file and answers HTTP on a loopback port.

Promised: loopback only, its own key, no browser origin allowed, warnings only in its log (some quote prompts, so the parent
passes on what they mean: `last_words`). Deliberately not done:
embeddings (a server of this kind does either chat or embeddings), and more than one model in a process.

Choices, measured on two cores with SmolLM2-135M (docs/engines.md): each slot has its own key-value memory for a whole
request, because in a shared, smaller pool one request too many makes all running ones fail; flash attention stays on
`auto`, because it reads prompts a fifth faster; a batch is 256 tokens, because that is the grain at which slots take turns.
`OMP_WAIT_POLICY=passive` must be in the environment before the library is loaded.
"""

import threading

import xllamacpp

from freehold.local.child import Parent, Ready, Settings

BATCH_TOKENS = 256
PROMPT_CACHE_MIB = 64
SAME_CONVERSATION = 0.5
"""The share of a prompt that a slot must hold already to be given it. By the library's tenth, a title of forty tokens takes the
slot of an agent's conversation, because every prompt begins with the same few words; what it held is then set aside only where
it fits into `PROMPT_CACHE_MIB`, and an agent's next turn of 6,000 tokens was read whole."""
LOG_WARNINGS = 2
NO_ORIGIN = "http://freehold.invalid"
"""A name that cannot exist (RFC 2606); `null` would let sandboxed pages read answers."""


def params_of(settings: Settings) -> xllamacpp.CommonParams:
    """The engine's parameters. Anything not set here is the library's default for the pinned version."""
    params = xllamacpp.CommonParams()
    params.model.path = settings.weights
    params.model_alias = {settings.model}
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.api_keys = [settings.api_key]
    params.cors_origins = NO_ORIGIN
    params.cors_credentials = False
    params.n_parallel = settings.slots
    params.n_ctx = settings.context * settings.slots
    params.kv_unified = False
    params.slot_prompt_similarity = SAME_CONVERSATION
    params.n_batch = params.n_ubatch = BATCH_TOKENS
    params.cache_ram_mib = PROMPT_CACHE_MIB
    params.ctx_shift = False  # a window that fills up ends the answer; nothing of the prompt is ever dropped for it
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = settings.threads
    params.use_jinja = True
    params.embedding = False
    params.fit_params = False
    params.endpoint_slots = True
    params.endpoint_metrics = True
    params.ui = False
    params.offline = True
    params.verbosity = LOG_WARNINGS
    return params


def main() -> None:
    """Load, report, then answer until the parent ends or asks for the end."""
    parent = Parent()
    settings = parent.settings()
    server = xllamacpp.Server(params_of(settings))
    parent.report(Ready(base_url=f"{server.listening_address}/v1", model=settings.model, slots=settings.slots))
    threading.Event().wait()


if __name__ == "__main__":
    main()
