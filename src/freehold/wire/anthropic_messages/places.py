"""Faults that name a place in a Messages body, without repeating what stands there."""

from freehold.fault import FaultError, Kind, faulty


def wrong(at: str, said: str) -> FaultError:
    """INVALID_REQUEST at a place."""
    return faulty(Kind.INVALID_REQUEST, f"{at}: {said}", param=at)


def unsupported(at: str, said: str) -> FaultError:
    """UNSUPPORTED at a place."""
    return faulty(Kind.UNSUPPORTED, f"{at}: {said}", param=at)
