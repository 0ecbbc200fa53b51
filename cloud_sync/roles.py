"""PURE. Roles as sets of rights: what each may do is said once, here.

A viewer sees what was found and never writes. An expert judges and must stay blind, so sees less than a viewer, not
more. Rights carry the name of the role that has little else.
"""

from typing import Literal, get_args

Role = Literal["viewer", "expert", "quality", "admin"]
ROLES: tuple[Role, ...] = get_args(Role)
Right = Literal["viewer", "expert", "quality", "admin"]
RIGHTS: dict[Role, frozenset[Right]] = {
    # See cases with verdicts, containment, agreement, datasets, stations.
    "viewer": frozenset({"viewer"}),
    # Judge cases, blind.
    "expert": frozenset({"expert"}),
    # Make datasets, studies, tags and standards, take originals, read the audit log.
    "quality": frozenset({"viewer", "expert", "quality"}),
    # Users, tokens, the vocabulary, gold cases.
    "admin": frozenset({"viewer", "expert", "quality", "admin"}),
}


def may(role: Role, *rights: Right) -> bool:
    """Has this role any of these rights? Asked for none, everybody has it."""
    return not rights or not RIGHTS[role].isdisjoint(rights)
