from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import pytest

from freehold.features import Label, Rights
from freehold.runtime import Egress
from freehold.storage.key_reader import read_keys
from freehold.storage.key_rows import KeyRow, NameTakenError, NoKeyError, SecretRow
from freehold.storage.keys import KeyStore
from freehold.storage.store import StoreUnavailableError, prepare, sqlite_url
from support.budget_servers import Servers

NOW_MS = 1_000_000


def secret(name: str, **more: int) -> SecretRow:
    return SecretRow(digest=name.encode().hex(), hint="fh_abc", **{"created_ms": NOW_MS, **more})


def key(name: str, **more: object) -> KeyRow:
    values = {"name": name, "user": "ann", "created_ms": NOW_MS, "created_by": "cli", "secrets": (secret(name),), **more}
    return KeyRow(**values)  # type: ignore[arg-type]  # fields by name


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path, servers: Servers) -> str:
    url = sqlite_url(tmp_path / "freehold.db") if request.param == "sqlite" else servers.postgres().fresh()
    prepare(url)
    return url


@pytest.fixture
def store(url: str) -> Iterator[KeyStore]:
    store = KeyStore(url, now_ms=lambda: NOW_MS)
    yield store
    store.close()


def test_a_key_comes_back_as_it_was_kept(store: KeyStore):
    row = key(
        "all",
        team="core",
        project="site",
        ceiling=Egress.SELF_HOSTED,
        label=Label.CONFIDENTIAL,
        rights=Rights(operations=("chat",), models=("gpt-*",), datasets=()),
        expires_ms=NOW_MS + 5,
    )
    store.add(row)
    store.add(key("plain"))
    assert store.all() == (row, key("plain"))


def test_a_name_is_used_once_for_good(store: KeyStore):
    store.add(key("ci"))
    store.revoke(name="ci")
    with pytest.raises(NameTakenError, match="never used again"):
        store.add(key("ci", user="bob", secrets=(secret("another"),)))
    assert store.find("ci").user == "ann"


def test_a_secret_opens_one_key(store: KeyStore):
    store.add(key("ci"))
    with pytest.raises(NameTakenError):
        store.add(key("other", secrets=(secret("ci"),)))
    with pytest.raises(NoKeyError):
        store.find("other")


def test_a_revoked_key_stays_so_and_its_secrets_are_gone(store: KeyStore):
    for name in ("a", "b"):
        store.add(key(name))
    store.add(key("c", user="bob"))
    assert store.revoke(name="a") == ("a",)
    assert store.revoke(user="ann") == ("b",)
    assert store.revoke(name="a") == ()
    assert [(row.name, row.revoked_ms, row.secrets) for row in store.all()][:2] == [("a", NOW_MS, ()), ("b", NOW_MS, ())]
    assert store.find("c").revoked_ms is None
    with pytest.raises(NoKeyError):
        store.rotate("a", secret("new"), former_ends_ms=NOW_MS)
    with pytest.raises(NoKeyError, match="no key belongs"):
        store.revoke(user="nobody")


def test_a_rotation_ends_former_secrets_and_never_lengthens_them(store: KeyStore):
    store.add(key("ci"))
    store.rotate("ci", secret("second", created_ms=NOW_MS + 1), former_ends_ms=NOW_MS + 10)
    store.rotate("ci", secret("third", created_ms=NOW_MS + 2), former_ends_ms=NOW_MS + 1000)
    ends = {bytes.fromhex(one.digest).decode(): one.ends_ms for one in store.find("ci").secrets}
    assert ends == {"third": None, "second": NOW_MS + 1000, "ci": NOW_MS + 10}
    store.rotate("ci", secret("fourth", created_ms=NOW_MS + 3), former_ends_ms=NOW_MS)
    store.rotate("ci", secret("fifth", created_ms=NOW_MS + 4), former_ends_ms=NOW_MS)
    kept = [bytes.fromhex(one.digest).decode() for one in store.find("ci").secrets]
    assert kept == ["fifth", "fourth"], "what has ended is dropped"


def test_keys_are_read_again_only_after_a_change(store: KeyStore, url: str):
    first = read_keys(url)
    assert first is not None
    assert (first.edition, first.rows) == (0, ())
    assert read_keys(url, unless=0) is None
    store.add(key("ci"))
    second = read_keys(url, unless=0)
    assert second is not None
    assert [row.name for row in second.rows] == ["ci"]
    assert read_keys(url, unless=second.edition) is None
    with pytest.raises(NoKeyError):
        store.revoke(name="none")
    assert read_keys(url, unless=second.edition) is None, "what was not changed is no new edition"
    store.revoke(name="ci")
    assert read_keys(url, unless=second.edition) is not None


def test_every_one_of_many_changes_at_once_is_kept_and_counted(store: KeyStore, url: str):
    threads = [Thread(target=lambda name=f"k{number}": store.add(key(name))) for number in range(8)]  # type: ignore[misc]  # a default
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = read_keys(url)
    assert found is not None
    assert (found.edition, len(found.rows)) == (8, 8)


def test_a_store_without_tables_has_no_keys_and_one_that_is_none_is_unavailable(tmp_path: Path):
    fresh = sqlite_url(tmp_path / "fresh.db")
    assert read_keys(fresh) is not None
    prepare(fresh)
    assert read_keys(fresh) is not None
    (tmp_path / "no.db").write_text("this is no database, only a text that is long enough to be read as a page of one" * 20)
    with pytest.raises(StoreUnavailableError):
        read_keys(sqlite_url(tmp_path / "no.db"))
