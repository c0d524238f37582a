import pytest

from freehold.policy.globs import make_matcher
from freehold.policy.names import MAX_NAME_CHARS, Names
from freehold.runtime import Deployment, Egress, Local, Model, Placed

PLACED = {
    name: Placed(
        deployment=Deployment(id=name, model=name.split("/")[1], runtime="box", served_as="x"),
        runtime=Local(name="box", base_url="http://localhost:1/v1"),
        model=Model(id=name.split("/")[1]),
        egress=Egress.LOCAL,
    )
    for name in (
        "box/small",
        "box/gpt-oss-20b",
        "box/claude-sonnet-4-5",
        "other/small",
        "ollama/gpt-oss:latest",
        "ollama/qwen3:4b",
    )
}
ALIASES = {
    "auto": ("box/small",),
    "claude-*": ("auto",),
    "claude-opus-*": ("box/gpt-oss-20b",),
    "gpt-*": ("auto",),
    "team": ("small", "auto"),
}
NAMES = Names(PLACED, ALIASES)


@pytest.mark.parametrize(
    ("asked", "expected", "through"),
    [
        ("auto", ["box/small"], ["auto"]),
        ("claude-haiku-4-5-20251001", ["box/small"], ["claude-*", "auto"]),
        ("claude-opus-4-1", ["box/gpt-oss-20b"], ["claude-opus-*"]),
        ("claude-sonnet-4-5[1m]", ["box/claude-sonnet-4-5"], []),
        ("claude-sonnet-4-5-20250929", ["box/claude-sonnet-4-5"], []),
        ("claude-sonnet-4-5-latest", ["box/claude-sonnet-4-5"], []),
        ("claude-opus-4-6[1m]", ["box/gpt-oss-20b"], ["claude-opus-*"]),
        ("gpt-oss-20b", ["box/gpt-oss-20b"], []),
        ("gpt-4o-2024-08-06", ["box/small"], ["gpt-*", "auto"]),
        ("small", ["box/small", "other/small"], []),
        ("other/small", ["other/small"], []),
        ("team", ["box/small", "other/small"], ["team", "auto"]),
        ("gpt-oss", ["ollama/gpt-oss:latest"], []),
        ("ollama/gpt-oss", ["ollama/gpt-oss:latest"], []),
        ("small:latest", ["box/small", "other/small"], []),
        ("auto:latest", ["box/small"], ["auto"]),
        ("gpt-oss:20b", ["box/small"], ["gpt-*", "auto"]),
    ],
)
def test_an_asked_name_means(asked: str, expected: list[str], through: list[str]) -> None:
    found = NAMES.resolve(asked)
    assert found == (tuple(expected), tuple(through))


@pytest.mark.parametrize(
    "asked",
    [
        "",
        "nobody",
        "smal",
        "claude",
        ":latest",
        "qwen3",
        "qwen3:latest",
        "small:8b",
        "x" * (MAX_NAME_CHARS + 1),
        "gpt-" + "x" * MAX_NAME_CHARS,
        "\ud800",
    ],
)
def test_other_names_are_unknown(asked: str) -> None:
    assert NAMES.resolve(asked) is None


def test_globs_know_stars_and_question_marks_only_and_no_case() -> None:
    fits = make_matcher(["GPT-?", "a.c", "[x]*"])
    assert [name for name in ("gpt-4", "gpt-45", "a.c", "abc", "[x]y", "x", "gpt-4\n") if fits(name)] == ["gpt-4", "a.c", "[x]y"]
    assert not make_matcher([])("")


def test_many_stars_do_not_cost_time() -> None:
    assert not make_matcher(["*" * 50 + "b"])("a" * MAX_NAME_CHARS)
