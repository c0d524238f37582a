"""What a request is tagged with: its dataset and its project, by its key or by its headers.

Promised: a header names only what the key allows; a dataset's ceiling holds for whoever works on it. A request that names
several datasets is held to the lowest ceiling of all, and its first one is what budgets count it under. Not done here: a
dataset's label (`routing.labels`), and whether there is such a dataset (there, too).
"""

import re
from collections.abc import Mapping

import msgspec

from freehold.fault import Kind, faulty
from freehold.features import Caller
from freehold.routing.labels import DATASET_HEADER
from freehold.runtime import Egress, lower

PROJECT_HEADER = "x-freehold-project"
_PROJECT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:@/+-]{0,99}")


def tag(caller: Caller, headers: Mapping[str, str], ceilings: Mapping[str, Egress]) -> Caller:
    """The caller with its tags. Raises FaultError: FORBIDDEN for one the key does not allow, INVALID_REQUEST for no name."""
    allowed = None if caller.rights is None else caller.rights.datasets
    said, project = headers.get(DATASET_HEADER), headers.get(PROJECT_HEADER)
    if said is None and project is None and allowed is None:
        return caller
    names = allowed[:1] if allowed is not None else ()
    if said is not None:
        names = tuple(name.strip() for name in said.split(","))
        if allowed is not None and not set(names) <= set(allowed):
            may = ", ".join(allowed) or "none"
            message = f"header {DATASET_HEADER}: the key {caller.key!r} may work on {may}"
            raise faulty(Kind.FORBIDDEN, message, param=DATASET_HEADER)
    if project is not None:
        project = _project(caller, project.strip())
    ceiling = caller.ceiling
    for name in names:
        if name in ceilings:
            ceiling = lower(ceiling, ceilings[name])
    return msgspec.structs.replace(
        caller, dataset=names[0] if names else caller.dataset, project=project or caller.project, ceiling=ceiling
    )


def _project(caller: Caller, said: str) -> str:
    if _PROJECT.fullmatch(said) is None:
        message = f"header {PROJECT_HEADER}: 1 to 100 letters, digits and . _ : @ / + -"
        raise faulty(Kind.INVALID_REQUEST, message, param=PROJECT_HEADER)
    if caller.project is not None and said != caller.project:
        message = f"header {PROJECT_HEADER}: the key {caller.key!r} works on {caller.project}"
        raise faulty(Kind.FORBIDDEN, message, param=PROJECT_HEADER)
    return said
