"""Whether a request asks to be served at other rates than a price says. Pure.

Vendors sell one model at several speeds and from several places: OpenAI's `service_tier` (`priority` about twice the price, faster ones
more), Anthropic's `speed` (`fast`: two to six times) and `inference_geo` (`us`: 1.1 times). Price lists know the ordinary rates, so
what such a request costs is unknown, which is never what the ordinary rates say. Not done: what an account is set to by itself
(`service_tier = auto` may mean more there); fees for a vendor's own tools.
"""

from collections.abc import Mapping

import msgspec

_decode = msgspec.json.Decoder().decode

ORDINARY = {
    "service_tier": frozenset({"", "auto", "batch", "default", "flex", "on_demand", "scale", "standard", "standard_only"}),
    "speed": frozenset({"", "normal", "standard"}),
    "inference_geo": frozenset({"", "global"}),
}
"""By field, the values that cost no more than the ordinary rates."""


def asked_dearer(top: Mapping[str, msgspec.Raw | str]) -> str:
    """The field of a body by which it asks for other rates; "": none. A value that is not known counts as one."""
    if ORDINARY.keys().isdisjoint(top.keys()):
        return ""
    for name, ordinary in ORDINARY.items():
        if name in top:
            raw = top[name]
            value = raw if isinstance(raw, str) else _decode(raw)
            if value is not None and not (isinstance(value, str) and value.lower() in ordinary):
                return name
    return ""
