"""What a station says of itself in all sorts of situations, for the operator's screen."""

import time
from pathlib import Path

import msgspec

from edge_agent import state, utc
from edge_agent.messages import Alarm, SoftwareMetrics
from edge_agent.records import BundleRef, DueWord
from edge_agent.state import Aim, DeviceState, LastCase, ShownWord, UplinkReport, Watched

TANK = ((92.0, 70.0), (548.0, 66.0), (560.0, 410.0), (80.0, 414.0))
AIM = Aim(frame_size_px=(640, 480), tank_px=TANK, status="ok", corners_seen=4, rotation_deg=0.0, words="")
CASE = "TANK1-abc-00007"
UNCERTAIN = DueWord("uncertain", 0.5, 10.0)


def alarm(id: str, priority: str, words: str, since: str = "2026-11-29T14:00:00.000Z") -> Alarm:
    cause, _, action = words.rpartition(": ")
    return Alarm(
        id=id,
        priority=priority,  # type: ignore[arg-type]
        text=words,
        since=since,
        cause=cause,
        consequence="units are not tested",
        action=action,
    )


MOVED = alarm(
    "framing",
    "high",
    "the tank's corner TL is 23.4 px (5.1 mm) off, turned by +2.00 degrees, limit 12.0 px and 0.70 degrees: "
    "turn the camera left and roll the camera clockwise",
)
WATER = alarm(
    "water",
    "low",
    "the water gets murky, about 3 h until it must be changed (2.1 to 4.0 h): plan the change of water",
)


def a_state(now: float, **changes: object) -> DeviceState:
    usual = DeviceState(
        at=utc.text(now),
        boot_id="abc",
        mode="shadow",
        mode_words="no order allows more",
        bundle=BundleRef(12, "3fa9c1" + "0" * 58),
        station="TANK1",
        profile_sha256="a" * 64,
        watched=Watched("empty"),
        aim=AIM,
    )
    return msgspec.structs.replace(usual, **changes)


def a_last(now: float, **changes: object) -> LastCase:
    usual = LastCase(
        case_id=CASE,
        ended_at=utc.text(now - 3),
        verdict=None,
        reason="",
        decision="ok",
        outcome=None,
        usable_s=7.4,
        required_s=5.0,
    )
    return msgspec.structs.replace(usual, **changes)


def an_uplink(now: float, *, connected: bool = True, waiting: int = 0) -> UplinkReport:
    software = SoftwareMetrics(
        version="1", uptime_s=1.0, disk_free_mb=1.0, waiting_cases=waiting, waiting_clips=waiting
    )
    return UplinkReport(at=utc.text(now), connected=connected, since=utc.text(now - 4000), software=software)


def watching(seconds: float, words: str = "") -> Watched:
    return Watched("watching", CASE, seconds, 5.0, words)


def situations(now: float) -> dict[str, tuple[DeviceState | None, UplinkReport | None]]:
    """By name: what inspection and uplink say; None = nothing."""
    up = an_uplink(now)
    missed = "the unit could be watched for 2.1 s, 5.0 s are needed: hold it longer"
    return {
        "empty": (a_state(now), up),
        "waiting-for-first-frame": (
            a_state(now, mode="human_only", mode_words="waiting for the first picture", watched=None, aim=None),
            up,
        ),
        "not-set-up": (a_state(now, profile_sha256=None, watched=None, mode="human_only", station=""), up),
        "watching": (a_state(now, watched=watching(3.2)), up),
        "watching-covered": (a_state(now, watched=watching(1.3, "the markers are covered: clear the markers")), up),
        "ok": (
            a_state(
                now, mode="assist", watched=Watched("decided", CASE, 7.4, 5.0), last_case=a_last(now, verdict="ok")
            ),
            up,
        ),
        "leak": (
            a_state(
                now,
                mode="partial",
                watched=watching(5.6),
                shown=ShownWord(CASE, DueWord("leak", 0.99, 5.6)),
                last_case=a_last(now, case_id="TANK1-abc-00006", verdict="ok"),
            ),
            up,
        ),
        "uncertain": (
            a_state(now, mode="full", watched=watching(10.0), shown=ShownWord(CASE, UNCERTAIN), alarms=(WATER,)),
            up,
        ),
        "not-tested": (
            a_state(now, last_case=a_last(now, verdict="not_tested", reason=missed, outcome="not_tested")),
            up,
        ),
        "alarm": (
            a_state(
                now,
                mode="human_only",
                mode_words="the camera has moved: turn it back, then acknowledge",
                alarms=(WATER, MOVED),
                aim=msgspec.structs.replace(AIM, status="shifted"),
            ),
            up,
        ),
        "offline": (a_state(now, last_case=a_last(now - 600)), an_uplink(now, connected=False, waiting=1234)),
        "stale": (a_state(now - 60, watched=watching(3.2), last_case=a_last(now, verdict="ok")), None),
        "human-only": (
            a_state(now, mode="human_only", watched=Watched("leaving", CASE, 7.4, 5.0), last_case=a_last(now)),
            up,
        ),
        "assist-hidden": (a_state(now, mode="assist", watched=watching(5.5)), up),
        "long": (
            a_state(
                now,
                station="TANK-LONGEST-NAM",
                mode="partial",
                mode_words="the machine answers far fewer units than its certificate says: have its cases looked at",
                challenger=BundleRef(100, "b" * 64),
                watched=Watched("decided", CASE, 7.4, 5.0),
                last_case=a_last(
                    now,
                    verdict="not_tested",
                    reason="bubbles under 3.1 px (1.9 mm) cannot be seen with the shutter open for so long, leaks "
                    "below 1.2e-03 std cm3/s could not be seen, 0.0001 is required: shorten the exposure and add light",
                ),
                alarms=(
                    WATER,
                    MOVED,
                    alarm(
                        "tank",
                        "medium",
                        "something lies in the tank that was not there when it "
                        "was set up: take it out, or run 'calibrate fit' again",
                    ),
                ),
            ),
            an_uplink(now - 100),
        ),
    }


def put(run_dir: Path, said: tuple[DeviceState | None, UplinkReport | None]) -> None:
    """As the processes write it."""
    for name, one in zip(("state.json", "uplink.json"), said, strict=True):
        (run_dir / name).unlink(missing_ok=True)
        if one is not None:
            state.write(run_dir / name, one)


def now() -> float:
    return time.time()
