"""The row of an attempt that nobody came back to settle: what was reserved for it is what it is taken to have cost.

Promised: account and ledger say the same of it. Its true row, should that come after all, takes the place of this one.
Pure: no SQL, no clock.
"""

from freehold.chat import Usage
from freehold.fault import Kind
from freehold.record import SETTLED_AS_RESERVED, AttemptRecord
from freehold.storage.reservations import Begun

SAYS = "its process was killed or cut off before it was settled; it is taken to have cost what was reserved for it"
"""In no other row: it tells this one from the true one."""


def lapsed_attempt(attempt_id: str, begun: Begun) -> AttemptRecord:
    """The row. How long it took, and what the client saw, died with its process."""
    request_id, _, number = attempt_id.rpartition(".")
    usage = None
    if begun.input_tokens is not None:
        usage = Usage(input_tokens=begun.input_tokens, output_tokens=begun.output_tokens, basis="estimated")
    return AttemptRecord(
        attempt_id=attempt_id,
        request_id=request_id,
        number=int(number),
        deployment=begun.deployment,
        runtime=begun.runtime,
        egress=begun.egress,
        sent_model=begun.sent_model,
        answered_model=None,
        mode=begun.mode,
        edits=(SETTLED_AS_RESERVED,),
        started_ms=begun.started_ms,
        first_content_ms=None,
        duration_ms=0.0,
        end="cut",
        fault=Kind.INTERNAL.value,
        fault_message=SAYS,
        usage=usage,
        cost_nano_usd=begun.nano_usd,
        cost_basis="unknown" if begun.nano_usd is None else "estimated",
        price_version=begun.price_version,
    )
