"""references.json <-> References: the clips with known truth on which a station tries every bundle before it may run.

They come signed, apart from any bundle: whoever trains cannot choose what a bundle is tried on.
"""

from typing import Annotated, Literal

import msgspec

from edge_agent.errors import ModelError
from edge_agent.messages import Identifier, Sha256
from edge_agent.offered import REFERENCES

MOST_CASES = 200
"""A trial stays a matter of minutes."""
LARGEST_FILE = 256 << 10
LARGEST_CLIP = 64 << 20
LEAST_RIGHT = 0.9
"""Reference cases are settled by experts, and a bundle may be uncertain of one in ten."""
SLOWEST = 3.0
"""Times the champion's own: a larger net is welcome, one that has gone wrong is ten times as slow."""


class ReferenceCase(msgspec.Struct, frozen=True, kw_only=True):
    """One clip of the station; it lies beside the record as <sha256>.twclip."""

    case_id: Identifier
    sha256: Sha256
    truth: Literal["leak", "ok"]


class References(msgspec.Struct, frozen=True, kw_only=True):
    """What a bundle has to do at one station."""

    schema: Literal["tankwatch/references/1"] = "tankwatch/references/1"
    site: str
    station: str
    cases: Annotated[tuple[ReferenceCase, ...], msgspec.Meta(min_length=2, max_length=MOST_CASES)]
    least_right: Annotated[float, msgspec.Meta(gt=0, le=1)] = LEAST_RIGHT
    """Share of the cases whose truth it has to say."""
    most_missed: Annotated[int, msgspec.Meta(ge=0)] = 0
    """Leaks that it may call ok."""
    slowest: Annotated[float, msgspec.Meta(ge=1)] = SLOWEST
    """CPU time a composite, as a multiple of what the champion takes on the same clips."""
    most_ms: Annotated[float, msgspec.Meta(gt=0)] | None = None
    """So much CPU time a composite is allowed, whatever the champion takes."""


def read(data: bytes, site: str, station: str) -> References:
    """Raises ModelError where the record is not one, or another station's."""
    try:
        found = msgspec.json.decode(data, type=References)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ModelError(f"{REFERENCES} is not usable ({error}): sign it anew with 'cloud references'") from error
    if (found.site, found.station) != (site, station):
        theirs, here = f"{found.site}/{found.station}", f"{site}/{station}"
        raise ModelError(f"{REFERENCES} is of {theirs}, not of {here}: sign it anew with 'cloud references'")
    if len({case.truth for case in found.cases}) < 2:
        raise ModelError(
            f"{REFERENCES} holds cases of one kind alone: sign leaks and good units with 'cloud references'"
        )
    return found
