"""The process inside the namespaces: plants leaks first, then tempts the gateway, and writes down what left.

Order in, findings out, as JSON over standard input and output. It goes into the namespaces before anything that starts
threads is imported.
"""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import msgspec

from freehold.local.fence import FenceError
from freehold.proof.leaks import PLANTED
from freehold.proof.order import Found, Order, Planted
from freehold.proof.packets import Seen
from freehold.proof.world import World

QUIET_S = 0.5
LEAKS_SHOWN = 20


def main() -> None:
    """Prove."""
    order = msgspec.json.decode(sys.stdin.buffer.read(), type=Order)
    out = os.dup(1)
    os.dup2(2, 1)  # whatever a library prints is no finding
    os.write(out, msgspec.json.encode(_prove(order)))


def _prove(order: Order) -> Found:
    try:
        world = World(Path(order.folder))
    except FenceError as error:
        return Found(missing=str(error))
    try:
        return asyncio.run(_tempt(order, world))
    except (OSError, RuntimeError) as error:
        return Found(namespaces=world.kind, trouble=str(error))
    finally:
        world.end()


async def _tempt(order: Order, world: World) -> Found:
    from freehold.proof.tempting import Tempting  # noqa: PLC0415 - its libraries start threads, which namespaces do not take

    await asyncio.sleep(QUIET_S)
    quiet = world.left()
    controls = _plant(world)
    tempting = Tempting(order, world)
    await tempting.begin()
    try:
        controls.append(await tempting.unlocked())
        before = len(world.seen())
        if order.whole:
            await tempting.locked()
        leaks: list[Seen] = world.seen()[before:][:LEAKS_SHOWN]
        mutants = await tempting.mutants()
    finally:
        await tempting.end()
    return Found(
        namespaces=world.kind,
        quiet_packets=quiet,
        controls=tuple(controls),
        left=tempting.left,
        phases=tuple(tempting.phases),
        leaks=tuple(leaks),
        attacks=tempting.attacked,
        served=tempting.served,
        not_served=tuple(tempting.not_served),
        engine=tempting.engine,
        mutants=mutants,
    )


def _plant(world: World) -> list[Planted]:
    """Leaks of every kind, by a program as ordinary as any."""
    planted = []
    for name in PLANTED:
        before, frames = world.left(), len(world.seen())
        command = [sys.executable, "-P", "-m", "freehold.proof.leaks", name]
        subprocess.run(command, check=False, stdout=subprocess.DEVNULL)  # noqa: S603 - ourselves
        planted.append(Planted(name, world.left() - before, len(world.seen()) - frames))
    return planted


if __name__ == "__main__":
    main()
