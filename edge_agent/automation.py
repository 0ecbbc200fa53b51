"""What is ordered, asked and seen -> the mode in force, with words why. PURE; `mode_keeper` reads, keeps and asks.

`ceiling` knows no past: what the order, the device file, the wish and the circumstances allow now. `step` adds the
past: what has brought the mode below its order keeps it down, the cause gone or not, until a newer order comes. Where
people at the station can mend the cause (camera, water, clock), their acknowledgement does as well: it gives back no
more than the order allows already. Another bundle or profile keeps nothing down: the order was never for it.
"""

from typing import Literal, get_args

import msgspec

from edge_agent import utc
from edge_agent.messages import ModeOrder
from edge_agent.records import Mode

MODES: tuple[Mode, ...] = get_args(Mode)
"""From the human alone to the machine alone."""
CLOCK_TOLERANCE_S = 300.0
"""A device's clock may lag behind the one by which an order was dated by so much."""
NO_PROFILE = "the station has no profile: set it up"
UNCHECKED = (
    "the station's profile was changed and not yet seen in place: "
    "clear all markers, and see that the camera stands as it was set up"
)
CameraWord = Literal["ok", "waiting", "moved", "unknown"]
"""`waiting`: nothing seen since the start. `moved`: out of place longer than a hand needs. `unknown`: no pictures, or
none that are to be believed."""
WaterWord = Literal["clear", "murky", "unknown"]
ClockWord = Literal["ok", "jumped", "unknown"]
NO_PICTURES = "the camera gives no pictures: check its cable and power"
OrderWord = Literal["none", "read", "unreadable"]
WishWord = Literal["none", "read", "unreadable"]


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that the mode depends on, at one moment."""

    highest: Mode
    """By the device file."""
    order: ModeOrder | None = None
    order_word: OrderWord = "none"
    wish: Mode | None = None
    """What MQTT asks for; it only lowers."""
    wish_counter: int = 1
    wish_word: WishWord = "none"
    site: str
    station: str
    bundle_sha256: str | None
    """Of the bundle that speaks; None = not known."""
    profile_sha256: str | None
    profile_is_checked: bool
    """All markers were seen where this profile says."""
    camera: CameraWord
    camera_words: str = ""
    """What is wrong with the camera, where that is known."""
    water: WaterWord
    drifted: bool
    """The machine stays silent far more often than its certificate says."""
    drift_words: str = ""
    """What else has moved since the station's good weeks, or away from the training data; empty while nothing has."""
    clock: ClockWord
    now: float
    """UTC, seconds since 1970."""


class Limit(msgspec.Struct, frozen=True):
    """The highest mode that one thing allows."""

    mode: Mode
    words: str = ""
    until: Literal["order", "acknowledged", "over"] = "order"
    """What ends it: a newer order; the people at the station, once the cause is gone; or the end of the cause."""


class Lapse(msgspec.Struct, frozen=True):
    """What has brought the mode down, and to where."""

    mode: Mode
    words: str


class Kept(msgspec.Struct, frozen=True):
    """What must survive a restart: the newest order, and what happened under it."""

    order: ModeOrder | None = None
    former: ModeOrder | None = None
    """The one before: it holds while its bundle still speaks and the newest order is for the next one."""
    lasting: Lapse | None = None
    mendable: Lapse | None = None


class Standing(msgspec.Struct, frozen=True):
    """The mode in force. `alarm`: it is below what was ordered, and nobody asked for that."""

    mode: Mode
    words: str
    alarm: bool = False


def lower(*modes: Mode) -> Mode:
    """The lowest of some degrees of automation."""
    return min(modes, key=MODES.index)


def accepted(kept: Kept, order: ModeOrder | None) -> Kept:
    """A newer order takes the place of the one that is kept, and what happened under that one is over."""
    if order is None or (kept.order is not None and order.counter <= kept.order.counter):
        return kept
    if kept.lasting or kept.mendable:
        return Kept(order)
    is_renewed = kept.order is not None and kept.order.bundle_sha256 == order.bundle_sha256
    return Kept(order, former=kept.former if is_renewed else kept.order)


def step(kept: Kept, seen: Seen, *, acknowledged: bool = False) -> tuple[Kept, Standing]:
    """What is kept and what is seen -> what is kept now, and the mode in force. `seen.order` is what the file says."""
    if _is_for_another(seen):
        seen = msgspec.structs.replace(seen, order=None, order_word="unreadable")
    kept = accepted(kept, seen.order)
    order = _order_of(kept, seen.bundle_sha256)
    limits = _limits(msgspec.structs.replace(seen, order=order))
    target = lower(order.mode, seen.highest) if order else "shadow"
    lasting = _lapsed(kept.lasting, [limit for limit in limits if limit.until == "order"], target)
    before = None if acknowledged else kept.mendable
    mendable = _lapsed(before, [limit for limit in limits if limit.until == "acknowledged"], target)
    limits += [Limit(lapse.mode, lapse.words) for lapse in (lasting, mendable) if lapse]
    least = _least(limits)
    alarm = _is_alarming(seen, target, least.mode)
    return Kept(kept.order, kept.former, lasting, mendable), Standing(least.mode, least.words, alarm)


def ceiling(seen: Seen) -> Limit:
    """The highest mode that is allowed at this moment, whatever happened before, and what sets it."""
    return _least(_limits(seen))


def _least(limits: list[Limit]) -> Limit:
    return min(limits, key=lambda limit: MODES.index(limit.mode))


def _is_for_another(seen: Seen) -> bool:
    return seen.order is not None and (seen.order.site, seen.order.station) != (seen.site, seen.station)


def _order_of(kept: Kept, bundle_sha256: str | None) -> ModeOrder | None:
    """The order for the bundle that speaks, never above the newest one."""
    newest, former = kept.order, kept.former
    if newest is None or former is None or newest.bundle_sha256 == bundle_sha256:
        return newest
    if former.bundle_sha256 != bundle_sha256:
        return newest
    return msgspec.structs.replace(
        former, mode=lower(former.mode, newest.mode), answers_wish=max(former.answers_wish, newest.answers_wish)
    )


def _limits(seen: Seen) -> list[Limit]:
    """Of equal limits the first one's words are shown."""
    limits = [*_unknown(seen), *_lapses(seen), *_ordered(seen)]
    if seen.wish is not None and seen.wish_counter > (seen.order.answers_wish if seen.order else -1):
        limits.append(Limit(seen.wish, "the cloud has asked for less"))
    limits.append(Limit(seen.highest, f"device.toml allows up to {seen.highest}", "over"))
    return limits


def _unknown(seen: Seen) -> list[Limit]:
    """What is not known lets nobody but the human decide."""
    unread = "cannot be read or is meant for another station: send it again"
    found = (
        (seen.profile_sha256 is None, NO_PROFILE, "over"),
        (seen.order_word == "unreadable", f"the mode order {unread}", "over"),
        (seen.wish_word == "unreadable", f"the cloud's wish {unread}", "over"),
        (seen.bundle_sha256 is None, "which bundle speaks is not known: start the inspection again", "over"),
        (seen.camera == "waiting", "waiting for the first picture", "over"),
        (not seen.profile_is_checked, UNCHECKED, "over"),
        (seen.camera == "unknown", seen.camera_words or NO_PICTURES, "acknowledged"),
        (seen.clock == "unknown", "the device does not know the time: set its clock", "acknowledged"),
    )
    return [Limit("human_only", words, until) for holds, words, until in found if holds]  # type: ignore[arg-type]


def _lapses(seen: Seen) -> list[Limit]:
    drift = "the machine answers far fewer units than its certificate says: have its cases looked at"
    found = (
        (seen.camera == "moved", "the camera has moved: turn it back, then acknowledge", "acknowledged"),
        (seen.water == "murky", "the water is murky: change it, then acknowledge", "acknowledged"),
        (seen.clock == "jumped", "the clock was set: see that it is right, then acknowledge", "acknowledged"),
        (seen.drifted, drift, "order"),
        (bool(seen.drift_words), seen.drift_words, "order"),
    )
    return [Limit("shadow", words, until) for holds, words, until in found if holds]  # type: ignore[arg-type]


def _ordered(seen: Seen) -> list[Limit]:
    """What the order allows for this very station, bundle and profile, now."""
    order = seen.order
    if order is None:
        return [Limit("shadow", "no order allows more", "over")]
    if _is_for_another(seen):
        return [Limit("human_only", f"the mode order is one for {order.site}/{order.station}", "over")]
    said = Limit(order.mode, f"ordered by {order.ordered_by}: {order.reason}", "over")
    if MODES.index(order.mode) <= MODES.index("shadow"):
        return [said]
    mismatch, ended = _mismatch(order, seen), _ended(order, seen.now)
    return [
        said,
        *([Limit("shadow", mismatch, "over")] if mismatch else []),
        *([Limit("shadow", ended, "order")] if ended else []),
    ]


def _mismatch(order: ModeOrder, seen: Seen) -> str:
    """Why the order is none for what is here; empty where it is."""
    ordered = utc.seconds(order.ordered_at)
    if order.certificate is None:
        return "the mode order has no certificate: order it again"
    if order.bundle_sha256 != seen.bundle_sha256:
        return "the mode order is for another bundle: order the mode for the one that speaks"
    if order.profile_sha256 != seen.profile_sha256:
        return "the station was set up anew since the mode was ordered: it has to earn its certificate again"
    if ordered is None or seen.now < ordered - CLOCK_TOLERANCE_S:
        return "the mode order is from later than the device's clock: set the clock"
    return ""


def _ended(order: ModeOrder, now: float) -> str:
    """Words once order or certificate has ended: a clock that is set back brings neither to life again."""
    certificate = order.certificate.expires_at if order.certificate else None
    for name, until in (("order", order.expires_at), ("certificate", certificate)):
        ends = utc.seconds(until)
        if until and (ends is None or now >= ends):
            return f"the mode's {name} ended at {until[:40]}: order it again"
    return ""


def _lapsed(before: Lapse | None, limits: list[Limit], target: Mode) -> Lapse | None:
    """The lowest that ever held under this order; under one for no more than shadow there is nothing to lose."""
    if MODES.index(target) <= MODES.index("shadow"):
        return before
    least = _least([*limits, Limit(target)])
    mode: Mode = least.mode if MODES.index(least.mode) > MODES.index("shadow") else "shadow"
    floor = before.mode if before else target
    return Lapse(mode, least.words) if MODES.index(mode) < MODES.index(floor) else before


def _is_alarming(seen: Seen, target: Mode, mode: Mode) -> bool:
    """Lower than ordered, though nobody wishes it."""
    wanted = lower(target, seen.wish or target)
    # What stands in the markers' way has an alarm of its own: this one is for a machine that was to decide.
    is_new = not seen.profile_is_checked and MODES.index(target) <= MODES.index("shadow")
    return MODES.index(mode) < MODES.index(wanted) and seen.camera != "waiting" and not is_new
