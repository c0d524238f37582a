import pytest

from freehold.routing.agents import Client, part_of, recognise

ID = "0f1e2d3c-aaaa-bbbb-cccc-1234567890ab"


@pytest.mark.parametrize(
    ("headers", "hint", "client"),
    [
        ({}, None, Client(None, None, None)),
        (
            {"user-agent": "claude-cli/2.1.329 (external, cli)", "x-claude-code-session-id": ID},
            None,
            Client("claude-code", ID, None),
        ),
        (
            {"x-claude-code-session-id": ID, "x-claude-code-request-class": "compaction"},
            None,
            Client("claude-code", ID, "compaction"),
        ),
        ({"x-claude-code-session-id": ID, "x-claude-code-agent-id": "a1"}, None, Client("claude-code", ID, "subagent")),
        ({"x-claude-code-session-id": ID, "x-claude-code-request-class": "emperor"}, None, Client("claude-code", ID, None)),
        ({"user-agent": "claude-cli/2.1"}, f'{{"device_id":"d","session_id":"{ID}"}}', Client("claude-code", ID, None)),
        ({"user-agent": "claude-cli/1.0"}, f"user_abc_account__session_{ID}", Client("claude-code", ID, None)),
        ({"originator": "codex_exec", "session-id": ID, "thread-id": "t"}, "cache-key", Client("codex", ID, None)),
        ({"originator": "codex_cli_rs", "session_id": ID}, None, Client("codex", ID, None)),
        ({"originator": "codex_exec", "x-openai-subagent": "review"}, None, Client("codex", None, "subagent")),
        ({"originator": "codex_exec", "x-openai-subagent": "compact"}, None, Client("codex", None, "compaction")),
        ({"originator": "codex_exec", "x-openai-subagent": "memory_consolidation"}, None, Client("codex", None, "auxiliary")),
        ({"originator": "codex_exec", "x-codex-parent-thread-id": "t0"}, None, Client("codex", None, "subagent")),
        ({"x-session-affinity": "ses_2", "x-parent-session-id": "ses_1"}, None, Client("opencode", "ses_2", "subagent")),
        ({"user-agent": "codex_exec/0.169.0 (Linux)"}, ID, Client("codex", ID, None)),
        ({"x-session-affinity": "ses_1"}, None, Client("opencode", "ses_1", None)),
        ({"user-agent": "opencode/1.18 ai-sdk/7", "x-session-id": "ses_2"}, None, Client("opencode", "ses_2", None)),
        ({"x-session-id": "anyone"}, None, Client(None, "anyone", None)),
        ({"x-freehold-session": "mine", "x-claude-code-session-id": ID}, None, Client("claude-code", "mine", None)),
        ({"user-agent": "OpenAI/Python 3.52.0"}, "me@example", Client("openai-python", "me@example", None)),
        ({"user-agent": "AsyncAnthropic/Python 2.11.0"}, None, Client("anthropic-python", None, None)),
        ({"user-agent": "curl/8.5"}, None, Client("curl", None, None)),
        ({"user-agent": "Mozilla/5.0"}, None, Client(None, None, None)),
    ],
)
def test_clients_and_sessions_are_recognised_by_what_they_send(headers: dict[str, str], hint: str | None, client: Client):
    assert recognise(headers, hint) == client


@pytest.mark.parametrize("bad", ["", " ", "x" * 201, "a\nb", "a\x00", "\u200b", "tab\there"])
def test_an_id_that_is_empty_long_or_not_printable_is_as_good_as_none(bad: str):
    assert recognise({"x-freehold-session": bad}, None).session is None
    assert recognise({}, bad).session is None


def test_a_bad_id_does_not_hide_a_good_one_behind_it():
    assert recognise({"x-freehold-session": "x" * 300, "x-session-id": "good"}, "hint").session == "good"
    assert recognise({"x-freehold-session": ""}, "hint").session == "hint"


@pytest.mark.parametrize(
    "hint", ["{", "{}", '{"session_id": 7}', '{"session_id": ""}', '{"session_id": null}', "[" * 500, '{"a":' * 100, "{\ud800}"]
)
def test_a_malformed_hint_from_the_body_is_ignored(hint: str):
    session = recognise({}, hint).session
    assert session is None or session == hint
    if hint.startswith("{"):
        assert session is None


@pytest.mark.parametrize(
    ("headers", "part"),
    [
        ({}, ""),
        ({"x-claude-code-session-id": ID}, ""),
        ({"x-claude-code-session-id": ID, "x-claude-code-agent-id": "a1"}, "a1"),
        ({"session-id": ID, "thread-id": "t1"}, "t1"),
        ({"thread-id": "x" * 201}, ""),
        ({"thread-id": " "}, ""),
    ],
)
def test_conversations_within_a_session_are_told_apart_where_the_client_tells_them(headers: dict[str, str], part: str):
    assert part_of(headers) == part
