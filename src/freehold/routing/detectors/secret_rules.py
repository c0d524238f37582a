"""Secrets that no maker marks: private keys, tokens by their standards, values with a name for a secret; and all rules together.

Each rule's repeats are bounded and its `not_behind` covers them, as those of makers' keys (`vendor_rules`).
"""

from freehold.routing.detectors.anchored import ANYTHING, TOKEN, Rule
from freehold.routing.detectors.secret_values import (
    is_assigned_secret,
    is_bare_secret,
    is_basic,
    is_jwt,
    is_password,
    is_random,
)
from freehold.routing.detectors.vendor_rules import VENDOR_RULES

_ASSIGN = r"""[A-Za-z0-9_-]{0,24}+\\?["']?\]?[ \t]{0,4}+(?:=>|:=|[:=])[ \t]{0,4}+"""
"""What stands between a name and the value that is given to it: `_TEST": `, ` = `, `: `."""
_QUOTED = r"""\\?["'`]([^\s"'`\\]{8,200}+)\\?["'`]"""
_BARE = r"""([A-Za-z0-9!@#%^*_+/=~?.-]{8,200}+)(?=[\s;,&"'\\]|$)"""


def _spelled(*words: str) -> tuple[str, ...]:
    """The ways programs spell a name: `api_key`, `api-key`, `apiKey`, `ApiKey`, `apikey`, `API_KEY`, `APIKEY`."""
    spelled: dict[str, None] = {}
    for word in words:
        first, _, second = word.partition("_")
        joined = (
            (f"{first}_{second}", f"{first}-{second}", f"{first}{second.capitalize()}", first + second) if second else (word,)
        )
        for one in joined:
            spelled |= dict.fromkeys((one, one.upper(), one[0].upper() + one[1:]))
    return tuple(spelled)


_GENERAL = (
    Rule(
        kind="aws-secret-key",
        starts=(*_spelled("secret_access"), "aws_secret", "AWS_SECRET"),
        then=rf"""{_ASSIGN}\\?["']?([A-Za-z0-9/+]{{40}})(?![A-Za-z0-9/+=])""",
        not_behind=ANYTHING,
        check=lambda value: is_random(value) and any(map(str.isdigit, value)),
        source="AWS IAM: managing access keys",
        evidence="beginning",
    ),
    Rule(
        kind="private-key",
        starts=("-----BEGIN ",),
        # The marks alone stand in source code; a key has its data behind them, line ends spelled or escaped.
        then=r"(?:[A-Z0-9]{2,10} ){0,2}PRIVATE KEY(?: BLOCK)?-----(?:\\{1,4}[rn]|\s|[A-Za-z-]{4,20}: [^\n\\]{0,80}(?:\n|\\{1,4}n)){0,12}[A-Za-z0-9+/=]{24}",
        not_behind=ANYTHING,
        source="RFC 7468, RFC 1421, RFC 4880, OpenSSH PROTOCOL.key",
    ),
    Rule(
        kind="private-key",
        starts=("PuTTY-User-Key-File-",),
        then=r"[23]: ",
        not_behind=ANYTHING,
        source="PuTTY: PPK file format",
    ),
    Rule(
        kind="age-key",
        starts=("AGE-SECRET-KEY-1",),
        then="[QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L]{58}",
        check=is_random,
        source="age: format specification",
        evidence="standard",
    ),
    Rule(
        kind="jwt",
        starts=("eyJ",),
        then=r"[A-Za-z0-9_-]{8,600}+\.[A-Za-z0-9_-]{8,3000}+\.[A-Za-z0-9_-]{20,1000}",
        not_behind=TOKEN,
        check=is_jwt,
        source="RFC 7519",
    ),
    Rule(
        kind="connection-string",
        starts=("://",),
        then=r"""[^\s:@/'"<>`\\]{0,100}+:([^\s@/'"<>`\\]{3,200}+)@[A-Za-z0-9\[]""",
        not_behind=ANYTHING,
        check=is_password,
        source="RFC 3986, section 3.2.1",
    ),
    Rule(
        kind="bearer-token",
        starts=("Bearer ", "bearer ", "BEARER "),
        then=r"([A-Za-z0-9_.~+/-]{20,1000}={0,2})(?![A-Za-z0-9_~+/])",
        check=is_bare_secret,
        source="RFC 6750",
    ),
    Rule(
        kind="basic-credentials",
        starts=("Basic ", "basic "),
        then=r"([A-Za-z0-9+/_-]{8,400}={0,2})(?![A-Za-z0-9+/=_-])",
        check=is_basic,
        source="RFC 7617",
    ),
)

_NAMES = _spelled("password", "passwd", "passphrase", "pwd", "secret", "api_key", "access_key", "private_token", "token")
_ASSIGNED = (
    Rule(
        kind="assigned-secret",
        starts=_NAMES,
        then=f"{_ASSIGN}(?:{_QUOTED}|{_BARE})",
        not_behind=ANYTHING,
        check=is_assigned_secret,
        check_second=is_bare_secret,
        source="a name for a secret and a value: in quotes, or bare as in .env, INI and YAML files",
    ),
)

SECRET_RULES: tuple[Rule, ...] = (*VENDOR_RULES, *_GENERAL, *_ASSIGNED)
