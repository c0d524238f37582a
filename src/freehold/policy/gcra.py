"""The generic cell rate algorithm over several meters at once. Pure: the clock is an argument.

A meter keeps one number, the moment at which it will be full again ("theoretical arrival time"). Taking `n` units moves
that moment on by `n` times what one unit takes to come back; it may lie no further ahead than `slack_us`. Whole
microseconds, so that every store computes the same; what a unit takes is rounded up, so that no rounding lets more in.

Promised: all meters are looked at before any is written, and either all are written or none; in any span of `s` seconds a
meter lets in no more than its burst and `s` times its rate. Sources: ITU-T I.371 annex A (the algorithm).
"""

from collections.abc import Mapping, Sequence

import msgspec


class Charge(msgspec.Struct, frozen=True):
    """Units to be taken from one meter."""

    account: str
    """Names the meter. Opaque to whoever keeps it."""
    cost_us: int
    """What the units take to come back."""
    slack_us: int
    """How far ahead of now the meter may stand with this charge: less than its burst for work that has to leave a share."""


class Hold(msgspec.Struct, frozen=True):
    """One of the places that requests under way take."""

    account: str
    most: int
    """Places there are for this request."""


class Taken(msgspec.Struct, frozen=True):
    """All charges were made."""

    ahead_us: tuple[int, ...]
    """For each charge, how far ahead of now its meter stands."""
    held: tuple[int, ...] = ()
    """For each hold, places taken, this one included."""


class Denied(msgspec.Struct, frozen=True):
    """Nothing was charged."""

    account: str
    """Whose room is missing; of several the one to be waited for longest."""
    wait_us: int | None
    """Until there may be room; None: not known, somebody has to end first."""
    ahead_us: tuple[int, ...] = ()
    """For each charge, how far ahead of now its meter stands without it."""


def look(
    charges: Sequence[Charge], holds: Sequence[Hold], full_at_us: Mapping[str, int], held: Mapping[str, int], now_us: int
) -> Taken | Denied:
    """What taking all of these would mean now. `full_at_us` and `held` are the meters and places as they are kept."""
    before = tuple([max(full_at_us.get(charge.account, 0) - now_us, 0) for charge in charges])
    longest_us, short = 0, ""
    for charge, ahead_us in zip(charges, before, strict=True):
        wait_us = ahead_us + charge.cost_us - charge.slack_us
        if wait_us > longest_us:
            longest_us, short = wait_us, charge.account
    if longest_us:
        return Denied(short, longest_us, before)
    places = tuple([held.get(hold.account, 0) + 1 for hold in holds])
    for hold, taken in zip(holds, places, strict=True):
        if taken > hold.most:
            return Denied(hold.account, None, before)
    return Taken(tuple([ahead_us + charge.cost_us for charge, ahead_us in zip(charges, before, strict=True)]), places)
