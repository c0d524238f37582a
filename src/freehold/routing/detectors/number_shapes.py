"""How cards and national ids are written, as data: groups of digits, marks between them, a check, words that name them."""

from collections.abc import Callable

import msgspec

from freehold.routing.detectors import checksums


class Shape(msgspec.Struct, frozen=True, kw_only=True):
    """A number as it is written."""

    kind: str
    groups: tuple[int, ...]
    """Digits in each group."""
    marks: str = ""
    """What stands between groups: one of these, the same everywhere; `exactly` where they differ."""
    exactly: str = ""
    """Each mark in its place."""
    is_valid: Callable[[str], bool] | None = None
    is_valid_with: Callable[[str, str], bool] | None = None
    """For a number that ends in a letter; `before` may stand for its first digit."""
    before: str = ""
    """Letters that may stand before it, each for the digit of its place (a Spanish NIE's X, Y, Z)."""
    words: tuple[str, ...] = ()
    """One of these must stand near before it, in any case."""


_card = checksums.is_card
SHAPES: tuple[Shape, ...] = (
    *(Shape(kind="card", groups=(size,), is_valid=_card) for size in range(13, 20)),
    *(
        Shape(kind="card", groups=groups, marks=" -", is_valid=_card)
        for groups in ((4, 4, 4, 4), (4, 6, 5), (4, 6, 4), (4, 4, 4, 4, 3), (6, 13))
    ),
    Shape(kind="us-ssn", groups=(3, 2, 4), marks="-", is_valid=checksums.is_us_ssn),
    Shape(kind="us-ssn", groups=(3, 2, 4), marks=" ", is_valid=checksums.is_us_ssn, words=("ssn", "social security")),
    Shape(kind="us-ssn", groups=(9,), is_valid=checksums.is_us_ssn, words=("ssn", "social security")),
    *(
        Shape(
            kind="de-tax-id",
            groups=groups,
            marks=" ",
            is_valid=checksums.is_de_tax_id,
            words=("steuer-id", "steuerid", "idnr", "identifikationsnummer", "steuernummer", "tax id", "tin"),
        )
        for groups in ((11,), (2, 3, 3, 3))
    ),
    Shape(kind="fr-nir", groups=(15,), is_valid=checksums.is_fr_nir),
    Shape(kind="fr-nir", groups=(13, 2), marks=" ", is_valid=checksums.is_fr_nir),
    Shape(kind="fr-nir", groups=(1, 2, 2, 2, 3, 3, 2), marks=" ", is_valid=checksums.is_fr_nir),
    Shape(kind="pl-pesel", groups=(11,), is_valid=checksums.is_pl_pesel, words=("pesel",)),
    Shape(kind="nl-bsn", groups=(9,), is_valid=checksums.is_nl_bsn, words=("bsn", "burgerservice", "sofinummer")),
    Shape(kind="be-national-id", groups=(2, 2, 2, 3, 2), exactly="..-.", is_valid=checksums.is_be_national),
    Shape(
        kind="be-national-id",
        groups=(11,),
        is_valid=checksums.is_be_national,
        words=("rijksregister", "registre national", "national number", "nrn", "insz", "niss"),
    ),
    Shape(kind="no-id", groups=(11,), is_valid=checksums.is_no_fodselsnummer, words=("dselsnummer", "personnummer", "fnr")),
    Shape(kind="no-id", groups=(6, 5), marks=" ", is_valid=checksums.is_no_fodselsnummer),
    Shape(kind="se-id", groups=(6, 4), marks="-+", is_valid=checksums.is_se_personnummer),
    Shape(kind="se-id", groups=(8, 4), marks="-", is_valid=lambda digits: checksums.is_se_personnummer(digits[2:])),
    Shape(kind="fi-id", groups=(6, 3), marks="-+", is_valid_with=checksums.is_fi_hetu),
    Shape(kind="fi-id", groups=(6, 4), marks="-+", is_valid=lambda digits: checksums.is_fi_hetu(digits[:9], digits[9])),
    Shape(kind="es-id", groups=(8,), is_valid_with=checksums.is_es_dni),
    Shape(kind="es-id", groups=(7,), before="XYZ", is_valid_with=checksums.is_es_dni),
    *(
        Shape(kind="uk-nhs", groups=groups, marks=" -", is_valid=checksums.is_uk_nhs, words=("nhs",))
        for groups in ((10,), (3, 3, 4))
    ),
    Shape(kind="ch-ahv", groups=(13,), is_valid=checksums.is_ch_ahv),
    Shape(kind="ch-ahv", groups=(3, 4, 4, 2), marks=".", is_valid=checksums.is_ch_ahv),
    Shape(kind="br-cpf", groups=(3, 3, 3, 2), exactly="..-", is_valid=checksums.is_br_cpf),
    Shape(kind="br-cpf", groups=(11,), is_valid=checksums.is_br_cpf, words=("cpf",)),
    *(
        Shape(
            kind="in-aadhaar", groups=groups, marks=" -", is_valid=checksums.is_in_aadhaar, words=("aadhaar", "aadhar", "uidai")
        )
        for groups in ((12,), (4, 4, 4))
    ),
    Shape(kind="cn-id", groups=(18,), is_valid=lambda digits: checksums.is_cn_resident(digits[:17], digits[17])),
    Shape(kind="cn-id", groups=(17,), is_valid_with=checksums.is_cn_resident),
    *(
        Shape(kind="ca-sin", groups=groups, marks=" -", is_valid=checksums.is_ca_sin, words=("sin ", "sin:", "social insurance"))
        for groups in ((9,), (3, 3, 3))
    ),
    *(
        Shape(kind="au-tfn", groups=groups, marks=" ", is_valid=checksums.is_au_tfn, words=("tfn", "tax file"))
        for groups in ((9,), (3, 3, 3))
    ),
)
