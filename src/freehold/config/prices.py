"""What each deployment costs: the file's own price, an entry of `[[prices]]`, or the list that comes with Freehold.

Keyed by runtime, vendor and name, never by a name alone: the list is asked only for runtimes of kind vendor whose address
is that vendor's, and a name must be the model's own, but for a date at its end. Whatever is not found has no price, which
is unknown and never zero.
"""

import hashlib
import re
from collections.abc import Sequence
from functools import cached_property
from importlib.resources import files

import msgspec

from freehold.config.settings import PriceEntry
from freehold.costs.price import hourly_usd
from freehold.policy.globs import make_matcher
from freehold.runtime import Deployment, Placed, Price, Runtime, Vendor

_DATED = re.compile(r"[-@](?:20\d{2}-?[01]\d-?[0-3]\d)$")
"""A snapshot of a model costs what the model costs, where the list does not say otherwise."""
_HASH_CHARS = 12


class _VendorPrices(msgspec.Struct, frozen=True):
    """A vendor's part of the list."""

    name: str
    base_url: str
    """A pattern of where its addresses begin."""
    models: dict[str, msgspec.Raw]
    """By name; most are never read."""


class PriceList(msgspec.Struct, frozen=True):
    """`data/prices.json`."""

    source: str
    version: str
    read: str
    """The last day a price in it was checked."""
    vendors: tuple[_VendorPrices, ...]

    def find(self, base_url: str, served_as: str) -> tuple[Price, ...] | None:
        """The prices of a model at that address, by date."""
        name = served_as.lower().removeprefix("models/")
        for vendor in self.vendors:
            found = re.match(vendor.base_url, base_url)
            if found is None or base_url[found.end() : found.end() + 1] not in ("", "/", ":"):
                continue
            own = name.removeprefix(f"{vendor.name}/")
            for asked in (name, own, _DATED.sub("", own)):
                if asked in vendor.models:
                    return msgspec.json.decode(vendor.models[asked], type=tuple[Price, ...])
        return None


def read_price_list() -> PriceList:
    """The list that comes with Freehold."""
    return msgspec.json.decode(files("freehold.data").joinpath("prices.json").read_bytes(), type=PriceList)


class Pricing:
    """Finds prices while a configuration is loaded. Reads the list once, and only when a vendor's model needs it."""

    def __init__(self, entries: Sequence[PriceEntry] = ()) -> None:
        self._entries = [(entry, make_matcher([entry.served_as])) for entry in entries]

    @cached_property
    def _list(self) -> PriceList:
        return read_price_list()

    def priced(self, deployment: Deployment, runtime: Runtime, *, found: bool) -> tuple[Deployment, str | None]:
        """The deployment with its price, and where that is from. `found`: no file says it, so the list knows better."""
        if deployment.free is True or (deployment.price is not None and not found):
            return deployment, "config"
        for entry, fits in self._entries:
            if entry.runtime == runtime.name and fits(deployment.served_as):
                return msgspec.structs.replace(deployment, price=entry.price), "config"
        if not isinstance(runtime, Vendor) or runtime.base_url is None:
            return deployment, "config"
        listed = self._list.find(runtime.base_url, deployment.served_as)
        if listed is None:
            return deployment, "vendors.toml"
        price = listed[0] if len(listed) == 1 else listed
        return msgspec.structs.replace(deployment, price=price), f"{self._list.source} {self._list.version} {self._list.read}"


def version_of(placed: Placed, source: str | None) -> str | None:
    """Names the price exactly: its source and a hash of all that the cost is computed from. None: it has none."""
    if placed.deployment.free is True:
        return None
    if placed.deployment.price is not None:
        text = msgspec.json.encode(placed.deployment.price)
    elif (hourly := hourly_usd(placed)) is not None:
        text = msgspec.json.encode(hourly)
        source = "config"
    else:
        return None
    return f"{source} #{hashlib.sha256(text).hexdigest()[:_HASH_CHARS]}"
