"""PURE. Judged cases + policy -> who is in which set of a new dataset, and why each is there or is left out.

The draw goes by a hash of the unit, or of the case where the unit is not known: the same policy draws the same cases,
whatever comes later, and one unit never lands on both sides.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence

import msgspec

from cloud_sync.policy import LabelState, Policy, Pool
from cloud_sync.routing import Label, Split, settled

TRAINING = ("train", "pool")
"""What training sees; `test` is what it does not."""
STATION_HELD_OUT, POOL_HELD_OUT = "its station is held out", "held out of the pool"
BY_LOT = (STATION_HELD_OUT, POOL_HELD_OUT)
"""Test data that are there whatever the machine made of them. The pool lacks the mistakes of the machine that spoke, so
it favours that machine: who is better on it is so in spite of that."""


class Candidate(msgspec.Struct, frozen=True):
    """A judged case whose label is settled and whose clip is held."""

    case_id: str
    place: str
    """site/station"""
    serial: str | None
    routed: Split
    label: Label
    state: LabelState
    sent: bool = False
    """Somebody has sent it to training."""
    released: Split | None = None
    """The set that it was in when it was last released."""
    unit_released: tuple[Split, ...] = ()
    """The same of every case of its unit, those that stand no longer too."""
    challenge: bool = False
    """A challenge part: one object with one leak, shown again and again, is no unit to learn from or be measured on."""

    @property
    def unit(self) -> str:
        return unit_of(self.place.partition("/")[0], self.serial, self.case_id)


class Drawn(msgspec.Struct, frozen=True):
    """`split` None: left out of this dataset."""

    split: Split | None
    why: str


def draw(candidates: Sequence[Candidate], policy: Policy) -> dict[str, Drawn]:
    """By case id."""
    units: dict[str, list[Candidate]] = defaultdict(list)
    for one in candidates:
        if not one.challenge:
            units[one.unit].append(one)
    drawn = {one.case_id: Drawn(None, "a challenge part is no unit") for one in candidates if one.challenge}
    for unit, members in units.items():
        for one, found in zip(
            members, _together(members, [_alone(one, unit, policy.pool) for one in members]), strict=True
        ):
            drawn[one.case_id] = _sure_enough(one, found, policy)
    return drawn | _surplus(candidates, drawn, policy)


def unit_of(site: str, serial: str | None, case_id: str) -> str:
    """A serial number is its site's: a unit may be tested at several tanks."""
    return f"{site}/unit/{serial}" if serial else f"case/{case_id}"


def place_of(key: str, salt: str) -> float:
    """0..1, the same for the same unit for ever."""
    return int.from_bytes(hashlib.sha256(f"{salt}:{key}".encode()).digest()[:8]) / 2**64


def _alone(one: Candidate, unit: str, pool: Pool) -> Drawn:
    """What would become of the case if its unit had no other."""
    if one.place in pool.held_out_stations:
        return Drawn("test", STATION_HELD_OUT)
    if one.routed == "test":
        return Drawn("test", "a mistake with something unfamiliar")
    if one.routed == "train":
        return Drawn("train", "a mistake with something familiar")
    at = place_of(unit, pool.salt)
    if at < pool.held_out_share:
        return Drawn("test", POOL_HELD_OUT)
    if one.sent:
        return Drawn("train", "sent to training")
    if at < pool.held_out_share + pool.training_share:
        return Drawn("pool", "drawn from the pool")
    return Drawn(None, "left in the pool")


def _together(members: Sequence[Candidate], wanted: Sequence[Drawn]) -> list[Drawn]:
    """All of one unit on one side: where it was released, or with its test data."""
    released = {split for one in members for split in (one.released, *one.unit_released)} - {None}
    if "test" in released and len(released) > 1:
        return [
            Drawn(one.released, "stays where it was released")
            if one.released
            else Drawn(None, "its unit was released as training and as test data")
            for one in members
        ]
    if "test" in released:
        return [_moved(found, "test", "its unit was released as test data") for found in wanted]
    if released:
        return [_kept_in_training(one, found) for one, found in zip(members, wanted, strict=True)]
    if any(found.split == "test" for found in wanted):
        return [_moved(found, "test", "its unit is test data") for found in wanted]
    return list(wanted)


def _kept_in_training(one: Candidate, found: Drawn) -> Drawn:
    """A model may have learnt this unit already."""
    split: Split | None
    if one.released:
        split = settled(found.split or one.released, one.released)
    else:
        split = "pool" if found.split == "test" else found.split
    return found if split == found.split else Drawn(split, "its unit was released as training data")


def _moved(found: Drawn, split: Split, why: str) -> Drawn:
    return found if found.split == split else Drawn(split, why)


def _sure_enough(one: Candidate, found: Drawn, policy: Policy) -> Drawn:
    allowed = policy.labels.test if found.split == "test" else policy.labels.training
    if found.split is None or one.state in allowed:
        return found
    return Drawn(None, f"its label is {one.state}, which the policy does not take")


def _surplus(candidates: Iterable[Candidate], drawn: dict[str, Drawn], policy: Policy) -> dict[str, Drawn]:
    """What the larger class has too much of, taken from the pool; mistakes always stay."""
    training = [one for one in candidates if drawn[one.case_id].split in TRAINING]
    leaks = sum(one.label == "leak" for one in training)
    label, many, few = (
        ("ok", len(training) - leaks, leaks) if 2 * leaks < len(training) else ("leak", leaks, len(training) - leaks)
    )
    surplus = many - int(policy.balance.most_per_other * few)
    if few == 0 or surplus <= 0:
        return {}
    cut = [one for one in training if one.label == label and drawn[one.case_id].split == "pool"]
    cut.sort(key=lambda one: place_of(one.case_id, policy.pool.salt), reverse=True)
    return {one.case_id: Drawn(None, f"there are enough {label} for the other class") for one in cut[:surplus]}
