"""Numbers with check digits, and addresses: the digits are made here by code of its own, so that one mistake does not hide another."""

import string

from detector_chance import R, digits, draw


def luhn(body: str) -> str:
    total = 0
    for place, digit in enumerate(reversed(body)):
        value = int(digit) * (2 if place % 2 == 0 else 1)
        total += value // 10 + value % 10
    return body + str(-total % 10)


def card() -> str:
    first, size = R.choice([("4", 16), ("51", 16), ("2223", 16), ("34", 15), ("6011", 16), ("3528", 16), ("36", 14), ("62", 19)])
    number = luhn(first + draw(string.digits, size - 1 - len(first)))
    if size == 16 and R.random() < 0.6:
        mark = R.choice(" -")
        return mark.join(number[at : at + 4] for at in range(0, 16, 4))
    return f"{number[:4]} {number[4:10]} {number[10:]}" if size == 15 and R.random() < 0.5 else number


def iban() -> str:
    country, body = R.choice(
        [("DE", digits(18)), ("NL", draw(string.ascii_uppercase, 4) + digits(10)), ("FR", digits(23)), ("CH", digits(17)), ("NO", digits(11)),
         ("GB", draw(string.ascii_uppercase, 4) + digits(14)), ("ES", digits(20)), ("IT", draw(string.ascii_uppercase, 1) + digits(22))]
    )  # fmt: skip
    spelled = "".join(
        str(string.digits.index(one)) if one in string.digits else str(ord(one) - 55) for one in body + country + "00"
    )
    whole = f"{country}{98 - int(spelled) % 97:02}{body}"
    return " ".join(whole[at : at + 4] for at in range(0, len(whole), 4)) if R.random() < 0.5 else whole


def searched(make, size: int, tries: str) -> str:
    """The body that a brute search over its check digits completes, by the published rule itself."""
    while True:
        body = make()
        for check in range(10**size):
            if eval(tries, {"n": body + f"{check:0{size}}", "sum": sum, "int": int, "zip": zip, "range": range}):
                return body + f"{check:0{size}}"


def day() -> tuple[str, str, str]:
    return f"{R.randint(1, 28):02}", f"{R.randint(1, 12):02}", f"{R.randint(40, 99)}"


def de_tax() -> str:
    order = R.sample(string.digits, 10)
    order[R.randrange(1, 10)] = order[0]
    body = "".join(order)
    if body[0] == "0":
        body = body.replace("0", "9")
        return de_tax()
    rest = 10
    for one in body:
        rest = (rest + int(one)) % 10
        rest = 2 * (10 if rest == 0 else rest) % 11
    check = 11 - rest
    return body + str(0 if check == 10 else check)


VERHOEFF_D = [[0,1,2,3,4,5,6,7,8,9],[1,2,3,4,0,6,7,8,9,5],[2,3,4,0,1,7,8,9,5,6],[3,4,0,1,2,8,9,5,6,7],[4,0,1,2,3,9,5,6,7,8],
              [5,9,8,7,6,0,4,3,2,1],[6,5,9,8,7,1,0,4,3,2],[7,6,5,9,8,2,1,0,4,3],[8,7,6,5,9,3,2,1,0,4],[9,8,7,6,5,4,3,2,1,0]]  # fmt: skip
VERHOEFF_P = [[0,1,2,3,4,5,6,7,8,9],[1,5,7,6,2,8,3,0,9,4],[5,8,0,3,7,9,6,1,4,2],[8,9,1,6,0,4,3,5,2,7],[9,4,5,3,1,2,6,8,7,0],
              [4,2,8,6,5,7,3,9,0,1],[2,7,9,3,8,0,6,4,1,5],[7,0,4,6,9,1,3,2,5,8]]  # fmt: skip


def aadhaar() -> str:
    body = digits(11, "23456789")
    for check in string.digits:
        state = 0
        for place, one in enumerate(reversed(body + check)):
            state = VERHOEFF_D[state][VERHOEFF_P[place % 8][int(one)]]
        if state == 0:
            return f"{body[:4]} {body[4:8]} {body[8:]}{check}"
    raise AssertionError


def pesel() -> str:
    day_, month, year = day()
    return searched(
        lambda: year + month + day_ + digits(4),
        1,
        "(10 - sum(int(d) * w for d, w in zip(n, (1,3,7,9,1,3,7,9,1,3))) % 10) % 10 == int(n[10])",
    )


def nir() -> str:
    body = R.choice("12") + day()[2] + day()[1] + digits(8)
    return f"{body}{97 - int(body) % 97:02}"


def belgian() -> str:
    day_, month, year = day()
    body = year + month + day_ + f"{R.randint(1, 997):03}"
    return f"{year}.{month}.{day_}-{body[6:]}.{97 - int(body) % 97:02}"


def swedish() -> str:
    day_, month, year = day()
    whole = luhn(year + month + day_ + digits(3))
    return f"{whole[:6]}-{whole[6:]}"


def norwegian() -> str:
    day_, month, year = day()
    first = "int(n[9]) == -sum(int(d) * w for d, w in zip(n, (3,7,6,1,8,9,4,5,2))) % 11"
    second = "int(n[10]) == -sum(int(d) * w for d, w in zip(n, (5,4,3,2,7,6,5,4,3,2))) % 11"
    whole = searched(lambda: day_ + month + year + digits(3), 2, f"{first} and {second}")
    return f"{whole[:6]} {whole[6:]}"


def finnish() -> str:
    day_, month, year = day()
    number = f"{R.randint(2, 899):03}"
    return f"{day_}{month}{year}-{number}{'0123456789ABCDEFHJKLMNPRSTUVWXY'[int(day_ + month + year + number) % 31]}"


def spanish() -> str:
    body = digits(8)
    return body + "TRWAGMYFPDXBNJZSQVHLCKE"[int(body) % 23]


def chinese() -> str:
    day_, month, year = day()
    body = digits(6, "1234") + "19" + year + month + day_ + digits(3)
    return body + "10X98765432"[sum(int(one) * 2 ** (17 - at) for at, one in enumerate(body)) % 11]


def ahv() -> str:
    body = "756" + digits(9)
    check = -sum(int(one) * (3 if at % 2 else 1) for at, one in enumerate(body)) % 10
    return f"{body[:3]}.{body[3:7]}.{body[7:11]}.{body[11:]}{check}"


def cpf() -> str:
    body = digits(9)
    for _ in range(2):
        rest = sum(int(one) * weight for one, weight in zip(body, range(len(body) + 1, 1, -1), strict=True)) % 11
        body += str(0 if rest < 2 else 11 - rest)
    return f"{body[:3]}.{body[3:6]}.{body[6:9]}-{body[9:]}"


def ssn() -> str:
    return f"{R.randint(100, 665)}-{R.randint(10, 99)}-{R.randint(1000, 9999)}"


NUMBERS = {
    "card": (card, ["card {}", "{}", "PAN: {} exp 04/29", '{{"number": "{}"}}', "He paid with {}, he says."]),
    "iban": (iban, ["{}", "IBAN {}.", "please pay to {} until Friday", '"iban": "{}"']),
    "us-ssn": (ssn, ["SSN {}", "social security number {}", "{}", '"ssn": "{}"']),
    "de-tax-id": (de_tax, ["Steuer-ID {}", "IdNr. {}", "steuerliche Identifikationsnummer: {}"]),
    "fr-nir": (nir, ["NIR {}", "num\u00e9ro de s\u00e9curit\u00e9 sociale {}"]),
    "pl-pesel": (pesel, ["PESEL: {}", "pesel {}"]),
    "nl-bsn": (lambda: searched(lambda: digits(8), 1, "(sum(int(d) * w for d, w in zip(n, range(9, 1, -1))) - int(n[8])) % 11 == 0"), ["BSN {}", "burgerservicenummer {}"]),
    "be-national-id": (belgian, ["rijksregisternummer {}", "{}"]),
    "no-id": (norwegian, ["f\u00f8dselsnummer {}", "{}"]),
    "se-id": (swedish, ["personnummer {}", "{}"]),
    "fi-id": (finnish, ["henkil\u00f6tunnus {}", "{}"]),
    "es-id": (spanish, ["DNI {}", "con DNI {}, mayor de edad"]),
    "uk-nhs": (lambda: searched(lambda: digits(9), 1, "sum(int(d) * w for d, w in zip(n, range(10, 0, -1))) % 11 == 0"), ["NHS number {}", "nhs no: {}"]),
    "ch-ahv": (ahv, ["AHV {}", "{}"]),
    "br-cpf": (cpf, ["CPF {}", "{}"]),
    "in-aadhaar": (aadhaar, ["Aadhaar {}", "aadhaar no. {}"]),
    "cn-id": (chinese, ["\u8eab\u4efd\u8bc1 {}", "ID {}"]),
    "ca-sin": (lambda: luhn(digits(8, "1234567")), ["SIN: {}", "social insurance number {}"]),
    "au-tfn": (lambda: searched(lambda: digits(8), 1, "sum(int(d) * w for d, w in zip(n, (1,4,3,7,5,8,6,9,10))) % 11 == 0"), ["TFN {}", "tax file number {}"]),
    "email": (lambda: f"{draw(string.ascii_lowercase, 6)}.{draw(string.ascii_lowercase, 5)}@{draw(string.ascii_lowercase, 7)}.{R.choice(['com', 'co.uk', 'de', 'io', 'museum'])}", ["{}", "write to {}.", "Author: Ann <{}>", "mailto:{}?subject=x"]),
    "phone": (lambda: R.choice([f"+49 30 {digits(7)}", f"+1 {R.randint(212, 989)}-{R.randint(200, 999)}-{digits(4)}", f"({R.randint(212, 989)}) {R.randint(200, 999)}-{digits(4)}", f"+44 20 {digits(4)} {digits(4)}", f"+33{digits(9)}"]), ["call {}", "tel: {}", "{}"]),
    "internal-host": (lambda: f"{R.choice(['db', 'web', 'ci', 'vault'])}{digits(2)}.{R.choice(['prod', 'eu-west', 'ops'])}.{R.choice(['internal', 'corp', 'lan', 'home.arpa'])}", ["ssh {}", "host: {}", "https://{}/login"]),
    "private-address": (lambda: R.choice([f"10.{R.randint(0, 255)}.{R.randint(0, 255)}.{R.randint(1, 254)}", f"192.168.{R.randint(0, 255)}.{R.randint(1, 254)}", f"172.{R.randint(16, 31)}.{R.randint(0, 255)}.{R.randint(1, 254)}"]), ["ping {}", "inet {}/24 scope global", "upstream {};"]),
}  # fmt: skip


def numbers():
    for kind, (make, forms) in NUMBERS.items():
        for number in range(24):
            yield [kind], forms[number % len(forms)].format(make())
