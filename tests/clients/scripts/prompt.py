"""What every script asks, and the tool it offers."""

import os
import sys
from pathlib import Path

FILE = sys.argv[1]
MODEL = os.environ["OPENAI_MODEL"]
PROMPT = f"Read the file {FILE} with your tool and answer with the code that stands in it."
SYSTEM = "You are a helpful assistant."
MOST_TURNS = 4


def read_file(path: str) -> str:
    """Read a file.

    Args:
        path: Where it is.
    """
    return Path(path).read_text()


SCHEMA = {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]}
