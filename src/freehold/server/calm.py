"""Garbage collection, kept out of the way of streams."""

import gc


def calm_collector() -> None:
    """Leave what start-up made out of garbage collection, and collect less often.

    Requests leave no cycles behind, so young collections find nothing; a full one would stop every stream for tens of ms.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 50, 1000)
