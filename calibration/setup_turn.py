"""Who is setting the station up: one at a time, and the second one is told who the first is."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

AWAY_S = 120.0
"""Pages ask for news every second or two; whoever has not asked for so long has left."""


@dataclass(frozen=True, slots=True)
class Holder:
    """Whoever is at it."""

    session: str
    who: str
    """As entered; empty before that."""
    address: str
    seen_s: float


class Turn:
    """Lives in the panel's process: after a restart the next to come has the turn. `clock`: seconds, never jumps."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._holder: Holder | None = None

    def other(self, session: str, who: str, address: str) -> Holder | None:
        """Somebody else who has the turn; None where `session` has it, or gets it now."""
        with self._lock:
            holder = self._holder
            if holder and holder.session != session and self._clock() - holder.seen_s < AWAY_S:
                return holder
            self._holder = Holder(session, who, address, self._clock())
            return None

    def take(self, session: str, who: str, address: str) -> None:
        """Takes it from whoever has it: two people have talked."""
        with self._lock:
            self._holder = Holder(session, who, address, self._clock())
