"""Whether a value is a secret: enough variety, no placeholder, no name; and what decodes as it should.

Thresholds were set on the labelled set in tests/data/detectors.jsonl.
"""

import re
from base64 import urlsafe_b64decode
from binascii import Error
from itertools import groupby
from math import log2
from operator import itemgetter

LEAST_BITS = 3.0
"""Entropy of the characters of a value, bits per character: sixteen random hexadecimal digits have about 3.2."""
_LEAST_DIFFERENT = round(2**LEAST_BITS)
"""Different characters below which a value cannot have so much entropy."""
_PLACEHOLDERS = (
    "example", "placeholder", "changeme", "change_me", "change-me", "your", "insert", "dummy", "sample", "redacted", "xxxx",
    "****", "...", "____", "1234567", "abcdef", "todo", "<", ">", "${", "{{", "%(", "$(",
)  # fmt: skip
_NAMES = (
    "password",
    "passwd",
    "passphrase",
    "secret",
    "token",
    "apikey",
    "api_key",
    "access",
    "key",
    "hash",
    "field",
    "param",
    "header",
)
_VARIETIES = (re.compile("[a-z]"), re.compile("[A-Z]"), re.compile("[0-9]"), re.compile("[^A-Za-z0-9]"))
_SIGNS = sorted((*_PLACEHOLDERS, *_NAMES))
# Grouped by their first characters, they are told apart in two thirds of the time.
_NO_SECRET = re.compile(
    "|".join(
        f"{re.escape(first)}(?:{'|'.join(re.escape(sign[1:]) for sign in signs)})"
        for first, signs in groupby(_SIGNS, itemgetter(0))
    )
)
_LEAST_VARIETY = 5
_WORDS_ONLY = re.compile(r"[A-Za-z_.\-:/ ]*|[0-9.,:\-+/]*|[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.+Z-]*")
_UUID_CHARS = 36
_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_IDENTIFIER = re.compile(r"[a-z][a-z0-9]*(?:[_.-][a-z0-9]+)*|[A-Za-z]+[0-9]{0,2}|[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+")


def entropy(value: str) -> float:
    """Bits per character of the value's own distribution."""
    return _entropy(value, set(value)) if value else 0.0


def _entropy(value: str, different: set[str]) -> float:
    repeated = [count * log2(count) for count in map(value.count, different) if count > 1]
    return log2(len(value)) - sum(repeated) / len(value)


def _is_varied(value: str) -> bool:
    # Eight different characters, each as often, are to count as three bits whatever the logarithms are rounded to.
    different = set(value)
    return len(different) >= _LEAST_DIFFERENT and _entropy(value, different) > LEAST_BITS - 1e-9


def is_random(value: str) -> bool:
    """Whether a key of some vendor's shape was drawn by chance, and not made up for a manual."""
    return _is_varied(value) and "xxxxx" not in value.lower() and "****" not in value and "EXAMPLE" not in value


def is_assigned_secret(value: str) -> bool:
    """Whether what a program assigns to `password` or `api_key` is a secret in clear: letters and digits, no name, no template."""
    lowered = value.lower()
    # What tells most apart at the least cost comes first: this is looked at again and again in texts made to hurt.
    if _NO_SECRET.search(lowered) or not _is_varied(value) or _WORDS_ONLY.fullmatch(value) or _is_identifier(value):
        return False
    return len(set(lowered)) >= _LEAST_VARIETY and not (len(value) == _UUID_CHARS and _UUID.fullmatch(value))


def is_bare_secret(value: str) -> bool:
    """The same for a value without quotes, where source code has names and calls: it must not be spelled like one."""
    if not is_assigned_secret(value):
        return False
    kinds = sum(one.search(value) is not None for one in _VARIETIES)
    return kinds >= 3 or (len(value) >= 20 and kinds >= 2)


def is_password(value: str) -> bool:
    """Whether the password in an address is one: short ones count too, templates and the usual stand-ins do not."""
    lowered = value.lower()
    stands_in = lowered in {
        "password",
        "pass",
        "passwd",
        "pwd",
        "secret",
        "token",
        "user",
        "changeme",
        "postgres",
        "root",
        "guest",
    }
    is_template = (
        any(sign in value for sign in ("$", "{", "}", "<", ">", "*", "[", "]", "%s"))
        or "your" in lowered
        or lowered.startswith("redacted_")
    )
    return len(value) >= 3 and not stands_in and not is_template and len(set(lowered)) > 1


def is_jwt(value: str) -> bool:
    """Whether the first part decodes to a JSON object that names an algorithm (RFC 7515)."""
    head = value.partition(".")[0]
    try:
        decoded = urlsafe_b64decode(head + "=" * (-len(head) % 4))
    except (Error, ValueError):
        return False
    return decoded[:1] == b"{" and b'"alg"' in decoded


def is_basic(value: str) -> bool:
    """Whether HTTP Basic credentials decode to a user and a password (RFC 7617)."""
    try:
        decoded = urlsafe_b64decode(value.replace("+", "-").replace("/", "_") + "=" * (-len(value) % 4))
        user, colon, password = decoded.decode().partition(":")
    except (Error, ValueError):
        return False
    return bool(colon) and user.isprintable() and len(password) >= 3 and password.isprintable()


def _is_identifier(value: str) -> bool:
    """A name in source code: words joined by marks, without the runs of digits that keys have."""
    return len(value) <= 40 and _IDENTIFIER.fullmatch(value) is not None and sum(map(str.isdigit, value)) <= 2
