"""What detectors cost on texts made to hurt, as a multiple of what the same amount of prose costs: `python bench/detectors.py`.

Every beginning of every rule is repeated with tails that make its rule look further, then the worst are changed at random for a
while (hill climbing). Ratios, since a busy machine makes milliseconds meaningless; thread time, since others run beside.
"""

import random
import time
from collections.abc import Callable, Iterator

from freehold.policy.labels import LabelSettings
from freehold.routing.detectors.number_shapes import SHAPES
from freehold.routing.detectors.scanner import Detectors
from freehold.routing.detectors.secret_rules import SECRET_RULES

SIZE = 8192
TAILS = (
    "",
    "=",
    ' = "',
    '="',
    ": ",
    "aB3dE6gH9jK2mN5pQ8sT",
    "aB3dE6gH9jK2mN5pQ8sT1vW4yZ7bC0eF" * 8,
    "= aaaaaaaa",
    "a" * 24 + "   =    ",
)
ENDS = ("", " ", "\n", '"', ";")
OTHERS = (
    "4111 1111 ", "4111-1111-1111-1111 ", "123-45-6789 ", "12345678 ", "1 2 3 4 5 6 7 ", "sin 123456789 ", "DE89 ", "a@b.", "+4", "10.", "a.b.corp ",
    "212-555-012", "1-2.3/4 5+", "://a:b", "-----BEGIN ", "tfn 123 456 789,", "sin tfn bsn 123456789 ", "cpf insz fnr 12345678901 ", "131052308A ",
    "131052-308A ", "4111 111111 11111,", "SE45 ", "RU89 ", "85.07.30-033.28 ", "7569217076986 ", "11010519491231002A ", "12345678901 ", "+49 30 ",
)  # fmt: skip
PROSE = "The quick brown fox reads the whole of the document, and then it writes down what it has understood of it. "
LETTERS = "aZ0 =:;\"'/+-_.@1\n"
STEPS = 300
LAST_TIMES = 100


def filled(seed: str) -> str:
    """A text of one size made of a seed."""
    return (seed * (SIZE // len(seed) + 1))[:SIZE]


def cost_s(find: Callable[[str], object], text: str, times: int = 5) -> float:
    """Seconds of this thread, the best of so many."""
    best = float("inf")
    for _ in range(times):
        before = time.thread_time()
        find(text)
        best = min(best, time.thread_time() - before)
    return best


def seeds() -> Iterator[str]:
    """What is repeated."""
    yield from OTHERS
    for rule in SECRET_RULES:
        for start in rule.starts:
            yield from (start + tail + end for tail in TAILS for end in ENDS)


def mixed(chance: random.Random) -> str:
    """Numbers of all shapes, drawn by chance, behind the words that name them."""
    text = ""
    while len(text) < SIZE:
        shape = chance.choice(SHAPES)
        groups = ["".join(chance.choices("0123456789", k=size)) for size in shape.groups]
        marks = shape.exactly or chance.choice(shape.marks or " ") * (len(groups) - 1)
        word = f"{chance.choice(shape.words)} " if shape.words else ""
        number = "".join(group + mark for group, mark in zip(groups, (*marks, ""), strict=True))
        text += word + chance.choice(shape.before or " ") + number + chance.choice([" ", ", ", "\n", " ; "])
    return text[:SIZE]


def main() -> None:
    """Print the worst, found by trying and by climbing."""
    find, chance = Detectors(LabelSettings()).find, random.Random(7)
    mixed_s = max(cost_s(find, mixed(chance)) for _ in range(20))
    prose_s = cost_s(find, filled(PROSE))
    worst = sorted(((cost_s(find, filled(seed)), seed) for seed in seeds()), reverse=True)[:8]
    for _ in range(STEPS):
        at = chance.randrange(len(worst))
        seed = worst[at][1]
        place = chance.randrange(len(seed) + 1)
        changed = seed[:place] + chance.choice(LETTERS) + seed[place + chance.randrange(2) :]
        seconds = cost_s(find, filled(changed))
        if seconds > worst[at][0]:
            worst[at] = (seconds, changed)
    print(f"prose: {prose_s * 1e6:.0f} us for {SIZE} characters; numbers of all shapes mixed: {mixed_s * 1e3:.2f} ms")
    again = ((cost_s(find, filled(seed), LAST_TIMES), seed) for _, seed in worst)  # others' use of the machine is not theirs
    for seconds, seed in sorted(again, reverse=True):
        print(f"{seconds / prose_s:6.1f} times prose, {seconds * 1e3:.2f} ms: {seed[:60]!r}")


if __name__ == "__main__":
    main()
