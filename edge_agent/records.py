"""What things are: Frame -> Framing -> TankView -> Composite -> Evidence -> Verdict (+ Decision) -> Case.

Records are frozen and typed. Those with pixels compare by identity and stay on the device; those without are
`msgspec.Struct`s whose field names are the names on the wire (docs/asyncapi.yaml is generated from them).
"""

from dataclasses import dataclass, field
from typing import Literal

import msgspec
import numpy as np

FramingStatus = Literal["ok", "shifted", "lost", "unchecked"]
VerdictWord = Literal["ok", "leak", "uncertain", "not_tested"]
DecisionWord = Literal["ok", "leak", "none"]
DecidedBy = Literal["human", "machine", "none"]
OutcomeWord = Literal["agree", "machine_leak", "human_leak", "unsure", "not_tested", "undecided", "machine_only"]
SampledFor = Literal["disagreement", "unsure", "not_tested", "audit", "challenge", "none"]
WaterStatus = Literal["clear", "murky", "unknown"]
Mode = Literal["human_only", "shadow", "assist", "partial", "full"]
DispositionWord = Literal["ok", "leak", "wait"]
WordShown = Literal["before", "after", "no"]
"""Whether the inspector saw the machine's word, and whether before his decision."""
FaultKind = Literal[
    "unplugged", "silent", "frozen", "stale", "time_jump", "reordered", "duplicated", "half_rate",
    "resolution", "black", "white", "noise", "exposure",
]  # fmt: skip
"""What may be wrong with a camera (docs/camera-faults.md)."""
Phase = Literal["empty", "entering", "watching", "decided", "leaving"]
Corner = Literal["TL", "TR", "BR", "BL"]
CORNERS: tuple[Corner, ...] = ("TL", "TR", "BR", "BL")


@dataclass(frozen=True, slots=True)
class CameraFault:
    """Something that is wrong with the camera. `words`: fact, limit and cure."""

    kind: FaultKind
    words: str


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One camera image. `image`: (H, W, 3) uint8 BGR, or (H, W) uint8 grey; never written to after capture."""

    image: np.ndarray
    sequence: int
    """Counts the camera's pictures from 0; a gap means dropped frames."""
    monotonic_s: float
    """Capture time on a clock that never jumps, in seconds; recordings start at 0."""
    taken_at: float
    """Capture time, UTC, seconds since 1970."""
    faults: tuple[CameraFault, ...] | None = None
    """What was wrong with the camera when it came; None = nobody has looked yet (`camera_watch`)."""


@dataclass(frozen=True, slots=True, eq=False)
class Marker:
    """One of the tank's codes in a frame. `corners_px`: (4, 2) float32, its own TL, TR, BR, BL in camera pixels."""

    corner: Corner
    corners_px: np.ndarray


@dataclass(frozen=True, slots=True, eq=False)
class Framing:
    """What the markers say about one frame. `homography`: (3, 3) float64, camera pixels -> tank view pixels."""

    status: FramingStatus
    homography: np.ndarray
    corners_seen: int = 0
    shift_px: float | None = None
    rotation_deg: float | None = None
    words: str = ""
    """What is wrong, the limit and the cure, for a person; empty while all is well."""
    codes_now: int = 0
    """Codes in the last picture that was looked at; what else is said here may be believed from pictures before it."""


@dataclass(frozen=True, slots=True, eq=False)
class TankView:
    """A frame seen straight on: `grey` (h, w) uint8, rectified, stabilised, lamps masked out."""

    grey: np.ndarray
    sequence: int
    monotonic_s: float
    homography: np.ndarray
    """(3, 3) float64, camera pixels -> tank view pixels, shake and slant undone."""


@dataclass(frozen=True, slots=True, eq=False)
class Composite:
    """Three tank views a set time apart. `image`: (h, w, 3) uint8, channel order R, G, B = oldest, middle, newest.

    A compositor lays one channel after the other in memory, as nets take them: `image` is a transposed view.
    """

    image: np.ndarray
    monotonic_s: float
    """Capture time of the newest of the three."""
    spacing_s: float
    """Mean time between neighbours, as captured."""


NO_CLASSES = np.zeros((2, 4), np.float32)
NO_CLASSES.flags.writeable = False


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """What the detector says of one composite.

    `heat`: (h/4, w/4) float32, 0..1. `bubbles`: (n, 6) float32 rows of x_px, y_px (tank view), score 0..1,
    vx_px_s, vy_px_s (negative = rising), diameter_px, strongest first. `classes`: (2, 4) float32, the mean and the
    highest of the detector's maps of rising bubbles, attached ones, beads and specks, each 0..1. `beads`: the whole map
    of beads, as `heat` is that of rising bubbles; None where it was not kept.
    """

    monotonic_s: float
    heat: np.ndarray
    bubbles: np.ndarray
    score: float
    classes: np.ndarray = field(default_factory=lambda: NO_CLASSES)
    beads: np.ndarray | None = None

    @property
    def stir(self) -> float:
        """Of what moves and is no rising bubble: the means of its maps together, 0..2."""
        return float(self.classes[0, 2:].sum())


class Emission(msgspec.Struct, frozen=True):
    """What rises from the most persistent origin after the water has settled (ASTM E515: bubble emission)."""

    births: int
    """Bubbles whose birth was seen."""
    births_per_s: float
    diameter_mm: float
    """Of a bubble of mean volume."""
    rise_mm_s: float
    leak_std_cm3_s: float
    leak_std_cm3_s_low: float
    leak_std_cm3_s_high: float
    """Limits of the 95 % interval."""


class Visibility(msgspec.Struct, frozen=True, kw_only=True):
    """What decides how small a bubble can be seen; None = could not be measured."""

    noise_levels: float
    """Camera noise, standard deviation in grey levels."""
    light_levels: float
    """Grey level of the water: the light from behind."""
    paper_levels: float | None = None
    """Grey levels between the markers' black and white: the light from the camera's side."""
    blur_px: float | None = None
    """Of the markers' edges, standard deviation in pixels of the tank view."""
    smear_px: float | None = None
    """How far a bubble usually moves in the tank view while the shutter is open."""
    clarity: float | None = None
    """Of the water, 0 (opaque) .. 1 (clear)."""
    smallest_bubble_px: float | None = None
    """Diameter in the tank view from which bubbles are found."""
    smallest_bubble_mm: float | None = None


class Verdict(msgspec.Struct, frozen=True):
    """The machine's word on a case; `score` is the calibrated leak probability at equal odds, None when not tested."""

    verdict: VerdictWord
    score: float | None
    reason: str
    leak_at_tank_px: tuple[int, int] | None = None
    emission: Emission | None = None
    smallest_leak_std_cm3_s: float | None = None
    visibility: Visibility | None = None
    novelty: float | None = None
    """Distance from what the nets were trained on, in the bundle's limit: above 1 nothing like it was there. None where
    that is not known."""

    @property
    def leak_std_cm3_s(self) -> float | None:
        """How much air leaves the unit; None where that is not known."""
        return self.emission.leak_std_cm3_s if self.emission else None


class Sampled(msgspec.Struct, frozen=True):
    """Why a case's clip goes to review, and with which probability it was drawn (never 0)."""

    reason: SampledFor = msgspec.field(name="for")
    probability: float


class FramingSummary(msgspec.Struct, frozen=True):
    """The framing of a whole case: the worst status that cost usable time."""

    status: FramingStatus
    corners_seen: int | None = None
    shift_px: float | None = None


class WaterSummary(msgspec.Struct, frozen=True):
    """The water during a case; `clarity` 0 (opaque) .. 1 (clear)."""

    status: WaterStatus
    clarity: float | None = None


class BundleRef(msgspec.Struct, frozen=True):
    """Which bundle spoke."""

    version: int
    sha256: str


class ClipRef(msgspec.Struct, frozen=True):
    """The stored video of a case, by the hash of its bytes."""

    sha256: str
    bytes: int


class DueWord(msgspec.Struct, frozen=True):
    """The machine's word at the moment when the line needs one, with the unit still in the water."""

    verdict: VerdictWord
    score: float | None
    usable_s: float


class ChallengerVerdict(msgspec.Struct, frozen=True):
    """What the challenger would have said; logged, never spoken."""

    bundle: BundleRef
    verdict: VerdictWord
    score: float | None
    reason: str
    due: DueWord | None = None

    @classmethod
    def of(cls, bundle: BundleRef, word: Verdict, due: DueWord | None = None) -> "ChallengerVerdict":
        """The part of a verdict that is logged."""
        return cls(bundle=bundle, verdict=word.verdict, score=word.score, reason=word.reason, due=due)


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """One immersion of one unit, from entering the water to the inspector's decision."""

    schema: Literal["tankwatch/case/1"] = "tankwatch/case/1"
    case_id: str
    site: str
    station: str
    boot_id: str
    sequence: int
    """Counts this device's cases without gaps, over restarts too; the outbox hands it out."""
    started_at: str
    """UTC, ISO 8601."""
    ended_at: str
    started_s: float
    """Seconds since the source's first frame."""
    ended_s: float
    usable_s: float
    """Seconds of watching in which framing, picture and water allowed a leak to be seen."""
    verdict: VerdictWord
    score: float | None
    reason: str
    leak_at_px: tuple[int, int] | None
    """In camera pixels."""
    leak_at_tank_px: tuple[int, int] | None
    leak_std_cm3_s: float | None
    smallest_leak_std_cm3_s: float | None
    decision: DecisionWord
    decided_by: DecidedBy
    outcome: OutcomeWord
    sampled: Sampled
    framing: FramingSummary
    water: WaterSummary
    frames: int
    composites: int
    dropped: int
    bundle: BundleRef
    mode: Mode
    profile_sha256: str | None
    """Hash of the station profile; None where none was given."""
    emission: Emission | None = None
    """None where nothing rises from one place, or the scale is not known."""
    clip: ClipRef | None = None
    """None where the clip stays on the device."""
    challenger: ChallengerVerdict | None = None
    visibility: Visibility | None = None
    """Medians over the usable time; None where nothing was measured."""
    novelty: float | None = None
    """How far from what the nets were trained on, in the bundle's limit: above 1 the case is unlike all of it."""
    serial: str | None = None
    """Of the unit, where something on the line reads it."""
    inspector: str | None = None
    """A pseudonym for who decided, where the plant wants one sent."""
    disposition: DispositionWord | None = None
    """What the line was told; None where the mode does not let the device tell it anything."""
    word_shown: WordShown = "no"
    due: DueWord | None = None
    """What the line was told or would have been, had the mode let the machine decide; None where the unit was decided
    on or gone before."""
