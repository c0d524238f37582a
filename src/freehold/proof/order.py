"""What a proof is asked to do, and what it found: the words between the command and the process inside the namespaces."""

import msgspec

from freehold.proof.packets import Seen

GatewayCommand = tuple[str, ...]


class Mutant(msgspec.Struct, frozen=True):
    """A gateway with a bug planted, and which shapes to try on it: those whose names begin so."""

    name: str
    command: GatewayCommand
    shapes: tuple[str, ...] = ()


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What to do."""

    folder: str
    """For everything the proof writes. Empty at first."""
    command: GatewayCommand
    """Starts `freehold`; its verb and options follow."""
    data_dir: str
    """Where this user's weights are."""
    idle_s: float = 2.0
    whole: bool = True
    """False: only mutants."""
    mutants: tuple[Mutant, ...] = ()


class Planted(msgspec.Struct, frozen=True):
    """A leak made on purpose."""

    name: str
    packets: int
    """Counted by the kernel."""
    frames: int
    """Seen by the sinkhole."""

    @property
    def was_caught(self) -> bool:
        """Both counters saw it."""
        return self.packets > 0 and self.frames > 0


class Phase(msgspec.Struct, frozen=True):
    """One part of the proof, with the packets that left in it."""

    name: str
    packets: int
    asked: int = 0
    """Requests or commands in it."""
    statuses: dict[str, int] = {}
    """How many were answered how: an HTTP status, an exit status, or `none`."""


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """What a proof found."""

    namespaces: str = ""
    missing: str = ""
    """What this machine lacks; then nothing below was done and nothing is claimed."""
    quiet_packets: int = 0
    """Counted before anything was started: has to be 0."""
    controls: tuple[Planted, ...] = ()
    left: int = 0
    """All packets that left where none may."""
    phases: tuple[Phase, ...] = ()
    """Requests and commands run side by side, so one packet may count in two phases."""
    leaks: tuple[Seen, ...] = ()
    """The first frames that should not have been."""
    attacks: int = 0
    """Shapes that try to get something out."""
    served: int = 0
    """Ordinary local requests that were answered with 200 between the attacks."""
    not_served: tuple[str, ...] = ()
    engine: str = "scripted"
    """Which local engine answered: `embedded` where its weights are here."""
    mutants: dict[str, int] = {}
    """Packets that left, by mutant."""
    trouble: str = ""
    """What kept the proof from being made."""

    @property
    def failures(self) -> list[str]:
        """Why it is not proven; empty: it is."""
        if self.missing or self.trouble:
            return [self.missing or self.trouble]
        said = [f"{one.name}: a leak planted on purpose was not counted" for one in self.controls if not one.was_caught]
        if not self.controls:
            said.append("no leak was planted, so the counters are not known to count")
        if self.quiet_packets:
            said.append(f"the namespace sent {self.quiet_packets} packets by itself")
        said += [f"{phase.name}: {phase.packets} packets left" for phase in self.phases if phase.packets]
        if self.left and not any(phase.packets for phase in self.phases):
            said.append(f"{self.left} packets left between the parts")
        said += [f"not served: {one}" for one in self.not_served]
        if not self.served:
            said.append("no ordinary request was served")
        return said
