"""A client of Redis that waits no longer than it is told to."""

from typing import Any

import redis.asyncio as redis
from redis.backoff import NoBackoff
from redis.retry import Retry

CONNECTIONS = 16


def open_redis(url: str, password: str | None, timeout_s: float) -> Any:
    """Connects with its first command. Whoever asks decides what a failure means, so nothing is tried again.

    A command, a connection and the wait for one of `CONNECTIONS` take `timeout_s` at the most. Answers are text.
    """
    pool = redis.BlockingConnectionPool.from_url(
        url,
        password=password,
        max_connections=CONNECTIONS,
        timeout=timeout_s,
        socket_timeout=timeout_s,
        socket_connect_timeout=timeout_s,
        retry=Retry(NoBackoff(), 0),
        decode_responses=True,
    )
    return redis.Redis(connection_pool=pool)


async def close_redis(client: Any) -> None:
    """Let go of all connections, those in use too."""
    await client.aclose()
    await client.connection_pool.disconnect()
