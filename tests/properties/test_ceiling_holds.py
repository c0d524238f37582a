"""With a ceiling of local nothing reaches another class, whatever faults, verdicts, reloads and retries come in whatever order.

A whole gateway in front of runtimes of all three classes. What counts is what the runtimes received and what the connector was
asked for, not what the gateway says it did. Requests without a ceiling go among the others, so that the way out is open, tried
and kept warm all the time: connections rest at the vendor, sessions stick to it, answers of it are cached.
"""

import asyncio
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from freehold.config import read_config
from freehold.features import Features, Label
from freehold.gateways.connector import Address
from freehold.gateways.fake import Act, FakeRuntime, Received
from freehold.identity.issuing import KeyWanted, issue
from freehold.policy.snapshot import Policy
from freehold.routing.plan import Plan, make_plan
from freehold.routing.situation import Situation
from freehold.runtime import Egress
from freehold.server.clock import wall_ms
from freehold.storage.keys import KeyStore
from support.gateway import Served, base_url, deployment_toml, running, runtime_toml
from support.rawclient import Answer, ClientFormat, body_of, request_bytes

SECRET = "ghp_" + "aB3dE6gH9jK2mN5pQ8sT1vW4yZ7bC0eF3hI6"
NAMES = ("box", "team", "cloud")
KINDS = {"box": "local", "team": "self_hosted", "cloud": "vendor"}
FAULTS: dict[str, Act] = {
    "fine": Act(),
    "down": Act(status=503, retry_after="1"),
    "limited": Act(status=429, retry_after="1"),
    "broken": Act(status=500),
    "no key": Act(status=401),
    "too long": Act(status=400, say="maximum context length is 10 tokens"),
    "empty": Act(empty=True),
    "refusal": Act(refuse=True),
    "repeats": Act(repeat=True),
    "cut before": Act(cut="before-content"),
    "cut amid": Act(cut="mid"),
    "error event": Act(error_event="first"),
    "page": Act(html=True),
    "garbage": Act(raw=b"SSH-2.0-x\r\n"),
}
ESCALATE = 'escalate = { on = ["empty", "refusal", "repeats"], to = ["vendor", "self_hosted"], at_most = 2, hold = "whole" }'
STAY = '[[rules]]\nname = "restricted stays"\nwhen = { label = "restricted" }\nallow = { egress = "local" }\n'
ORDERS = ('["local", "self_hosted", "vendor"]', '["vendor", "self_hosted", "local"]', '["self_hosted", "vendor", "local"]')
CEILINGS: dict[str, tuple[dict[str, str], str]] = {
    "none": ({}, ""),
    "header": ({"x-freehold-ceiling": "local"}, ""),
    "label": ({"x-freehold-label": "restricted"}, ""),
    "dataset": ({"x-freehold-dataset": "shop"}, ""),
    "secret": ({}, f" {SECRET}"),
    "both": ({"x-freehold-ceiling": "local", "x-freehold-label": "public"}, ""),
    "dataset's ceiling": ({"x-freehold-dataset": "vault"}, ""),
    "key": ({"x-api-key": "the bound one"}, ""),
    "key that asks for more": ({"x-api-key": "the bound one", "x-freehold-ceiling": "vendor", "x-freehold-label": "public"}, ""),
}
PRICE = "{ input_usd_per_mtok = 1000.0, output_usd_per_mtok = 1000.0 }"
"""A question costs more than a cent there: `BUDGETS` are soon spent, and what is free is all that is left."""
BUDGETS = {
    "none": "",
    "soon spent": '[[budgets]]\nname = "soon"\nwindow = "total"\nusd = 0.3\nwait_s = 0\n',
    "spent": '[[budgets]]\nname = "spent"\nwindow = "total"\nusd = 0.000001\nwait_s = 0\n',
}

COSTS: dict[str, dict[str, str]] = {name: {"free": "true"} for name in ("box", "dead", "team")} | {"cloud": {"price": PRICE}}

configs = st.fixed_dictionaries(
    {
        "order": st.sampled_from(ORDERS),
        "escalates": st.booleans(),
        "caches": st.booleans(),
        "server": st.sampled_from(["vendor", "vendor", "self_hosted", "local"]),
        "box": st.booleans(),
        "budget": st.sampled_from(sorted(BUDGETS)),
    }
)
asks = st.fixed_dictionaries(
    {
        "format": st.sampled_from(["openai_chat", "anthropic_messages", "openai_responses", "ollama", "embeddings"]),
        "stream": st.booleans(),
        "model": st.sampled_from(["auto", "auto", "m", "cloud/m", "team/m", "box/m"]),
        "ceiling": st.sampled_from([*CEILINGS, "none"]),
        "session": st.sampled_from(["", "s1"]),
        "idempotent": st.booleans(),
    }
)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("ask"), st.lists(asks, min_size=1, max_size=3)),
        st.tuples(st.just("ask amid a reload"), st.lists(asks, min_size=1, max_size=3), configs),
        st.tuples(st.just("ask again"), st.integers(0, 5), st.booleans()),
        st.tuples(st.just("fault"), st.sampled_from(NAMES), st.sampled_from(sorted(FAULTS))),
        st.tuples(st.just("redirect"), st.sampled_from(["cloud", "team"])),
        st.tuples(st.just("reload"), configs),
    ),
    min_size=4,
    max_size=14,
)


class World:
    """A gateway, its runtimes, and what was sent where."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.acts = dict.fromkeys(NAMES, Act())
        self.runtimes = {name: FakeRuntime(script=self._script(name)) for name in NAMES}
        self.served: Served
        self.is_local_only = False
        self.number = 0
        self.bound: set[bytes] = set()
        """Marks of requests with a ceiling of local."""
        self.key = ""
        """A virtual key whose ceiling is local."""
        self.replayed = 0
        self.repeatable: list[tuple[bytes, bool]] = []
        """What was asked under an `Idempotency-Key`, and whether it was bound by what it says itself."""
        self.admitted: list[tuple[int, Egress, Egress]] = []

    def _script(self, name: str) -> Callable[[Received], Act]:
        return lambda _: self.acts[name]

    def text(self, config: dict[str, Any]) -> str:
        """A configuration file. `dead` is a local runtime where nobody listens."""
        runtimes = [name for name in NAMES if name != "box" or config["box"]]
        abilities = "{ embeddings = true, context = 100000, tools = true, json_schema = true }"
        rule = f'[[rules]]\nname = "order"\ntry = {config["order"]}\n'
        rule += f"{ESCALATE}\n" if config["escalates"] else ""
        rule += "cache = { ttl_s = 60, restricted = true }\n" if config["caches"] else ""
        return (
            f'[egress]\nceiling = "{config["server"]}"\n[defaults]\nembedded = false\n[labels.datasets]\nshop = "restricted"\n'
            '[datasets.vault]\nceiling = "local"\n'
            + "".join(runtime_toml(name, KINDS[name], base_url(self.runtimes[name])) for name in runtimes)
            + runtime_toml("dead", "local", "http://127.0.0.1:1/v1")
            + "".join(deployment_toml(name, "m", "m", abilities=abilities, **COSTS[name]) for name in [*runtimes, "dead"])
            + BUDGETS[config["budget"]]
            + STAY
            + rule
        )

    async def reload(self, config: dict[str, Any]) -> None:
        environ = {"HOME": str(self.home), "FREEHOLD_HOME": str(self.home)}
        new = read_config(self.text(config), environ, None)
        # As the file is read while the gateway runs; what is fixed from start to end differs in nothing.
        self.served.app.rebase(new)
        self.is_local_only = config["server"] == "local"

    async def make_key(self) -> None:
        """A virtual key that may go nowhere."""
        app = self.served.app
        store = KeyStore(app._store, now_ms=wall_ms)
        row, secret = issue(KeyWanted(name="bound", ceiling=Egress.LOCAL), by="cli", now_ms=wall_ms())
        store.add(row)
        store.close()
        await app.keys.look()
        self.key = secret.reveal()

    def watch(self) -> None:
        """Note what the connector is asked for."""
        connector: Any = self.served.app._connector
        admit = connector.admit

        def noted(address: Address, egress: Egress, ceiling: Egress) -> None:
            admit(address, egress, ceiling)
            self.admitted.append((address.port, egress, ceiling))

        connector.admit = noted

    def question(self, ask: dict[str, Any], *, amid_a_reload: bool) -> bytes:
        self.number += 1
        headers, more = CEILINGS[ask["ceiling"]]
        is_bound = ask["ceiling"] != "none" or (self.is_local_only and not amid_a_reload)
        mark = f"question {self.number}{'L' if is_bound else 'F'}."
        if is_bound:
            self.bound.add(mark.encode())
        if ask["session"]:
            headers = {**headers, "x-freehold-session": ask["session"]}
        port = int(self.served.url.rsplit(":", 1)[1])
        if ask["format"] == "embeddings":
            body = f'{{"model":"{ask["model"]}","input":"{mark}{more}"}}'.encode()
            raw = request_bytes("openai_chat", port, body).replace(b"/v1/chat/completions", b"/v1/embeddings", 1)
        else:
            wire: ClientFormat = ask["format"]
            raw = request_bytes(wire, port, body_of(wire, mark + more, stream=ask["stream"], model=ask["model"]))
        if ask["idempotent"]:
            headers = {**headers, "idempotency-key": f"again {self.number}".replace(" ", "-")}
        said = "".join(f"{name}: {self.key if name == 'x-api-key' else value}\r\n" for name, value in headers.items())
        raw = raw.replace(b"\r\n\r\n", f"\r\n{said}\r\n".encode(), 1)
        if ask["idempotent"]:
            self.repeatable.append((raw, ask["ceiling"] != "none"))
        return raw

    async def send(self, raw: bytes) -> Answer:
        answer = await self._answered(raw)
        self.replayed += answer.headers.get("idempotent-replayed") == "true"
        return answer

    async def _answered(self, raw: bytes) -> Answer:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(self.served.url.rsplit(":", 1)[1]))
        try:
            async with asyncio.timeout(20):
                writer.write(raw)
                return Answer(await reader.read(-1))
        finally:
            writer.close()

    def judge(self) -> None:
        """No question that was bound to this machine is in the journal of a runtime that is elsewhere."""
        for name in ("team", "cloud"):
            for received in self.runtimes[name].journal:
                leaked = [mark for mark in self.bound if mark in received.body]
                assert not leaked, f"{leaked} reached {name}"
        away = {int(base_url(self.runtimes[name]).rpartition(":")[2].partition("/")[0]) for name in ("team", "cloud")}
        for port, egress, ceiling in self.admitted:
            assert egress.within(ceiling)
            assert ceiling is not Egress.LOCAL or port not in away


async def play(steps: list[Any], home: Path) -> World:
    world = World(home)
    for runtime in world.runtimes.values():
        await runtime.start()
    first = {"order": ORDERS[0], "escalates": True, "caches": True, "server": "vendor", "box": True, "budget": "none"}
    try:
        async with running(world.text(first), {}, home) as world.served:
            await world.make_key()
            world.watch()
            for step in steps:
                await take(world, step)
                world.judge()
    finally:
        for runtime in world.runtimes.values():
            await runtime.stop()
    return world


async def take(world: World, step: Any) -> None:
    match step:
        case ("ask", questions):
            await asyncio.gather(*(world.send(world.question(ask, amid_a_reload=False)) for ask in questions))
        case ("ask amid a reload", questions, config):
            asked: list[Awaitable[Answer]] = [
                asyncio.ensure_future(world.send(world.question(ask, amid_a_reload=True))) for ask in questions
            ]
            await asyncio.sleep(0)
            await world.reload(config)
            await asyncio.gather(*asked)
        case ("ask again", back, bound):
            # Bound by what it says itself: what only the server's ceiling bound may leave once that is lifted.
            again = [raw for raw, is_bound in world.repeatable if is_bound is bound][-1 - back :]
            await asyncio.gather(*(world.send(raw) for raw in again[:2] * 2))
        case ("fault", name, fault):
            world.acts[name] = FAULTS[fault]
        case ("redirect", target):
            to = f"{base_url(world.runtimes[target])}/chat/completions".encode()
            world.acts["box"] = Act(raw=b"HTTP/1.1 307 Temporary Redirect\r\nlocation: " + to + b"\r\ncontent-length: 0\r\n\r\n")
        case ("reload", config):
            await world.reload(config)


@settings(max_examples=15, deadline=None)
@given(steps)
def test_no_sequence_of_faults_verdicts_reloads_and_retries_leaves_a_local_ceiling(steps: list[Any]) -> None:
    with tempfile.TemporaryDirectory() as home:
        asyncio.run(play(steps, Path(home)))


ASK = {"format": "openai_chat", "stream": False, "model": "auto", "ceiling": "none", "session": "s1", "idempotent": False}
CONFIG = {"order": ORDERS[1], "escalates": True, "caches": False, "server": "vendor", "box": True, "budget": "none"}
HARD: list[Any] = [
    ("ask", [ASK]),
    ("fault", "box", "empty"),
    *[
        ("ask", [{**ASK, "ceiling": ceiling, "format": wire}])
        for ceiling in CEILINGS
        for wire in ("openai_chat", "anthropic_messages")
    ],
    ("fault", "box", "down"),
    *[("ask", [{**ASK, "ceiling": ceiling, "stream": True}]) for ceiling in CEILINGS],
    ("redirect", "cloud"),
    *[("ask", [{**ASK, "ceiling": ceiling}]) for ceiling in CEILINGS],
    *[("ask", [{**ASK, "ceiling": ceiling, "idempotent": True}]) for ceiling in CEILINGS],
    ("fault", "box", "down"),
    *[("ask again", back, bound) for back in range(5) for bound in (True, False)],
    ("fault", "box", "fine"),
    ("reload", {**CONFIG, "budget": "soon spent"}),
    *[("ask", [{**ASK, "ceiling": ceiling}]) for ceiling in CEILINGS],
    ("ask again", 2, True),
    ("reload", {**CONFIG, "budget": "spent"}),
    *[("ask", [{**ASK, "ceiling": ceiling}]) for ceiling in CEILINGS],
]
"""Poor answers, faults and redirects of the only local runtime, for requests of every kind."""


async def test_the_way_out_is_open_for_those_who_may_take_it(tmp_path: Path) -> None:
    """The control: in the same world, free requests do reach the vendor and the team, bound ones are asked of the local runtime."""
    world = await play(HARD, tmp_path)
    free = {name: [one for one in world.runtimes[name].journal if b"F." in one.body] for name in ("cloud", "team")}
    assert free["cloud"]
    assert len(free["cloud"]) + len(free["team"]) >= 3
    assert world.replayed >= 3, "answers are given again under their keys"
    last = f"question {world.number - len(CEILINGS) + 1}F.".encode()
    assert not any(last in one.body for one in world.runtimes["cloud"].journal), "the budget is spent"
    assert any(last in one.body for name in ("box", "team") for one in world.runtimes[name].journal), (
        "so it went on with what is free"
    )
    assert any(mark in received.body for received in world.runtimes["box"].journal for mark in world.bound)


def plant(monkeypatch: pytest.MonkeyPatch, spoil: Callable[[Plan, Plan], Plan]) -> None:
    """A defect in deciding: `spoil` makes a plan of the right one and of one that knows no ceiling."""

    def decide(features: Features, policy: Policy, situation: Situation) -> Plan:
        free = msgspec.structs.replace(features, ceiling=Egress.VENDOR, label=Label.PUBLIC)
        return spoil(make_plan(features, policy, situation), make_plan(free, policy, situation))

    monkeypatch.setattr("freehold.server.intake.make_plan", decide)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda _right, free: free,
        lambda right, free: msgspec.structs.replace(right, escalate=free.escalate, ceiling=free.ceiling),
    ],
    ids=["the plan forgets the ceiling", "escalations forget the ceiling"],
)
async def test_a_planted_defect_is_caught(spoil: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch, spoil)
    with pytest.raises(AssertionError, match="reached"):
        await play(HARD, tmp_path)


async def test_a_plan_with_steps_above_its_ceiling_is_stopped_at_the_connector(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch, lambda right, free: msgspec.structs.replace(free, ceiling=right.ceiling))
    await play(HARD, tmp_path)
