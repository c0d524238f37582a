"""Where each runtime answers right now, and with which credentials.

A runtime with a base URL is always reachable as far as this table knows; one that Freehold launches appears when
its engine is ready and goes when it dies. `down` is handed to routing as part of the situation: the same dict until
something changes, so that a situation costs nothing. Each configuration has a table of its own, and a request keeps the one it was decided with:
a plan made for one configuration never meets the addresses and keys of another.
"""

from collections.abc import Mapping

import msgspec

from freehold.chat import WireFormat
from freehold.fault import Fault, FaultError, Kind
from freehold.gateways.connector import Address, read_base_url
from freehold.runtime import Runtime
from freehold.secret import Secret

Headers = tuple[tuple[str, str], ...]

ANTHROPIC_VERSION = "2023-06-01"
"""The only version of the Messages API (docs of Anthropic, "Versioning")."""


class Reach(msgspec.Struct, frozen=True):
    """One runtime's address, and the headers that open it per wire format."""

    address: Address
    api_key: Secret | None

    def address_of(self, wire_format: WireFormat, runtime: Runtime) -> Address:
        """Where that format is spoken. Ollama speaks its own at the root and OpenAI's below `/v1`, whichever of the two
        `base_url` names.
        """
        prefix = self.address.prefix
        if wire_format == "ollama":
            prefix = prefix.removesuffix("/v1")
        elif "ollama" in runtime.formats and not prefix.endswith("/v1"):
            prefix += "/v1"
        return self.address if prefix == self.address.prefix else msgspec.structs.replace(self.address, prefix=prefix)

    def without_key(self, text: str) -> str:
        """The text, an upstream's, without the key should it be repeated there. The same object where it is not."""
        key = "" if self.api_key is None else self.api_key.reveal()
        return text.replace(key, "***") if key and key in text else text

    def credentials(self, wire_format: WireFormat | None) -> Headers:
        """The headers that carry the key. The only place where it leaves its `Secret`."""
        if wire_format == "anthropic_messages":
            key: Headers = () if self.api_key is None else (("x-api-key", self.api_key.reveal()),)
            return (*key, ("anthropic-version", ANTHROPIC_VERSION))
        return () if self.api_key is None else (("authorization", f"Bearer {self.api_key.reveal()}"),)


class Reaches:
    """All runtimes by name."""

    def __init__(self) -> None:
        self._reaches: dict[str, Reach] = {}
        self._faults: dict[str, Fault] = {}
        self.down: Mapping[str, str] = {}
        """Runtimes that cannot serve now, and why."""

    def place(self, runtime: str, base_url: str, api_key: Secret | None) -> None:
        """The runtime answers here from now on."""
        self._reaches[runtime] = Reach(read_base_url(base_url), api_key)
        self._faults.pop(runtime, None)
        self._publish()

    def lose(self, runtime: str, fault: Fault) -> None:
        """The runtime cannot be reached from now on."""
        self._reaches.pop(runtime, None)
        self._faults[runtime] = fault
        self._publish()

    def take_over(self, runtime: str, former: "Reaches") -> None:
        """Know of the runtime what another table knows: its address, or why it is down."""
        reach, fault = former._reaches.get(runtime), former._faults.get(runtime)  # noqa: SLF001 - the same class
        if reach is not None:
            self._reaches[runtime] = reach
        if fault is not None:
            self._faults[runtime] = fault
            self._publish()

    def find(self, runtime: str) -> Reach:
        """Raises FaultError with the reason when the runtime is down."""
        reach = self._reaches.get(runtime)
        if reach is None:
            raise FaultError(
                self._faults.get(runtime) or Fault(kind=Kind.ENGINE_NOT_READY, message=f"runtime '{runtime}' has not started yet")
            )
        return reach

    def _publish(self) -> None:
        self.down = {name: fault.message for name, fault in self._faults.items()}
