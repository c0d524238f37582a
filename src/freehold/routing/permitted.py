"""What the key of a request lets it use. Pure.

A key limited to models may ask for the names its globs fit, which then mean what they mean to everybody, and may reach
deployments whose id or model they fit, whatever name leads there.
"""

from freehold.features import Caller
from freehold.policy.globs import Matcher, make_matcher
from freehold.policy.snapshot import Policy
from freehold.runtime import Egress, Placed


def model_matcher(caller: Caller, asked_model: str) -> Matcher | None:
    """A test of a deployment's id or model; None: the key does not limit what this name means."""
    rights = caller.rights
    if rights is None or rights.models is None:
        return None
    matches = make_matcher(rights.models)
    return None if matches(asked_model) else matches


def is_limited(caller: Caller) -> bool:
    """Whether there may be models that others may use and this caller may not."""
    return caller.ceiling is not Egress.VENDOR or (caller.rights is not None and caller.rights.models is not None)


def usable(policy: Policy, name: str, caller: Caller) -> tuple[Placed, ...]:
    """Deployments behind a name that the caller may use; none: the name is not for it."""
    placed = policy.resolve(name) or ()
    if not is_limited(caller):
        return placed
    matches = model_matcher(caller, name)
    return tuple(
        one
        for one in placed
        if one.egress.within(caller.ceiling) and (matches is None or matches(one.id) or matches(one.model.id))
    )
