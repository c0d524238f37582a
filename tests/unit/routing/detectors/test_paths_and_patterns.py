"""Globs over paths that a prompt names, and which patterns of the operator's own are taken."""

import time

import pytest

from freehold.features import Label
from freehold.policy.labels import LabelSettings, Pattern
from freehold.routing.detectors.paths import PathGlob, literal_of, name_fits
from freehold.routing.detectors.patterns import problem_of
from freehold.routing.detectors.scanner import Detectors


@pytest.mark.parametrize(
    ("glob", "path", "fits"),
    [
        ("secrets/**", "secrets/db.txt", True),
        ("secrets/**", "/home/ann/shop/secrets/prod/db.txt", True),
        ("secrets/**", "./secrets/", True),
        ("secrets/**", "C:\\work\\Secrets\\db.txt", True),
        ("secrets/**", "nosecrets/db.txt", False),
        ("secrets/*", "secrets/prod/db.txt", False),
        ("**/*.pem", "certs/a/b.pem", True),
        ("**/*.pem", "b.pem", True),
        ("*.pem", "certs/b.pem", True),
        ("*.pem", "b.pem.txt", False),
        ("**/.env*", "app/.env.local", True),
        ("/etc/shadow", "/etc/shadow", True),
        ("/etc/shadow", "/srv/etc/shadow", False),
        ("deploy/prod-?.yaml", "deploy/prod-1.yaml", True),
        ("deploy/prod-?.yaml", "deploy/prod-12.yaml", False),
        ("a/**/z.txt", "a/z.txt", True),
        ("a/**/z.txt", "a/b/c/z.txt", True),
        ("a/**/z.txt", "a/b/c/y.txt", False),
        ("vault/", "vault/x/y", True),
    ],
)
def test_a_glob_fits_from_any_folder_on(glob: str, path: str, fits: bool):
    assert PathGlob(glob).fits(path) is fits


@pytest.mark.parametrize(
    "text",
    [
        "cat secrets/db.txt",
        'open("/srv/app/secrets/db.txt")',
        '{"path": "secrets/db.txt"}',
        "C:\\\\app\\\\secrets\\\\db.txt is gone",
        "+++ b/secrets/db.txt",
        "see `secrets/db.txt`.",
        "SECRETS/DB.TXT",
    ],
)
def test_a_path_is_found_wherever_it_is_named(text: str):
    detectors = Detectors(LabelSettings(paths={"secrets/**": Label.CONFIDENTIAL, "/etc/**": Label.RESTRICTED}))
    assert {kind for kind, _, _ in detectors.find(text)} == {"path:secrets/**"}


def test_words_that_are_no_path_are_left_alone():
    detectors = Detectors(LabelSettings(paths={"secrets/**": Label.CONFIDENTIAL}))
    assert list(detectors.find("we keep no mysecrets/ here, and secretservice is a word")) == []


@pytest.mark.parametrize("glob", ["**", "*", "a*b", "**/*", "?/??"])
def test_a_glob_that_says_too_little_cannot_be_found(glob: str):
    assert literal_of(glob) == ""


def test_stars_do_not_make_a_name_slow():
    started = time.process_time()
    assert not name_fits("a*" * 60 + "b", "a" * 500)
    assert time.process_time() - started < 5


@pytest.mark.parametrize(
    "then", ["", "[0-9]{4}", "[A-Z]{1,20}-[0-9]{1,20}", "(?:[a-z]{3}-){1,4}[0-9]", "(?:x|y)z", "a++b", "\\d+\\b"]
)
def test_a_plain_pattern_is_taken(then: str):
    assert problem_of(then) is None


@pytest.mark.parametrize(
    ("then", "why"),
    [
        ("(a+)+b", "repeats something that repeats"),
        ("(?:a|a)*b", "repeats something that repeats, or a group without a bound"),
        ("(?:ab|c){1,40}", "ways"),
        ("[a-z]+[a-z]+[a-z]+", "ways"),
        ("(a)\\1", "refers back"),
        ("(?=x)y", "looks around"),
        ("[", "no regular expression"),
    ],
)
def test_a_pattern_that_could_hang_is_refused_with_the_reason(then: str, why: str):
    assert why in (problem_of(then) or "")


def test_the_worst_pattern_that_is_taken_does_not_hang():
    then = "[a-z]{1,64}[a-z]{1,63}!"
    assert problem_of(then) is None
    pattern = Pattern(name="slow", starts=("aaa",), then=then, label=Label.RESTRICTED)
    started = time.process_time()
    list(Detectors(LabelSettings(patterns=(pattern,))).find(("aaa" + "b" * 253 + " ") * 200))
    assert time.process_time() - started < 5
