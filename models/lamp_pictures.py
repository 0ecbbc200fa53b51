"""Made-up pictures of one lamp, dark, lit or unreadable: what the lamp net is trained on, as varied as can be painted.

The twin's own lamps look all alike; here are lenses of any colour and form, housings, neighbours, sky, sun and sleeves.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from edge_agent.lamp_reading import CROP_PX

DARK, LIT, UNREADABLE = 0, 1, 2
HUES = (60, 72, 90, 0, 175, 120, 30, 20, 12)
"""Greens to teal, reds, blue, ambers (OpenCV's half degrees): stations differ."""
SIZE = 2 * CROP_PX
"""Painted at twice the size and averaged down."""
ARROW = np.array(
    [[-1, 0.1], [0, -0.9], [1, 0.1], [0.5, 0.5], [0.25, 0.2], [0.25, 1], [-0.25, 1], [-0.25, 0.2], [-0.5, 0.5]]
)
"""Corners, in lens radii; it points up."""
GLINT_SHARE = 0.5
"""Dark and lit lamps alike: where more of the dark ones have a bright spot, lit ones with a spot pass for dark."""
SPOILING = ("covered", "gone", "overexposed", "glare")


@dataclass(frozen=True, slots=True)
class _Lens:
    """A lamp's glass on the canvas, in its pixels; `bgr`: its hue at full light, each 0..1."""

    x: float
    y: float
    radius: float
    aspect: float
    form: str
    bgr: np.ndarray


def lamp_picture(rng: np.random.Generator, kind: int) -> np.ndarray:
    """(3, 24, 24) uint8 BGR of a lamp that is DARK, LIT or UNREADABLE."""
    spoilt = str(rng.choice(SPOILING)) if kind == UNREADABLE else ""
    lit = kind == LIT or (kind == UNREADABLE and rng.random() < 0.4)
    lens, ambient = _lens(rng), float(np.exp(rng.uniform(np.log(0.2), np.log(1.5))))
    if kind == DARK and rng.random() < 0.1:
        ambient *= 0.1  # at night a lamp that is out is a lamp that is out
    picture = _surroundings(rng, lens, ambient)
    if spoilt != "gone" and rng.random() < 0.35:
        _paint(rng, picture, _neighbour(rng, lens), ambient, lit=rng.random() < 0.5)
    if spoilt == "gone":
        lens = _away(rng, lens)
    if spoilt != "gone" or rng.random() < 0.5:
        _paint(rng, picture, lens, ambient, lit=lit)
    picture = _spoil(rng, picture, lens, spoilt) if spoilt else _impair(rng, picture, lens)
    return _taken(rng, picture)


def _lens(rng: np.random.Generator) -> _Lens:
    hue, saturation = float(rng.choice(HUES)) + rng.normal(0, 5), rng.uniform(110, 255)
    pixel = np.array([[[hue % 180, saturation, 255]]], np.uint8)
    bgr = cv2.cvtColor(pixel, cv2.COLOR_HSV2BGR)[0, 0].astype(np.float32) / 255
    x, y = SIZE / 2 + rng.uniform(-0.13, 0.13, 2) * SIZE
    form = str(rng.choice(("disc", "disc", "disc", "disc", "square", "square", "arrow", "arrow aside", "bar", "bar")))
    return _Lens(x, y, rng.uniform(0.17, 0.36) * SIZE, float(np.exp(rng.uniform(-0.4, 0.4))), form, bgr)


def _neighbour(rng: np.random.Generator, lens: _Lens) -> _Lens:
    """Another lamp of the same panel beside this one, half of it or less in the picture."""
    other = _lens(rng)
    angle = rng.choice((0, 90, 180, 270)) * np.pi / 180
    apart = (lens.radius + other.radius) * rng.uniform(1.1, 1.6)
    apart = max(apart, 0.42 * SIZE)
    return _Lens(
        lens.x + apart * np.cos(angle), lens.y + apart * np.sin(angle), lens.radius, lens.aspect, lens.form, other.bgr
    )


def _away(rng: np.random.Generator, lens: _Lens) -> _Lens:
    """The same lamp in the picture of a camera that was moved: out of it, or nearly."""
    angle, apart = rng.uniform(0, 2 * np.pi), SIZE / 2 + lens.radius * rng.uniform(0.5, 1.5)
    x, y = SIZE / 2 + apart * np.array([np.cos(angle), np.sin(angle)]) * (1.0 if rng.random() < 0.5 else 1.25)
    return _Lens(x, y, lens.radius, lens.aspect, lens.form, lens.bgr)


def _surroundings(rng: np.random.Generator, lens: _Lens, ambient: float) -> np.ndarray:
    """A panel, or a housing before something else; uneven, with edges. (48, 48, 3) float32."""
    picture = np.full((SIZE, SIZE, 3), rng.uniform(15, 230), np.float32) * rng.uniform(0.85, 1.15, 3) * ambient
    if rng.random() < 0.5:
        outside = rng.uniform(30, 255) * rng.uniform(0.9, 1.1, 3)
        half = lens.radius * rng.uniform(1.05, 1.9)
        across = np.arange(SIZE, dtype=np.float32)
        share = np.clip(half - np.abs(across - lens.x - rng.normal(0, 2)) + 0.5, 0, 1)[None, :, None]
        picture = picture * share + outside * (1 - share)
        if rng.random() < 0.3:
            picture = np.ascontiguousarray(picture.transpose(1, 0, 2))
    picture += _uneven(rng) * rng.uniform(0, 20) * min(1.0, ambient + 0.2)
    if rng.random() < 0.5:
        rim = tuple(float(value) for value in rng.uniform(5, 150) * ambient * rng.uniform(0.9, 1.1, 3))
        _ellipse(picture, lens, lens.radius * rng.uniform(1.1, 1.5), rim)
    return picture.astype(np.float32)


def _paint(rng: np.random.Generator, picture: np.ndarray, lens: _Lens, ambient: float, *, lit: bool) -> None:
    """The glass as the ambient light shows it, and its own light."""
    # A dark lens may be as deeply coloured as a lit one: what tells them apart is how bright it is.
    level = rng.uniform(15, 80) if rng.random() < 0.6 else np.exp(rng.uniform(np.log(8), np.log(80)))
    glass = level * ambient * (1 - rng.uniform(0.2, 1.0) * (1 - lens.bgr))
    mask = _mask(lens)
    shade = 1 + rng.uniform(0, 0.5) * _slope(rng)
    picture += (glass * shade - picture) * mask[..., None]
    if not lit:
        return
    # PWM, old lamps and sunlight: lit may be less than half of the full light, or far too much for the camera.
    light = rng.uniform(0.45, 1.0) if rng.random() < 0.8 else rng.uniform(1.0, 3.0)
    colour = 1 - (1 - lens.bgr) * rng.uniform(0.5, 1.0)
    core = cv2.GaussianBlur(mask, (0, 0), max(0.6, lens.radius * rng.uniform(0.02, 0.3)))
    halo = cv2.GaussianBlur(mask, (0, 0), lens.radius * rng.uniform(0.3, 1.1))
    picture += 255 * light * core[..., None] * colour
    picture += 255 * light * halo[..., None] * colour * rng.uniform(0, 0.6) * rng.random()
    white = cv2.GaussianBlur(_mask(lens, rng.uniform(0.3, 1.0)), (0, 0), lens.radius * 0.3)
    picture += white[..., None] * 255 * light * rng.uniform(0, 1.0) * rng.random()


def _impair(rng: np.random.Generator, picture: np.ndarray, lens: _Lens) -> np.ndarray:
    """What a lamp can be read through: a reflection, something before its edge, haze, want of focus."""
    if rng.random() < GLINT_SHARE:
        angle, apart = rng.uniform(0, 2 * np.pi), lens.radius * rng.uniform(0, 1.2)
        spot = _Lens(
            lens.x + apart * np.cos(angle), lens.y + apart * np.sin(angle), lens.radius * rng.uniform(0.05, 0.4),
            float(np.exp(rng.normal(0, 0.5))), "disc", lens.bgr,
        )  # fmt: skip
        soft = cv2.GaussianBlur(_mask(spot), (0, 0), rng.uniform(0.4, 2.5))
        picture += soft[..., None] * rng.uniform(60, 255) * rng.uniform(0.85, 1.0, 3)
    if rng.random() < 0.1:
        picture = _cover(rng, picture, lens, rng.uniform(0.4, 1.3))
    if rng.random() < 0.2:
        veil = rng.uniform(0, 0.45)
        picture = np.clip(picture, 0, 255) * (1 - veil) + veil * rng.uniform(60, 255)
    if rng.random() < 0.3:
        thin = 0.5 if lens.form not in ("disc", "square") else 1.0
        picture = cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.5, 0.25 * thin * lens.radius))
    return picture


def _spoil(rng: np.random.Generator, picture: np.ndarray, lens: _Lens, how: str) -> np.ndarray:
    """What nothing can be read through."""
    if how == "covered":
        return _cover(rng, picture, lens, rng.uniform(-1.6, 0.1))
    if how == "overexposed":
        around = float(np.median(np.concatenate([picture[:4].ravel(), picture[-4:].ravel(), picture[:, :4].ravel()])))
        flare = rng.uniform(0, 250) * (rng.random() < 0.5)
        return picture * rng.uniform(260, 900) / max(around, 15.0) + flare
    if how == "glare":
        x, y = rng.normal((lens.x, lens.y), 0.15 * lens.radius)
        radius, aspect = lens.radius * rng.uniform(1.25, 2.2), float(np.exp(rng.normal(0, 0.15)))
        sun = _mask(_Lens(x, y, radius, aspect, "disc", lens.bgr))
        soft = cv2.GaussianBlur(sun, (0, 0), rng.uniform(1.0, 6.0))
        return picture + soft[..., None] * rng.uniform(240, 600) * rng.uniform(0.9, 1.0, 3)
    return picture


def _cover(rng: np.random.Generator, picture: np.ndarray, lens: _Lens, reach: float) -> np.ndarray:
    """A sleeve, glove or pipe whose edge is `reach` radii beyond the lens's middle; all over it where that is -1."""
    angle = rng.uniform(0, 2 * np.pi)
    across = np.arange(SIZE, dtype=np.float32)
    along = (across[None, :] - lens.x) * np.cos(angle) + (across[:, None] - lens.y) * np.sin(angle)
    size = lens.radius * max(1.0, lens.aspect, 1 / lens.aspect) if reach < 0 else lens.radius
    share = np.clip((along - reach * size) / rng.uniform(1, 4) + 0.5, 0, 1)
    grain = cv2.resize(rng.standard_normal((9, 9)).astype(np.float32), (SIZE, SIZE))
    cloth = (rng.uniform(8, 235) + rng.uniform(-45, 45, 3)) + grain[..., None] * rng.uniform(0, 15)
    return picture + (cloth - picture) * share[..., None]


def _taken(rng: np.random.Generator, picture: np.ndarray) -> np.ndarray:
    """Through the camera: averaged down, noise, sometimes JPEG or without colour. (3, 24, 24) uint8."""
    small = cv2.resize(picture.astype(np.float32), (CROP_PX, CROP_PX), interpolation=cv2.INTER_AREA)
    small += rng.standard_normal(small.shape) * rng.uniform(0, 7)
    if rng.random() < 0.1:
        small[:] = small.mean(axis=2, keepdims=True)
    shot = np.clip(small, 0, 255).astype(np.uint8)
    if rng.random() < 0.15:
        data = cv2.imencode(".jpg", shot, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(50, 95))])[1]
        shot = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR))
    return shot.transpose(2, 0, 1)


def _mask(lens: _Lens, share: float = 1.0) -> np.ndarray:
    """(48, 48) float32, 0..1: the lens's form."""
    mask = np.zeros((SIZE, SIZE), np.float32)
    centre, across, down = (
        (lens.x, lens.y),
        lens.radius * share * lens.aspect**0.5,
        lens.radius * share / lens.aspect**0.5,
    )
    if lens.form == "disc":
        _ellipse(mask, lens, lens.radius * share, 1.0)
    elif lens.form.startswith("arrow"):
        turned = ARROW @ [[0, -1], [1, 0]] if lens.form == "arrow aside" else ARROW
        cv2.fillPoly(mask, [np.int32(np.round((turned * (across, down) + centre) * 16))], 1.0, cv2.LINE_AA, 4)
    else:
        down = down * (0.45 if lens.form == "bar" else 0.9)
        outline = (np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * (0.9 * across, down) + centre) * 16
        cv2.fillPoly(mask, [np.int32(np.round(outline))], 1.0, cv2.LINE_AA, 4)
    return mask


def _ellipse(picture: np.ndarray, lens: _Lens, radius: float, colour: float | tuple[float, ...]) -> None:
    centre = round(lens.x * 16), round(lens.y * 16)
    axes = round(radius * lens.aspect**0.5 * 16), round(radius / lens.aspect**0.5 * 16)
    cv2.ellipse(picture, centre, axes, 0, 0, 360, colour, -1, cv2.LINE_AA, 4)


def _uneven(rng: np.random.Generator) -> np.ndarray:
    return cv2.resize(rng.standard_normal((5, 5)).astype(np.float32), (SIZE, SIZE))[..., None]


def _slope(rng: np.random.Generator) -> np.ndarray:
    """A shading from side to side, (48, 48, 1) in -1..1."""
    angle = rng.uniform(0, 2 * np.pi)
    across = np.linspace(-1, 1, SIZE, dtype=np.float32)
    return (across[None, :] * np.cos(angle) + across[:, None] * np.sin(angle))[..., None] / 1.42
