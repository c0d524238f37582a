"""The data that comes with Freehold is complete and says where it is from."""

import re
from pathlib import Path
from typing import get_args

import pytest

import freehold
from freehold.config.checking import SPOKEN_FORMATS
from freehold.config.facts import family_of, know_model, read_fim_families, read_model_facts, read_quirks
from freehold.fit.tokens import EXACT
from freehold.policy.rules import Check
from freehold.routing.judge import CHECKS
from freehold.runtime import Model
from freehold.wire.formats import CODECS


def test_every_fact_names_its_source_and_a_tokenizer_that_is_counted_exactly() -> None:
    facts = read_model_facts()
    assert len({fact.match for fact in facts}) == len(facts) >= 36
    assert all(len(fact.source) > 10 for fact in facts)
    assert {fact.tokenizer for fact in facts} == {None, *EXACT}


@pytest.mark.parametrize(
    ("model", "open_weights", "licence", "tokenizer"),
    [
        ("gpt-4o-mini", False, None, "o200k_base"),
        ("gpt-4-turbo", False, None, "cl100k_base"),
        ("gpt-oss-20b", True, "Apache-2.0", None),
        ("claude-sonnet-4-5", False, None, None),
        ("smollm2-135m-instruct", True, "Apache-2.0", None),
        ("Qwen/Qwen2.5-Coder-7B-Instruct", True, "Apache-2.0", None),
        ("qwen2.5-3b-instruct", True, "LicenseRef-Qwen-Research", None),
        ("qwen3-max", None, None, None),
        ("gemma-3-4b-it", True, "LicenseRef-Gemma", None),
        ("gemma-4-12b-it", True, "Apache-2.0", None),
        ("llama-3.1-nemotron-70b", True, None, None),
        ("a-model-of-my-own", None, None, None),
    ],
)
def test_the_most_specific_fact_holds(model: str, open_weights: bool | None, licence: str | None, tokenizer: str | None) -> None:
    known = know_model(model, [], read_model_facts())
    assert known == Model(id=model, open_weights=open_weights, licence=licence, tokenizer=tokenizer)


def test_what_the_file_says_beats_the_facts_field_by_field() -> None:
    own = [Model(id="qwen3-*", licence="Mine")]
    known = know_model("qwen3-4b", own, read_model_facts())
    assert (known.licence, known.open_weights) == ("Mine", True)


def test_every_quirk_is_one_the_code_acts_on_and_the_other_way_round() -> None:
    source = Path(freehold.__file__).parent
    acted_on = {
        name
        for place in ("dispatch", "policy", "wire")
        for file in (source / place).rglob("*.py")
        for name in re.findall(r'"([a-z_]+)" (?:not )?in (?:\w+\.)?quirks', file.read_text())
    }
    assert set(read_quirks()) == acted_on


def test_formats_checks_and_holds_are_those_of_the_parts_that_use_them() -> None:
    assert set(SPOKEN_FORMATS) == set(CODECS)
    assert set(get_args(Check)) == set(CHECKS)


def test_every_quirk_says_what_it_does_and_who_acts_on_it() -> None:
    for quirk in read_quirks().values():
        assert quirk.says.endswith(".")
        assert quirk.honoured_by in {"dispatch", "routing", *SPOKEN_FORMATS}


@pytest.mark.parametrize(
    ("model", "family"),
    [
        ("qwen2.5-coder:1.5b", "qwen-coder"),
        ("Qwen/Qwen3-Coder-30B-A3B-Instruct", "qwen-coder"),
        ("codellama/CodeLlama-7b-hf", "codellama"),
        ("codellama:34b", None),
        ("CodeLlama-13b-Python-hf", None),
        ("deepseek-coder-v2:16b", "deepseek-coder"),
        ("bigcode/starcoder2-3b", "starcoder"),
        ("granite-8b-code-base", "granite-code"),
        ("granite-code:3b", "granite-code"),
        ("google/codegemma-2b", "codegemma"),
        ("codestral-22b-v0.1", "codestral"),
        ("codestral-embed", None),
        ("qwen3-4b", None),
        ("gpt-5", None),
    ],
)
def test_the_family_that_fills_in_is_known_by_name(model: str, family: str | None) -> None:
    assert family_of(Model(id=model), read_fim_families()) == family


def test_what_the_file_says_of_filling_in_beats_the_name() -> None:
    families = read_fim_families()
    assert family_of(Model(id="our-own", fim="starcoder"), families) == "starcoder"
    assert family_of(Model(id="qwen2.5-coder", fim="none"), families) is None


def test_every_family_has_distinct_marks_its_stops_and_a_source() -> None:
    for name, family in read_fim_families().items():
        marks = [mark for mark in (family.prefix, family.suffix, family.middle) if mark]
        assert len(set(marks)) == len(marks), name
        assert {mark.strip() for mark in marks} <= set(family.stop), name
        assert family.middle or family.order == "spm", name
        assert family.source, name
