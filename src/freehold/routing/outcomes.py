"""What came of an agent's tool calls, read from the conversation: which action, on which file, and whether it failed.

Promised: a block is read once, and what is kept of it holds no text, only hashes that tell actions, files and errors apart; the
same conversation reads the same everywhere. A result failed where its client says so (`is_error`), by its exit code, or by what
tools of its kind print; whether a text that a file reader returned speaks of errors says nothing. Not done: judging what a tool
did, and edits that a command made without saying so (`sed -i`).

Forms seen in the clients' own texts: Claude Code (`is_error`, `<tool_use_error>`), Codex (`Process exited with code 1`,
`apply_patch verification failed`), opencode (`Could not find oldString`), Qwen Code (`Exit Code: 1`, `Failed to edit`), Continue
and aider, whose edits and test runs are plain text.
"""

import re

import msgspec

from freehold.wire.codec import Block, ToolOutcome, ToolUse

EDITS, READS, RESULT, FAILED, FAILED_RUN, FAILED_EDIT, PASSED, NEUTRAL = 1, 2, 4, 8, 16, 32, 64, 128
"""Bits of `Act.kind`: of a call what it does; of a result what it says, `FAILED_RUN` where a reader of files did not return it,
`FAILED_EDIT` where an edit did, `PASSED` where an exit code of 0 settles it, `NEUTRAL` where the user declined."""
TROUBLE = FAILED | FAILED_RUN | FAILED_EDIT
PLAIN = 1
"""The id of what stands in plain text: edits and runs of a client that offers no tools."""

_HEAD_CHARS = 300
_TAIL_CHARS = 500
_LONGEST_ERROR = 2000
_DIGITS = b"0123456789"
_FAILED_HEAD = re.compile(
    r"\s*(?:<tool_use_error>|\{\s*\"error\"\s*:\s*(?!null|false|\"\")|\{\s*\"success\"\s*:\s*false"
    r"|[\[<]?(?:error|fatal|failed|failure|exception)\b(?!\s*:?\s*(?:\(none\)|none|null|0)\b))",
    re.IGNORECASE,
)
_CODE = re.compile(r"xit(?:ed with)?[ _](?:code|Code|status)\"?[:=]?\s*(-?\d+)")
_COUNTED = (" failed", " failing", " failure", " error")
"""What test runners put behind how many there were."""
_RUN_MARKS = (
    "FAILED (",
    "test result: FAILED",
    "Traceback (most recent call last)",
    "command not found",
    "npm ERR!",
    "make: *** ",
    "error: could not compile",
    "error TS",
    "panic: ",
    "Segmentation fault",
)
_EDIT_MARKS = (
    "not found",
    "could not find",
    "failed to",
    "verification failed",
    "no match",
    "multiple matches",
    "not match",
    "occurrences found",
    "must match exactly",
)
_DECLINED = ("The user doesn't want to", "[Request interrupted", "[Operation Cancelled]", "The user rejected")
_PATCHED = re.compile(r"\*\*\* (?:Update|Add|Delete) File: ([^\n\\\"]+)")
_OWN_NAME = re.compile(r"__|[./:]")
"""Before a tool's own name may stand that of its server."""
_EDIT_WORDS = ("edit", "patch", "replace", "write")
_READ_WORDS = ("read", "view", "list", "ls", "grep", "glob", "search", "find", "fetch", "get", "websearch", "webfetch")

_BLOCKS_FAILED = re.compile(r"# \d+ SEARCH/REPLACE blocks? failed to match!")
_IN_FILE = re.compile(r"lines in (.+)")
_RAN = "I ran this command:\n"
_LINTED = "# Fix any errors below, if possible."
_HUNK = ("UnifiedDiffNoMatch", "UnifiedDiffNotUnique")
_SEARCH = "<<<<<<< SEARCH"
_REPLACED = re.compile(r"^(\S.*)\n```.*\n<<<<<<< SEARCH", re.MULTILINE)


class Act(msgspec.Struct, frozen=True, gc=False):
    """A tool call, or what came of one. Every number but `kind` is a hash, 0 where there is nothing."""

    id: int
    """Pairs a call with its result; 0: the client's format has no ids, and they pair in order."""
    kind: int
    action: int = 0
    """Of a call: the tool with its arguments; of a run in plain text the command."""
    file: int = 0
    """Of a call: the file that is edited."""
    error: int = 0
    """Of a result: its text, numbers apart."""
    line: int = 0
    """Of a result: its first line, numbers apart."""


class _Arguments(msgspec.Struct):
    """What is looked at in a call's arguments, as the clients spell it."""

    command: str | list[str] | None = None
    cmd: str | list[str] | None = None
    file_path: str | None = None
    path: str | None = None
    filePath: str | None = None  # noqa: N815 - opencode's spelling
    filepath: str | None = None
    absolute_path: str | None = None
    target_file: str | None = None
    notebook_path: str | None = None


_arguments = msgspec.json.Decoder(_Arguments).decode


def read_acts(block: Block) -> tuple[Act, ...]:
    """The calls and results of a block; of a client without tools, what it says in the form of its texts."""
    if block.uses or block.outcomes:
        return (*map(_read_use, block.uses), *map(_read_outcome, block.outcomes))
    if block.texts:
        if block.role == "user":
            return _read_plain_result(block.texts[0])
        if block.role == "assistant" and _SEARCH in block.texts[-1]:
            found = _REPLACED.search(block.texts[-1])
            return (Act(PLAIN, EDITS, hash(block.texts[-1]), hash(found[1]) if found else 0),)
    return ()


def _read_use(use: ToolUse) -> Act:
    name = _OWN_NAME.split(use.name.lower())[-1].replace("_", "").replace("-", "")
    kind = _kind_of(name, use.arguments)
    said: str | list[str] | None = None
    path: str | None = None
    if use.arguments[:1] == "{":
        try:
            read = _arguments(use.arguments)
        except (msgspec.DecodeError, UnicodeEncodeError):
            read = _Arguments()
        said = read.command or read.cmd
        path = read.file_path or read.path or read.filePath or read.filepath or read.absolute_path
        path = path or read.target_file or read.notebook_path
    if kind == EDITS and path is None:
        found = _PATCHED.search(use.arguments)
        path = found[1] if found else None
    # A command is told apart by itself: agents describe the same one in other words each time.
    told = use.arguments if said is None or kind == EDITS else str(said)
    return Act(hash(use.id) if use.id else 0, kind, hash((use.name, told)), hash(path) if path else 0)


def _kind_of(name: str, arguments: str) -> int:
    if "*** Begin Patch" in arguments or (name != "writestdin" and any(word in name for word in _EDIT_WORDS)):
        return EDITS
    return READS if name.startswith(_READ_WORDS) else 0


def _read_outcome(outcome: ToolOutcome) -> Act:
    text = outcome.text
    kind = RESULT | (NEUTRAL if text.startswith(_DECLINED) else FAILED if outcome.is_error else _signs_in(text))
    error, line = _errors_of(text) if kind & TROUBLE else (0, 0)
    return Act(hash(outcome.id) if outcome.id else 0, kind, error=error, line=line)


def _errors_of(text: str) -> tuple[int, int]:
    """What tells an error apart from others: its whole text and its first line, both without numbers."""
    if len(text) > _LONGEST_ERROR:
        text = text[: _LONGEST_ERROR // 2] + text[-_LONGEST_ERROR // 2 :]
    told = text.encode(errors="replace").translate(None, _DIGITS)
    return hash(told), hash(told.strip().partition(b"\n")[0])


def _signs_in(text: str) -> int:
    """What a text says of itself."""
    head = text[:_HEAD_CHARS]
    kind = FAILED if _FAILED_HEAD.match(head) else 0
    line = head.lstrip().partition("\n")[0].lower()
    for mark in _EDIT_MARKS:
        if mark in line:
            kind |= FAILED_EDIT
            break
    tail = text[-_TAIL_CHARS:] if len(text) > _HEAD_CHARS else ""
    code = _CODE.search(head) or (_CODE.search(tail) if tail else None)
    if code is not None:
        return kind | (PASSED if int(code[1][:9]) == 0 else FAILED_RUN)
    for mark in _RUN_MARKS:
        if mark in text:
            return kind | FAILED_RUN
    return kind | FAILED_RUN if _counts_failures(tail or head) else kind


def _counts_failures(text: str) -> bool:
    """Whether `3 failed` stands there, or the like; not where it is `0 failed`."""
    for word in _COUNTED:
        at = text.find(word)
        while at > 0:
            if text[at - 1].isdecimal() and text[max(at - 9, 0) : at].rsplit(maxsplit=1)[-1].strip("(,[") != "0":
                return True
            at = text.find(word, at + 1)
    return False


def _read_plain_result(text: str) -> tuple[Act, ...]:
    """What aider tells its model in a user's turn."""
    if text.startswith(_RAN):
        command, _, output = text[len(_RAN) :].partition("And got this output:")
        kind = RESULT | _signs_in(output.strip())
        return (Act(PLAIN, kind, hash(command), 0, *_errors_of(output)),)
    if text.startswith(_LINTED):
        return (Act(PLAIN, RESULT | FAILED, hash(_LINTED), 0, *_errors_of(text)),)
    if text.startswith(_HUNK) or _BLOCKS_FAILED.match(text):
        found = _IN_FILE.search(text)
        return (Act(PLAIN, RESULT | FAILED_EDIT, 0, hash(found[1]) if found else 0, *_errors_of(text)),)
    return ()
