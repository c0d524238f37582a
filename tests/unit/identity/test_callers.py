import pytest

from freehold.fault import FaultError, Kind
from freehold.features import Caller
from freehold.identity.callers import KeyTable, identify, make_key
from freehold.secret import Secret

ANN, BOB = Caller(key="ann", user="ann"), Caller(key="bob", user="bob")
TABLE = KeyTable((make_key(Secret("ann-secret-key"), ANN), make_key(Secret("bob-secret-kéy"), BOB)))


def test_on_a_keyless_loopback_everyone_is_the_local_user_whatever_they_send():
    assert identify({"authorization": "Bearer dummy"}, None) == Caller()


@pytest.mark.parametrize(
    ("headers", "caller"),
    [
        ({"authorization": "Bearer ann-secret-key"}, ANN),
        ({"authorization": "bearer   ann-secret-key "}, ANN),
        ({"x-api-key": "bob-secret-kéy"}, BOB),
        ({"authorization": "Bearer placeholder", "x-api-key": "ann-secret-key"}, ANN),
        ({"authorization": "Bearer ann-secret-key", "x-api-key": "ann-secret-key"}, ANN),
    ],
)
def test_a_key_in_either_header_names_its_caller(headers: dict[str, str], caller: Caller):
    assert identify(headers, TABLE) == caller


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": ""},
        {"authorization": "Bearer"},
        {"authorization": "Bearer "},
        {"authorization": "Bearer wrong"},
        {"authorization": "Basic ann-secret-key"},
        {"authorization": "ann-secret-key"},
        {"authorization": "Bearer ann-secret-ke"},
        {"authorization": "Bearer ann-secret-keyy"},
        {"authorization": "Bearer ann-secret-key\x00"},
        {"x-api-key": "\udcff"},
        {"api-key": "ann-secret-key"},
        {"authorization": "Bearer ann-secret-key", "x-api-key": "bob-secret-kéy"},
    ],
)
@pytest.mark.parametrize("table", [TABLE, KeyTable(())], ids=["two keys", "no keys"])
def test_nothing_else_gives_an_identity(headers: dict[str, str], table: KeyTable):
    with pytest.raises(FaultError) as caught:
        identify(headers, table)
    assert caught.value.fault.kind is Kind.UNAUTHENTICATED
    assert "secret" not in caught.value.fault.message
    assert "x-api-key" in caught.value.fault.message


def test_a_key_that_can_be_guessed_is_refused_without_being_shown():
    with pytest.raises(ValueError, match="shorter than 8") as caught:
        make_key(Secret("hunter2"), ANN)
    assert "hunter2" not in str(caught.value)


def test_the_table_keeps_no_key_in_the_clear():
    assert b"secret" not in repr(TABLE).encode()
