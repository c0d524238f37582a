"""What it takes to tell who asks by a virtual key, with one key and with ten thousand that are asked for at random.

    .venv/bin/python bench/keys.py

Headers of a request are handed to `Register.identify`, which hashes the key and looks it up; a hundred at a time, so that other
work on the machine shows in few of the samples. Prints microseconds for one: the 5th percentile and the median.
"""

import json
import sys
import time
from random import Random
from statistics import quantiles

from freehold.identity.callers import Register
from freehold.identity.issuing import KeyWanted, issue, make_table

NOW_MS = 1_760_000_000_000
REQUESTS, TOGETHER, ROUNDS = 20_000, 100, 5


def measure(keys: int) -> dict[str, float]:
    """Microseconds for one request among so many keys."""
    made = [issue(KeyWanted(name=f"k{number}"), by="cli", now_ms=NOW_MS) for number in range(keys)]
    register = Register()
    register.virtual = make_table(tuple(row for row, _ in made))
    chance = Random(1)
    plain = {"host": "127.0.0.1:8840", "content-type": "application/json", "content-length": "1000", "accept": "*/*"}
    asked = [{**plain, "authorization": f"Bearer {chance.choice(made)[1].reveal()}"} for _ in range(REQUESTS)]
    spans: list[float] = []
    for _ in range(ROUNDS):
        for at in range(0, REQUESTS, TOGETHER):
            part = asked[at : at + TOGETHER]
            begun_s = time.perf_counter()
            for headers in part:
                register.identify(headers, "chat", None, NOW_MS)
            spans.append((time.perf_counter() - begun_s) / TOGETHER * 1e6)
    cuts = quantiles(spans, n=20)
    return {"keys": keys, "p5_us": round(cuts[0], 2), "p50_us": round(cuts[9], 2)}


if __name__ == "__main__":
    sys.stdout.write(json.dumps([measure(1), measure(10_000)], indent=2) + "\n")
