"""Vendors whose keys stand in the environment, as runtimes and deployments. Pure: nothing is called, no key is copied.

A key counts only where it is certainly meant for that vendor: not when a variable beside it sends it to another server
(clients of a gateway are set up like that), and not when it is too short to be one (`any`, `dummy`).

A file that configures a vendor has decided about vendors: then no other key is taken up. Deployments in the file may name
a vendor known here as their runtime without defining it; then the file says which of its models there are.
"""

import re
import tomllib
from collections.abc import Mapping
from importlib.resources import files

import msgspec

from freehold.chat import WireFormat
from freehold.config.settings import File
from freehold.gateways.connector import read_base_url
from freehold.runtime import Abilities, Deployment, Price, Vendor

MIN_KEY_CHARS = 16
"""Shorter ones are placeholders; every vendor's keys are longer."""
_PART = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?")
"""A region, a location, a project: no character that would make another address of it."""
_PLACE = re.compile(r"\{([a-z]+)\}")


class VendorModel(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A well-known model of a vendor."""

    served_as: str
    abilities: Abilities
    price: Price | None = None


class VendorKnown(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A vendor, and how its key is found."""

    name: str
    title: str
    keys: tuple[str, ...]
    elsewhere: tuple[str, ...] = ()
    parts: dict[str, tuple[str, ...]] = {}
    base_url: str
    base_url_when_global: str | None = None
    formats: tuple[WireFormat, ...] = ("openai_chat",)
    quirks: tuple[str, ...] = ()
    batch_api: bool = False
    """It has OpenAI's Batch API, and lines of batches for its models go there."""
    models: tuple[VendorModel, ...] = ()
    source: str


class _VendorsFile(msgspec.Struct, forbid_unknown_fields=True):
    vendors: tuple[VendorKnown, ...]


class VendorsFound(msgspec.Struct, frozen=True, kw_only=True):
    """What the environment gives."""

    runtimes: tuple[Vendor, ...] = ()
    deployments: tuple[Deployment, ...] = ()
    notes: tuple[str, ...] = ()
    """Keys that were found and are not used, and why."""


def read_vendors() -> tuple[VendorKnown, ...]:
    """The file that comes with Freehold."""
    text = files("freehold.data").joinpath("vendors.toml").read_text("utf-8")
    return msgspec.convert(tomllib.loads(text), _VendorsFile).vendors


def find_vendors(user: File, environ: Mapping[str, str], *, local_only: bool) -> VendorsFound:
    """The vendors the file names, and those whose keys are here where the file leaves vendors to Freehold."""
    defined = {runtime.name for runtime in user.runtimes}
    named = {one.runtime for one in user.deployments} - defined
    runtimes: list[Vendor] = []
    deployments: list[Deployment] = []
    notes: list[str] = []
    vendors = read_vendors()
    decided = any(isinstance(runtime, Vendor) for runtime in user.runtimes) or any(one.name in named for one in vendors)
    for vendor in vendors:
        key = next((name for name in vendor.keys if environ.get(name, "").strip()), None)
        if vendor.name in named:
            runtime = _runtime(vendor, key or vendor.keys[0], environ)
            runtimes += [runtime] if isinstance(runtime, Vendor) else []
            continue
        if key is None:
            continue
        why = _why_unused(vendor, key, user, environ, decided=decided, local_only=local_only)
        runtime = why or _runtime(vendor, key, environ)
        if isinstance(runtime, str):
            notes.append(f"{key} is set and not used: {runtime}")
        else:
            runtimes.append(runtime)
            deployments += [one for one in _deployments(vendor) if one.id not in names_in(user)]
    return VendorsFound(runtimes=tuple(runtimes), deployments=tuple(deployments), notes=tuple(notes))


def names_in(user: File) -> set[str]:
    """Every name the file gives to anything: what is found never takes one of them."""
    return {
        *(one.name for one in user.runtimes),
        *(name for one in user.deployments for name in (one.id, one.model)),
        *user.aliases,
    }


def _why_unused(
    vendor: VendorKnown, key: str, user: File, environ: Mapping[str, str], *, decided: bool, local_only: bool
) -> str | None:
    """Why a key that is there makes no runtime; None: it does."""
    if not user.discovery.vendors:
        return "discovery.vendors is false"
    if local_only:
        return "nothing goes further than this machine or the team"
    sent = next((name for name in vendor.elsewhere if environ.get(name, "").strip()), None)
    if sent is not None:
        return f"{sent} sends it to another server than {vendor.title}'s"
    if len(environ[key].strip()) < MIN_KEY_CHARS:
        return f"it is shorter than {MIN_KEY_CHARS} characters, so it is a placeholder"
    if vendor.name in names_in(user):
        return f"freehold.toml has its own '{vendor.name}'"
    if decided:
        return "freehold.toml says which vendors there are"
    return None


def _runtime(vendor: VendorKnown, key: str, environ: Mapping[str, str]) -> Vendor | str:
    """The vendor as a runtime, or why its address cannot be made."""
    parts: dict[str, str] = {}
    for part, variables in vendor.parts.items():
        value = next((said for name in variables if (said := environ.get(name, "").strip())), "")
        if not value:
            return f"{' or '.join(variables)} is not set, which names its {part}"
        if part == "endpoint":
            value = value.rstrip("/").removesuffix("/openai/v1")
        elif _PART.fullmatch(value) is None:
            return f"{variables[0]} is not the name of a {part}"
        parts[part] = value
    template = vendor.base_url_when_global if parts.get("location") == "global" else None
    base_url = _PLACE.sub(lambda found: parts[found[1]], template or vendor.base_url)
    try:
        address = read_base_url(base_url)
    except ValueError:
        return "its address is not one that can be called"
    if not address.tls:
        return "its address is not https, so the key would cross the internet readable"
    return Vendor(
        name=vendor.name,
        base_url=base_url,
        formats=vendor.formats,
        api_key=f"env:{key}",
        quirks=vendor.quirks,
        region=parts.get("region"),
        batch_api=vendor.batch_api,
    )


def _deployments(vendor: VendorKnown) -> list[Deployment]:
    return [
        Deployment(
            id=f"{vendor.name}/{model.served_as.rpartition('/')[2]}",
            model=model.served_as.rpartition("/")[2],
            runtime=vendor.name,
            served_as=model.served_as,
            abilities=model.abilities,
            price=model.price,
        )
        for model in vendor.models
    ]
