"""What was seen of the tank -> which frames may pass unseen, while it is empty and nothing in it moves. PURE.

Most of a day nothing happens. Whatever stirs brings every frame back at once, and no frame of a unit passes.
"""

from edge_agent.eyes import Sight
from edge_agent.immersion import Immersion
from edge_agent.records import Frame

REST_S = 2.0
"""Without anything that moves, is lit or is wrong; a lamp that comes late still belongs to the unit that has left."""
LOOK_EVERY_S = 0.14
"""Seven looks a second, of a camera with 20 frames. What takes less than 0.4 s to come in is no unit that was lowered
(`ImmersionLimits.entry_s`), and a lamp is read three times in the window that decides on it (`decision.WINDOW_S`)."""


class IdleWatch:
    """Follows one station's inspection."""

    def __init__(self) -> None:
        self._looked_s: float | None = None
        self._stirred_s: float | None = None

    @property
    def is_calm(self) -> bool:
        """The tank is empty, and nothing has moved in it for a while."""
        looked_s, stirred_s = self._looked_s, self._stirred_s
        return looked_s is not None and stirred_s is not None and looked_s - stirred_s >= REST_S

    def saw(self, sight: Sight, immersion: Immersion, *, between_cases: bool) -> None:
        """After each frame that was looked at."""
        now_s = self._looked_s = sight.frame.monotonic_s
        stirs = not (
            between_cases
            and sight.usable
            and immersion.phase == "empty"
            and not immersion.moving
            and sight.signal.decision == "none"
            and sight.signal.panel == "off"
        )
        if stirs or self._stirred_s is None:
            self._stirred_s = now_s

    def may_pass(self, frame: Frame) -> bool:
        """Whether this frame, the next one of a live camera, shows nothing that the one after it will not show.

        Only one that whoever captured it found well: who judges a camera by its frames has to have them all.
        """
        return self.is_calm and frame.faults == () and 0 <= frame.monotonic_s - (self._looked_s or 0.0) < LOOK_EVERY_S
