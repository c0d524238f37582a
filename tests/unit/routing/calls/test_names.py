"""A name is taken for a tool only where exactly one is near, and nearness cannot be a difference in meaning."""

import pytest

from freehold.routing.calls.names import Names

NAMES = Names(
    [
        "read_file",
        "unlock_door",
        "set_user",
        "mcp__fs__list_directory",
        "mcp__git__status",
        "mcp__svn__status",
        "step_1",
        "get_state",
    ]
)


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("read_file", "read_file"),
        ("readFile", "read_file"),
        ("READ-FILE", "read_file"),
        ("functions.read_file:3", "read_file"),
        ("default_api.read_file()", "read_file"),
        ("raed_file", "read_file"),
        ("read_fil", "read_file"),
        ("read_files", "read_file"),
        ("list_directory", "mcp__fs__list_directory"),
        ("fs.listDirectory", "mcp__fs__list_directory"),
        ("functions.mcp__fs__list_directory", "mcp__fs__list_directory"),
    ],
)
def test_another_spelling_of_one_tool_is_that_tool(said: str, meant: str) -> None:
    assert NAMES.find(said) == meant


@pytest.mark.parametrize(
    "said",
    ["lock_door", "get_user", "step_2", "status", "write_file", "load_file", "get_stage", "", "f", "x" * 500, "read file please"],
)
def test_what_could_mean_something_else_is_no_tool(said: str) -> None:
    assert NAMES.find(said) is None


def test_two_near_tools_are_none() -> None:
    assert Names(["read_filex", "read_filey"]).find("read_file") is None


def test_a_key_is_a_tool_only_where_it_is_spelt_alike() -> None:
    assert NAMES.has_alike("readFile")
    assert not NAMES.has_alike("list_directory")
    assert not NAMES.has_alike("read_fil")
