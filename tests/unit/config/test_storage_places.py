"""A store is one place that the operator named, and within the ceiling."""

import pytest

from freehold.config.checking_storage import check_storage, check_store_reach
from freehold.config.settings import StorageSettings
from freehold.runtime import Egress


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:secret@db/d",
        "postgresql://u@one,two/d",
        "postgresql://u@db/d?hostaddr=1.2.3.4",
        "postgresql://u@db/d?host=other",
        "postgresql://u@db/d?host=/run/x",
        "postgresql:///d",
        "postgresql://u@db/d?sslmode=verify-full",
        "postgresql://u@db/d?sslmode=require&host=other",
        "postgresql:///d?sslmode=require",
        "postgresql+other://u@db/d",
        "mysql://u@db/d",
    ],
)
def test_what_could_lead_to_another_place_or_holds_a_password_is_refused(url: str) -> None:
    problems = list(check_storage(StorageSettings(url=url)))
    assert [problem.path for problem in problems] == ["storage.url"]
    assert "secret" not in str(problems)


@pytest.mark.parametrize("redis", ["redis://:secret@host", "redis://a,b", "unix://", "http://host", "redis://host/0?db=1"])
def test_redis_is_one_place_too(redis: str) -> None:
    assert [problem.path for problem in check_storage(StorageSettings(redis=redis))] == ["storage.redis"]


LOCAL = StorageSettings(url="postgresql://u@127.0.0.1:5432/d", redis="unix:///run/redis/s")
SOCKET = StorageSettings(url="postgresql://u@/d?host=/run/postgresql", redis="redis://[::1]:6379/0")
TLS = StorageSettings(url="postgresql://u@db.lan/d?sslmode=require")
REMOTE = StorageSettings(url="postgresql://u@db.lan/d", redis="rediss://cache.lan")


@pytest.mark.parametrize("storage", [LOCAL, SOCKET, REMOTE, TLS])
def test_one_place_is_taken(storage: StorageSettings) -> None:
    assert list(check_storage(storage)) == []
    assert list(check_store_reach(storage, Egress.SELF_HOSTED)) == []


def test_a_store_above_the_ceiling_is_refused_and_one_on_this_machine_never() -> None:
    assert [problem.path for problem in check_store_reach(TLS, Egress.LOCAL)] == ["storage.url"]
    for storage in (LOCAL, SOCKET):
        assert list(check_store_reach(storage, Egress.LOCAL)) == []
    assert [problem.path for problem in check_store_reach(REMOTE, Egress.LOCAL)] == ["storage.url", "storage.redis"]
    claims = StorageSettings(url=REMOTE.url, egress="local")
    assert [problem.path for problem in check_store_reach(claims, Egress.VENDOR)] == ["storage.url"]
