"""The tables of engines, relays and vendors in docs/runtimes.md, made from the data files discovery reads."""

from freehold.config.vendors import read_vendors
from freehold.gateways.discovery import read_known


def engines() -> str:
    """Engines and their ports, then relays."""
    known = read_known()
    lines = ["| runtime | engine | loopback port | spoken to in | source |", "|---|---|---|---|---|"]
    for engine in known.engines:
        ports = ", ".join(map(str, engine.ports))
        moved = f", or `{engine.address_variable}`" if engine.address_variable else ""
        process = f", or the port of the process `{engine.processes[0]}`" if engine.processes else ""
        formats = ", ".join(engine.formats)
        lines.append(f"| `{engine.name}` | {engine.title} | {ports}{moved}{process} | {formats} | {engine.source} |")
    lines += ["", "| passes requests on | told by |", "|---|---|"]
    lines += [f"| {relay.name} | `{relay.path}` answers with `{relay.says}` |" for relay in known.relays]
    lines.append(f"| any proxy or gateway | one of the headers `{'`, `'.join(known.relay_headers.names)}` |")
    return "\n".join(lines)


def vendors() -> str:
    """Vendors, the variables their keys are found in, and the models that are listed."""
    lines = ["| runtime | key | also needs | not used when set | models listed |", "|---|---|---|---|---|"]
    for one in read_vendors():
        keys = " or ".join(f"`{key}`" for key in one.keys)
        parts = "; ".join(" or ".join(f"`{name}`" for name in names) for names in one.parts.values())
        elsewhere = ", ".join(f"`{name}`" for name in one.elsewhere)
        models = ", ".join(f"`{one.name}/{model.served_as.rpartition('/')[2]}`" for model in one.models)
        lines.append(
            f"| `{one.name}` ({one.title}) | {keys} | {parts} | {elsewhere} | {models or 'none: its names are your own'} |"
        )
    return "\n".join(lines)
