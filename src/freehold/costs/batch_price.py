"""What a vendor's own Batch API charges, as the price of a deployment. Pure."""

import msgspec

from freehold.costs.price import price_at
from freehold.runtime import Placed, Price


def at_batch_price(placed: Placed, at_ms: int) -> Placed | None:
    """The deployment as its vendor's Batch API sells it on that day; None: it has a price, and none for batches is known.

    One without any price is the same there: what it costs is as unknown, or it is free by declaration.
    """
    deployment = placed.deployment
    if deployment.free is True or deployment.price is None:
        return placed
    held = price_at(deployment.price, at_ms)
    if held is None or held.batch is None:
        return None
    sold = Price(**{name: getattr(held.batch, name) for name in held.batch.__struct_fields__})
    return msgspec.structs.replace(placed, deployment=msgspec.structs.replace(deployment, price=sold))
