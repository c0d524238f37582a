"""`python -m freehold`, and the `freehold` command.

Promised: what a signal means is settled before anything else is imported, so that a command which is told to stop while it
begins ends as it would later, with no traceback. Nothing has begun by then that had to be ended. Not covered: the interpreter's
own start, before its first line of ours.
"""

import os
import sys
from signal import SIG_IGN, SIGHUP, SIGINT, SIGTERM, default_int_handler, getsignal, signal

INTERRUPTED = 130


def main() -> None:
    """Run the command line."""
    words = sys.argv[1:]
    goes_on = _goes_on_until_told(words)
    if goes_on:
        for number in (SIGINT, SIGTERM):
            signal(number, lambda _number, _frame: os._exit(0))
        if words[0] == "serve":
            signal(SIGHUP, SIG_IGN)  # it means to read the configuration again, once there is one
    elif getsignal(SIGINT) is default_int_handler:
        signal(SIGINT, lambda _number, _frame: os._exit(INTERRUPTED))
    from freehold.cli import main as run  # noqa: PLC0415 - this takes as long as all the rest of a short command

    if not goes_on and getsignal(SIGINT) is not SIG_IGN:
        signal(SIGINT, default_int_handler)
    run()


def _goes_on_until_told(words: list[str]) -> bool:
    """Whether to stop is how the command ends well. Each of them says what signals mean once it has begun."""
    return words[:1] == ["serve"] or (words[:1] == ["log"] and not {"-f", "--follow"}.isdisjoint(words))


if __name__ == "__main__":
    main()
