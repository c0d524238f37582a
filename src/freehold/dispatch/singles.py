"""Single-shot calls: embeddings. The same steps, ceilings, breakers and records as a chat, without streams.

A reply is relayed; a fault falls back to the next step of the plan.
"""

from freehold.chat import Usage
from freehold.dispatch.answers import Answer
from freehold.dispatch.attempt import Attempt, Means, exhausted, resting
from freehold.dispatch.flight import Flight
from freehold.fault import Fault, FaultError, Kind, faulty
from freehold.wire import embeddings
from freehold.wire.embeddings import EmbeddingsEnvelope
from freehold.wire.openai_chat import read_fault

MAX_REPLY_BYTES = 256 * 1024 * 1024
"""2,048 vectors of 4,096 numbers written as text are about 160 MB."""


class Singles:
    """Runs plans of single-shot calls."""

    def __init__(self, means: Means) -> None:
        self._means = means

    async def embed(self, flight: Flight, envelope: EmbeddingsEnvelope) -> Answer:
        """The vectors of the first deployment that gives them. Raises FaultError when none does."""
        if flight.plan.refusal is not None:
            raise FaultError(flight.plan.refusal)
        last: Fault | None = None
        for step in flight.plan.steps:
            if not self._means.breakers.begin_probe(step.placed.id):
                last = last or resting(step)
                continue
            attempt = Attempt(self._means, flight, step, is_relay=True, streams=False)
            try:
                return await self._try(attempt, envelope)
            except BaseException as error:
                attempt.give_up(error)
                if not isinstance(error, FaultError) or not error.fault.meaning.falls_back:
                    raise
                last = error.fault
        raise exhausted(last)

    async def _try(self, attempt: Attempt, envelope: EmbeddingsEnvelope) -> Answer:
        placed = attempt.step.placed
        body, edits = embeddings.relay_request(envelope, placed.deployment.served_as)
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

    def _usage(self, attempt: Attempt, prompt_tokens: int | None) -> Usage:
        if prompt_tokens is not None:
            return Usage(input_tokens=prompt_tokens, output_tokens=0, basis="reported")
        return Usage(input_tokens=attempt.flight.features.prompt_tokens, output_tokens=0, basis="estimated")
