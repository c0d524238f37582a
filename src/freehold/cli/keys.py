"""`freehold key`: virtual keys made, listed, rotated and revoked in the store itself. Who may read its file may do so.

A running server follows within two seconds. The secret of a key is printed once; only its digest is kept.
"""

import datetime as dt
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from freehold.cli import show

if TYPE_CHECKING:
    from freehold.secret import Secret
    from freehold.storage.key_rows import KeyRow
    from freehold.storage.keys import KeyStore

BY = "cli"
_SHOWN = ("name", "state", "user", "team", "begins", "may", "expires", "made")


def create(config: Path | None, said: dict[str, Any], *, expires: str | None, as_json: bool) -> None:
    """Make a key and print its secret. `said` are fields of `KeyWanted`, spelled as text; None: not said."""
    from freehold.identity.issuing import KeyWanted, issue
    from freehold.storage.key_rows import NameTakenError

    now_ms = _now_ms()
    values = {field: value for field, value in said.items() if value is not None}
    if expires is not None:
        values["expires_ms"] = read_end(expires, now_ms)
    try:
        row, secret = issue(msgspec.convert(values, KeyWanted), by=BY, now_ms=now_ms)
    except (ValueError, msgspec.ValidationError) as error:
        show.fail(str(error), 2)
    with _store(config) as store:
        try:
            store.add(row)
        except NameTakenError as error:
            show.fail(str(error))
    _tell_secret(row, secret, now_ms, as_json=as_json)


def keys(config: Path | None, *, as_json: bool) -> None:
    """List every key, revoked ones too."""
    with _store(config) as store:
        rows = store.all()
    now_ms = _now_ms()
    if as_json:
        from freehold.identity.issuing import told_key

        show.print_json([told_key(row, now_ms) for row in rows])
    else:
        show.table("virtual keys", _SHOWN, [_cells(row, now_ms) for row in rows])


def one(config: Path | None, name: str, *, as_json: bool) -> None:
    """Show one key."""
    from freehold.identity.issuing import told_key

    with _store(config) as store:
        row = _find(store, name)
    told = told_key(row, _now_ms())
    if as_json:
        show.print_json(told)
        return
    secrets = [f"{one['begins']}... {_until(one['ends_ms'])}".strip() for one in told.pop("secrets")]
    lines = [
        (field.removesuffix("_ms").replace("_", " "), _spelled(field, value))
        for field, value in told.items()
        if value is not None
    ]
    show.pairs(f"key {row.name}", [*lines, ("opened by", ", ".join(secrets) or "nothing")])


def revoke(config: Path | None, name: str | None, user: str | None, *, as_json: bool) -> None:
    """End a key, or every key of a user, for good."""
    from freehold.storage.key_rows import NoKeyError

    if (name is None) == (user is None):
        show.fail("name a key, or say --user for all keys of one", 2)
    with _store(config) as store:
        try:
            ended = store.revoke(name=name, user=user)
        except NoKeyError as error:
            show.fail(str(error.args[0]))
    if as_json:
        show.print_json({"revoked": ended})
    else:
        print(f"revoked: {', '.join(ended) or 'nothing, it was revoked before'}; running servers follow within two seconds")


def rotate(config: Path | None, name: str, *, overlap: str, as_json: bool) -> None:
    """Give a key a new secret and print it; the present one still opens for `overlap`."""
    from freehold.identity.issuing import LONGEST_OVERLAP_S, draw, state_of
    from freehold.storage.key_rows import NoKeyError

    now_ms = _now_ms()
    overlap_ms = read_span_ms(overlap)
    if overlap_ms is None or overlap_ms > LONGEST_OVERLAP_S * 1000:
        show.fail(f"--overlap: a time of up to {LONGEST_OVERLAP_S // 86400}d, such as 0s, 30m, 24h or 7d", 2)
    secret, kept = draw(now_ms)
    with _store(config) as store:
        row = _find(store, name)
        if (state := state_of(row, now_ms)) != "active":
            show.fail(f"the key {name!r} is {state}; make a new one")
        try:
            store.rotate(name, kept, former_ends_ms=now_ms + overlap_ms)
        except NoKeyError as error:
            show.fail(str(error.args[0]))
        row = _find(store, name)
    _tell_secret(row, secret, now_ms, as_json=as_json)


def read_end(text: str, now_ms: int) -> int:
    """A moment as Unix milliseconds: `90d` from now, or a day or moment such as 2027-01-31 (UTC, where it says no zone)."""
    span_ms = read_span_ms(text)
    if span_ms is not None:
        return now_ms + span_ms
    try:
        moment = dt.datetime.fromisoformat(text)
    except ValueError:
        show.fail(f"--expires: {text!r} is neither a time such as 12h or 90d nor a day such as 2027-01-31", 2)
    return round((moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)).timestamp() * 1000)


def read_span_ms(text: str) -> int | None:
    """`30s`, `15m`, `24h`, `90d` in milliseconds; None: it is none of these."""
    units = {"s": 1, "m": 60, "h": 3600, "d": 86400}
    number, unit = text[:-1], text[-1:]
    if unit not in units or not (number.isascii() and number.isdecimal()) or len(number) > 6:
        return None
    return int(number) * units[unit] * 1000


@contextmanager
def _store(config: Path | None) -> "Iterator[KeyStore]":
    from freehold.cli.setup import load_config
    from freehold.server.stores import store_url
    from freehold.storage.keys import KeyStore
    from freehold.storage.store import StoreError, prepare

    url = store_url(load_config(config))
    try:
        prepare(url)
        store = KeyStore(url, now_ms=_now_ms)
        try:
            yield store
        finally:
            store.close()
    except StoreError as error:
        show.fail(str(error))


def _find(store: "KeyStore", name: str) -> "KeyRow":
    from freehold.storage.key_rows import NoKeyError

    try:
        return store.find(name)
    except NoKeyError as error:
        show.fail(f"{error.args[0]}; `freehold key list` shows those there are")


def _tell_secret(row: "KeyRow", secret: "Secret", now_ms: int, *, as_json: bool) -> None:
    """The secret alone on standard output, so that it can be piped to where it is kept; words about it beside that."""
    from freehold.identity.issuing import told_key

    if as_json:
        show.print_json({"key": secret.reveal(), **told_key(row, now_ms)})
        return
    print(secret.reveal(), flush=True)
    print(f"the key {row.name!r} of {row.user!r}; it is shown this once, and only its digest is kept", file=sys.stderr)


def _cells(row: "KeyRow", now_ms: int) -> tuple[str, ...]:
    from freehold.identity.issuing import state_of

    rights = row.rights
    may = [
        *([f"up to {row.ceiling}"] if row.ceiling != "vendor" else []),
        *([f"label {row.label}"] if row.label is not None else []),
        *([", ".join(rights.operations) or "no operation"] if rights.operations is not None else []),
        *([f"models {', '.join(rights.models) or 'none'}"] if rights.models is not None else []),
        *([f"datasets {', '.join(rights.datasets) or 'none'}"] if rights.datasets is not None else []),
    ]
    begins = ", ".join(one.hint for one in row.secrets if one.ends_ms is None or one.ends_ms > now_ms)
    ends = "never" if row.expires_ms is None else _moment(row.expires_ms)
    return (
        row.name,
        state_of(row, now_ms),
        row.user,
        row.team or "",
        begins,
        "; ".join(may) or "everything but admin",
        ends,
        _moment(row.created_ms),
    )


def _spelled(field: str, value: object) -> str:
    if field.endswith("_ms") and isinstance(value, int):
        return _moment(value)
    return ", ".join(map(str, value)) or "none" if isinstance(value, tuple) else str(value)


def _until(ends_ms: int | None) -> str:
    return "" if ends_ms is None else f"(until {_moment(ends_ms)})"


def _moment(at_ms: int) -> str:
    return dt.datetime.fromtimestamp(at_ms / 1000, dt.UTC).strftime("%Y-%m-%d %H:%M UTC")


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
