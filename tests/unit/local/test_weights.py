import re

import pytest

from freehold.fault import FaultError, Kind
from freehold.local.weights import find, place_of, read_manifest, stamp_path

HEX = re.compile(r"[0-9a-f]{64}")


@pytest.mark.parametrize("weights", read_manifest().values(), ids=lambda weights: weights.name)
def test_the_manifest_states_size_hash_licence_and_a_source_for_every_file(weights):
    assert weights.name == weights.name.lower()
    assert weights.licence in {"Apache-2.0", "MIT"}
    assert weights.context > 0
    assert weights.files
    for file in weights.files:
        assert file.bytes > 0
        assert HEX.fullmatch(file.sha256)
        assert "/" not in file.name
        assert file.sources
        assert all(HEX.fullmatch(source.sha256) for source in file.sources)


@pytest.fixture
def home(tmp_path, monkeypatch, entry):
    """A data directory whose manifest has one tiny entry that lies there whole."""
    data = b"GGUF" + bytes(range(256)) * 8
    weights = entry(data, "0" * 64)
    monkeypatch.setattr("freehold.local.weights.read_manifest", lambda: {"tiny": weights})
    path = place_of(weights, weights.files[0], tmp_path)
    path.parent.mkdir(parents=True)
    path.write_bytes(data)
    return tmp_path, path, weights


def test_whole_weights_are_found_and_hashed_only_once(home, monkeypatch):
    data_dir, path, _ = home
    assert find("TINY", data_dir) == path
    assert stamp_path(path).exists()
    monkeypatch.setattr("freehold.local.weights._hash_of", lambda _: pytest.fail("the file was hashed again"))
    assert find("tiny", data_dir) == path


def test_missing_weights_name_the_remedy(tmp_path):
    with pytest.raises(FaultError) as caught:
        find("smollm2-135m-instruct", tmp_path)
    assert caught.value.fault.kind is Kind.WEIGHTS_MISSING
    assert "freehold pull smollm2-135m-instruct" in caught.value.fault.message


@pytest.mark.parametrize(
    ("harm", "says"),
    [
        (lambda data: data[:-1], "is cut or changed: it has 2051 bytes and should have 2052"),
        (lambda _: b"", "is cut or changed"),
        (lambda data: data[:-1] + b"x", "is damaged"),
    ],
    ids=["truncated", "empty", "changed byte"],
)
def test_harmed_weights_are_refused_even_after_they_were_whole(home, harm, says):
    data_dir, path, _ = home
    find("tiny", data_dir)
    path.write_bytes(harm(path.read_bytes()))
    with pytest.raises(FaultError, match=says):
        find("tiny", data_dir)


def test_a_path_to_a_gguf_file_is_taken_as_it_is(tmp_path):
    mine = tmp_path / "mine.gguf"
    mine.write_bytes(b"GGUF and more")
    assert find(str(mine), tmp_path / "elsewhere") == mine


@pytest.mark.parametrize(("data", "says"), [(None, "neither a file"), (b"PK", "not a GGUF file"), (b"", "not a GGUF file")])
def test_a_path_to_anything_else_is_refused(tmp_path, data, says):
    other = tmp_path / "other.gguf"
    if data is not None:
        other.write_bytes(data)
    with pytest.raises(FaultError, match=says):
        find(str(other), tmp_path)
