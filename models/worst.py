"""The worst of the judged cases -> one picture each: composite and heat map side by side, with its caption.

Pictures of all cases would be too many to keep, so the worst are inspected once more when the rest is done.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from edge_agent import durable, pictures
from edge_agent.errors import TankwatchError
from edge_agent.pipeline import Inspector
from edge_agent.records import Composite, Evidence
from models.judged import Bench, Judged, judge
from models.rates import truth_of

MOST = 20
PANEL_PX = 480, 360
"""Each of the two pictures is brought into this."""
CAPTION_PX = 52
GREY, WHITE, RED, MARK = (40, 40, 40), (235, 235, 235), (80, 80, 255), (255, 220, 90)
BRIGHT_LEVEL, MOST_GAIN = 200.0, 4.0
"""A composite whose brightest parts are darker is brightened to this, so that its unit can be made out."""
RING_PX, CROSS_PX = 14, 18


@dataclass(frozen=True, slots=True)
class Shown:
    """A bad case with its picture; `picture` is None where nothing was seen of it, and `words` says why."""

    judged: Judged
    number: int
    """Its place in the manifest, from 1."""
    words: str
    picture: Path | None = None

    @property
    def caption(self) -> str:
        return caption(self.number, self.judged)


def worst(judged: Sequence[Judged]) -> list[tuple[int, Judged]]:
    """(number from 1, case). Wrong answers first, the surest of them before the others; then what was unsure, and what
    was barely right.

    Silent leaks come after the wrong answers on leaks that could be seen. `not_tested` has no score to rank by.
    """
    ranked = sorted(enumerate(judged, start=1), key=lambda row: (_rank(row[1]), -badness(row[1])))
    return [(number, one) for number, one in ranked if _rank(one) < _FINE or badness(one) > 0.05][:MOST]


def badness(one: Judged) -> float:
    """0..1: how far the score is from where it should be; a sure word on a case that cannot be tested is bad too."""
    score = one.case.score
    if score is None:
        return 0.0 if one.labelled.label == "not_testable" else 0.5
    return {"leak": 1 - score, "ok": score}.get(one.labelled.label, abs(2 * score - 1))


def caption(number: int, one: Judged) -> str:
    """What a case is, and what was said of it."""
    score = "" if one.case.score is None else f" ({one.case.score:.3f})"
    truth = {"leak": "a leak", "silent": "a silent leak", "ok": "tight", "not_testable": "not testable"}[truth_of(one)]
    return f"Case {number}: truly {truth}, the machine said {one.case.verdict}{score}"


def draw(judged: Sequence[Judged], bench: Bench, folder: Path) -> list[Shown]:
    """Pictures of the worst in `folder`, made where they are missing."""
    folder.mkdir(parents=True, exist_ok=True)
    return [
        _shown(number, one, bench, folder / f"{rank:02d}-case-{number}.png")
        for rank, (number, one) in enumerate(worst(judged), start=1)
    ]


_FINE = 3


def _rank(one: Judged) -> int:
    wrong = {("leak", "ok"), ("ok", "leak"), ("not_testable", "ok"), ("not_testable", "leak")}
    if (one.labelled.label, one.case.verdict) in wrong:
        return 1 if one.labelled.silent else 0
    return _FINE if one.case.verdict in (one.labelled.label, "not_tested") else 2


def _shown(number: int, one: Judged, bench: Bench, path: Path) -> Shown:
    if path.exists():
        return Shown(one, number, one.case.reason, path)
    seen: list[tuple[Composite, Evidence]] = []

    def look(inspector: Inspector) -> None:
        if inspector.strongest:
            seen.append(inspector.strongest)

    try:
        again = judge(one.labelled, bench, at_end=look)
    except TankwatchError as error:
        return Shown(one, number, str(error))
    if not seen:
        return Shown(one, number, one.case.reason)
    durable.write(path, pictures.encoded(_side_by_side(number, again, *seen[0]), ".png", []))
    return Shown(one, number, one.case.reason, path)


def _side_by_side(number: int, one: Judged, composite: Composite, evidence: Evidence) -> np.ndarray:
    """(h, w, 3) uint8 BGR: caption, composite as people see it, heat map; on both where the unit leaks, and where the
    machine says so."""
    cool = cv2.cvtColor(_brightened(composite.image), cv2.COLOR_RGB2BGR)
    warm = cv2.applyColorMap(np.clip(evidence.heat * 255, 0, 255).astype(np.uint8), cv2.COLORMAP_INFERNO)
    left, right = (_panel(picture, composite.image.shape[:2], one) for picture in (cool, warm))
    both = cv2.hconcat([left, np.full((left.shape[0], 8, 3), GREY, np.uint8), right])
    head = np.full((CAPTION_PX, both.shape[1], 3), GREY, np.uint8)
    colour = RED if _rank(one) < 2 else WHITE
    words = f"{caption(number, one)}, {one.labelled.name}"
    cv2.putText(head, _plain(words), (8, 20), cv2.FONT_HERSHEY_SIMPLEX, 0.5, colour, 1, cv2.LINE_AA)
    cv2.putText(head, _plain(one.case.reason), (8, 42), cv2.FONT_HERSHEY_SIMPLEX, 0.45, WHITE, 1, cv2.LINE_AA)
    return cv2.vconcat([head, both])


def _brightened(image: np.ndarray) -> np.ndarray:
    gain = min(max(BRIGHT_LEVEL / max(1.0, float(np.quantile(image, 0.99))), 1.0), MOST_GAIN)
    return np.clip(image * gain, 0, 255).astype(np.uint8)


def _panel(picture: np.ndarray, shape: tuple[int, int], one: Judged) -> np.ndarray:
    """`picture`, stretched to a tank view's `shape` (h, w) first, within PANEL_PX on grey."""
    height, width = shape
    scale = min(PANEL_PX[0] / width, PANEL_PX[1] / height)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    panel = np.full((PANEL_PX[1], PANEL_PX[0], 3), GREY, np.uint8)
    x, y = (PANEL_PX[0] - size[0]) // 2, (PANEL_PX[1] - size[1]) // 2
    panel[y : y + size[1], x : x + size[0]] = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    for place in one.origins_tank_px:
        cv2.circle(panel, _at(place, scale, (x, y)), RING_PX, MARK, 2, cv2.LINE_AA)
    if one.case.leak_at_tank_px is not None:
        centre = _at(one.case.leak_at_tank_px, scale, (x, y))
        cv2.drawMarker(panel, centre, MARK, cv2.MARKER_TILTED_CROSS, CROSS_PX, 2, cv2.LINE_AA)
    return panel


def _at(place_px: tuple[float, float], scale: float, corner: tuple[int, int]) -> tuple[int, int]:
    return round(corner[0] + place_px[0] * scale), round(corner[1] + place_px[1] * scale)


def _plain(text: str) -> str:
    """OpenCV draws ASCII alone."""
    return text.encode("ascii", "replace").decode()[:118]
