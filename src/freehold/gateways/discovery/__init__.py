"""Discovery: which engines answer on this machine's loopback, and what they serve.

known.py      the ports and names that are looked for (data/discovery.toml)
asking.py     small bounded questions to one port
sighting.py   what was seen at one port
engines.py    how each engine is told by its own answers, and what it says of its models
ollama.py     the same for Ollama, which needs more questions
surveyor.py   all ports at once, remembering what was there before
processes.py  ports of engines that choose a new one at each start

Promised: every call goes to a loopback address through the one connector with egress and ceiling local. Only what an
engine's own endpoints prove is listed as local: a relay, an unknown server and a model that runs elsewhere are not.
"""

from freehold.gateways.discovery.known import Known, read_known
from freehold.gateways.discovery.sighting import LeftOut, ModelSeen, Sighting
from freehold.gateways.discovery.surveyor import Surveyor

__all__ = ["Known", "LeftOut", "ModelSeen", "Sighting", "Surveyor", "read_known"]
