"""The command line as a person and a script meet it: real processes, real sockets, real signals."""

import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from freehold.cli import completion
from support.place import GIVE_UP_S, Place, end, wait_for

BAD = """
[server]
prt = 1
port = "x"
[[runtimes]]
name = "a"
kind = "locl"
[[deployments]]
id = "x/y"
model = "m"
runtime = "nowhere"
served_as = "m"
"""
CHAT = {"model": "fake", "messages": [{"role": "user", "content": "Write a docstring for f"}]}


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A server with the demo runtime, in which one request was served and one failed."""
    place = Place(tmp_path_factory.mktemp("served"))
    server = place.start("serve", "--demo")
    try:
        place.until_serving(server)
        place.run("ask", "--model", "fake", "hello there")
        place.run("ask", "--model", "nothing-is-called-so", "hello", code=1)
        wait_for(lambda: len(place.json("log")) == 2)
        yield place
    finally:
        code, _, err = end(server)
    assert code == 0, err


# without a server


def test_version_in_both_forms(place: Place) -> None:
    words = place.run("version")
    assert words == place.run("--version") == f"freehold {place.json('version')['version']}\n"


@pytest.mark.parametrize(
    ("words", "completed"),
    [
        ("freehold ex", "explain"),
        ("freehold service r", "remove"),
        ("freehold launch c", "claude codex continue"),
        ("freehold ask -m f", ""),
    ],
)
def test_completion_is_offered_and_completes(place: Place, words: str, completed: str) -> None:
    place.environ |= {"_FREEHOLD_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
    # The name of the program is part of the protocol, so the installed command is asked.
    ran = subprocess.run(
        [Path(sys.executable).with_name("freehold")], env=place.environ, capture_output=True, text=True, check=False
    )
    assert ran.stdout.split() == completed.split()


def test_every_value_that_is_one_of_several_can_be_completed() -> None:
    for values in (
        completion.outcomes, completion.tasks, completion.groupings, completion.endpoints, completion.wire_formats,
        completion.service_actions,
        completion.audit_actions, completion.proofs, completion.clients, completion.weights,
    ):  # fmt: skip
        assert all(value and " " not in value for value in values()), values
        assert values(), values


def test_check_names_every_problem_and_the_valid_values(place: Place) -> None:
    place.config.write_text(BAD)
    said = place.run("check", code=2)
    for words in (
        "server.prt",
        "'port'",
        "server.port",
        "whole number",
        "runtimes[0].kind",
        "self_hosted",
        "deployments[0].runtime",
    ):
        assert words in said
    told = place.json("check", code=2)
    assert told["ok"] is False
    assert [problem["path"] for problem in told["problems"]] == [
        "server.prt",
        "server.port",
        "runtimes[0].kind",
        "deployments[0].runtime",
    ]
    assert place.run("serve", code=2) == said


def test_check_of_a_good_file(place: Place) -> None:
    assert "good (policy" in place.run("check")
    assert place.json("check")["ok"] is True


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("log",), 1, "no ledger"),
        (("explain",), 1, "no ledger"),
        (("log", "--outcome", "good"), 2, "served, failed, refused, cancelled, cut"),
        (("log", "--task", "idling"), 2, "docstring"),
        (("explain", "--request", "missing.json"), 1, "No such file"),
        (("explain", "--request", "freehold.toml", "--format", "soap"), 2, "openai_chat, openai_responses"),
        (("explain", "--request", "freehold.toml", "--header", "nonsense"), 2, "name: value"),
        (("explain", "--request", "freehold.toml"), 1, "invalid_request"),
        (("explain", "--request", "latin.json"), 1, "invalid_request"),
        (("check", "--config", "elsewhere.toml"), 2, "cannot be read: No such file"),
        (("check", "--config", "latin.json"), 2, "UTF-8"),
        (("check", "--config", "."), 2, "cannot be read: Is a directory"),
        (("serve", "--host", "0.0.0.0"), 2, "server.api_key"),
        (("serve", "--port", "99999"), 2, "65535"),
        (("reconcile", "missing.csv"), 2, "missing.csv cannot be read: No such file or directory\n"),
        (("reconcile", "latin.json"), 2, "UTF-8"),
        (("pull", "nothing"), 2, "smollm2-135m-instruct"),
        (("pull",), 2, "--default"),
        (("ask", "  "), 2, "nothing to ask"),
        (("ask", "hello"), 1, "'auto'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_foreseeable_faults_are_told_in_words_and_by_exit_code(
    place: Place, words: tuple[str, ...], code: int, says: str
) -> None:
    (place.folder / "latin.json").write_bytes(b'{"model": "caf\xe9"}')
    assert says in place.run(*words, code=code)


def test_a_data_directory_that_cannot_be_is_told_by_its_name(place: Place) -> None:
    (place.folder / "data").write_text("not a folder")
    assert place.run("serve", code=1).splitlines()[-1].startswith(f"{place.folder / 'data'}")


def test_a_file_from_an_editor_that_marks_its_beginning_is_read(place: Place) -> None:
    place.config.write_bytes(b"\xef\xbb\xbf" + place.config.read_bytes().replace(b"\n", b"\r\n"))
    assert "good (policy" in place.run("check")


def test_a_fault_is_json_for_programs_too(place: Place) -> None:
    assert "no ledger" in place.json("log", code=1)["error"]


def test_a_ledger_that_is_no_database_is_told(place: Place) -> None:
    (place.folder / "data").mkdir()
    (place.folder / "data" / "freehold.db").write_bytes(b"this is no database" * 300)
    assert "database" in place.run("log", code=1)
    assert "not a database" in place.run("serve", code=1)


@pytest.mark.parametrize("wire", ["openai_chat", "anthropic_messages"])
def test_a_dry_run_decides_bodies_of_both_formats_and_honours_headers(place: Place, wire: str) -> None:
    place.config.write_text(
        "[defaults]\nembedded = false\n"
        + "".join(
            f'[[runtimes]]\nname = "{name}"\nkind = "{kind}"\nbase_url = "{url}"\n[[deployments]]\nid = "{name}/m"\nmodel = "m"\n'
            f'runtime = "{name}"\nserved_as = "m"\nabilities = {{ context = 9000 }}\n'
            for name, kind, url in (("near", "local", "http://127.0.0.1:1/v1"), ("far", "vendor", "https://example.com/v1"))
        )
    )
    (place.folder / "body.json").write_text(json.dumps(CHAT | {"model": "m", "max_tokens": 9}))
    ask = ("explain", "--request", "body.json", "--format", wire)
    told = place.json(*ask)
    assert [step["deployment"] for step in told["steps"]] == ["near/m", "far/m"]
    assert told["features"]["task"] == "docstring"
    told = place.json(*ask, "--header", "x-freehold-ceiling: local")
    assert [step["deployment"] for step in told["steps"]] == ["near/m"]
    assert [one["deployment"] for one in told["rejected"]] == ["far/m"]
    shown = place.run(*ask, "-H", "x-freehold-label: restricted")
    assert "restricted" in shown
    assert "far/m" in shown
    assert not (place.folder / "data").exists(), "a dry run writes nothing"


def test_what_is_configured_is_listed_without_a_server(place: Place) -> None:
    place.config.write_text(f"[server]\nport = {place.port}\n")
    assert place.json("runtimes")["server"] == "not running"
    assert max(len(line) for line in place.run("runtimes").splitlines()) <= 80
    assert max(len(line) for line in place.run("models").splitlines()) <= 80
    told = place.json("models")
    assert {row["name"] for row in told["models"]} >= {"auto", "claude-*", "embedded/smollm2-135m-instruct"}
    assert (told["server"], told["url"]) == ("not running", f"http://127.0.0.1:{place.port}")
    assert {row["state"] for row in place.json("pull", "--list")} == {"not here"}


# serving


def test_a_free_port_is_found_and_told_truly_and_sigterm_ends_well(place: Place) -> None:
    server = place.start("serve", "--port", "0", "--demo")
    assert server.stdout is not None
    port = int(re.findall(rb":(\d+) ", server.stdout.readline())[0])
    assert json.loads(place.until_serving(server, port=port))["status"] == "ok"
    code, out, err = end(server)
    assert code == 0
    assert f"base URL http://127.0.0.1:{port}/v1, any key" in out
    assert "demo/fake" in out
    assert "server.stopped" in err


def test_a_server_for_other_machines_names_an_address_that_clients_can_use(place: Place) -> None:
    place.config.write_text(place.config.read_text() + "[discovery]\nlocal = false\n")
    place.config.write_text(place.config.read_text().replace("[server]", '[server]\nhost = "0.0.0.0"\nrequire_keys = true'))
    server = place.start("serve")
    place.until_serving(server)
    out = end(server)[1]
    assert f"serves on http://127.0.0.1:{place.port}, and at every other address of this machine" in out
    assert "0.0.0.0" not in out


def test_ctrl_c_ends_well(place: Place) -> None:
    server = place.start("serve")
    place.until_serving(server)
    code, _, err = end(server, signal.SIGINT)
    assert (code, "server.stopped" in err) == (0, True)


def test_a_port_in_use_is_told_before_anything_starts(served: Place) -> None:
    said = served.run("serve", code=1)
    assert f"127.0.0.1:{served.port} is in use" in said
    assert "server.started" not in said


def test_local_only_is_told_and_tightens_everything(place: Place) -> None:
    place.environ["FREEHOLD_LOCAL_ONLY"] = "1"
    server = place.start("serve", "--demo")
    assert json.loads(place.until_serving(server, "/readyz"))["local_only"] is True
    assert "nothing goes further than local" in end(server)[1]
    place.environ["FREEHOLD_LOCAL_ONLY"] = "perhaps"
    assert "FREEHOLD_LOCAL_ONLY" in place.run("check", code=2)


def test_an_engine_without_weights_is_told_with_its_remedy(tmp_path: Path) -> None:
    place = Place(tmp_path)
    place.config.write_text(f"[server]\nport = {place.port}\n")
    server = place.start("serve")
    place.until_serving(server)
    wait_for(lambda: {one["state"] for one in place.json("runtimes")["runtimes"]} == {"no_weights"})
    assert "freehold pull" in place.run("ask", "hello", code=1)
    code, _, err = end(server)
    assert (code, "engine.no_weights" in err) == (0, True)


def test_a_running_answer_is_drained_before_the_server_ends(place: Place) -> None:
    server = place.start("serve", "--demo")
    place.until_serving(server)
    words = "one two three four five six seven eight nine ten"
    asking = place.start("ask", "--model", "fake", f"[[fake: say={words}]][[fake: slow=30ms]]")
    assert asking.stdout is not None
    first = asking.stdout.read(3)
    server.send_signal(signal.SIGTERM)
    rest = asking.communicate(timeout=GIVE_UP_S)[0]
    assert (first + rest).decode().strip() == words
    assert end(server)[0] == 0, "also where it is told to stop once more while it ends"
    assert [row["outcome"] for row in place.json("log")] == ["served"]


# with a server


def test_ask_streams_says_why_and_reads_standard_input(served: Place) -> None:
    asked = served.start("ask", "--model", "fake", "--why", "-", stdin=subprocess.PIPE)
    out, err = asked.communicate(b"[[fake: say=from standard input]]", timeout=GIVE_UP_S)
    assert out.decode() == "from standard input\n"
    assert re.search(r"served by demo/fake \(local\): .*\[req_", err.decode())
    told = served.json("ask", "--model", "fake", "[[fake: say=yes]]")
    assert (told["answer"], told["deployment"], told["egress"]) == ("yes", "demo/fake", "local")


def test_ask_says_that_an_answer_broke_off(served: Place) -> None:
    assert "the answer broke off" in served.run("ask", "-m", "fake", "[[fake: break=mid]] one two three four", code=1)


def test_ask_shows_no_terminal_control_of_a_model(served: Place) -> None:
    assert served.run("ask", "--model", "fake", "[[fake: say=red\x1b[31m\tblue]]") == "red[31m\tblue\n"


def test_a_reader_that_leaves_is_no_fault(served: Place) -> None:
    asked = served.start("ask", "--model", "fake", "[[fake: repeat]][[fake: slow=5ms]]")
    assert asked.stdout is not None
    asked.stdout.read(1)
    asked.stdout.close()
    assert asked.stderr is not None
    with asked.stderr:
        assert asked.stderr.read() == b""
    assert asked.wait(GIVE_UP_S) == 1


def test_log_filters(served: Place) -> None:
    assert {row["outcome"] for row in served.json("log", "--outcome", "failed")} >= {"failed"}
    assert {row["deployment"] for row in served.json("log", "--deployment", "demo/fake")} == {"demo/fake"}
    assert {row["task"] for row in served.json("log", "--task", "chat")} == {"chat"}
    assert served.json("log", "--session", "nobody's") == []
    assert len(served.json("log", "--count", "1")) == 1
    assert served.run("log", "--session", "nobody's") == "no requests\n"


def test_log_is_readable(served: Place) -> None:
    said = served.run("log", "--deployment", "demo/fake", "--outcome", "served", "-n", "1")
    assert re.search(r"req_\w+  served, \d+ ms\n  fake -> demo/fake \[local\]; chat, \d+ tokens in, \d+ out, free\n", said)


@pytest.mark.parametrize(("form", "number"), [((), signal.SIGINT), (("--json",), signal.SIGTERM)], ids=["text", "json"])
def test_log_follows_and_ends_well_when_told_to_stop(served: Place, form: tuple[str, ...], number: int) -> None:
    following = served.start("log", "--follow", "--count", "1", *form)
    assert following.stdout is not None
    first = following.stdout.readline()
    assert b"req_" in first
    asked = served.json("ask", "--model", "fake", "one more")
    seen = b""
    while asked["request-id"].encode() not in seen:
        seen = following.stdout.readline()
        assert seen
    if form:
        assert json.loads(seen)["outcome"] == "served"
    following.send_signal(number)
    _, err = following.communicate(timeout=GIVE_UP_S)
    assert (following.returncode, err) == (0, b"")


def test_explain_by_the_beginning_of_an_id(served: Place) -> None:
    row = served.json("log", "--outcome", "served", "-n", "1")[0]
    told = served.json("explain", row["request_id"][:-2])
    assert told["request"]["request_id"] == row["request_id"]
    assert [one["end"] for one in told["attempts"]] == ["served"]
    shown = served.run("explain", row["request_id"])
    for words in ("asked", "served by", "the decision", "1. demo/fake", "attempt 1: demo/fake, served", "cost"):
        assert words in shown


def test_ids_that_are_unknown_or_ambiguous_are_told(served: Place) -> None:
    assert "begins several requests" in served.run("explain", "req_", code=1)
    assert "freehold log" in served.run("explain", "zzzz", code=1)


def test_the_running_server_is_described(served: Place) -> None:
    told = served.json("doctor")
    assert (told["serves"], told["server"]) == (True, ["demo/fake", "demo/fake-embed"])
    assert "running, with demo/fake, demo/fake-embed beyond this configuration" in served.run("doctor")
    told = served.json("runtimes")
    assert told["server"] == "running"
    assert [(one["name"], one["state"], one["deployments"]) for one in told["runtimes"]] == [
        ("demo", "configured", ["demo/fake", "demo/fake-embed"])
    ]
    told = served.json("models")
    assert told["names_told"]
    assert [(one["name"], one["means"], one["abilities"], one["context"], one["state"]) for one in told["models"]][1:3] == [
        ("fake-embed", ["demo/fake-embed"], ["embeddings"], 8192, "configured"),
        ("demo/fake", ["demo/fake"], ["chat", "images", "reasoning", "tools"], 131072, "configured"),
    ]
    assert served.run("models").startswith(f"as the running server at http://127.0.0.1:{served.port} has it\n")


def test_every_command_that_prints_takes_json(place: Place) -> None:
    def listed(*group: str) -> list[str]:
        return re.findall(r"^  ([a-z-]+) ", place.run(*group, "--help").partition("Commands:")[2], re.MULTILINE)

    assert len(listed()) >= 10
    for group in ((), ("key",), ("budget",)):
        assert not re.search(r"^  .*\.\.\.$", place.run(*group, "--help"), re.MULTILINE), "no command's line is cut"
    for command in set(listed()) - {"serve"}:
        for parts in [(command, one) for one in listed(command)] or [(command,)]:
            assert "--json" in place.run(*parts, "--help"), parts
