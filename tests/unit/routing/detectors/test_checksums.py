"""Check digits against numbers that their issuers or standards publish as examples, and against every single wrong digit."""

import re
from collections.abc import Callable

import pytest

from freehold.routing.detectors import checksums
from freehold.routing.detectors.ibans import MOST_WRONG, find_ibans

PUBLISHED: list[tuple[Callable[[str], bool], str]] = [
    (checksums.is_card, "4111111111111111"),
    (checksums.is_card, "5555555555554444"),
    (checksums.is_card, "378282246310005"),
    (checksums.is_card, "6011111111111117"),
    (checksums.is_card, "3530111333300000"),
    (checksums.is_de_tax_id, "86095742719"),
    (checksums.is_fr_nir, "255081416802538"),
    (checksums.is_pl_pesel, "44051401359"),
    (checksums.is_nl_bsn, "111222333"),
    (checksums.is_be_national, "85073003328"),
    (checksums.is_se_personnummer, "8112289874"),
    (checksums.is_uk_nhs, "9434765919"),
    (checksums.is_ch_ahv, "7569217076985"),
    (checksums.is_br_cpf, "52998224725"),
    (checksums.is_in_aadhaar, "234123412346"),
    (checksums.is_au_tfn, "123456782"),
    (lambda digits: checksums.is_es_dni(digits, "Z"), "12345678"),
    (lambda digits: checksums.is_fi_hetu(digits, "T"), "131052308"),
    (lambda digits: checksums.is_cn_resident(digits, "X"), "11010519491231002"),
]
IBANS = (
    "DE89370400440532013000",
    "GB29NWBK60161331926819",
    "FR1420041010050500013M02606",
    "NO9386011117947",
    "CH9300762011623852957",
)


@pytest.mark.parametrize(("is_valid", "number"), PUBLISHED)
def test_a_published_number_is_valid(is_valid: Callable[[str], bool], number: str):
    assert is_valid(number)


@pytest.mark.parametrize(("is_valid", "number"), PUBLISHED)
def test_almost_no_single_wrong_digit_passes(is_valid: Callable[[str], bool], number: str):
    wrong = [number[:at] + other + number[at + 1 :] for at in range(len(number)) for other in "0123456789" if other != number[at]]
    # mod 97 of a birth date and the two centuries of Belgium let a few through; a check that does nothing lets all through.
    assert sum(map(is_valid, wrong)) <= len(wrong) * 0.04


@pytest.mark.parametrize("iban", IBANS)
def test_a_published_iban_is_found_in_one_piece_and_in_groups(iban: str):
    grouped = " ".join(iban[at : at + 4] for at in range(0, len(iban), 4))
    assert list(find_ibans(iban, [(0, 3)], 16)) == [(0, len(iban))]
    assert list(find_ibans(f"to {grouped}, please", [(3, 6)], 16)) == [(3, 3 + len(grouped))]
    wrong = iban[:-1] + ("1" if iban[-1] != "1" else "2")
    assert not list(find_ibans(wrong, [(0, 3)], 16))
    assert not list(find_ibans(iban + "9", [(0, 3)], 16))


def test_so_many_different_wrong_ibans_are_taken_to_have_a_right_one():
    wrong = [f"NO508601{account:07}" for account in range(400)]
    wrong = [iban for iban in wrong if not is_iban(iban)]
    assert not found_among(wrong[: MOST_WRONG - 1])
    assert found_among(wrong[:MOST_WRONG]) == [wrong[MOST_WRONG - 1]]
    assert found_among(wrong) == [wrong[MOST_WRONG - 1]]
    right = "NO9386011117947"
    assert found_among([*wrong[: MOST_WRONG - 1], right]) == [right]
    assert found_among([*wrong, right], most=1) == [wrong[MOST_WRONG - 1]]


def test_one_wrong_iban_may_stand_in_a_text_as_often_as_it_likes():
    assert found_among(["NO9386011117948"] * (MOST_WRONG * 4)) == []


def is_iban(iban: str) -> bool:
    return checksums.is_mod97(iban[4:] + iban[:4])


def found_among(ibans: list[str], most: int = 16) -> list[str]:
    """Those that are found in a text of all of them, one on a line."""
    text = "\n".join(ibans)
    starts = [match.start() for match in re.finditer("NO", text)]
    return [text[start:end] for start, end in find_ibans(text, [(start, start + 3) for start in starts], most)]


def test_numbers_that_were_never_given_out_are_refused():
    assert not any(map(checksums.is_us_ssn, ("000123456", "666123456", "912345678", "123006789", "123450000")))
    assert not checksums.is_card("0000000000000000")
    assert not checksums.is_card("9111111111111111")
