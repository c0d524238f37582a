import pytest

from freehold.dispatch.reach import Reaches
from freehold.fault import Fault, FaultError, Kind
from freehold.secret import Secret


def test_a_key_is_spelled_as_each_wire_format_wants_it() -> None:
    reaches = Reaches()
    reaches.place("lab", "http://127.0.0.1:9/v1", Secret("k"))
    reach = reaches.find("lab")
    assert reach.credentials("openai_chat") == (("authorization", "Bearer k"),)
    assert reach.credentials("anthropic_messages") == (("x-api-key", "k"), ("anthropic-version", "2023-06-01"))
    reaches.place("lab", "http://127.0.0.1:9/v1", None)
    assert reaches.find("lab").credentials("openai_chat") == ()
    assert reaches.find("lab").credentials("anthropic_messages") == (("anthropic-version", "2023-06-01"),)


def test_a_runtime_that_is_down_says_why_and_one_that_comes_back_is_up() -> None:
    reaches = Reaches()
    with pytest.raises(FaultError, match="has not started yet"):
        reaches.find("lab")
    reaches.lose("lab", Fault(kind=Kind.WEIGHTS_MISSING, message="pull it"))
    published = reaches.down
    assert published == {"lab": "pull it"}
    with pytest.raises(FaultError, match="pull it"):
        reaches.find("lab")
    reaches.place("lab", "http://127.0.0.1:9/v1", None)
    assert reaches.down == {}
    assert published == {"lab": "pull it"}, "a situation that was handed out does not change"
