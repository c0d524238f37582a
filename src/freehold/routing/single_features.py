"""The features of single-shot requests beside embeddings: images, audio, moderations, rerank."""

from collections.abc import Callable, Mapping

from freehold.features import Caller, Features, Task
from freehold.routing import agents
from freehold.routing.features import effective_ceiling, hints_of
from freehold.routing.labels import Labelled
from freehold.runtime import Egress
from freehold.wire.singles.shape import SingleEnvelope, SingleOperation

_TASKS: dict[SingleOperation, tuple[Task, str]] = {
    "image_generation": (Task.IMAGE_GENERATION, "images-endpoint"),
    "transcription": (Task.TRANSCRIPTION, "transcription-endpoint"),
    "speech": (Task.SPEECH, "speech-endpoint"),
    "moderation": (Task.MODERATION, "moderation-endpoint"),
    "rerank": (Task.RERANK, "rerank-endpoint"),
}


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
        hints=hints_of(headers),
    )
