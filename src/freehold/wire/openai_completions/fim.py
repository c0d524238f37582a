"""Fill-in-the-middle: a text before the cursor and one behind it, as the one prompt a model was trained on.

Source: Bavarian et al. 2022, "Efficient Training of Language Models to Fill in the Middle"; the marks of each family stand in
`data/fim.toml`. Not done: marks that stand in the texts already are left as they are, since they have no escape; the model
reads them as marks.
"""

from typing import TypeVar

import msgspec

from freehold.fault import FaultError, Kind, faulty
from freehold.runtime import FillIn
from freehold.wire.body import UNREADABLE, refusal
from freehold.wire.codec import Envelope

_T = TypeVar("_T")

_PROMPT = msgspec.json.Decoder(str | list[str])
_SUFFIX = msgspec.json.Decoder(str | None)
_STOP = msgspec.json.Decoder(str | list[str] | None)
_ECHO = msgspec.json.Decoder(bool | None)
_encode = msgspec.json.Encoder().encode
_NULL = msgspec.Raw(b"null")


def fill_in(family: FillIn, before: str, behind: str) -> str:
    """The prompt after which the model writes what stands between the two texts."""
    if family.order == "psm":
        return f"{family.prefix}{before}{family.suffix}{behind}{family.middle}"
    return f"{family.suffix}{behind}{family.prefix}{before}{family.middle}"


def fill_in_fields(envelope: Envelope, family: FillIn) -> dict[str, msgspec.Raw]:
    """`prompt` and `stop` of a request whose suffix went into the prompt; several texts share the suffix.

    Raises FaultError(UNSUPPORTED) for what has no such prompt: token ids, `echo`.
    """
    top = envelope.top
    if _read(_ECHO, top.get("echo", _NULL), "echo"):
        raise _unsupported("echo", "echo: cannot be had beside `suffix` here, where the prompt is rewritten for the model")
    try:
        prompt = _PROMPT.decode(top["prompt"])
    except UNREADABLE:
        said = "prompt: token ids cannot be had beside `suffix` here; send the text, or write the model's own marks yourself"
        raise _unsupported("prompt", said) from None
    behind = _read(_SUFFIX, top["suffix"], "suffix") or ""
    filled = fill_in(family, prompt, behind) if isinstance(prompt, str) else [fill_in(family, one, behind) for one in prompt]
    said = _read(_STOP, top.get("stop", _NULL), "stop")
    stops = [said] if isinstance(said, str) else list(said or ())
    stops += [stop for stop in family.stop if stop not in stops]
    fields = {"prompt": msgspec.Raw(_encode(filled))}
    if stops:
        fields["stop"] = msgspec.Raw(_encode(stops))
    return fields


def cannot_fill_in() -> FaultError:
    """The fault of a suffix for a model that is not known to fill in."""
    said = (
        "suffix: this model is not known to fill in the middle; leave the suffix out, pick a model of a family that does, "
        'or name its family in [[models]] as `fim`, or give its runtime the quirk "suffix" where it takes one itself'
    )
    return _unsupported("suffix", said)


def _read(decoder: "msgspec.json.Decoder[_T]", raw: msgspec.Raw, param: str) -> _T:
    try:
        return decoder.decode(raw)
    except UNREADABLE as error:
        raise refusal(error, param) from None


def _unsupported(param: str, said: str) -> FaultError:
    return faulty(Kind.UNSUPPORTED, said, param=param)
