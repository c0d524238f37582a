"""Single-shot calls: embeddings, images, audio, moderations, rerank. The same steps, ceilings, breakers and records as a chat.

A reply is relayed. A fault falls back to the next step of the plan until the first bytes of an answer are ready to go
out, and never after.
"""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from freehold.chat import Usage
from freehold.dispatch.admission import admit, exhausted
from freehold.dispatch.answers import Answer
from freehold.dispatch.attempt import Attempt, Means
from freehold.dispatch.flight import Flight
from freehold.dispatch.paying import ends_plan, must_reserve, reserve_for_single
from freehold.dispatch.single_attempt import MAX_REPLY_BYTES, SingleAnswer, SingleAttempt, SingleStream
from freehold.fault import Fault, FaultError, Kind, faulty
from freehold.limits.over_budget import OverBudgetError
from freehold.routing.plan import Step
from freehold.wire import embeddings, ollama
from freehold.wire.embeddings import EmbeddingsEnvelope
from freehold.wire.ollama import embed
from freehold.wire.openai_faults import read_fault
from freehold.wire.singles import SingleEnvelope, SingleShot

_Attempt = TypeVar("_Attempt", bound=Attempt)
_Answer = TypeVar("_Answer", bound=Answer)


class Singles:
    """Runs plans of single-shot calls."""

    def __init__(self, means: Means) -> None:
        self._means = means

    async def embed(self, flight: Flight, envelope: EmbeddingsEnvelope) -> Answer:
        """The vectors of the first deployment that gives them. Raises FaultError when none does."""
        return await self._first_served(
            flight,
            lambda step: Attempt(self._means, flight, step, is_relay=True, streams=False),
            lambda attempt: self._embed(attempt, envelope),
        )

    async def relay(self, flight: Flight, shot: SingleShot, envelope: SingleEnvelope) -> SingleAnswer | SingleStream:
        """The answer of the first deployment that gives one. Raises FaultError when none does."""
        return await self._first_served(
            flight, lambda step: SingleAttempt(self._means, flight, step, shot, envelope), SingleAttempt.answer
        )

    async def _first_served(
        self, flight: Flight, make: Callable[[Step], _Attempt], answer: Callable[[_Attempt], Awaitable[_Answer]]
    ) -> _Answer:
        if flight.plan.refusal is not None:
            raise FaultError(flight.plan.refusal)
        last: Fault | None = None
        steps = flight.plan.steps
        for at, step in enumerate(steps):
            refused = admit(self._means, flight, step, steps[at + 1 :])
            if refused is not None:
                last = last or refused
                continue
            attempt = make(step)
            try:
                return await answer(attempt)
            except BaseException as error:
                attempt.give_up(error)
                if not isinstance(error, FaultError) or not error.fault.meaning.falls_back or ends_plan(error, flight):
                    raise
                last = last or error.fault if isinstance(error, OverBudgetError) else error.fault
        raise exhausted(last)

    async def _embed(self, attempt: Attempt, envelope: EmbeddingsEnvelope) -> Answer:
        placed = attempt.step.placed
        if next((one for one in placed.runtime.formats if one in ("openai_chat", "ollama")), None) == "ollama":
            return await self._embed_by_ollama(attempt, envelope)
        body, edits = embeddings.relay_request(envelope, placed.deployment.served_as)
        if attempt.flight.budgets and must_reserve(attempt):
            await reserve_for_single(attempt, body, len(body))
        credentials = attempt.flight.reaches.find(placed.runtime.name).credentials("openai_chat")
        await attempt.send(embeddings.PATH, (("content-type", "application/json"), *credentials), body, read_fault)
        out, shown = embeddings.relay_reply(await attempt.whole(MAX_REPLY_BYTES), envelope.model)
        if shown.vectors != envelope.inputs:
            raise faulty(Kind.INVALID_REPLY, f"the runtime gave {shown.vectors} vectors for {envelope.inputs} inputs")
        attempt.tap.edits.update(edits, shown.edits)
        attempt.tap.answered_model = shown.answered_model
        attempt.tap.usage = self._usage(attempt, shown.prompt_tokens)
        attempt.content_began()
        return Answer(attempt, out)

    async def _embed_by_ollama(self, attempt: Attempt, envelope: EmbeddingsEnvelope) -> Answer:
        """A runtime that speaks Ollama's own format best: only there can it be told to cut nothing."""
        placed = attempt.step.placed
        window = self._means.windows.get(placed.id, placed.deployment.abilities.context)
        body = embed.write_request(envelope, placed.deployment.served_as, window)
        if attempt.flight.budgets and must_reserve(attempt):
            await reserve_for_single(attempt, body, len(body))
        credentials = attempt.flight.reaches.find(placed.runtime.name).credentials("ollama")
        headers = (("content-type", "application/json"), *credentials)
        await attempt.send(embed.PATH, headers, body, ollama.read_fault, "ollama")
        reply = embed.read_reply(await attempt.whole(MAX_REPLY_BYTES))
        if len(reply.vectors) != envelope.inputs:
            raise faulty(Kind.INVALID_REPLY, f"the runtime gave {len(reply.vectors)} vectors for {envelope.inputs} inputs")
        attempt.is_relay = False
        attempt.tap.answered_model = reply.model
        attempt.tap.usage = usage = self._usage(attempt, reply.prompt_tokens)
        out = embeddings.write_reply(
            reply.vectors, model=envelope.model, encoding_format=envelope.encoding_format, prompt_tokens=usage.input_tokens
        )
        attempt.content_began()
        return Answer(attempt, out)

    def _usage(self, attempt: Attempt, prompt_tokens: int | None) -> Usage:
        if prompt_tokens is not None:
            return Usage(input_tokens=prompt_tokens, output_tokens=0, basis="reported")
        return Usage(input_tokens=attempt.flight.features.prompt_tokens, output_tokens=0, basis="estimated")
