import json
from collections.abc import Callable
from typing import Any

import pytest
from anthropic.types import ModelInfo

from freehold.fault import FaultError, Kind
from freehold.wire.models_list import list_models, one_model

IDS = ["auto", "box/qwen3-4b", "claude-auto", "d", "e"]


def page(**how: Any) -> tuple[list[str], bool, str | None, str | None]:
    told = json.loads(list_models(IDS, anthropic=True, **how))
    return [model["id"] for model in told["data"]], told["has_more"], told["first_id"], told["last_id"]


def test_openais_form_fits_its_schema(fits_openai: Callable[[str, object], None]):
    told = json.loads(list_models(IDS, created_s=5))
    fits_openai("ListModelsResponse", told)
    assert [model["id"] for model in told["data"]] == IDS
    fits_openai("Model", json.loads(one_model("auto")))


def test_anthropics_form_is_what_its_client_reads():
    told = json.loads(list_models(IDS, anthropic=True, created_s=86_400))
    models = [ModelInfo.model_validate(model) for model in told["data"]]
    assert [model.id for model in models] == IDS
    assert models[0].created_at.isoformat() == "1970-01-02T00:00:00+00:00"
    assert ModelInfo.model_validate(json.loads(one_model("auto", anthropic=True))).display_name == "auto"


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ({}, (IDS, False, "auto", "e")),
        ({"limit": 2}, (IDS[:2], True, "auto", "box/qwen3-4b")),
        ({"limit": 2, "after_id": "box/qwen3-4b"}, (IDS[2:4], True, "claude-auto", "d")),
        ({"limit": 2, "after_id": "d"}, (["e"], False, "e", "e")),
        ({"after_id": "e"}, ([], False, None, None)),
        ({"limit": 2, "before_id": "d"}, (IDS[1:3], True, "box/qwen3-4b", "claude-auto")),
        ({"limit": 2, "before_id": "claude-auto"}, (IDS[:2], False, "auto", "box/qwen3-4b")),
    ],
)
def test_pages_are_cut_in_both_directions(how: dict[str, Any], expected: object):
    assert page(**how) == expected


@pytest.mark.parametrize(
    ("how", "param"), [({"limit": 0}, "limit"), ({"limit": 1001}, "limit"), ({"after_id": "no"}, "after_id"), ({"before_id": "no"}, "before_id")]
)  # fmt: skip
def test_a_bad_page_is_refused_by_name(how: dict[str, Any], param: str):
    with pytest.raises(FaultError) as caught:
        page(**how)
    assert (caught.value.fault.kind, caught.value.fault.param) == (Kind.INVALID_REQUEST, param)


def test_no_models_is_an_empty_list():
    assert json.loads(list_models([]))["data"] == []
    assert json.loads(list_models([], anthropic=True))["first_id"] is None
