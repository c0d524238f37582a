"""What was seen at one port: an engine with its models, a relay, a server nobody knows."""

from typing import Literal

import msgspec

from freehold.runtime import Abilities, Egress

MAX_MODELS = 64
MAX_NAME_CHARS = 120
MAX_VERSION_CHARS = 40


class ModelSeen(msgspec.Struct, frozen=True, kw_only=True):
    """A model an engine says it serves."""

    served_as: str
    model: str
    """The idea: the name without the folder and the file type."""
    abilities: Abilities
    quirks: tuple[str, ...] = ()


class LeftOut(msgspec.Struct, frozen=True):
    """Something that is not listed, and why."""

    name: str
    why: str
    is_remote: bool = False
    """The engine says that it runs elsewhere; False: it is merely not known to run here, or no model for us."""


class Sighting(msgspec.Struct, frozen=True, kw_only=True):
    """One port where something answers."""

    host: str
    """127.0.0.1 or ::1."""
    port: int
    kind: Literal["engine", "relay", "locked", "unknown"]
    name: str = ""
    """The engine's as in `data/discovery.toml`, or the relay's; empty when nobody knows."""
    version: str = ""
    egress: Egress = Egress.LOCAL
    """How far a call to it may travel, as far as its answers prove."""
    why: str = ""
    """Why it is not listed as local."""
    models: tuple[ModelSeen, ...] = ()
    left_out: tuple[LeftOut, ...] = ()

    @property
    def origin(self) -> str:
        """`http://127.0.0.1:11434`."""
        return f"http://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"


class EngineSeen(msgspec.Struct, frozen=True, kw_only=True):
    """What an engine said of itself."""

    version: str = ""
    egress: Egress = Egress.LOCAL
    why: str = ""
    models: tuple[ModelSeen, ...] = ()
    left_out: tuple[LeftOut, ...] = ()


def bounded(
    models: list[ModelSeen], left_out: list[LeftOut], *, version: str = "", egress: Egress = Egress.LOCAL, why: str = ""
) -> EngineSeen:
    """What an engine said, without more than anyone can use, and nothing that is not plain text."""
    kept = [one for one in models if is_plain(one.served_as) and is_plain(one.model)]
    dropped = [LeftOut("?", "its name is too long or not plain text")] if len(kept) < len(models) else []
    if len(kept) > MAX_MODELS:
        dropped.append(LeftOut(f"{len(kept) - MAX_MODELS} more models", f"only the first {MAX_MODELS} are listed"))
    plain = [one if is_plain(one.name) else LeftOut("?", one.why, one.is_remote) for one in left_out]
    return EngineSeen(
        version=version if version.isprintable() and len(version) <= MAX_VERSION_CHARS else "",
        egress=egress,
        why=why,
        models=tuple({one.served_as: one for one in kept[:MAX_MODELS]}.values()),
        left_out=tuple(dict.fromkeys([*plain[:MAX_MODELS], *dropped])),
    )


def is_plain(name: str) -> bool:
    """Whether a name from outside may stand in messages and names of our own."""
    return 0 < len(name) <= MAX_NAME_CHARS and name.isprintable()


def model_of(served_as: str) -> str:
    """`/models/Qwen3-4B-Q4_K_M.gguf` is the model `Qwen3-4B-Q4_K_M`; other names stand as they are."""
    is_file = served_as.endswith(".gguf") or served_as.startswith("/") or "\\" in served_as
    return served_as.replace("\\", "/").rpartition("/")[2].removesuffix(".gguf") if is_file else served_as
