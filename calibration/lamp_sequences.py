"""Seed -> a few seconds of a simulated station's lamps, with what they truly say: the lamp reader's own test.

Only the lamps and the panel around them are painted, so that thousands of sequences take minutes. What spoils them is
drawn wider than in the twin's recordings: PWM that beats with the frame rate, sun, moved cameras, arms, covers.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np

from calibration.canvas import smooth_noise
from calibration.lamplight import DARK_BGR, LIT_BGR, disc
from calibration.look import StationLook, draw_station
from edge_agent.decision import LAMPS, PanelWord
from edge_agent.records import DecisionWord, Frame
from edge_agent.station import Lamp

Reading = Literal["readable", "doubtful", "unreadable"]
SPOILT = ("covered", "gone", "overexposed", "glare")
DOUBTFUL = ("blurred", "half moved", "half covered", "very dim")
SEEN_LIGHT = 0.45
"""Share of a lamp's full light from which a picture shows that it is lit."""
STATES: dict[PanelWord, tuple[DecisionWord, ...]] = {"off": (), "ok": ("ok",), "leak": ("leak",), "both": LAMPS}


@dataclass(frozen=True, slots=True, eq=False)
class LampSequence:
    """What truly happens. `decisions`: those that a perfect reader makes, in order; `panel`: the lamps at the end.

    `reading`: whether the pictures show it: a readable sequence has to be read, of an unreadable one nothing false may
    be said, and a doubtful one may be either. `light`: (n, 2) float32, share of its full light that picture n shows of
    the ok and the leak lamp. `times_s`: (n,) capture times.
    """

    seed: int
    trouble: str
    reading: Reading
    decisions: tuple[DecisionWord, ...]
    panel: PanelWord
    lamps: tuple[Lamp, ...]
    times_s: np.ndarray
    light: np.ndarray
    stage: "_Stage"

    def frames(self) -> Iterator[Frame]:
        """Pictures of the panel's part of the camera's picture, BGR."""
        rng = np.random.default_rng([self.seed, 93])
        for number, (at_s, light) in enumerate(zip(self.times_s.tolist(), self.light, strict=True)):
            yield Frame(self.stage.shoot(at_s, light, rng), number, at_s, at_s)


def lamp_sequence(seed: int) -> LampSequence:
    """One sequence; an eighth of them cannot be read, and as many only perhaps."""
    rng = np.random.default_rng([seed, 91])
    look = draw_station(seed, str(rng.choice(("reference", "plant", "hard", "demo"))))
    kinds = ("", *SPOILT, *DOUBTFUL)
    trouble = str(
        rng.choice(kinds, p=[0.75] + [0.125 / len(SPOILT)] * len(SPOILT) + [0.125 / len(DOUBTFUL)] * len(DOUBTFUL))
    )
    panel: PanelWord = rng.choice(list(STATES), p=(0.2, 0.3, 0.3, 0.2))
    hand = _draw_hand(rng) if not trouble and rng.random() < 0.25 else None
    on_s = rng.uniform(0.4, 2.0)
    clear_s = max(on_s, hand.until_s if hand else 0.0)
    goes_out = rng.random() < 0.25
    off_s = clear_s + rng.uniform(1.2, 2.5)
    until_s = off_s + (rng.uniform(1.6, 2.2) if goes_out else 0.0)
    fps = float(rng.choice((15.0, 20.0, 25.0, 30.0, 50.0, 60.0)))
    times_s = np.arange(0.0, until_s, 1 / fps)
    shines = (times_s >= on_s) & (times_s < (off_s if goes_out else np.inf))
    drive = _drive(rng, look, times_s, dim=trouble == "very dim")
    light = np.stack([(lamp in STATES[panel]) * shines * drive for lamp in LAMPS], axis=1).astype(np.float32)
    seen = not shines.any() or float((drive[shines] >= SEEN_LIGHT).mean()) >= 0.6
    reading: Reading = "unreadable" if trouble in SPOILT else "readable" if seen and not trouble else "doubtful"
    stage = _Stage(rng, look, trouble, hand)
    decisions = STATES[panel] if len(STATES[panel]) == 1 else ()
    return LampSequence(
        seed, trouble, reading, decisions, "off" if goes_out else panel, stage.lamps, times_s, light, stage
    )


@dataclass(frozen=True, slots=True)
class _Hand:
    from_s: float
    until_s: float
    angle: float
    """Where it comes from."""
    reach: float
    """How far it goes beyond the panel's middle, in lamp sizes."""
    bgr: tuple[float, float, float]


def _draw_hand(rng: np.random.Generator) -> _Hand:
    from_s = rng.uniform(0.1, 2.0)
    return _Hand(from_s, from_s + rng.uniform(0.6, 2.0), rng.uniform(0, 2 * np.pi), rng.uniform(-1.5, 2.0), _cloth(rng))


def _cloth(rng: np.random.Generator) -> tuple[float, float, float]:
    tone = rng.uniform(25, 160)
    blue, green, red = tone * rng.uniform(0.7, 1.2, 3)
    return blue, green, red


def _drive(rng: np.random.Generator, look: StationLook, times_s: np.ndarray, *, dim: bool) -> np.ndarray:
    """(n,) share of the full light that each picture's exposure catches: steady, the twin's slow beat, or PWM."""
    if dim:
        return np.full(len(times_s), rng.uniform(0.1, 0.4))
    level = look.lamp_glow * rng.uniform(0.75, 1.0)
    if rng.random() < 0.6:
        return level * (1 - look.lamp_pwm * (0.5 + 0.5 * np.sin(2 * np.pi * 3.7 * times_s)))
    # The camera averages the pulses over its exposure; a short one sees them come and go with the beat.
    hz, duty, phase = np.exp(rng.uniform(np.log(45), np.log(600))), rng.uniform(0.5, 0.95), rng.random()
    begins = times_s * hz + phase
    ends = begins + look.exposure_s * hz

    def lit_until(turns: np.ndarray) -> np.ndarray:
        return np.floor(turns) * duty + np.minimum(turns % 1, duty)

    share = (lit_until(ends) - lit_until(begins)) / (look.exposure_s * hz)
    return level * rng.uniform(1.0, 1.4) * share


class _Stage:
    """The panel of one sequence and what happens before it."""

    def __init__(self, rng: np.random.Generator, look: StationLook, trouble: str, hand: _Hand | None) -> None:
        self._look, self._trouble, self._hand = look, trouble, hand
        boxes = [look.lamps[lamp] for lamp in LAMPS]
        self._size = size = boxes[0][2]
        left, top = boxes[0][0] - size, boxes[0][1] - size
        width, height = look.frame_size_px[0] - left, boxes[1][1] + 2 * size - top
        self.lamps = tuple(
            Lamp(lamp, (x - left, y - top, w, h)) for lamp, (x, y, w, h) in zip(LAMPS, boxes, strict=True)
        )
        self._y, self._x = np.mgrid[0:height, 0:width].astype(np.float32)
        level = look.back_level * rng.uniform(0.25, 0.8)
        texture = cv2.GaussianBlur(smooth_noise(rng, (height, width), 40), (0, 0), 1.0)
        self._panel = (level * (1 + 0.2 * texture[..., None]) * np.array(look.tint)).astype(np.float32)
        self._alpha = disc(size)
        bloom = np.pad(self._alpha, size)
        self._bloom = cv2.GaussianBlur(bloom, (0, 0), size * rng.uniform(0.15, 0.6)) * rng.uniform(0, 0.5)
        self._offset = self._draw_offset(rng)
        self._shake_px = look.shake_px * rng.uniform(0.5, 2)
        self._ambient = self._draw_ambient(rng)
        self._glints = self._draw_glints(rng)
        self._cover = (rng.uniform(0, 2 * np.pi), _cloth(rng), int(rng.integers(3)))
        self._blur_px = size * rng.uniform(0.3, 1.0) if trouble == "blurred" else look.blur_px * rng.uniform(0, 2)
        self._noise = rng.standard_normal((2 * height, 2 * width, 3), np.float32) * np.float32(look.noise_levels)
        # Far too long an exposure: the panel itself is white.
        self._gain = rng.uniform(350, 900) / (level * min(self._ambient[:2])) if trouble == "overexposed" else 1.0

    def shoot(self, at_s: float, light: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """(h, w, 3) uint8 BGR; `light`: (2,) share of each lamp's full light."""
        ambient = self._ambient_at(at_s)
        picture = self._panel * np.float32(ambient)
        shake = rng.normal(0, self._shake_px, 2) if self._shake_px > 0.05 else np.zeros(2)
        for lamp, share in zip(self.lamps, light.tolist(), strict=True):
            self._shine(picture, lamp, ambient, share, self._offset + shake)
        for x, y, radius, strength, drift in self._glints:
            away = (self._x - np.float32(x + drift * at_s)) ** 2 + (self._y - np.float32(y)) ** 2
            share = np.clip((np.float32(radius**2) - away) / np.float32(0.4 * radius**2) + np.float32(0.5), 0, 1)
            picture += (np.float32(strength) * share)[..., None]
        self._put_before(picture, at_s)
        if self._blur_px > 0.3:
            picture = cv2.GaussianBlur(picture, (0, 0), self._blur_px)
        height, width = self._x.shape
        y, x = rng.integers(0, (height, width))
        shot = cv2.add(picture * self._gain, self._noise[y : y + height, x : x + width], dtype=cv2.CV_8U)
        quality = self._look.jpeg_quality
        if quality is None:
            return shot
        return np.asarray(
            cv2.imdecode(cv2.imencode(".jpg", shot, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], cv2.IMREAD_COLOR)
        )

    def _shine(self, picture: np.ndarray, lamp: Lamp, ambient: float, share: float, offset: np.ndarray) -> None:
        x, y, width, height = lamp.rect_px
        centre = np.array([x + width / 2, y + height / 2]) + offset
        dark, lit = np.array(DARK_BGR[lamp.means], np.float32), np.array(LIT_BGR[lamp.means], np.float32)
        # Only the lamp's own part of the picture, and that of its halo.
        reach = 2 * width
        left, top = max(0, int(centre[0]) - reach), max(0, int(centre[1]) - reach)
        part = picture[top : top + 2 * reach, left : left + 2 * reach]
        if not part.size:
            return
        centre -= (left, top)
        alpha = _placed(self._alpha, centre, part.shape)
        part += (dark * np.float32(ambient) - part) * alpha
        if share > 0:
            part += (lit - dark) * np.float32(share) * np.maximum(alpha, _placed(self._bloom, centre, part.shape))

    def _put_before(self, picture: np.ndarray, at_s: float) -> None:
        """An arm that passes, or a thing that was left before one lamp or both."""
        if self._hand and self._hand.from_s < at_s < self._hand.until_s:
            share = (at_s - self._hand.from_s) / (self._hand.until_s - self._hand.from_s)
            reach = (self._hand.reach + 4) * np.sin(np.pi * share) - 4
            self._hide(picture, self._hand.angle, reach, self._hand.bgr)
        if self._trouble in ("covered", "half covered"):
            angle, cloth, which = self._cover
            lamps = self.lamps if which == 2 else self.lamps[which : which + 1]
            for lamp in lamps:
                x, y, width, height = lamp.rect_px
                reach = 1.3 if self._trouble == "covered" else 0.0
                centre = np.array([x + width / 2, y + height / 2]) + self._offset
                self._hide(picture, angle, reach, cloth, centre, 1.5)

    def _hide(
        self, picture: np.ndarray, angle: float, reach: float, bgr: tuple[float, float, float],
        centre: np.ndarray | None = None, within: float = 1e3,
    ) -> None:  # fmt: skip
        """What lies less than `reach` lamp sizes beyond `centre` (the panel's middle), seen from `angle`."""
        x, y = (self._x.shape[1] / 2, self._x.shape[0] / 2) if centre is None else centre
        along = ((self._x - x) * np.cos(angle) + (self._y - y) * np.sin(angle)) / self._size
        near = np.maximum(np.abs(self._x - x), np.abs(self._y - y)) / self._size < within
        share = np.clip((reach - along) * self._size / 3, 0, 1) * near
        picture += (np.array(bgr, np.float32) - picture) * share[..., None].astype(np.float32)

    def _draw_offset(self, rng: np.random.Generator) -> np.ndarray:
        """How far the camera has moved since set-up, in px."""
        angle = rng.uniform(0, 2 * np.pi)
        sizes = {"gone": rng.uniform(1.25, 1.8), "half moved": rng.uniform(0.3, 1.2)}.get(self._trouble)
        if sizes is None:
            sizes = rng.uniform(0, 0.25) * (rng.random() < 0.5)
        towards = np.array([np.cos(angle), np.sin(angle)])
        if self._trouble == "gone":
            # Straight up, down or aside, no farther than between the lamps: else one would stand in the other's place.
            towards = np.array([(1, 0), (-1, 0), (0, 1), (0, -1)][int(rng.integers(4))])
            sizes = min(sizes, 1.4) if towards[1] else sizes
        return towards * sizes * self._size

    def _draw_ambient(self, rng: np.random.Generator) -> tuple[float, float, float, float]:
        """Level before, after, when it changes and for how long."""
        before = float(np.exp(rng.uniform(np.log(0.4), np.log(1.4))))
        after = float(np.exp(rng.uniform(np.log(0.4), np.log(1.4)))) if rng.random() < 0.4 else before
        return before, after, rng.uniform(0, 3), rng.choice((0.02, 0.3, 2.0))

    def _ambient_at(self, at_s: float) -> float:
        before, after, since_s, takes_s = self._ambient
        share = min(1.0, max(0.0, (at_s - since_s) / takes_s))
        flicker = 1 + self._look.flicker * np.sin(2 * np.pi * self._look.flicker_hz * at_s)
        return (before + (after - before) * share) * flicker

    def _draw_glints(self, rng: np.random.Generator) -> list[tuple[float, float, float, float, float]]:
        """x, y, radius, grey levels and drift (px/s) of reflections; of the sun itself where that is the trouble."""
        found = []
        for lamp in self.lamps:
            x, y, width, height = lamp.rect_px
            centre = np.array([x + width / 2, y + height / 2]) + self._offset
            if rng.random() < 0.3:
                spot = centre + rng.uniform(-0.45, 0.45, 2) * width
                found.append((*spot, width * rng.uniform(0.04, 0.17), rng.uniform(60, 255), rng.normal(0, 0.1 * width)))
            if self._trouble == "glare" and (lamp.means == LAMPS[0] or rng.random() < 0.5):
                spot = centre + rng.uniform(-0.1, 0.1, 2) * width
                found.append((*spot, width * rng.uniform(0.75, 1.2), rng.uniform(300, 600), 0.0))
        return [(float(x), float(y), radius, strength, drift) for x, y, radius, strength, drift in found]


def _placed(stamp: np.ndarray, centre: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """The stamp with its middle at `centre`, (h, w, 1) float32."""
    half = (stamp.shape[0] - 1) / 2
    shift = np.array([[1, 0, centre[0] - 0.5 - half], [0, 1, centre[1] - 0.5 - half]])
    return cv2.warpAffine(stamp, shift, (shape[1], shape[0]))[..., None]
