"""The Anthropic SDK's tool runner, which runs the tool by itself."""

import anthropic
from prompt import MODEL, PROMPT, SYSTEM
from prompt import read_file as read_text


@anthropic.beta_tool
def read_file(path: str) -> str:
    """Read a file.

    Args:
        path: Where it is.
    """
    return read_text(path)


runner = anthropic.Anthropic().beta.messages.tool_runner(
    model=MODEL,
    max_tokens=1024,
    extra_body={"temperature": 0},
    system=SYSTEM,
    tools=[read_file],
    messages=[{"role": "user", "content": PROMPT}],
)
print("".join(block.text for block in runner.until_done().content if block.type == "text"))
