"""Finds the tool calls in one choice of an answer while it is being written.

Promised: however the text is cut, the same words and the same calls come out; prose flows at once and only what may still
become a call is held, within a bound; what is in code (backticks, fences), in quotes or in thinking is never a call, nor is what
stands amid a sentence; what turns out to be no call comes out as the very text it was.

Two ways lead to a call. A family's marks (`marks.FAMILIES`) outside code are a call wherever they stand. Without marks only an
answer that is nothing but calls is one: JSON, fences, Python calls in a list; behind words only where the caller says so.
"""

import re
from typing import Literal

from freehold.routing.calls.bodies import read_bare, read_block
from freehold.routing.calls.heads import MAX_HEAD, mark_at, view_bare
from freehold.routing.calls.held import Bare, Block
from freehold.routing.calls.marks import ORPHANS, Family
from freehold.routing.calls.mending import Mended, Offer, Repair
from freehold.routing.calls.react import ACTION, THOUGHT
from freehold.routing.calls.shapes import Written

MAX_HELD = 512 * 1024
"""Letters; a file that is written whole is shorter."""
Found = str | Mended
_TRIGGERS = {
    "words": re.compile(r"[`<\[]"),
    "words, bare calls too": re.compile(r"[`<\[{]"),
    "words, actions too": re.compile(r"[`<\[A]"),
    "inline": re.compile(r"[`\n]"),
    "fence": re.compile(r"`"),
    "thinking": re.compile(r"<"),
}
_TICKS = re.compile(r"`+")
_QUOTES = frozenset("\"'“‘«(`")
_THINK, _THOUGHT = "<think>", "</think>"


class Finder:
    """One choice."""

    def __init__(self, offer: Offer, *, reads_bare: bool = True, reads_behind_words: bool = False) -> None:
        """`reads_bare`: an answer without marks may be calls; `reads_behind_words`: also where words stand before them."""
        self.repairs: set[Repair] = set()
        """What finding calls took."""
        self.left = 0
        """Calls that could not be made of what was meant as one."""
        self.made = 0
        self._offer = offer
        self._reads_bare = reads_bare
        self._behind_words = reads_bare and reads_behind_words
        self._words = _TRIGGERS["words, bare calls too" if self._behind_words else "words"]
        self._buffer = ""
        """Not decided yet."""
        self._block: Block | None = None
        self._bare: Bare | None = None
        self._doubtful: tuple[str, list[Mended]] | None = None
        """Calls amid a line, and their text: what follows decides."""
        self._no_bare_before = 0
        """Letters of the buffer that are known to begin no bare call."""
        self._code: Literal["", "inline", "fence", "thinking"] = ""
        self._ticks = 0
        self._has_spoken = False
        self._line_is_busy = False
        self._last = ""
        self._is_behind_call = False
        self._blanks = ""
        self._was_limited = False
        self._begins_anew = False
        """The answer begins behind what is let out: it was thinking."""

    def feed(self, text: str) -> list[Found]:
        """Words and calls that these letters complete."""
        if self._is_idle and self._trigger.search(text) is None:
            self._note(text)
            return [text]
        self._buffer += text
        found: list[Found] = []
        self._scan(found, at_end=False)
        return found

    def end(self, *, was_limited: bool = False) -> list[Found]:
        """What is left. `was_limited`: the answer ended at its length limit, so that a call may lack its end."""
        self._was_limited = was_limited
        found: list[Found] = []
        self._scan(found, at_end=True)
        return found

    @property
    def _is_idle(self) -> bool:
        return (
            self._has_spoken
            and not self._buffer
            and self._block is None
            and self._bare is None
            and self._doubtful is None
            and not self._is_behind_call
        )

    @property
    def _trigger(self) -> re.Pattern[str]:
        return _TRIGGERS[self._code] if self._code else self._words

    def _scan(self, found: list[Found], *, at_end: bool) -> None:
        progressed = True
        while progressed:
            if self._block is not None:
                progressed = self._go_on_with_block(self._block, found, at_end)
            elif self._bare is not None:
                progressed = self._go_on_with_bare(self._bare, found, at_end)
            elif not self._buffer and self._doubtful is None:
                return
            elif self._doubtful is not None:
                progressed = self._decide_doubt(found, at_end)
            else:
                progressed = self._go_on_with_words(found, at_end)

    def _go_on_with_words(self, found: list[Found], at_end: bool) -> bool:
        """Let words out up to what may become a call. Returns whether there is more to do."""
        buffer, at = self._buffer, 0
        if not self._has_spoken and not self._code:
            at = len(buffer) - len(buffer.lstrip())
            if at == len(buffer):
                if at_end or at > MAX_HEAD:
                    self._let_out(at, found)
                return False
        while True:
            step = self._step(at, at_end)
            if isinstance(step, int):
                at = step
                if at >= len(buffer):
                    self._let_out(at, found)
                    return False
                continue
            self._let_out(step.at, found)
            if step.what == "wait":
                return False
            if step.what == "bare":
                self._bare = Bare()
            elif isinstance(step.what, Family):
                mark = self._buffer[: len(step.what.opening)]
                self._buffer = self._buffer[len(mark) :]
                self._block = Block(step.what, mark)
            else:
                self._buffer = self._buffer[len(step.what) :]  # a closing mark that belongs to the call before it
            return True

    def _step(self, at: int, at_end: bool) -> "int | _Stop":
        """What is to be done with the first letter at or behind `at` that matters: where to go on, or a stop."""
        buffer = self._buffer
        if self._may_begin_bare(at) and not self._has_spoken_before(at):
            view = self._view_bare(at, at_end)
            if view is not False:
                return _Stop(at, "bare" if view else "wait")
            if self._buffer.startswith(THOUGHT, at):
                self._words = _TRIGGERS["words, actions too"]
        trigger = self._trigger.search(buffer, at)
        if trigger is None:
            return len(buffer)
        at, letter = trigger.start(), trigger[0]
        if self._code == "thinking":
            return self._leave_thinking(at, at_end)
        if letter == "\n":
            self._code = ""
            return at + 1
        if letter == ACTION[0]:
            return self._meet_action(at, at_end)
        if self._behind_words and letter in "`{[" and self._may_begin_bare(at) and not self._is_amid_line(at):
            view = self._view_bare(at, at_end)
            if view is not False:
                return _Stop(at, "bare" if view else "wait")
        return self._pass_ticks(at, at_end) if letter == "`" else self._meet_mark(at, at_end)

    def _pass_ticks(self, at: int, at_end: bool) -> "int | _Stop":
        ticks = _TICKS.match(self._buffer, at)
        assert ticks is not None
        if ticks.end() == len(self._buffer) and not at_end:
            return _Stop(at, "wait")
        run = len(ticks[0])
        if self._code == "fence":
            if run >= self._ticks:
                self._code = ""
        elif self._code == "inline":
            if run == self._ticks:
                self._code = ""
        else:
            self._code, self._ticks = ("fence" if run >= 3 else "inline"), run
        return ticks.end()

    def _meet_mark(self, at: int, at_end: bool) -> "int | _Stop":
        buffer = self._buffer
        if buffer[at] == "{":
            return at + 1
        before = buffer[at - 1] if at else self._last
        if before in _QUOTES:
            return at + 1
        mark = mark_at(buffer, at)
        if isinstance(mark, Family):
            return _Stop(at, mark)
        low = buffer[at : at + 40].lower()
        if low.startswith(_THINK):
            self._code = "thinking"
            return at + len(_THINK)
        if low.startswith(_THOUGHT):  # its opening stood in the prompt
            self._begins_anew = True
            return _Stop(at + len(_THOUGHT), "")
        if self._is_behind_call and not buffer[:at].strip():
            orphan = next((one for one in ORPHANS if low.startswith(one)), None)
            if orphan is not None:
                return _Stop(at, buffer[at : at + len(orphan)])
            if not at_end and any(one.startswith(low) for one in ORPHANS):
                return _Stop(at, "wait")
        if not at_end and (mark is None or _THINK.startswith(low) or _THOUGHT.startswith(low)):
            return _Stop(at, "wait")
        return at + 1

    def _meet_action(self, at: int, at_end: bool) -> "int | _Stop":
        """In an answer that thinks aloud first, a call may begin a line."""
        view = False if self._is_amid_line(at) or not self._may_begin_bare(at) else self._view_bare(at, at_end)
        return at + 1 if view is False else _Stop(at, "bare" if view else "wait")

    def _leave_thinking(self, at: int, at_end: bool) -> "int | _Stop":
        low = self._buffer[at : at + len(_THOUGHT)].lower()
        if low == _THOUGHT:
            self._code = ""
            self._begins_anew = True
            return _Stop(at + len(_THOUGHT), "")
        return at + 1 if at_end or not _THOUGHT.startswith(low) else _Stop(at, "wait")

    def _view_bare(self, at: int, at_end: bool) -> bool | None:
        if mark_at(self._buffer, at) is not False and self._buffer[at] in "<[":
            return False  # a mark goes first
        view = view_bare(self._buffer[at : at + 4 * MAX_HEAD], self._offer.names)
        return False if view is None and at_end else view

    def _may_begin_bare(self, at: int) -> bool:
        return self._reads_bare and not self._code and at >= self._no_bare_before and at < len(self._buffer)

    def _has_spoken_before(self, at: int) -> bool:
        return self._has_spoken or bool(self._buffer[:at].strip())

    def _is_amid_line(self, at: int) -> bool:
        start = self._buffer.rfind("\n", 0, at)
        if start >= 0:
            return bool(self._buffer[start:at].strip())
        return self._line_is_busy or bool(self._buffer[:at].strip())

    def _go_on_with_block(self, block: Block, found: list[Found], at_end: bool) -> bool:
        text, self._buffer = self._buffer, ""
        view = block.view(text, self._offer.names)
        if view is False or (view is None and at_end):
            return self._give_back(block.text() + text, len(block.mark), found)
        if view is None:
            block.add(text)
            return False
        closed = block.close(text, self._offer.names, at_end=at_end)
        if block.size > MAX_HELD and (closed is None or len(closed[0]) > MAX_HELD):
            return self._give_back(block.text(), len(block.mark), found)
        if closed is None:
            return False
        body, rest = closed
        raw = block.text()
        raw = raw[: len(raw) - len(rest)]
        self._block, self._buffer = None, rest
        written = read_block(block.family.body, body, self._offer.names)
        calls = None if written is None else self._mend(written, is_open=at_end and not block.was_closed)
        if calls is None:
            self.left += 1
            self.repairs.add("call_left")
            self._note(raw)
            self._add(raw, found)
        elif self._line_is_busy and not block.is_special:
            self._doubtful = raw, calls
        else:
            self._make(calls, found)
        return True

    def _go_on_with_bare(self, bare: Bare, found: list[Found], at_end: bool) -> bool:
        text, self._buffer = self._buffer, ""
        bare.add(text)
        if not bare.may_be_calls() or bare.size > MAX_HELD:
            return self._give_back(bare.text(), 1, found)
        if not at_end:
            return False
        written = read_bare(bare.text(), self._offer.names)
        calls = None if written is None else self._mend(written, is_open=True)
        if calls is None:
            if written is not None and any(call.name in self._offer.names for call in written):
                self.left += 1
                self.repairs.add("call_left")
            return self._give_back(bare.text(), 1, found)
        self._bare = None
        self._make(calls, found)
        return True

    def _give_back(self, text: str, letters: int, found: list[Found]) -> bool:
        """It is no call: at least so many letters of it are words; behind them the search goes on."""
        self._block = self._bare = None
        self._buffer = text
        self._no_bare_before = letters
        if text.startswith("`"):
            self._no_bare_before = 1
            return True
        self._let_out(letters, found)
        return True

    def _mend(self, written: list[Written], *, is_open: bool) -> list[Mended] | None:
        calls = [self._offer.mend(call, is_open=is_open, was_limited=is_open and self._was_limited) for call in written]
        mended = [call for call in calls if call is not None]
        return mended if len(mended) == len(calls) else None

    def _decide_doubt(self, found: list[Found], at_end: bool) -> bool:
        """Calls amid a sentence are words about calls: a real one ends its line."""
        assert self._doubtful is not None
        rest = self._buffer.lstrip(" \t")
        if not rest and not at_end:
            return False
        raw, calls = self._doubtful
        self._doubtful = None
        if not rest or rest[0] in "\r\n<[":
            self._make(calls, found)
        else:
            self._note(raw)
            self._add(raw, found)
        return True

    def _make(self, calls: list[Mended], found: list[Found]) -> None:
        self.repairs.add("call_from_text")
        for call in calls:
            self.repairs |= call.repairs
        found += calls
        self.made += len(calls)
        self._has_spoken = self._is_behind_call = True
        self._line_is_busy = False
        self._last = ""

    def _let_out(self, letters: int, found: list[Found]) -> None:
        text, self._buffer = self._buffer[:letters], self._buffer[letters:]
        self._no_bare_before = max(0, self._no_bare_before - letters)
        if text:
            self._note(text)
            self._add(text, found)
        if self._begins_anew:
            self._begins_anew = self._has_spoken = self._line_is_busy = False
            self._last = ""

    def _add(self, text: str, found: list[Found]) -> None:
        """Blanks between and behind calls say nothing."""
        if self._is_behind_call:
            if text.isspace():
                self._blanks += text
                return
            text, self._blanks, self._is_behind_call = self._blanks + text, "", False
        if found and isinstance(found[-1], str):
            found[-1] += text
        else:
            found.append(text)

    def _note(self, text: str) -> None:
        """Keep track of where words stand."""
        line = text.rfind("\n")
        if line >= 0:
            self._line_is_busy = not (line + 1 == len(text) or text[line + 1 :].isspace())
            self._has_spoken = self._has_spoken or not text.isspace()
        elif not self._line_is_busy and not text.isspace():
            self._line_is_busy = self._has_spoken = True
        self._last = text[-1]


class _Stop:
    """The scan of words stops here: for a mark, for bare calls, for letters that are to come, or to pass over letters."""

    __slots__ = ("at", "what")

    def __init__(self, at: int, what: Family | str) -> None:
        self.at = at
        self.what = what
