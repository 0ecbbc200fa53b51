"""What the inspection knows of unit, camera and profile -> what the screen may show: Watched, LastCase, Aim. PURE.

The frame loop tells it what it sees, the reporting thread asks. It never says more of the machine's word than the mode
lets the inspector see.
"""

import cv2
import numpy as np

from edge_agent.automation import lower
from edge_agent.case import Progress
from edge_agent.due import DECIDING
from edge_agent.eyes import Sight
from edge_agent.immersion import Immersion
from edge_agent.pipeline import Inspector
from edge_agent.records import Case, Mode
from edge_agent.state import Aim, LastCase, Watched
from edge_agent.station import Point, StationProfile

MOVING = "the unit is moving: hold it still"
LEAVING = "the unit is on its way out"
MURKY = "the water is murky: change the water"
LONG = "the unit has been watched for as long as anybody watches: take it out"


class OnScreen:
    """One run's facts for the screen. `shows_before`: `assist` shows the word before the inspector has decided."""

    def __init__(self, *, shows_before: bool = False) -> None:
        self.profile: StationProfile | None = None
        self.profile_sha256: str | None = None
        self._shows_before = shows_before
        self._sight: Sight | None = None
        self._now: tuple[Immersion, Progress | None] | None = None
        self._last: Case | None = None

    def set_up(self, profile: StationProfile | None, sha256: str | None) -> None:
        """By this profile the station is inspected from now on; None = it has none yet."""
        self.profile, self.profile_sha256 = profile, sha256

    def saw(self, inspector: Inspector) -> None:
        """After each frame."""
        self._sight, self._now = inspector.sight, (inspector.immersion, inspector.progress)

    def ended(self, case: Case) -> None:
        """One more unit."""
        self._last = case

    @property
    def station(self) -> str:
        return self.profile.station if self.profile else ""

    def watched(self, camera_words: str = "") -> Watched | None:
        """The immersion now. `camera_words`: why there are no pictures; empty while there are."""
        if self._now is None or self._sight is None:
            return None
        immersion, progress = self._now
        if progress is None:
            return Watched(immersion.phase, required_s=self._required_s)
        return Watched(
            immersion.phase,
            case_id=progress.case_id,
            usable_s=round(progress.usable_s, 2),
            required_s=self._required_s,
            words=camera_words or hindrance(self._sight, immersion, progress),
        )

    def last_case(self, mode: Mode) -> LastCase | None:
        """The newest case, as far as the mode in force and its own let it be told."""
        case = self._last
        if case is None:
            return None
        told = case.verdict == "not_tested" or is_told(case, mode, shows_before=self._shows_before)
        return LastCase(
            case_id=case.case_id,
            ended_at=case.ended_at,
            verdict=case.verdict if told else None,
            reason=case.reason if told else "",
            decision=case.decision,
            outcome=case.outcome if told else None,
            usable_s=case.usable_s,
            required_s=self._required_s,
        )

    def aim(self) -> Aim | None:
        """By the newest frame; None before the first, and while there is no profile."""
        sight = self._sight
        if sight is None or self.profile is None:
            return None
        height, width = sight.frame.image.shape[:2]
        framing = sight.framing
        return Aim(
            frame_size_px=(width, height),
            tank_px=corners_in_frame(sight.view.homography, sight.view.grey.shape),
            status=framing.status,
            corners_seen=framing.corners_seen,
            rotation_deg=None if framing.rotation_deg is None else round(framing.rotation_deg, 2),
            words=framing.words,
        )

    @property
    def _required_s(self) -> float | None:
        return self.profile.required_hold_s if self.profile else None


def is_told(case: Case, mode: Mode, *, shows_before: bool) -> bool:
    """Whether the inspector may read the machine's word: by the mode of the case, and by the one in force."""
    allowed = lower(case.mode, mode)
    return allowed in DECIDING or (allowed == "assist" and (shows_before or case.decision != "none"))


def hindrance(sight: Sight, immersion: Immersion, progress: Progress) -> str:
    """Why the usable seconds do not grow at this moment, with the cure; empty while they do."""
    if sight.fault:
        return sight.fault
    if not sight.usable:
        return sight.framing.words
    if immersion.left_s is not None:
        return LEAVING
    if progress.is_long:
        return LONG
    if progress.is_murky:
        return MURKY
    return MOVING if immersion.settled_s is None or immersion.moving else ""


def corners_in_frame(homography: np.ndarray, view_shape: tuple[int, ...]) -> tuple[Point, Point, Point, Point]:
    """TL, TR, BR, BL of a tank view (height, width) in camera pixels; `homography`: camera -> view pixels."""
    height, width = view_shape[:2]
    view = np.array([[[0, 0], [width, 0], [width, height], [0, height]]], np.float64)
    corners = cv2.perspectiveTransform(view, np.linalg.inv(homography))[0].round(1)
    first, second, third, fourth = ((float(x), float(y)) for x, y in corners)
    return first, second, third, fourth
