"""One lamp's picture and what the net says of it -> a word; what it looked like when it was dark helps where it is
unsure.

A glint that wanders over a dark lens and a lamp that shines dimly in the sun look alike to a net that sees one picture.
Beside the same lamp dark they do not. PURE.
"""

from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import numpy as np

from edge_agent.quick_median import median

LampWord = Literal["dark", "lit", "unreadable"]

CROP_PX = 24
MARGIN = 0.3
"""Of a lamp's size, on each side: a lamp that moved a little is still in the crop, and its housing shows the light."""

HARDLY_LIT, PERHAPS_LIT, SURELY_UNREADABLE = 0.005, 0.5, 0.95
"""Where the net is sure it is believed: a dark lamp that it gives no more than the first of being lit is dark, and
teaches what dark is; one that it gives the second of being lit, or the third of being unreadable, is not called
dark."""
SAME_LENS, OTHER_LENS = 0.15, 0.5
"""ln of how many times as bright. Within SAME_LENS it is the lens as it was when it was dark; from OTHER_LENS on the
net has to be sure that it is dark."""
GLINT, MOST_GLINT = 0.5, 0.35
"""ln of how many times as bright; the share of the picture that may be so and is left out."""
ALIKE = 0.9
"""Correlation of the rest with the picture of when it was dark. A sleeve as dark as the lens has no such edges."""
LEARN_EVERY_S, LEARNT = 0.1, 0.3
"""How often, and by which share, the memory follows a lamp that is dark: the sun wanders in minutes."""
MEMORY_S = 60.0
"""A lamp that was not seen dark for longer may stand in another light."""


class LampLimits(NamedTuple):
    """Limits on how sure the net is that a lamp is lit; a bundle has its own."""

    lit_above: float = 0.5
    dark_below: float = 0.05
    """A lamp that may be lit was not seen dark: two lit lamps, one of them dim, would pass for one."""


USUAL_LIMITS = LampLimits()
"""Of who has no bundle's; how dark a lamp has to be, also where a bundle does not tell it."""


@dataclass(frozen=True, slots=True)
class LampReading:
    """One picture of one lamp: how sure the net is, 0..1, that it is dark, lit, unreadable; `crop`: what it has seen,
    (3, 24, 24) uint8 BGR."""

    dark: float
    lit: float
    unreadable: float = 0.0
    crop: np.ndarray | None = field(default=None, compare=False, repr=False)

    def word(self, limits: LampLimits) -> LampWord:
        """Lit has to be sure, dark likelier than not and hardly lit; what is neither has not been read."""
        if self.lit > limits.lit_above and self.lit >= max(self.dark, self.unreadable):
            return "lit"
        return "dark" if self.dark >= max(0.5, self.unreadable) and self.lit <= limits.dark_below else "unreadable"


class LampMemory:
    """Knows what one lamp looks like while it is dark."""

    def __init__(self) -> None:
        self._dark: np.ndarray | None = None
        """(24, 24) as `_look` gives it; None while the lamp was not seen dark."""
        self._seen_s = self._learnt_s = float("-inf")

    def word(self, reading: LampReading, limits: LampLimits, now_s: float) -> LampWord:
        """The reading's own word; where the net is unsure and the memory is not, dark or not dark by the memory."""
        word = reading.word(limits)
        if reading.crop is None:
            return word
        if not 0 <= now_s - self._seen_s <= MEMORY_S:
            self._dark = None
        if word == "dark" and reading.lit <= HARDLY_LIT:
            self._learn(reading.crop, now_s)
        elif word != "lit" and self._dark is not None:
            word = _compared(_look(reading.crop), self._dark, reading, word)
        if word == "dark":
            self._seen_s = now_s
        return word

    def _learn(self, crop: np.ndarray, now_s: float) -> None:
        if self._dark is None:
            self._dark, self._learnt_s = _look(crop), now_s
        elif not 0 <= now_s - self._learnt_s < LEARN_EVERY_S:
            self._dark, self._learnt_s = self._dark + LEARNT * (_look(crop) - self._dark), now_s


def _compared(look: np.ndarray, dark: np.ndarray, reading: LampReading, own: LampWord) -> LampWord:
    """The word of a picture that the net is unsure of."""
    lens = float(median((look - dark)[LENS]))
    if own == "dark":
        return "unreadable" if lens > OTHER_LENS else own
    may_be_dark = reading.lit < PERHAPS_LIT and reading.unreadable < SURELY_UNREADABLE
    return "dark" if may_be_dark and abs(lens) < SAME_LENS and _are_alike(look, dark) else own


def _masks() -> tuple[np.ndarray, np.ndarray]:
    """Where the middle of the lens and where the housing is, (24, 24) bool each."""
    half = CROP_PX / 2 / (1 + 2 * MARGIN)
    across = np.abs(np.arange(CROP_PX) + 0.5 - CROP_PX / 2)
    x, y = across[None, :], across[:, None]
    return np.hypot(x, y) < 0.8 * half, np.maximum(x, y) > 1.3 * half


LENS, HOUSING = _masks()


def _look(crop: np.ndarray) -> np.ndarray:
    """(3, 24, 24) uint8 -> (24, 24) float32, ln of how many times as bright as the housing: more light on both changes
    nothing."""
    bright = crop.max(axis=0).astype(np.float32) + 3
    return np.log(bright / median(bright[HOUSING]))


def _are_alike(look: np.ndarray, dark: np.ndarray) -> bool:
    """Whether it is the same thing, but for a glint."""
    same = np.abs(look - dark) < GLINT
    if same.mean() < 1 - MOST_GLINT:
        return False
    now, then = (one[same] - one[same].mean() for one in (look, dark))
    size = float(np.sqrt((now @ now) * (then @ then)))
    return size > 0 and float(now @ then) >= ALIKE * size
