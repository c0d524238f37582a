"""A scripted model that does a coding agent's work: it has the file read by the client's own tool, and answers from the result.

The code in the file is known to nobody but the client until its tool's result arrives here. What the client sends is held
against the rules of its format; on Chat Completions against those of a strict local template.
"""

import json
import re
from pathlib import Path

from freehold.chat import ChatRequest, TextPart, Tool, ToolResultPart
from freehold.gateways.fake import Act, Called, Received
from freehold.wire.formats import CODECS
from support.strict_chat import refusals

CODE = re.compile(r"FH-[0-9a-f]{24}")
FILE = re.compile(r"/\S+/code\.txt")
EDITED = "seen"
"""What the model writes behind the code where it edits the file itself."""
WINDOW = 200_000
_READERS = ("Read", "read", "read_file", "ReadFile", "exec_command", "shell", "shell_command", "Bash", "bash")
_PATH_NAMES = ("file_path", "filePath", "filepath", "absolute_path", "path")


class ReadingModel:
    """The script of a fake runtime."""

    def __init__(self) -> None:
        self.refused: list[str] = []
        """Why requests were refused."""
        self.tools_used: list[str] = []
        self.formats: set[str] = set()
        self.codes_early: list[str] = []
        """Codes that came before any tool brought them."""

    def __call__(self, received: Received) -> Act | None:
        """The act for a request."""
        if received.method != "POST" or received.path.endswith("/count_tokens"):
            return None
        self.formats.add(received.format)
        if received.format == "openai_chat":
            found = refusals(json.loads(received.body), WINDOW)
            if found:
                self.refused += found
                return Act(status=400)
        codec = CODECS[received.format]
        return self._act(codec.read_request(codec.peek(received.body)))

    def _act(self, request: ChatRequest) -> Act:
        results = [part for message in request.messages for part in message.parts if isinstance(part, ToolResultPart)]
        read = CODE.search("\n".join(_text(part) for part in results))
        if read is not None:
            return Act(say=f"The code is {read[0]}.")
        said = "\n".join(part.text for message in request.messages for part in message.parts if isinstance(part, TextPart))
        tools = [tool for tool in request.tools if isinstance(tool, Tool)]
        early = CODE.search(said)
        if early is not None:
            self.codes_early.append(early[0])
        if not tools:
            return Act(say=_edit(early[0]) if early is not None else "Reading a file")
        path = FILE.search(said)
        if path is None or len(results) > 2:
            return Act(say=f"There is nothing to read: {[_text(part)[:200] for part in results]}")
        call = _reading_call(tools, path[0])
        self.tools_used.append(call.name)
        return Act(say="I read it.", tools=(call,), think="The file must be read.")


def _edit(code: str) -> str:
    """A whole file, as aider's `whole` format has it."""
    return f"code.txt\n```\n{code}\n{EDITED} {code}\n```\n"


def _text(part: ToolResultPart) -> str:
    return "\n".join(piece.text for piece in part.content if isinstance(piece, TextPart))


def _reading_call(tools: list[Tool], path: str) -> Called:
    """The client's tool for reading, with the arguments that its schema names."""
    offered = {tool.name: tool for tool in tools}
    tool = next((offered[name] for name in _READERS if name in offered), tools[0])
    fields = (tool.parameters or {}).get("properties", {})
    named = next((name for name in _PATH_NAMES if name in fields), None)
    if named is not None:
        return Called(tool.name, json.dumps({named: path}))
    command = "cmd" if "cmd" in fields else "command"
    is_list = fields.get(command, {}).get("type") == "array"
    return Called(tool.name, json.dumps({command: ["cat", path] if is_list else f"cat {path}", **_demanded(tool, command)}))


def _demanded(tool: Tool, command: str) -> dict[str, str]:
    """Other text the schema demands."""
    return {name: "Read the file" for name in (tool.parameters or {}).get("required", ()) if name != command}


def file_with_code(folder: Path, code: str) -> Path:
    """The file to read."""
    file = folder / "code.txt"
    file.write_text(f"{code}\n")
    return file
