"""Gathering features: everything a decision may look at, from one request.

Promised: a block of the prompt is read and counted once per caller, so a long agent history costs only what is new;
no prompt text is kept, neither in the cache nor in the features. What detectors find in a block is cached with it.
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from operator import attrgetter

import msgspec

from freehold.costs.dearer import asked_dearer
from freehold.fault import Kind, faulty
from freehold.features import Caller, Features, Finding, Task
from freehold.routing import agents, tasks
from freehold.routing.auxiliary import name_auxiliary
from freehold.routing.detectors.scanner import Detectors, Spot
from freehold.routing.facts_cache import BlockFacts, FactsCache
from freehold.routing.labels import Labelled, as_findings, label_request, other_fields
from freehold.routing.outcomes import Act, read_acts
from freehold.routing.progress import weigh
from freehold.routing.task_rules import Signals
from freehold.runtime import Egress, lower
from freehold.wire.addresses import count_beside, count_in_block, count_in_body
from freehold.wire.codec import Block, Envelope

MESSAGE_TOKENS = 4
"""What a chat template puts around one message: begin, role, separator, end (OpenAI's cookbook: 3 and the role)."""
REPLY_TOKENS = 3
"""What primes the answer at the end of the prompt."""
TOOL_CALL_TOKENS = 12
"""What a template puts around one call or result: brackets, keys and an id."""
TOOLS_TOKENS = 16
"""What introduces the tools, once."""
IMAGE_TOKENS = 800
"""Flat estimate of one image: vendors charge 85 to about 1,600 by size, which is not looked at."""

CEILING_HEADER = "x-freehold-ceiling"
HINT_PREFIX = "x-freehold-hint-"
MOST_HINTS = 16
LONGEST_HINT = 200
_BESIDE = 0x5BD1E995_9E3779B9
"""Keeps the facts of fields beside the prompt apart from those of blocks: any constant will do."""


_SEAM = 0x27D4EB2F_165667C5
"""Keeps the facts of where two blocks meet apart, as above."""
SEAM_CHARS = 1024
"""Of each of two messages of one role that are looked at where they meet."""


class _Asking(msgspec.Struct):
    """A user's last own text: its bytes, its place in the cache, its facts, and the block where it was just read."""

    raw: msgspec.Raw
    place: int
    facts: BlockFacts
    block: Block | None


_Read = tuple[BlockFacts, msgspec.Raw, int, Block | None]
"""A block as it was met: its facts, its bytes, its place in the cache, and what was read of it where that was just done."""
_BESIDE_TALK = frozenset({"system", "tools"})
_role_of, _tokens_of, _images_of, _acts_of, _fetches_of = map(attrgetter, ("role", "tokens", "images", "acts", "fetches"))


class _Prompt(msgspec.Struct):
    """The sums over a prompt's blocks, and the two blocks that matter for the task."""

    tokens: int
    images: int
    messages: int
    result_is_last: bool
    asking: _Asking | None
    findings: list[Finding]
    turns: int
    acts: list[Act]
    fetches: int


def gather(
    envelope: Envelope,
    describe: Callable[[msgspec.Raw], Block],
    caller: Caller,
    headers: Mapping[str, str],
    cache: FactsCache,
    count: Callable[[str], int],
    detectors: Detectors,
    *,
    exact: bool,
    ceiling: Egress = Egress.VENDOR,
    operation: str | None = None,
) -> Features:
    """The features of a chat, completion or count_tokens request; `operation` None: the envelope's own.

    `headers` have lower-case names. `exact` says that `count` is the asked model's own tokenizer; the total is
    exact only for text, since how a vendor renders tools and sees images is not published. `detectors` hold the server's
    label, `ceiling` is its ceiling; everything else can only raise the one and lower the other.

    Raises FaultError(INVALID_REQUEST) from `describe` and for a label, dataset or ceiling header that is unknown.
    """
    prompt = _read_prompt(envelope, describe, caller, cache, count, detectors)
    labelled = label_request(detectors, caller, headers, prompt.findings)
    client = agents.recognise(headers, envelope.session_hint)
    operation = operation or envelope.operation
    task, reason = _name_task(envelope, prompt, client, operation, describe, cache)
    auxiliary = name_auxiliary(task, reason, client, envelope, lambda: _signals(prompt.asking, describe, cache))
    return Features(
        operation=operation,
        fill_in=envelope.fill_in,
        needs_raw=envelope.needs_raw,
        needs_echo=envelope.needs_echo,
        wire_format=envelope.format,
        asked_model=envelope.model,
        caller=caller,
        prompt_tokens=_longest(envelope, describe, count) if envelope.blocks_apart else prompt.tokens,
        prompt_tokens_exact=exact and not prompt.images and not envelope.tools,
        max_tokens=envelope.max_tokens,
        messages=prompt.messages,
        stream=envelope.stream,
        tools=envelope.tools,
        images=prompt.images,
        schema=envelope.schema,
        logprobs=envelope.logprobs,
        choices=envelope.choices,
        task=task,
        task_reason=reason,
        label=labelled.label,
        label_reason=labelled.reason,
        findings=labelled.findings,
        session=client.session,
        agent=client.agent,
        request_class=client.request_class,
        auxiliary=auxiliary,
        progress=weigh(prompt.acts, prompt.turns) if prompt.acts else None,
        ceiling=effective_ceiling(ceiling, caller, headers),
        fetches=prompt.fetches,
        dearer=asked_dearer(envelope.top),
        hints=hints_of(headers),
    )


def _read_prompt(
    envelope: Envelope,
    describe: Callable[[msgspec.Raw], Block],
    caller: Caller,
    cache: FactsCache,
    count: Callable[[str], int],
    detectors: Detectors,
) -> _Prompt:
    """A long history is mostly blocks that were seen before: each of them costs one look-up here and a share of a few sums."""
    digest, known, scope = cache.digest, cache.get, cache.scope(caller, envelope.format) ^ detectors.salt
    reads: list[_Read] = []
    findings: list[Finding] = []
    turns = 0
    before: str | None = None
    for at, raw in enumerate(envelope.blocks):
        place = digest(bytes(raw)) ^ scope
        facts, block = known(place), None
        if facts is None:
            block = describe(raw)
            said = block.texts if block.role != "tools" else ()
            facts = read_block(block, count, detectors.read_json(bytes(raw), said), count_in_block(bytes(raw)))
            cache.put(place, facts)
        reads.append((facts, raw, place, block))
        if facts.spots:
            findings += as_findings(facts.spots, at)
        role = facts.role
        if role != before:
            turns += role == "assistant"
            before = role
        elif role != "tools" and not envelope.blocks_apart:
            findings += as_findings(_across(reads[-2], reads[-1], describe, cache, detectors), at)
    _look_beside(envelope, cache, scope, detectors, findings)
    return _sum_up(reads, findings, turns, count_beside(envelope.top))


def _sum_up(reads: list[_Read], findings: list[Finding], turns: int, fetches: int) -> _Prompt:
    asking: _Asking | None = None
    last: BlockFacts | None = None
    for facts, raw, place, block in reversed(reads):
        if facts.role not in _BESIDE_TALK:
            last = last or facts
            if facts.role == "user" and not facts.tool_results:
                asking = _Asking(raw, place, facts, block)
                break
    every = [facts for facts, _, _, _ in reads]
    return _Prompt(
        tokens=REPLY_TOKENS + sum(map(_tokens_of, every)),
        images=sum(map(_images_of, every)),
        messages=len(every) - [*map(_role_of, every)].count("tools"),
        result_is_last=last is not None and last.tool_results > 0,
        asking=asking,
        findings=findings,
        turns=turns,
        acts=[*chain.from_iterable(map(_acts_of, every))],
        fetches=fetches + sum(map(_fetches_of, every)),
    )


def _across(
    before: _Read, after: _Read, describe: Callable[[msgspec.Raw], Block], cache: FactsCache, detectors: Detectors
) -> tuple[Spot, ...]:
    """What only shows where two messages of one role meet: a secret that was cut between them. Cached as a block is."""
    place = hash((before[2], after[2])) ^ _SEAM
    facts = cache.get(place)
    if facts is None:
        ends = [block or describe(raw) for _, raw, _, block in (before, after)]
        head, tail = "".join(ends[0].texts)[-SEAM_CHARS:], "".join(ends[1].texts)[:SEAM_CHARS]
        facts = BlockFacts(0, "", 0, 0, 0, 0, None, detectors.read_seam(head, tail))
        cache.put(place, facts)
    return facts.spots


def _look_beside(envelope: Envelope, cache: FactsCache, scope: int, detectors: Detectors, findings: list[Finding]) -> None:
    """What detectors find in the fields beside the prompt, cached apart from blocks of the same bytes."""
    for at, raw in enumerate(other_fields(envelope), len(envelope.blocks)):
        place = cache.digest(bytes(raw)) ^ scope ^ _BESIDE
        facts = cache.get(place)
        if facts is None:
            facts = BlockFacts(0, "", 0, 0, 0, 0, None, detectors.read_json(bytes(raw)))
            cache.put(place, facts)
        if facts.spots:
            findings += as_findings(facts.spots, at)


def _longest(envelope: Envelope, describe: Callable[[msgspec.Raw], Block], count: Callable[[str], int]) -> int:
    """Tokens of the longest of several prompts, with the suffix they share: each has the window to itself."""
    prompts = envelope.blocks[:-1] if envelope.fill_in else envelope.blocks
    shared = read_block(describe(envelope.blocks[-1]), count).tokens if envelope.fill_in else 0
    return shared + max(read_block(describe(raw), count).tokens for raw in prompts)


def _name_task(
    envelope: Envelope,
    prompt: _Prompt,
    client: agents.Client,
    operation: str,
    describe: Callable[[msgspec.Raw], Block],
    cache: FactsCache,
) -> tuple[Task, str]:
    """The task and its reason; the asking text is read only where the rest of the request does not decide."""
    facts = tasks.Facts(
        operation=operation,
        tools=envelope.tools,
        result_is_last=prompt.result_is_last,
        agent=client.agent,
        request_class=client.request_class,
    )
    decided = tasks.by_facts(facts)
    if decided is not None:
        return decided
    return tasks.classify(_signals(prompt.asking, describe, cache), facts)


def gather_embeddings(
    model: str,
    texts: Sequence[str],
    caller: Caller,
    headers: Mapping[str, str],
    count: Callable[[str], int],
    labelled: Labelled,
    *,
    exact: bool,
    ceiling: Egress = Egress.VENDOR,
    top: Mapping[str, msgspec.Raw],
    token_inputs: int = 0,
) -> Features:
    """The features of an embeddings request.

    `prompt_tokens` is that of the longest input, since each has the window to itself; `messages` is the number of
    inputs. `token_inputs` is the length of the longest input that came as token ids, `top` the body's fields.
    """
    client = agents.recognise(headers, None)
    return Features(
        operation="embeddings",
        wire_format=None,
        asked_model=model,
        caller=caller,
        prompt_tokens=max(max(map(count, texts), default=0), token_inputs),
        prompt_tokens_exact=exact,
        max_tokens=None,
        messages=len(texts),
        stream=False,
        tools=0,
        images=0,
        schema=False,
        logprobs=False,
        choices=1,
        task=Task.EMBEDDING,
        task_reason="embeddings-endpoint",
        label=labelled.label,
        label_reason=labelled.reason,
        findings=labelled.findings,
        session=client.session,
        agent=client.agent,
        request_class=client.request_class,
        ceiling=effective_ceiling(ceiling, caller, headers),
        fetches=count_in_body(top),
        dearer=asked_dearer(top),
        hints=hints_of(headers),
    )


def read_block(block: Block, count: Callable[[str], int], spots: tuple[Spot, ...] = (), fetches: int = 0) -> BlockFacts:
    """What a block contributes: its texts counted, with what templates put around them, and what was found in it."""
    overhead = TOOLS_TOKENS if block.role == "tools" else MESSAGE_TOKENS
    tokens = overhead + sum(map(count, block.texts)) + block.token_ids
    tokens += TOOL_CALL_TOKENS * (block.tool_calls + block.tool_results) + IMAGE_TOKENS * block.images
    counts = block.tool_calls, block.tool_results, block.tool_errors
    return BlockFacts(tokens, block.role, block.images, *counts, None, spots, read_acts(block), fetches)


def _signals(asking: _Asking | None, describe: Callable[[msgspec.Raw], Block], cache: FactsCache) -> Signals | None:
    """What a user's last text asks for, read once; None: there is none."""
    if asking is None:
        return None
    signals = asking.facts.signals
    if signals is None:
        block = asking.block or describe(asking.raw)
        signals = tasks.read(block.texts)
        cache.put(asking.place, msgspec.structs.replace(asking.facts, signals=signals))
    return signals


def effective_ceiling(ceiling: Egress, caller: Caller, headers: Mapping[str, str]) -> Egress:
    """The tightest of the server's, the caller's and the header's ceiling. Raises FaultError(INVALID_REQUEST)."""
    ceiling = lower(ceiling, caller.ceiling)
    said = headers.get(CEILING_HEADER)
    if said is not None:
        asked = _CEILINGS.get(said.strip().lower())
        if asked is None:
            raise faulty(Kind.INVALID_REQUEST, f"header {CEILING_HEADER}: send one of {', '.join(Egress)}", param=CEILING_HEADER)
        ceiling = lower(ceiling, asked)
    return ceiling


_CEILINGS: dict[str, Egress] = {egress.value: egress for egress in Egress}


def hints_of(headers: Mapping[str, str]) -> dict[str, str]:
    """`x-freehold-hint-*` headers without the prefix, lower-cased, the first 16 of at most 200 characters each."""
    hints: dict[str, str] = {}
    for name, value in headers.items():
        if name.startswith(HINT_PREFIX) and len(hints) < MOST_HINTS:
            hints[name[len(HINT_PREFIX) :]] = value[:LONGEST_HINT].strip().lower()
    return hints
