"""Connections that are kept to the workers of a server, so that it is known which of them answers what."""

import http.client
import json
from collections.abc import Sequence
from typing import Any

import psutil

from support.place import Place, wait_for


class Pinned:
    """One connection: the worker that let it in answers all of it."""

    def __init__(self, place: Place, pids: Sequence[int], headers: dict[str, str] | None = None) -> None:
        """`pids`: of the workers."""
        self._headers = headers or {}
        self._connection = http.client.HTTPConnection("127.0.0.1", place.port, timeout=60)
        wait_for(self.is_let_in)
        port = self._connection.sock.getsockname()[1]
        [self.worker] = [
            pid for pid in pids if any(one.raddr and one.raddr.port == port for one in psutil.Process(pid).net_connections("tcp"))
        ]

    def is_let_in(self) -> bool:
        """Whether it may ask here by now."""
        return self.get("/healthz")[0] == 200

    def get(self, path: str) -> tuple[int, bytes]:
        """The status, and what was said."""
        self._connection.request("GET", path, headers=self._headers)
        answer = self._connection.getresponse()
        return answer.status, answer.read()

    def post(self, path: str, body: Any) -> http.client.HTTPResponse:
        """The answer, to be read to its end before anything else is asked."""
        self._connection.request("POST", path, json.dumps(body), {"content-type": "application/json", **self._headers})
        return self._connection.getresponse()

    def close(self) -> None:
        """Let it go."""
        self._connection.close()
