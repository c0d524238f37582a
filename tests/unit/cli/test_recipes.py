import json
import tomllib

import msgspec
import pytest
import yaml

from freehold.cli.launching import environment
from freehold.cli.recipes import ANY, Aim, Recipe, fill_editor, make_setup, read_recipes

PLAIN = Aim(root="http://127.0.0.1:8840", key="freehold", model="auto", window=None, folder="/tmp/f")
ODD = Aim(root="http://127.0.0.1:1", key='k"$y\\{}', model='a "b" $c', window=4096, folder="/tmp/$f")
RECIPES = read_recipes()


def by_name(recipe: Recipe) -> str:
    return recipe.name


@pytest.mark.parametrize("recipe", RECIPES.clients, ids=by_name)
@pytest.mark.parametrize("aim", [PLAIN, ODD], ids=["no window", "odd values"])
def test_every_recipe_is_filled_whole_and_its_files_and_json_stay_readable(recipe: Recipe, aim: Aim) -> None:
    setup = make_setup(recipe, aim)
    told = [*setup.env.values(), *setup.files.values(), *setup.args]
    assert not [text for text in told if "$window" in text or "${" in text]
    assert any(aim.root in text for text in told)
    for name, text in setup.files.items():
        if name.endswith(".json"):
            json.loads(text)
        elif name.endswith(".yaml"):
            assert aim.model in str(yaml.safe_load(text))
    if "OPENCODE_CONFIG_CONTENT" in setup.env:
        models = json.loads(setup.env["OPENCODE_CONFIG_CONTENT"])["provider"]["freehold"]["models"]
        assert list(models) == [aim.model]
        assert models[aim.model].get("limit") == (
            None if aim.window is None else {"context": aim.window, "output": aim.window // 4}
        )


@pytest.mark.parametrize("aim", [PLAIN, ODD], ids=["no window", "odd values"])
def test_what_codex_is_told_is_toml(aim: Aim) -> None:
    recipe = RECIPES.of("codex")
    assert recipe is not None
    words = make_setup(recipe, aim).args
    told = tomllib.loads("\n".join(words[1::2]))
    assert set(words[::2]) == {"-c"}
    assert told["model_providers"]["freehold"]["base_url"] == f"{aim.root}/v1"
    assert told["model"] == aim.model
    assert told.get("model_context_window") == aim.window


def test_names_are_told_apart_and_every_editor_is_filled() -> None:
    assert len({recipe.name for recipe in RECIPES.clients}) == len(RECIPES.clients)
    assert RECIPES.of(ANY) is not None
    for editor in RECIPES.editors:
        filled = fill_editor(editor, msgspec.structs.replace(PLAIN, key="the-key", model="the-model"))
        assert "127.0.0.1:8840" in filled
        assert "the-model" in filled
        assert "the-key" in filled or "none is asked for" in filled
        assert editor.source


def test_variables_that_would_win_are_gone_and_loopback_goes_past_a_proxy() -> None:
    recipe = RECIPES.of("claude")
    assert recipe is not None
    ours = {"ANTHROPIC_API_KEY": "secret", "HTTPS_PROXY": "http://proxy:3128", "NO_PROXY": "intranet", "LANG": "C"}
    made = environment(ours, make_setup(recipe, PLAIN))
    assert "ANTHROPIC_API_KEY" not in made
    assert made["LANG"] == "C"
    assert made["NO_PROXY"] == made["no_proxy"] == "intranet,127.0.0.1,localhost,::1"
    assert "NO_PROXY" not in environment({"LANG": "C"}, make_setup(recipe, PLAIN))


@pytest.mark.parametrize(("window", "kept"), [(9500, 2375), (32768, 8192), (200_000, 8192)])
def test_a_small_window_is_not_all_kept_for_answers(window: int, kept: int) -> None:
    recipe = RECIPES.of("opencode")
    assert recipe is not None
    setup = make_setup(recipe, msgspec.structs.replace(PLAIN, window=window))
    limit = json.loads(setup.env["OPENCODE_CONFIG_CONTENT"])["provider"]["freehold"]["models"]["auto"]["limit"]
    assert limit == {"context": window, "output": kept}
