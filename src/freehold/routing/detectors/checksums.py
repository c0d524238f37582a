"""Check digits: pure arithmetic on strings of digits, each with where it is laid down. Lengths are the caller's business.

What a check does not see is said where it matters: one in ten random numbers passes Luhn, one in a hundred ISO 7064 mod 97.
"""

from collections.abc import Iterator, Sequence
from operator import mul

_VALUES = bytes.maketrans(b"0123456789", bytes(range(10)))
_DOUBLED = bytes.maketrans(b"0123456789", bytes((0, 2, 4, 6, 8, 1, 3, 5, 7, 9)))
"""A digit twice, its two digits added."""
_MONTH_DAYS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_DNI_LETTERS = "TRWAGMYFPDXBNJZSQVHLCKE"
_HETU_MARKS = "0123456789ABCDEFHJKLMNPRSTUVWXY"
_VERHOEFF_TURN = (1, 5, 7, 6, 2, 8, 3, 0, 9, 4)


def is_luhn(digits: str) -> bool:
    """ISO/IEC 7812-1, annex B."""
    data = digits.encode()
    return (sum(data[-1::-2].translate(_VALUES)) + sum(data[-2::-2].translate(_DOUBLED))) % 10 == 0


_AS_NUMBERS = {ord(letter): str(number) for number, letter in enumerate("ABCDEFGHIJKLMNOPQRSTUVWXYZ", 10)}


def is_mod97(characters: str) -> bool:
    """ISO 7064 mod 97-10 over digits and capital letters, as IBANs use it once their first four stand last."""
    return int(characters.translate(_AS_NUMBERS)) % 97 == 1


def is_card(digits: str) -> bool:
    """A payment card: Luhn, and a length that the issuer of its first digits uses (ISO/IEC 7812, the networks' own lists)."""
    is_issued = _ISSUED[int(digits[:4])] >> (len(digits) - _SHORTEST_CARD) & 1
    return bool(is_issued) and is_luhn(digits) and len(set(digits)) > 1


_SHORTEST_CARD = 13
_ISSUERS: tuple[tuple[int, int, Sequence[int]], ...] = (
    (4000, 4999, (13, 16, 19)),  # Visa
    (5100, 5599, (16,)),  # Mastercard
    (2221, 2720, (16,)),
    (3400, 3499, (15,)),  # American Express
    (3700, 3799, (15,)),
    (6011, 6011, range(16, 20)),  # Discover
    (6440, 6599, range(16, 20)),
    (6200, 6299, range(16, 20)),  # UnionPay
    (3528, 3589, range(16, 20)),  # JCB
    (3600, 3699, (14, 16)),  # Diners
    (3800, 3999, (14, 16)),
    (3000, 3059, (14, 16)),
    *((maestro, maestro, range(13, 20)) for maestro in (5018, 5020, 5038, 6304, 6759, 6761, 6762, 6763)),
)
"""First four digits, from and to, and the lengths of cards that begin with them."""


def _issued() -> bytes:
    lengths = bytearray(10_000)
    for start, stop, sizes in _ISSUERS:
        bits = sum(1 << (size - _SHORTEST_CARD) for size in sizes)
        for four in range(start, stop + 1):
            lengths[four] |= bits
    return bytes(lengths)


_ISSUED = _issued()
"""By the first four digits, a bit for each length that is given out."""


def is_us_ssn(digits: str) -> bool:
    """United States, nine digits. There is no check digit; areas, groups and serials that were never given are refused."""
    return digits[:3] not in {"000", "666"} and digits[0] != "9" and digits[3:5] != "00" and digits[5:] != "0000"


def is_de_tax_id(digits: str) -> bool:
    """Germany, Steuer-ID of eleven digits: ISO 7064 mod 11,10; among the first ten one digit stands twice or thrice."""
    # Nine different ones of ten: one stands twice; eight: thrice, or two of them twice, which is not given out.
    different = set(digits[:10])
    if digits[0] == "0" or not (len(different) == 9 or (len(different) == 8 and 3 in map(digits[:10].count, different))):
        return False
    product = 10
    for value in digits.encode().translate(_VALUES)[:10]:
        product = ((value + product) % 10 or 10) * 2 % 11
    return (11 - product) % 10 == int(digits[10])


def is_fr_nir(digits: str) -> bool:
    """France, NIR of fifteen digits: sex, year, month, place, number, and 97 less the remainder by 97."""
    month = int(digits[3:5])
    is_month = 1 <= month <= 12 or 20 <= month <= 42 or month >= 50
    return digits[0] in "12" and is_month and 97 - int(digits[:13]) % 97 == int(digits[13:])


def is_pl_pesel(digits: str) -> bool:
    """Poland, PESEL of eleven digits: birth date with the century in the month, weights 1 3 7 9."""
    month = int(digits[2:4]) % 20
    is_date = 1 <= month <= 12 and 1 <= int(digits[4:6]) <= _MONTH_DAYS[month - 1]
    return is_date and _weighed(digits, (1, 3, 7, 9, 1, 3, 7, 9, 1, 3, 1)) % 10 == 0


def is_nl_bsn(digits: str) -> bool:
    """Netherlands, BSN of nine digits: the test of eleven, its last weight -1."""
    return _weighed(digits, (9, 8, 7, 6, 5, 4, 3, 2, -1)) % 11 == 0 and len(set(digits)) > 2


def is_be_national(digits: str) -> bool:
    """Belgium, rijksregisternummer of eleven digits: birth date, counter, 97 less the remainder (born since 2000: a 2 before)."""
    month = int(digits[2:4])
    if not (1 <= month <= 12 and 1 <= int(digits[4:6]) <= _MONTH_DAYS[month - 1] and 1 <= int(digits[6:9]) <= 998):
        return False
    number, check = int(digits[:9]), int(digits[9:])
    return check in {97 - number % 97, 97 - (number + 2_000_000_000) % 97}


def is_no_fodselsnummer(digits: str) -> bool:
    """Norway, eleven digits: birth date (D-numbers: day plus 40) and two checks by eleven."""
    if not _is_day_month(digits[:4], 40):
        return False
    return (
        _weighed(digits[:10], (3, 7, 6, 1, 8, 9, 4, 5, 2, 1)) % 11 == 0
        and _weighed(digits, (5, 4, 3, 2, 7, 6, 5, 4, 3, 2, 1)) % 11 == 0
    )


def is_se_personnummer(digits: str) -> bool:
    """Sweden, ten digits without the century: birth date (coordination numbers: day plus 60) and Luhn."""
    return _is_day_month(digits[4:6] + digits[2:4], 60) and is_luhn(digits)


def is_fi_hetu(digits: str, mark: str) -> bool:
    """Finland, nine digits and a mark by the remainder of 31."""
    return _is_day_month(digits[:4], 0) and int(digits[6:]) >= 2 and _HETU_MARKS[int(digits) % 31] == mark.upper()


def is_es_dni(digits: str, letter: str) -> bool:
    """Spain, DNI: eight digits and a letter by the remainder of 23. A NIE's X, Y or Z stands as 0, 1 or 2 before."""
    return len(set(digits)) > 2 and _DNI_LETTERS[int(digits) % 23] == letter.upper()


def is_uk_nhs(digits: str) -> bool:
    """United Kingdom, NHS number of ten digits: check by eleven."""
    return _weighed(digits, (10, 9, 8, 7, 6, 5, 4, 3, 2, 1)) % 11 == 0 and len(set(digits)) > 2


def is_ch_ahv(digits: str) -> bool:
    """Switzerland, AHV number of thirteen digits: prefix 756 and the check digit of EAN-13."""
    return digits[:3] == "756" and _weighed(digits, (1, 3) * 6 + (1,)) % 10 == 0


def is_br_cpf(digits: str) -> bool:
    """Brazil, CPF of eleven digits: two checks by eleven."""
    values = digits.encode().translate(_VALUES)
    return (
        len(set(values)) > 2
        and sum(map(mul, values, (10, 9, 8, 7, 6, 5, 4, 3, 2))) * 10 % 11 % 10 == values[9]
        and sum(map(mul, values, (11, 10, 9, 8, 7, 6, 5, 4, 3, 2))) * 10 % 11 % 10 == values[10]
    )


def is_in_aadhaar(digits: str) -> bool:
    """India, Aadhaar of twelve digits: first not 0 or 1, Verhoeff (dihedral group of order ten)."""
    if digits[0] in "01" or len(set(digits)) <= 2:
        return False
    check = 0
    for place, digit in enumerate(digits.encode().translate(_VALUES)[::-1]):
        check = _VERHOEFF_STEPS[place % 8][check * 10 + digit]
    return check == 0


def is_cn_resident(digits: str, last: str) -> bool:
    """China, resident identity card: seventeen digits with a birth date, and ISO 7064 mod 11-2."""
    month = int(digits[10:12])
    if digits[6:8] not in {"19", "20"} or not (1 <= month <= 12 and 1 <= int(digits[12:14]) <= _MONTH_DAYS[month - 1]):
        return False
    return "10X98765432"[_weighed(digits, (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)) % 11] == last.upper()


def is_ca_sin(digits: str) -> bool:
    """Canada, SIN of nine digits: Luhn, first not 0 or 8."""
    return digits[0] not in "08" and is_luhn(digits) and len(set(digits)) > 2


def is_au_tfn(digits: str) -> bool:
    """Australia, tax file number of nine digits: weights 1 4 3 7 5 8 6 9 10, by eleven."""
    return _weighed(digits, (1, 4, 3, 7, 5, 8, 6, 9, 10)) % 11 == 0 and len(set(digits)) > 2


def _weighed(digits: str, weights: Sequence[int]) -> int:
    return sum(map(mul, digits.encode().translate(_VALUES), weights))


def _is_day_month(digits: str, moved: int) -> bool:
    """Whether DDMM is a day; one moved by `moved` counts as well."""
    day, month = int(digits[:2]), int(digits[2:4])
    if not 1 <= month <= 12:
        return False
    return 1 <= day <= _MONTH_DAYS[month - 1] or (moved > 0 and 1 <= day - moved <= _MONTH_DAYS[month - 1])


def _dihedral(one: int, other: int) -> int:
    """Multiplication in the dihedral group of order ten."""
    if one < 5:
        return (one + other) % 5 + (5 if other >= 5 else 0)
    return (one - other) % 5 + (5 if other < 5 else 0)


def _verhoeff_steps() -> Iterator[bytes]:
    turned = list(range(10))
    for _ in range(8):
        yield bytes(_dihedral(check, digit) for check in range(10) for digit in turned)
        turned = [_VERHOEFF_TURN[digit] for digit in turned]


_VERHOEFF_STEPS = tuple(_verhoeff_steps())
"""By place, and by the check so far and the digit there: the check from there on."""
