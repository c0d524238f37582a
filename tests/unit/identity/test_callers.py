from typing import Any

import msgspec
import pytest

from freehold.fault import FaultError, Kind
from freehold.features import Caller, Rights
from freehold.identity.callers import SERVER, KeyTable, Opening, Register, digest_of, make_key
from freehold.identity.issuing import KeyWanted, draw, issue, make_table
from freehold.secret import Secret

NOW_MS = 1_790_000_000_000
OWN = Caller(key=SERVER)
KEYS = make_key(Secret("server-secret-kéy"), Opening(OWN, administers=True))


def made(**wanted: Any) -> tuple[str, Any]:
    row, secret = issue(KeyWanted(**wanted), by="cli", now_ms=NOW_MS)
    return secret.reveal(), row


ANN_KEY, ANN_ROW = made(name="ann", team="core")
BOB_KEY, BOB_ROW = made(name="bob", operations=("embeddings",))
BRIEF_KEY, BRIEF_ROW = made(name="brief", expires_ms=NOW_MS + 1000)
GONE_KEY, GONE_ROW = made(name="gone")
STRANGER_KEY, _ = made(name="stranger")
ROWS = (ANN_ROW, BOB_ROW, BRIEF_ROW, msgspec.structs.replace(GONE_ROW, revoked_ms=NOW_MS))
ANN = Caller(key="ann", user="ann", team="core")


@pytest.fixture
def register() -> Register:
    register = Register()
    register.virtual = make_table(ROWS)
    return register


def test_on_a_keyless_loopback_everyone_without_a_key_of_ours_is_the_local_user(register: Register):
    assert register.identify({"authorization": "Bearer dummy"}, "chat", None, NOW_MS) == Caller()
    assert register.identify({}, "chat", None, NOW_MS) == Caller()


@pytest.mark.parametrize("keys", [KEYS, KeyTable(), None], ids=["server key", "keys asked for", "keyless"])
def test_a_virtual_key_is_its_caller_wherever_it_is_sent(register: Register, keys: KeyTable | None):
    for headers in (
        {"authorization": f"Bearer {ANN_KEY}"},
        {"authorization": f"bearer   {ANN_KEY} "},
        {"x-api-key": ANN_KEY},
        {"authorization": "Bearer placeholder", "x-api-key": ANN_KEY},
        {"authorization": f"Bearer {ANN_KEY}", "x-api-key": ANN_KEY},
    ):
        assert register.identify(headers, "chat", keys, NOW_MS) == ANN


def test_the_servers_own_key_may_do_everything(register: Register):
    for right in ("chat", "admin", None):
        assert register.identify({"x-api-key": "server-secret-kéy"}, right, KEYS, NOW_MS) == OWN


NO_KEYS: list[dict[str, str]] = [
    {},
    {"authorization": ""},
    {"authorization": "Bearer"},
    {"authorization": "Bearer "},
    {"authorization": "Bearer wrong"},
    {"authorization": "Basic server-secret-kéy"},
    {"authorization": "server-secret-kéy"},
    {"authorization": "Bearer server-secret-ké"},
    {"authorization": "Bearer server-secret-kéyy"},
    {"authorization": "Bearer server-secret-kéy\x00"},
    {"authorization": "Bearer server-secret-kéy\xa0"},
    {"authorization": "Bearer server-secret-kéy, server-secret-kéy"},
    {"authorization": "Bearer " + "x" * 60_000},
    {"x-api-key": "\udcff"},
    {"api-key": "server-secret-kéy"},
]
BAD_KEYS: list[dict[str, str]] = [
    {"authorization": f"Bearer {GONE_KEY}"},
    {"authorization": f"Bearer {STRANGER_KEY}"},
    {"authorization": f"Bearer {ANN_KEY[:-1]}"},
    {"authorization": f"Bearer {ANN_KEY}x"},
    {"authorization": f"Bearer {ANN_KEY}, {ANN_KEY}"},
    {"authorization": f"Bearer {ANN_KEY.swapcase()}".replace("FH_", "fh_")},
    {"authorization": f"Bearer {ANN_KEY}", "x-api-key": BOB_KEY},
    {"authorization": f"Bearer {ANN_KEY}", "x-api-key": GONE_KEY},
    {"authorization": f"Bearer {ANN_KEY}\x00"},
    {"x-api-key": f"{ANN_KEY}\xa0"},
    {"x-api-key": "fh_"},
    {"x-api-key": "fh_" + "x" * 60_000},
]


@pytest.mark.parametrize("keys", [KEYS, KeyTable()], ids=["server key", "keys asked for"])
@pytest.mark.parametrize("headers", NO_KEYS + BAD_KEYS)
def test_nothing_else_gives_an_identity(headers: dict[str, str], keys: KeyTable, register: Register):
    with pytest.raises(FaultError) as caught:
        register.identify(headers, None, keys, NOW_MS)
    assert caught.value.fault.kind is Kind.UNAUTHENTICATED
    assert "secret" not in caught.value.fault.message
    assert "fh_" not in caught.value.fault.message
    assert "x-api-key" in caught.value.fault.message


@pytest.mark.parametrize("headers", BAD_KEYS)
def test_a_bad_key_of_ours_is_refused_where_none_is_asked_for_too(headers: dict[str, str], register: Register):
    with pytest.raises(FaultError) as caught:
        register.identify(headers, None, None, NOW_MS)
    assert caught.value.fault.kind is Kind.UNAUTHENTICATED


def test_a_key_opens_until_it_expires(register: Register):
    headers = {"x-api-key": BRIEF_KEY}
    assert register.identify(headers, "chat", KEYS, NOW_MS + 999).key == "brief"
    with pytest.raises(FaultError, match="expired"):
        register.identify(headers, "chat", KEYS, NOW_MS + 1000)


def test_a_rotated_key_opens_by_both_secrets_until_the_overlap_ends():
    new, kept = draw(NOW_MS)
    old = msgspec.structs.replace(ANN_ROW.secrets[0], ends_ms=NOW_MS + 5000)
    register = Register()
    register.virtual = make_table([msgspec.structs.replace(ANN_ROW, secrets=(kept, old))])
    for at_ms, key, opens in (
        (NOW_MS + 4999, ANN_KEY, True),
        (NOW_MS + 5000, ANN_KEY, False),
        (NOW_MS + 5000, new.reveal(), True),
    ):
        if opens:
            assert register.identify({"x-api-key": key}, "chat", KEYS, at_ms) == ANN
        else:
            with pytest.raises(FaultError):
                register.identify({"x-api-key": key}, "chat", KEYS, at_ms)
    assert register.standing(ANN, "chat", KEYS, NOW_MS + 5000) == ANN


def test_a_key_does_only_what_it_may(register: Register):
    bob = {"x-api-key": BOB_KEY}
    assert register.identify(bob, "embeddings", KEYS, NOW_MS).key == "bob"
    assert register.identify(bob, None, KEYS, NOW_MS).key == "bob"
    for right in ("chat", "files", "admin"):
        with pytest.raises(FaultError, match="may do embeddings") as caught:
            register.identify(bob, right, KEYS, NOW_MS)
        assert caught.value.fault.kind is Kind.FORBIDDEN
    with pytest.raises(FaultError, match="everything but admin"):
        register.identify({"x-api-key": ANN_KEY}, "admin", KEYS, NOW_MS)


def test_nobody_administers_without_a_key(register: Register):
    with pytest.raises(FaultError) as caught:
        register.identify({}, "admin", None, NOW_MS)
    assert caught.value.fault.kind is Kind.UNAUTHENTICATED


def test_work_for_a_key_goes_on_only_while_the_key_stands(register: Register):
    assert register.standing(ANN, "chat", None, NOW_MS) == ANN
    assert register.standing(Caller(), "chat", None, NOW_MS) == Caller()
    assert register.standing(OWN, "chat", KEYS, NOW_MS) == OWN
    for caller, right, keys, at_ms in (
        (Caller(key="gone", user="gone"), "chat", KEYS, NOW_MS),
        (Caller(key="ann", user="bob"), "chat", KEYS, NOW_MS),
        (Caller(key="brief", user="brief"), "chat", KEYS, NOW_MS + 1000),
        (Caller(key="bob", user="bob"), "chat", KEYS, NOW_MS),
        (Caller(), "chat", KEYS, NOW_MS),
        (OWN, "chat", KeyTable(), NOW_MS),
        (OWN, "chat", None, NOW_MS),
    ):
        with pytest.raises(FaultError):
            register.standing(caller, right, keys, at_ms)


def test_keys_that_cannot_be_checked_open_nothing_and_the_servers_own_still_does(register: Register):
    register.is_stale = True
    for headers in ({"x-api-key": ANN_KEY}, {"x-api-key": STRANGER_KEY}):
        with pytest.raises(FaultError) as caught:
            register.identify(headers, "chat", KEYS, NOW_MS)
        assert caught.value.fault.kind is Kind.LEDGER_BEHIND
    assert register.identify({"x-api-key": "server-secret-kéy"}, "chat", KEYS, NOW_MS) == OWN


def test_a_key_that_can_be_guessed_is_refused_without_being_shown():
    with pytest.raises(ValueError, match="shorter than 8") as caught:
        make_key(Secret("hunter2"), Opening(OWN))
    assert "hunter2" not in str(caught.value)


def test_the_table_keeps_no_key_in_the_clear(register: Register):
    assert b"secret" not in repr(KEYS).encode()
    assert ANN_KEY not in repr(register.virtual)
    assert ANN_KEY[9:] not in repr(ANN_ROW)


class Counted(dict[bytes, Opening]):
    looked = 0

    def get(self, key: bytes, default: Any = None) -> Any:  # type: ignore[override]  # what is counted is a look-up
        self.looked += 1
        return super().get(key, default)

    def __iter__(self) -> Any:
        raise AssertionError("a look-up walks through the keys")


def test_one_of_ten_thousand_keys_takes_one_look_up():
    caller = Opening(Caller(key="k", rights=Rights()))
    table = Counted({digest_of(f"fh_{number}"): caller for number in range(10_000)})
    register = Register()
    register.virtual = KeyTable(table, {})
    assert register.identify({"authorization": "Bearer fh_9999"}, "chat", KEYS, NOW_MS).key == "k"
    assert table.looked == 1
