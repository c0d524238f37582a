"""What a configuration looks for, what a finding holds, and what happens when a detector fails."""

import json

import msgspec
import pytest

from freehold.features import Label
from freehold.policy.labels import LabelSettings, Pattern
from freehold.routing.detectors import scanner
from freehold.routing.detectors.kinds import ERROR, KINDS, labels_of
from freehold.routing.detectors.scanner import ACROSS, Detectors, Spot
from freehold.wire.strings import strings_of

KEY = "AKIA" + "QYLPMN5HHHFPZAM2"
CARD = "4111 1111 1111 1111"


def kinds(detectors: Detectors, text: str) -> set[str]:
    return {kind for kind, _, _ in detectors.find(text)}


def test_a_finding_is_a_kind_and_a_position_and_never_the_text():
    data = json.dumps({"role": "user", "content": [{"type": "text", "text": f"see {KEY}"}]}).encode()
    (spot,) = Detectors(LabelSettings()).read_json(data)
    assert spot.kind == "aws-access-key"
    strings = strings_of(data)
    begin = strings.starts[spot.part] + spot.offset
    assert strings.text[begin : begin + spot.length] == KEY
    assert KEY not in repr(spot)
    assert msgspec.json.decode(msgspec.json.encode(spot)) == ["aws-access-key", spot.part, spot.offset, spot.length]


def test_a_secret_split_over_the_parts_of_a_message_is_found_across_them():
    parts = (f"my key is {KEY[:9]}", f"{KEY[9:]} they say")
    data = json.dumps({"content": [{"type": "text", "text": part} for part in parts]}).encode()
    detectors = Detectors(LabelSettings())
    assert detectors.read_json(data) == ()
    assert detectors.read_json(data, parts) == (Spot("aws-access-key", ACROSS, 10, 20),)


def test_a_detector_that_fails_says_so_and_counts_as_restricted(monkeypatch: pytest.MonkeyPatch):
    detectors = Detectors(LabelSettings())
    monkeypatch.setattr(scanner, "strings_of", lambda _data: 1 / 0)
    assert detectors.read_json(b'"x"') == (Spot(ERROR, 0, 0, 0),)
    monkeypatch.setattr(scanner, "joined", lambda _texts: 1 / 0)
    assert detectors.read_texts(("x",)) == (Spot(ERROR, 0, 0, 0),)
    assert detectors.label_of(ERROR) is Label.RESTRICTED


def test_what_cannot_be_decoded_counts_as_a_failure():
    assert Detectors(LabelSettings()).read_json(b'{"cut')[0].kind == ERROR
    assert Detectors(LabelSettings()).read_texts(("\ud800",))[0].kind == ERROR


def test_a_kind_beats_its_group_and_off_means_not_looked_for():
    labels = labels_of({"secrets": "confidential", "jwt": "off", "cards": "off", "email": "restricted"})
    assert labels["github-token"] is Label.CONFIDENTIAL
    assert labels["email"] is Label.RESTRICTED
    assert labels["us-ssn"] is Label.CONFIDENTIAL
    assert not {"jwt", "card"} & set(labels)
    quiet = Detectors(LabelSettings(detectors={"secrets": "off", "cards": "off"}))
    assert kinds(quiet, f"{KEY} {CARD}") == set()


def test_what_cannot_raise_the_label_is_not_looked_for():
    text = f"ann@example.com 10.1.2.3 {KEY} {CARD}"
    assert kinds(Detectors(LabelSettings(default=Label.PUBLIC)), text) == {"email", "private-address", "aws-access-key", "card"}
    assert kinds(Detectors(LabelSettings()), text) == {"aws-access-key", "card"}
    assert kinds(Detectors(LabelSettings(default=Label.CONFIDENTIAL)), text) == {"aws-access-key"}
    assert kinds(Detectors(LabelSettings(default=Label.RESTRICTED)), text) == set()


def test_findings_are_bounded_and_the_highest_label_is_never_among_what_is_left_out():
    text = " ".join([f"4111-1111-1111-{luhn_end(number)}" for number in range(300)]) + f" {KEY}"
    spots = Detectors(LabelSettings()).read_texts((text,))
    assert len(spots) <= scanner.MOST_SPOTS
    assert spots[0].kind == "aws-access-key"
    assert "card" in {spot.kind for spot in spots}


def luhn_end(number: int) -> str:
    for check in range(10):
        digits = f"411111111111{number:03}{check}"
        if sum(sum(divmod(int(one) * (2 - at % 2), 10)) for at, one in enumerate(digits)) % 10 == 0:
            return digits[12:]
    raise AssertionError


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ('{"private_key": "-----BEGIN PRIVATE KEY-----\\\\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASC\\\\n"}', "private-key"),
        (
            "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,1F\n\nMIIEvQIBADANBgkqhkiG9w0BAQ",
            "private-key",
        ),
        ("PuTTY-User-Key-File-3: ssh-ed25519", "private-key"),
        ("amqp://:s3cr3tpw@queue:5672", "connection-string"),
        ("https://x-access-token:gh0a1b2c3@github.com/o/r", "connection-string"),
        ('{"password":"kX9#mQ2vLp7"}', "assigned-secret"),
        ('"{\\"api_key\\": \\"kX9mQ2vLp7zz\\"}"', "assigned-secret"),
    ],
)
def test_a_secret_is_found_in_the_forms_that_tools_write(text: str, kind: str):
    assert kind in kinds(Detectors(LabelSettings()), text)


def test_a_key_and_its_value_stay_together_in_the_arguments_of_a_tool():
    data = json.dumps({"type": "tool_use", "input": {"env": {"password": "kX9#mQ2vLp7"}, "card": 4111111111111111}}).encode()
    assert {spot.kind for spot in Detectors(LabelSettings()).read_json(data)} == {"assigned-secret", "card"}


def test_own_domains_are_internal_hosts():
    detectors = Detectors(LabelSettings(default=Label.PUBLIC, internal_hosts=("*.shop.example", "corp.example.com")))
    for host in ("db.shop.example", "a.b.corp.example.com"):
        assert kinds(detectors, f"ssh {host}:22") == {"internal-host"}
    assert kinds(detectors, "shop.example and shop.example.org and xcorp.example.com.evil.io") == set()


def test_another_configuration_has_another_salt_and_the_same_one_the_same():
    plain = Detectors(LabelSettings())
    assert plain.salt == Detectors(LabelSettings()).salt
    assert plain.salt != Detectors(LabelSettings(detectors={"jwt": "off"})).salt


@pytest.mark.parametrize("size", [63, 64, 300])
def test_a_pattern_that_is_tried_too_often_is_taken_for_found(size: int):
    pattern = Pattern(name="code", starts=("ORION-",), then="[0-9]{4}", label=Label.RESTRICTED)
    detectors = Detectors(LabelSettings(patterns=(pattern,)))
    assert kinds(detectors, "ORION-x " * size) == ({"pattern:code"} if size >= 64 else set())
    assert kinds(detectors, "see ORION-1234 for it") == {"pattern:code"}


def test_every_kind_has_a_group_with_a_label():
    assert set(labels_of({})) == set(KINDS)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("SIN 130692544" + " 123456789" * 200 + " sin: 130 692 544", "ca-sin"),
        ("tfn " + "x" * 59 + " 123456782", "au-tfn"),
        ("fnr" + "nhs 943 476 5919", "uk-nhs"),
        ("4111-1111-1111-1112 " * 40 + "4111-1111-1111-1111", "card"),
        ("1 2 3 4 5 6 7 " * 40 + "/ 85.07.30-033.28", "be-national-id"),
        ("12345678a " * 400 + "12345678Z", "es-id"),
        ("\U0001f600 \u0130 bsn 111222333", "nl-bsn"),
    ],
)
def test_a_number_is_found_behind_any_number_of_others(text: str, kind: str):
    found = [(start, end) for one, start, end in Detectors(LabelSettings()).find(text) if one == kind]
    assert found
    assert found[-1][1] == len(text)


def test_a_word_too_far_before_a_number_does_not_name_it():
    assert "au-tfn" not in {kind for kind, _, _ in Detectors(LabelSettings()).find("tfn " + "x" * 60 + " 123456782")}


@pytest.mark.parametrize("before", ["", "ACME-", "token: ", "x.y-"])
def test_a_gitlab_token_is_found_behind_the_prefix_of_an_instance(before: str):
    token = "glpat-" + "aB3dE6gH9jK2mN5pQ8sT"
    (spot,) = [one for one in Detectors(LabelSettings()).find(f"{before}{token} .") if one[0] == "gitlab-token"]
    assert spot[1:] == (len(before), len(before) + len(token))
