"""A station's cases, one by one -> what is kept of its drift tests -> which quantities have moved, in words. PURE."""

from collections.abc import Sequence
from datetime import date
from typing import Literal

import msgspec

from edge_agent import drift
from edge_agent.bundle import TrainingRange
from edge_agent.drift import Quantity, Side, Track
from edge_agent.drift_quantities import BY_NAME, OF_BUNDLE, QUANTITIES, figures
from edge_agent.records import Case

LIMIT = drift.limit(QUANTITIES)
"""A device watches all of them, whether they can be measured at its station or not."""
JOINED = "; "
MOST_WORDS = 3
"""Quantities that one alarm names; the rest is counted."""


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """All that a restart must find again."""

    schema: Literal["tankwatch/drift/1"] = "tankwatch/drift/1"
    sequence: int = -1
    """Of the last case that was taken."""
    bundle_sha256: str = ""
    profile_sha256: str | None = None
    tracks: dict[str, Track] = {}
    """By the quantity's name."""


class Move(msgspec.Struct, frozen=True, kw_only=True):
    """A quantity that has moved."""

    quantity: Quantity
    side: Side
    since: str
    """About when: a day, ISO 8601."""
    usual: float
    now: float
    """Mean of the blocks since then."""
    strength: float

    @property
    def fact(self) -> str:
        """What moved, since when, by how much."""
        about = date.fromisoformat(self.since)
        what = "tolerated" if self.quantity.tolerated is not None else "in its good weeks"
        now, usual = (shown(self.quantity, value) for value in (self.now, self.usual))
        return f"{self.quantity.words}: {now} since about {about.day} {about:%B}, {usual} {what}"


def took(kept: Kept, case: Case, known: TrainingRange | None = None) -> Kept:
    """One case more; one that was taken already changes nothing. Another bundle or profile begins its learning anew."""
    if case.sequence <= kept.sequence:
        return kept
    kept = _begun(kept, case)
    tracks = dict(kept.tracks)
    for name, value in figures(case, known).items():
        before = tracks.get(name, Track())
        tracks[name] = drift.added(before, BY_NAME[name], day=case.started_at[:10], value=value, most=LIMIT)
    return msgspec.structs.replace(kept, sequence=case.sequence, tracks=_good(tracks))


def moves(tracks: dict[str, Track], quantities: Sequence[Quantity] = QUANTITIES) -> list[Move]:
    """What stands as an alarm, the strongest first."""
    found = []
    for quantity in quantities:
        track = tracks.get(quantity.name, Track())
        usual = drift.usual(track, quantity)
        for side in quantity.sides:
            watch = track.watches.get(side)
            if watch and watch.alarmed and usual is not None:
                now = watch.moved / watch.blocks
                found.append(
                    Move(quantity=quantity, side=side, since=watch.since, usual=usual, now=now, strength=watch.run)
                )
    return sorted(found, key=lambda move: -move.strength)


def words(found: Sequence[Move]) -> str:
    """The alarm: facts, then the strongest one's cure; empty where nothing has moved."""
    if not found:
        return ""
    more = len(found) - MOST_WORDS
    facts = JOINED.join(move.fact for move in found[:MOST_WORDS]) + (f"; and {more} more" if more > 0 else "")
    return f"drift, {facts}: {found[0].quantity.cure}"


def is_of_the_plant_alone(alarm: str) -> bool:
    """Whether the `words` of an alarm name nothing that speaks of the machine."""
    heads = [f"drift, {quantity.words}: " for quantity in QUANTITIES if not quantity.lapses]
    return alarm.startswith(tuple(heads)) and JOINED not in alarm


def shown(quantity: Quantity, value: float) -> str:
    """A value as people read it: shares in per cent."""
    if quantity.unit == "%":
        return f"{100 * value:.1f} %"
    return f"{value:.3g} {quantity.unit}".strip()


def _begun(kept: Kept, case: Case) -> Kept:
    bundle, profile = case.bundle.sha256, case.profile_sha256
    tracks = kept.tracks
    if profile != kept.profile_sha256:
        tracks = {}
    elif bundle != kept.bundle_sha256:
        tracks = {name: track for name, track in tracks.items() if name not in OF_BUNDLE}
    return msgspec.structs.replace(kept, bundle_sha256=bundle, profile_sha256=profile, tracks=tracks)


def _good(tracks: dict[str, Track]) -> dict[str, Track]:
    """Weeks are good or not as a whole and for everything: to leave single days out would make the rest too alike."""
    bad = any(not drift.is_good(track, BY_NAME[name]) for name, track in tracks.items())
    return {name: track for name, track in tracks.items() if BY_NAME[name].tolerated is not None} if bad else tracks
