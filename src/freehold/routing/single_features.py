"""The features of single-shot requests beside embeddings: images, audio, moderations, rerank."""

from collections.abc import Callable, Mapping

from freehold.costs.dearer import asked_dearer
from freehold.features import Caller, Features, Task
from freehold.routing import agents
from freehold.routing.features import effective_ceiling, hints_of
from freehold.routing.labels import Labelled
from freehold.runtime import Egress
from freehold.wire.addresses import count_in_body, is_address
from freehold.wire.singles.shape import JsonBody, SingleEnvelope, SingleOperation

_TASKS: dict[SingleOperation, tuple[Task, str]] = {
    "image_generation": (Task.IMAGE_GENERATION, "images-endpoint"),
    "transcription": (Task.TRANSCRIPTION, "transcription-endpoint"),
    "speech": (Task.SPEECH, "speech-endpoint"),
    "moderation": (Task.MODERATION, "moderation-endpoint"),
    "rerank": (Task.RERANK, "rerank-endpoint"),
}


_WORDS = frozenset({"prompt", "model", "user"})
"""Fields of forms that hold words."""


def gather_single(
    operation: SingleOperation,
    envelope: SingleEnvelope,
    caller: Caller,
    headers: Mapping[str, str],
    count: Callable[[str], int],
    labelled: Labelled,
    *,
    exact: bool,
    ceiling: Egress = Egress.VENDOR,
) -> Features:
    """The features of a request. Raises FaultError(INVALID_REQUEST) for an unknown ceiling header.

    `prompt_tokens` is that of the longest text, since each has the window to itself; `messages` is the number of inputs.
    Audio and images are not counted in tokens.
    """
    client = agents.recognise(headers, None)
    task, reason = _TASKS[operation]
    fetches, dearer = _asked_beside(envelope)
    return Features(
        operation=operation,
        wire_format=None,
        asked_model=envelope.model,
        caller=caller,
        prompt_tokens=max(map(count, envelope.texts), default=0),
        prompt_tokens_exact=exact,
        max_tokens=None,
        messages=envelope.inputs,
        stream=envelope.stream,
        tools=0,
        images=envelope.images,
        schema=False,
        logprobs=False,
        choices=envelope.choices,
        task=task,
        task_reason=reason,
        label=labelled.label,
        label_reason=labelled.reason,
        findings=labelled.findings,
        session=client.session,
        agent=client.agent,
        request_class=client.request_class,
        ceiling=effective_ceiling(ceiling, caller, headers),
        fetches=fetches,
        dearer=dearer,
        hints=hints_of(headers),
    )


def _asked_beside(envelope: SingleEnvelope) -> tuple[int, str]:
    """What of it is only named by an address, in JSON or in the text fields of a form; and the field that asks for other rates."""
    sent = envelope.sent
    if isinstance(sent, JsonBody):
        return count_in_body(sent.top), asked_dearer(sent.top)
    fields = sent.form.fields()
    return sum(is_address(said) for name, said in fields if name not in _WORDS), asked_dearer(dict(fields))
