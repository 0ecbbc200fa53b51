"""Sights -> what of them a clip may show: tank and lamps, and black where nobody knows that the camera frames them.

The codes are looked for a few times a second, and what they say is believed when it has lasted (`framing`). So the
pictures between two looks wait for the second of them, and a look that finds fewer codes than are believed in makes
them wait on: a camera that is being turned away loses one code after the other.
"""

from dataclasses import dataclass, replace

import numpy as np

from edge_agent.clips import ClipWriter
from edge_agent.eyes import Sight
from edge_agent.records import Composite, Framing, TankView
from edge_agent.station import Lamp

LONGEST_S = 3.0
"""So long a picture waits at most, for a source that never looks again."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    """One frame's record, and what makes a black one of it."""

    record: bytes
    sight: Sight
    """Its own pictures are gone."""


class Unseen:
    """One clip's pictures on their way into it."""

    def __init__(self, lamps: tuple[Lamp, ...]) -> None:
        self._lamps = lamps
        self._waiting: list[_Waiting] = []
        self._hidden_s: list[float] = []
        self._looked: Framing | None = None

    def step(self, sight: Sight, writer: ClipWriter) -> list[bytes]:
        """The records that may be written now, in order."""
        looked_anew = sight.framing is not self._looked
        knows = _knows(sight.framing)
        decides = looked_anew and (not knows or _is_steady(sight.framing))
        ready = self._released(writer, seen=knows) if decides or self._is_long(sight) else []
        self._looked = sight.framing
        if not knows:
            return [*ready, self._black(sight, writer)]
        record = writer.encoded(sight.view, sight.frame.taken_at, self._crops(sight), framing=sight.framing.status)
        if sight.framing.status == "unchecked":
            return [*ready, record]
        self._waiting.append(_Waiting(record, _without_pictures(sight)))
        return ready

    def rest(self) -> list[bytes]:
        """Those of the last moment, for which no look comes any more."""
        waiting, self._waiting = self._waiting, []
        return [one.record for one in waiting]

    def hides(self, composite: Composite) -> bool:
        """Whether one of its three pictures is black in the clip."""
        first_s = composite.monotonic_s - 2.5 * composite.spacing_s
        return any(first_s <= at_s <= composite.monotonic_s for at_s in self._hidden_s)

    def _released(self, writer: ClipWriter, *, seen: bool) -> list[bytes]:
        waiting, self._waiting = self._waiting, []
        return [one.record if seen else self._black(one.sight, writer) for one in waiting]

    def _is_long(self, sight: Sight) -> bool:
        return bool(self._waiting) and sight.frame.monotonic_s - self._waiting[0].sight.frame.monotonic_s > LONGEST_S

    def _black(self, sight: Sight, writer: ClipWriter) -> bytes:
        self._hidden_s.append(sight.view.monotonic_s)
        view = replace(sight.view, grey=np.zeros_like(sight.view.grey))
        crops = [np.zeros_like(crop) for crop in self._cut(sight)]
        return writer.encoded(view, sight.frame.taken_at, crops, framing=sight.framing.status)

    def _crops(self, sight: Sight) -> list[np.ndarray]:
        """A lamp that the camera's move has taken out of its place is black: something else is there."""
        moved_px = sight.framing.shift_px or 0.0
        cut = zip(self._lamps, self._cut(sight), strict=True)
        return [crop if moved_px < min(lamp.rect_px[2:]) else np.zeros_like(crop) for lamp, crop in cut]

    def _cut(self, sight: Sight) -> list[np.ndarray]:
        rects = (lamp.rect_px for lamp in self._lamps)
        return [sight.frame.image[y : y + height, x : x + width] for x, y, width, height in rects]


def _knows(framing: Framing) -> bool:
    """Without any code in sight nobody knows where the tank is; with one it is known by how much the camera moved.

    The picture's own look counts as well: what is believed is up to half a second older.
    """
    return framing.status == "unchecked" or min(framing.corners_seen, framing.codes_now) > 0


def _is_steady(framing: Framing) -> bool:
    """Whether this look alone finds what is believed."""
    return framing.codes_now >= framing.corners_seen


def _without_pictures(sight: Sight) -> Sight:
    """Sizes stay, and take no memory."""
    frame = replace(sight.frame, image=_nothing(sight.frame.image))
    return replace(sight, frame=frame, view=_dark(sight.view))


def _dark(view: TankView) -> TankView:
    return replace(view, grey=_nothing(view.grey))


def _nothing(picture: np.ndarray) -> np.ndarray:
    return np.broadcast_to(np.zeros(1, picture.dtype), picture.shape)
