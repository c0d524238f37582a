"""Every place in the code from which something could leave is on the page, with its egress class; nothing else is."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent.parent
SOURCE = REPOSITORY / "src" / "freehold"
PAGE = REPOSITORY / "docs" / "egress.md"
SENDS = {"create_connection", "sock_connect", "getaddrinfo", "create_datagram_endpoint", "open_connection", "sendto"}
STARTS = {"create_subprocess_exec", "create_subprocess_shell", "Popen", "execve", "execv", "posix_spawn", "fork"}
CLASSES = {"local", "the deployment's", "the configured one", "none", "refused unless vendor", "inherited"}


def leaving(tree: ast.AST, name: str = "") -> Iterator[tuple[str, ast.Call]]:
    """Calls from which something may leave, with the innermost function they stand in."""
    for node in ast.iter_child_nodes(tree):
        inner = node.name if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) else name
        if isinstance(node, ast.Call) and is_way_out(node):
            yield name, node
        yield from leaving(node, inner)


def is_way_out(call: ast.Call) -> bool:
    match call.func:
        case ast.Name(id="Call"):
            return any(keyword.arg == "egress" for keyword in call.keywords) or any(k.arg == "address" for k in call.keywords)
        case ast.Name(id=name):
            return name in SENDS | STARTS
        case ast.Attribute(value=ast.Name(id="subprocess"), attr=name):
            return name in {"run", "call", "check_call", "check_output", "Popen"}
        case ast.Attribute(value=ast.Name(id="socket"), attr="socket"):
            return True
        case ast.Attribute(attr="connect"):
            return any(keyword.arg in {"egress", "ceiling"} for keyword in call.keywords)
        case ast.Attribute(attr=name):
            return name in SENDS | STARTS | {"CDLL"}
    return False


def sites() -> set[str]:
    found = set()
    for path in sorted(SOURCE.rglob("*.py")):
        module = ".".join(path.relative_to(SOURCE).with_suffix("").parts)
        found |= {f"{module}.{name or '(module)'}" for name, _ in leaving(ast.parse(path.read_text()))}
    return found


def rows() -> dict[str, str]:
    """By site: its class."""
    table = re.findall(r"^\| `([a-z_.()]+)` \| [^|]+ \| ([^|]+) \|", PAGE.read_text(), re.MULTILINE)
    return {site: egress.strip() for site, egress in table}


def test_every_way_out_is_on_the_page_and_nothing_that_is_not_there() -> None:
    assert sites() == set(rows())


def test_every_way_out_has_a_class_the_page_explains() -> None:
    assert set(rows().values()) <= CLASSES


@pytest.mark.parametrize("site", sorted(sites()))
def test_every_call_states_its_class_and_ceiling(site: str) -> None:
    module, _, function = site.rpartition(".")
    tree = ast.parse((SOURCE / (module.replace(".", "/") + ".py")).read_text())
    for name, call in leaving(tree):
        is_call = isinstance(call.func, ast.Name) and call.func.id == "Call"
        if name == function and is_call:
            assert {"egress", "ceiling"} <= {keyword.arg for keyword in call.keywords}


@pytest.mark.parametrize(
    "code",
    [
        "async def sneak(self):\n    await self._loop.create_connection(P, 'h', 1)",
        "def sneak():\n    socket.socket()",
        "def sneak():\n    subprocess.run(['curl'])",
        "def sneak():\n    Call(address=a, path='/', headers=(), egress=e)",
        "def sneak(c):\n    c.connect(p, a, egress=e, ceiling=e, timeout_s=1)",
    ],
)
def test_a_new_way_out_is_seen(code: str) -> None:
    assert [name for name, _ in leaving(ast.parse(code))] == ["sneak"]
