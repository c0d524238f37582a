"""Checks of `[labels]`: every detector is one, every glob can be found, no pattern can hang. Not done: whether a label that
can arise is ever served (`policy.concerns`).
"""

from collections.abc import Iterator, Mapping

from freehold.config.checking import check_name
from freehold.policy.labels import Dataset, LabelSettings
from freehold.policy.problems import Problem, suggest
from freehold.routing.detectors.kinds import DEFAULTS, KINDS
from freehold.routing.detectors.paths import LEAST_LITERAL, literal_of
from freehold.routing.detectors.patterns import problem_of
from freehold.routing.redaction import is_redactable

LONGEST_GLOB = 200
MOST_ENTRIES = 256
"""Of paths, hosts and patterns each: what each costs is small, and is paid for every new text."""
SHORTEST_START, LONGEST_START = 3, 64


def check_labels(labels: LabelSettings) -> Iterator[Problem]:
    """What is wrong with where labels come from."""
    for name in labels.datasets:
        yield from check_name(name, f'labels.datasets."{name}"')
    for name in labels.detectors:
        if name not in KINDS and name not in DEFAULTS:
            yield Problem(f"labels.detectors.{name}", f"'{name}' is no detector and no group", suggest(name, [*DEFAULTS, *KINDS]))
    for glob in labels.paths:
        if len(glob) > LONGEST_GLOB:
            yield Problem(f'labels.paths."{glob[:40]}"', f"is longer than {LONGEST_GLOB} characters")
        elif not literal_of(glob):
            message = f"says fewer than {LEAST_LITERAL} characters in a row without a wildcard, so it cannot be found in a text"
            yield Problem(f'labels.paths."{glob}"', message, "[labels] default holds for everything")
    for index, host in enumerate(labels.internal_hosts):
        plain = host.removeprefix("*").strip(".")
        if len(plain) < LEAST_LITERAL or not all(one.isalnum() or one in "-." for one in plain) or not plain.isascii():
            yield Problem(f"labels.internal_hosts[{index}]", f"'{host}' is no domain", "such as corp.example.com")
    yield from _check_redact(labels)
    yield from _check_counts(labels)
    yield from _check_patterns(labels)


def check_datasets(datasets: Mapping[str, Dataset], labels: LabelSettings) -> Iterator[Problem]:
    """What is wrong with `[datasets]`: names, and what contradicts `[labels.datasets]`."""
    for name, dataset in datasets.items():
        path = f'datasets."{name}"'
        yield from check_name(name, path)
        former = labels.datasets.get(name)
        if dataset.label is not None and former is not None and dataset.label is not former:
            said = f"is {dataset.label}, and labels.datasets has it as {former}"
            yield Problem(f"{path}.label", said, "say it once")
        if dataset.label is None and dataset.ceiling is None and former is None:
            yield Problem(path, "says nothing", "a label, a ceiling, or both")


def _check_redact(labels: LabelSettings) -> Iterator[Problem]:
    patterns = [one.name for one in labels.patterns]
    for index, name in enumerate(labels.redact):
        if not is_redactable(name, patterns):
            known = ["patterns", *DEFAULTS, *KINDS, *(f"pattern:{one}" for one in patterns)]
            yield Problem(f"labels.redact[{index}]", f"'{name}' is no detector, no group and no pattern", suggest(name, known))


def _check_counts(labels: LabelSettings) -> Iterator[Problem]:
    for field in ("paths", "internal_hosts", "patterns"):
        count = len(getattr(labels, field))
        if count > MOST_ENTRIES:
            yield Problem(f"labels.{field}", f"has {count} entries, more than {MOST_ENTRIES}")


def _check_patterns(labels: LabelSettings) -> Iterator[Problem]:
    seen: set[str] = set()
    for index, pattern in enumerate(labels.patterns):
        path = f"labels.patterns[{index}]"
        yield from check_name(pattern.name, f"{path}.name")
        if pattern.name in seen:
            yield Problem(f"{path}.name", f"'{pattern.name}' is already a pattern", "names are unique")
        seen.add(pattern.name)
        if not 1 <= len(pattern.starts) <= MOST_ENTRIES:
            yield Problem(f"{path}.starts", f"has {len(pattern.starts)} entries", f"say 1 to {MOST_ENTRIES} beginnings")
        for at, start in enumerate(pattern.starts):
            if not SHORTEST_START <= len(start) <= LONGEST_START:
                said = f"is {len(start)} characters long; a match must begin with {SHORTEST_START} to {LONGEST_START} plain ones"
                yield Problem(f"{path}.starts[{at}]", said)
        problem = "is longer than 200 characters" if len(pattern.then) > 200 else problem_of(pattern.then)
        if problem is not None:
            yield Problem(f"{path}.then", problem)
