"""One moment of a scene -> the grey picture that the camera takes, and the place of everything in it.

The still part (room, tank, unit at rest, water) is composed once an immersion; a frame warps it by the camera's
shake, ripples it under the surface, adds all bubbles in a few vectorised steps, and the camera's noise.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from calibration import bubbles, stamps
from calibration.exposure import Exposure, toned
from calibration.hands import draw_hand
from calibration.optics import projected
from calibration.paint import paint_stage
from calibration.scene import Scene, StationLook
from calibration.shell import Sprite, paint_unit


@dataclass(frozen=True, slots=True, eq=False)
class Shot:
    """`grey` (h, w) uint8; `bubbles` and `tank_px` as in FrameTruth; `motion` (2, 3) set-up -> now."""

    grey: np.ndarray
    bubbles: np.ndarray
    tank_px: np.ndarray
    motion: np.ndarray


class Viewer:
    """A station's camera. `begin` a scene, then `shoot` at rising times."""

    def __init__(self, look: StationLook, seed: int) -> None:
        self._look = look
        self._stage = paint_stage(look)
        self._looks = stamps.paint_looks(look.seed)
        self._exposure = Exposure(look, self._stage.glass, seed)
        self._wobble = _Wobble(look)
        self._mm_to_straight = look.mm_to_straight()
        self._y_of_row = self._tank_mm_of_rows()

    def to_px(self, point_mm: tuple[float, float]) -> tuple[float, float]:
        """Tank mm -> camera pixels of the unmoved camera."""
        x, y = self._look.to_px(np.array([point_mm]))[0]
        return float(x), float(y)

    def empty_station(self) -> np.ndarray:
        """The picture without unit, noise or lamps, (h, w) uint8."""
        look, stage = self._look, self._stage
        veil = 1 - np.exp(-look.haze)
        hazed = stage.room * (1 - stage.water * veil) + look.veil_level * veil * stage.water
        picture = (hazed * (1 - stage.markers_alpha) + stage.markers) * stage.glass
        return np.clip(toned(picture.astype(np.float32), look.sensor.tone), 0, 255).astype(np.uint8)

    def begin(self, scene: Scene, *, already_in: bool) -> None:
        """Compose what stands still during `scene`."""
        look, stage = self._look, self._stage
        veil = 1 - np.exp(-scene.haze)
        self._scene, self._clear = scene, float(np.exp(-scene.haze))
        self._wet_s = -0.3 if already_in else -0.6 * scene.lower_s
        hazed = stage.room * (1 - stage.water * veil) + look.veil_level * veil * stage.water
        self._empty = (hazed * (1 - stage.markers_alpha) + stage.markers).astype(np.float32)
        self._sprite = paint_unit(scene.unit, look, stage.lens) if scene.unit else None
        self._seen = ((1 - stage.water * veil) * (1 - stage.markers_alpha)).astype(np.float32)
        self._full = self._with_unit(self._sprite) if self._sprite else self._empty
        self._movers = bubbles.movers_of(scene, look, already_in=already_in)
        self._exposure.adapt(self._full)

    def shoot(self, now_s: float, since_rest_s: float, knocked: tuple[float, float]) -> Shot:
        """The picture at `now_s`; `knocked`: lasting shift in px and rotation in degrees of the camera."""
        lift = float(bubbles.lift_mm(self._scene, since_rest_s))
        picture, shell = self._still(lift)
        motion = self._motion(now_s, since_rest_s, knocked)
        if np.abs(motion - _STILL).max() > 1e-3:
            size = self._look.frame_size_px
            picture = cv2.warpAffine(picture, motion, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
        else:
            picture = picture.copy()
        picture = self._rippled(picture, since_rest_s, now_s)
        moved = self._draw_movers(picture, since_rest_s, lift, motion, shell)
        self._draw_hands(picture, since_rest_s)
        tank = self._look.tank_px @ motion[:, :2].T + motion[:, 2]
        return Shot(self._exposure.expose(picture, now_s), moved, tank, motion)

    def _still(self, lift_mm: float) -> tuple[np.ndarray, np.ndarray | None]:
        """The still picture with the unit `lift_mm` above its rest, and the shell's alpha."""
        if self._sprite is None or self._scene.unit is None:
            return self._empty, None
        if lift_mm <= 0:
            return self._full, self._sprite.shell
        if lift_mm >= 1.07 * self._scene.unit.bottom_mm:
            return self._empty, None
        at = self._scene.unit.centre_mm, self._scene.unit.bottom_mm
        rest, now = (np.array(self.to_px(at)), np.array(self.to_px((at[0], at[1] - lift_mm))))
        shift = np.array([[1, 0, now[0] - rest[0]], [0, 1, now[1] - rest[1]]])
        size = self._look.frame_size_px
        layers = (
            cv2.warpAffine(layer, shift, size) for layer in (self._sprite.light, self._sprite.alpha, self._sprite.shell)
        )
        moved = Sprite(*layers)
        return self._with_unit(moved), moved.shell

    def _with_unit(self, sprite: Sprite) -> np.ndarray:
        return self._empty + self._seen * (sprite.light - sprite.alpha * self._stage.room)

    def _motion(self, now_s: float, since_rest_s: float, knocked: tuple[float, float]) -> np.ndarray:
        """(2, 3) set-up picture -> this picture; a rolling shutter shears it while the camera moves."""
        x, y = self._shake(now_s, since_rest_s)
        width, height = self._look.frame_size_px
        motion = cv2.getRotationMatrix2D((width / 2, height / 2), -knocked[1], 1.0)
        readout = self._look.sensor.readout_s
        if readout:
            later_x, later_y = self._shake(now_s + 1e-3, since_rest_s + 1e-3)
            slant = np.array([later_x - x, later_y - y]) * 1e3 * readout / height
            motion[:, 1] += slant
            motion[:, 2] -= slant * height / 2
        return motion + np.array([[0, 0, x + knocked[0]], [0, 0, y]])

    def _shake(self, now_s: float, since_rest_s: float) -> tuple[float, float]:
        """How far the picture is from its set-up, in px."""
        scene = self._scene
        x, y = self._wobble.at(now_s)
        after = since_rest_s - scene.knock_s
        if scene.knock_px and after > 0:
            swing = scene.knock_px * np.exp(-after / 0.25) * np.cos(2 * np.pi * 6 * after)
            x, y = x + swing, y + 0.5 * swing
        return x, y

    def _tank_mm_of_rows(self) -> np.ndarray:
        """Tank y in mm of each picture row at the tank's middle, (h,)."""
        width, height = self._look.tank_mm
        depths = np.linspace(-0.3 * height, 1.3 * height, 400)
        rows = self._look.to_px(np.stack([np.full_like(depths, width / 2), depths], -1))[:, 1]
        return np.interp(np.arange(self._look.frame_size_px[1]), rows, depths)

    def _rippled(self, picture: np.ndarray, since_rest_s: float, now_s: float) -> np.ndarray:
        """Waves bend what is seen just under the surface; they die away after the unit broke it."""
        look = self._look
        depth = self._y_of_row - look.surface_mm
        rows = np.flatnonzero((depth > -4 - look.above_mm) & (depth < 45))
        if rows.size == 0 or look.ripple_mm <= 0:
            return picture
        top, bottom = int(rows[0]), int(rows[-1]) + 1
        reach = look.ripple_mm * look.px_per_mm * self._stirred(since_rest_s) * np.exp(-np.abs(depth[top:bottom]) / 14)
        columns = np.arange(picture.shape[1], dtype=np.float32)
        wave = 2 * np.pi / (22 * look.px_per_mm)
        free = 1 - self._stage.markers_alpha[top:bottom]
        x = (reach[:, None] * np.sin(columns * wave + 7.1 * now_s)).astype(np.float32) * free + columns
        y = (0.7 * reach[:, None] * np.cos(columns * wave * 0.73 - 5.3 * now_s)).astype(np.float32) * free
        y += np.arange(top, bottom, dtype=np.float32)[:, None]
        picture[top:bottom] = cv2.remap(picture, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        return picture

    def _stirred(self, since_rest_s: float) -> float:
        """How much of its ripple the surface shows: it was broken when the unit came, and at each dip."""
        breaks = [self._wet_s] + [at for dip in self._scene.dips for at in (dip.from_s, dip.until_s - 0.4)]
        stirred = 0.12 + sum(np.exp((at - since_rest_s) / 1.6) for at in breaks if since_rest_s > at)
        raised = since_rest_s - self._scene.hold_s - self._scene.lamp_delay_s
        return float(min(stirred, 1.2) + (min(raised, 1.0) if raised > 0 else 0.0))

    def _draw_movers(
        self, picture: np.ndarray, since_rest_s: float, lift_mm: float, motion: np.ndarray, shell: np.ndarray | None
    ) -> np.ndarray:
        """Draws all that moves in the water; rows as in FrameTruth."""
        look, movers = self._look, self._movers
        moment = bubbles.at(movers, since_rest_s, lift_mm, look.surface_mm, look.tank_mm[1] * 0.965)
        rows = moment.rows
        if rows.size == 0:
            return np.zeros((0, 7), np.float32)
        now, speed = self._in_picture(moment, motion)
        x, y, speed_x, speed_y = now[:, 0], now[:, 1], speed[:, 0], speed[:, 1]
        diameter = movers.diameter_mm[rows] * look.px_per_mm
        tilt = np.sign(np.where(np.abs(speed_x) > 0.25 * np.abs(speed_y), speed_x, 0)).astype(np.int64)
        stretch = 1 / np.sqrt(movers.aspect[rows])
        blobs = stamps.Blobs(
            x, y, diameter * stretch, diameter / stretch, speed_x * look.exposure_s, speed_y * look.exposure_s,
            (movers.strength[rows] * self._clear).astype(np.float32),
            stamps.look_index(movers.kind[rows], movers.look[rows], tilt), movers.behind[rows],
            np.hypot(look.blur_px, movers.defocus_mm[rows] * look.px_per_mm),
        )  # fmt: skip
        contrast = stamps.draw(picture, blobs, self._looks, look.front_level, shell)
        # What the glass and the lamps leave of it is what the camera sees.
        contrast *= self._passed(x, y)
        return np.stack([x, y, speed_x, speed_y, diameter, contrast, movers.kind[rows]], -1).astype(np.float32)

    def _in_picture(self, moment: bubbles.Moment, motion: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Places in px and speeds in px/s, (n, 2) each; `motion` as in Shot."""
        look = self._look
        places = np.stack([moment.x_mm, moment.y_mm], -1)
        step_mm = np.stack([moment.vx_mm_s, moment.vy_mm_s], -1) * 1e-3
        both = projected(
            self._mm_to_straight, np.concatenate([places, places + step_mm]), look.frame_size_px, look.sensor.fisheye
        )
        now, soon = np.split(both @ motion[:, :2].T + motion[:, 2], 2)
        speed = (soon - now) * 1e3
        # A row is read later the lower it is: things that move are elsewhere by then.
        now = now + speed * (look.sensor.readout_s * (now[:, 1:] / look.frame_size_px[1] - 0.5))
        return now, speed

    def _passed(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Share of the light that reaches the sensor at (n,) places in px."""
        height, width = self._stage.glass.shape
        rows, columns = np.clip(y, 0, height - 1).astype(int), np.clip(x, 0, width - 1).astype(int)
        return self._stage.glass[rows, columns]

    def _draw_hands(self, picture: np.ndarray, since_rest_s: float) -> None:
        since_start = since_rest_s + self._scene.gap_s + self._scene.lower_s
        for hand in self._scene.hands:
            if hand.from_s < since_start < hand.until_s:
                share = (since_start - hand.from_s) / (hand.until_s - hand.from_s)
                draw_hand(picture, hand, share)


_STILL = np.array([[1.0, 0, 0], [0, 1.0, 0]])


class _Wobble:
    """Shake of the bench and slow drift of the mount, as sums of sines by the station's seed."""

    def __init__(self, look: StationLook) -> None:
        rng = np.random.default_rng([look.seed, 72])
        self._hz = np.concatenate([rng.uniform(1.5, 12.0, 6), rng.uniform(0.004, 0.02, 2)])
        self._phase = rng.uniform(0, 2 * np.pi, (2, 8))
        self._size = np.concatenate([np.full(6, look.shake_px / np.sqrt(3)), np.full(2, look.drift_px / 2)])

    def at(self, now_s: float) -> tuple[float, float]:
        """Shift in px; about `shake_px` rms a direction while the bench shakes."""
        waves = self._size * np.sin(2 * np.pi * self._hz * now_s + self._phase)
        return float(waves[0].sum()), float(waves[1].sum())
