"""The mode as a state machine: every combination of small inputs, and what the past keeps down."""

import itertools
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from in_full import in_full

from edge_agent import automation
from edge_agent.automation import MODES, Kept, Seen
from edge_agent.messages import ModeCertificate, ModeOrder

BEGIN = datetime(2026, 11, 29, 8, tzinfo=UTC)
A, B, PROFILE = "a" * 64, "b" * 64, "c" * 64


def at(days: float) -> str:
    return (BEGIN + timedelta(days=days)).isoformat()


def order(mode: str = "partial", counter: int = 1, **other) -> ModeOrder:
    certificate = ModeCertificate(
        miss_rate_upper=0.009,
        false_alarm_rate_upper=0.01,
        confidence=0.95,
        shown_by="units",
        leaky=900,
        good=9000,
        coverage=0.97,
        measured_at=at(-1),
        expires_at=at(30),
    )
    about = {
        "site": "plant",
        "station": "TANK1",
        "bundle_sha256": A,
        "profile_sha256": PROFILE,
        "certificate": certificate,
        "reason": "earned",
        "ordered_by": "quinn",
        "ordered_at": at(0),
        "expires_at": at(20),
    }
    return ModeOrder(mode=mode, counter=counter, **(about | other))


def seen(days: float = 1.0, **other) -> Seen:
    about = {
        "highest": "full",
        "site": "plant",
        "station": "TANK1",
        "bundle_sha256": A,
        "profile_sha256": PROFILE,
        "profile_is_checked": True,
        "camera": "ok",
        "water": "clear",
        "drifted": False,
        "clock": "ok",
        "now": (BEGIN + timedelta(days=days)).timestamp(),
    }
    return Seen(**(about | other))


def rank(mode: str) -> int:
    return MODES.index(mode)


INPUTS = {
    # From what allows least to what allows most; each pair of neighbours is compared.
    "highest": MODES,
    "wish": (*MODES, None),
    "order_word": ("unreadable", "read"),
    "wish_word": ("unreadable", "none"),
    "bundle_sha256": (None, B, A),
    "profile_sha256": (None, "d" * 64, PROFILE),
    "camera": ("unknown", "moved", "ok"),
    "water": ("murky", "clear"),
    "drifted": (True, False),
    "clock": ("unknown", "jumped", "ok"),
    "days": (-1.0, 1.0),
}
ORDERS = [order("partial")]
OTHERS = [
    None,
    order("full", site="other"),
    order("full", certificate=None),
    *(order(mode) for mode in MODES if mode != "partial"),
]


def every(names: list[str], given: ModeOrder | None):
    for values in itertools.product(*(range(len(INPUTS[name])) for name in names)):
        chosen = {name: INPUTS[name][index] for name, index in zip(names, values, strict=True)}
        yield values, seen(**chosen, order=given)


@pytest.mark.parametrize("given", [*ORDERS, *(in_full(one) for one in OTHERS)])
def test_every_combination_stays_under_its_order_and_less_of_anything_never_gives_more(given) -> None:
    names = list(INPUTS)
    found = {values: rank(automation.ceiling(one).mode) for values, one in every(names, given)}
    for values, mode in found.items():
        chosen = {name: INPUTS[name][index] for name, index in zip(names, values, strict=True)}
        assert mode <= rank(chosen["highest"]) and mode <= rank(chosen["wish"] or "full")
        ordered = given.mode if given and given.certificate and given.site == "plant" else "shadow"
        assert mode <= max(rank(ordered), 0)
        if mode > rank("shadow"):
            assert all(index == len(INPUTS[name]) - 1 for name, index in zip(names[2:], values[2:], strict=True))
        for place in range(len(names)):
            less = (*values[:place], values[place] - 1, *values[place + 1 :])
            assert found.get(less, 0) <= mode


@pytest.mark.parametrize(
    "unknown",
    [
        {"clock": "unknown"},
        {"camera": "unknown"},
        {"camera": "waiting"},
        {"bundle_sha256": None},
        {"profile_sha256": None},
        {"order_word": "unreadable"},
        {"wish_word": "unreadable"},
    ],
)
def test_whatever_is_unknown_leaves_the_human_alone(unknown) -> None:
    _, standing = automation.step(Kept(), seen(order=order(), **unknown))
    assert standing.mode == "human_only" and standing.words


def run(*moments: Seen, kept: Kept = Kept(), acknowledged: int | None = None) -> list[str]:  # noqa: B008 - frozen
    modes = []
    for number, moment in enumerate(moments):
        kept, standing = automation.step(kept, moment, acknowledged=number == acknowledged)
        modes.append(standing.mode)
    return modes


@pytest.mark.parametrize(
    "cause", [{"camera": "moved"}, {"camera": "unknown"}, {"water": "murky"}, {"clock": "jumped"}, {"clock": "unknown"}]
)
def test_what_people_mend_is_given_back_when_they_acknowledge_it_and_not_before(cause) -> None:
    good, bad = seen(order=order()), seen(order=order(), **cause)
    down = "human_only" if "unknown" in cause.values() else "shadow"
    assert run(good, bad, good, good, good, acknowledged=3) == ["partial", down, "shadow", "partial", "partial"]
    assert run(good, bad, bad, good, acknowledged=2)[-1] == "shadow", "the cause was still there"


@pytest.mark.parametrize("cause", [{"drifted": True}, {"wish": "shadow"}, {"wish": "human_only"}, {"days": 25.0}])
def test_drift_a_wish_or_an_end_keeps_the_mode_down_until_a_newer_order(cause) -> None:
    good, bad = seen(order=order()), seen(order=order(), **cause)
    newer = seen(order=order(counter=2))
    assert run(good, bad, good, good, newer, acknowledged=3)[2:] == ["shadow", "shadow", "partial"]


def test_an_acknowledged_camera_does_not_lift_what_the_cloud_has_lowered() -> None:
    good = seen(order=order("full"))
    wished, moved = msgspec.structs.replace(good, wish="assist"), msgspec.structs.replace(good, camera="moved")
    assert run(good, wished, moved, good, good, acknowledged=4) == ["full", "assist", "shadow", "shadow", "assist"]


def test_an_order_given_in_answer_to_a_wish_is_not_lowered_by_it_again() -> None:
    wished = seen(order=order(), wish="shadow", wish_counter=7)
    answer = msgspec.structs.replace(wished, order=order(counter=2, answers_wish=7))
    later = msgspec.structs.replace(answer, wish_counter=8)
    assert run(wished, answer, later) == ["shadow", "partial", "shadow"]


def test_an_older_order_and_one_for_another_station_change_nothing_but_the_words() -> None:
    kept, _ = automation.step(Kept(), seen(order=order("shadow", counter=7, certificate=None)))
    assert run(seen(order=order("full", counter=6)), seen(order=None), kept=kept) == ["shadow", "shadow"]
    kept, standing = automation.step(kept, seen(order=order("full", counter=99, station="TANK2")))
    assert (standing.mode, kept.order.counter) == ("human_only", 7)


def test_a_change_of_bundle_under_orders_for_both_never_steps_down() -> None:
    old, new = order(), order(counter=2, bundle_sha256=B)
    moments = [seen(order=old), seen(order=new), seen(order=new, bundle_sha256=B), seen(order=new)]
    assert run(*moments) == ["partial"] * 4
    assert run(seen(order=old), seen(order=old, bundle_sha256=B), seen(order=old)) == ["partial", "shadow", "partial"]
    renewed = order(counter=3, bundle_sha256=B)
    assert run(seen(order=old), seen(order=new), seen(order=renewed)) == ["partial"] * 3, "the next one's is renewed"
    lowered = order("assist", counter=2, bundle_sha256=B)
    assert run(seen(order=old), seen(order=lowered)) == ["partial", "assist"], "never above the newest order"


def test_it_says_why_and_alarms_only_where_nobody_asked_for_less() -> None:
    kept, standing = automation.step(Kept(), seen(order=order()))
    assert (standing.words, standing.alarm) == ("ordered by quinn: earned", False)
    _, standing = automation.step(kept, seen(order=order(), camera="moved"))
    assert (standing.words, standing.alarm) == ("the camera has moved: turn it back, then acknowledge", True)
    _, standing = automation.step(kept, seen(order=order(), wish="assist"))
    assert (standing.mode, standing.alarm) == ("assist", False)
    assert automation.step(Kept(), seen())[1] == automation.Standing("shadow", "no order allows more", False)


@pytest.mark.parametrize("given", [*ORDERS, None, *OTHERS[1:]])
@pytest.mark.parametrize("camera", ["ok", "waiting", "moved", "unknown"])
def test_a_profile_that_was_not_seen_in_place_never_lets_the_machine_say_anything(given, camera) -> None:
    kept, standing = automation.step(Kept(), seen(profile_is_checked=False, camera=camera, order=given))
    assert standing.mode == "human_only"
    _, standing = automation.step(kept, seen(camera=camera, order=given))
    assert standing == automation.step(Kept(), seen(camera=camera, order=given))[1], "once it was seen all is as before"
