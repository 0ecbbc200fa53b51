"""Answers that cost much and change slowly -> kept for a while, and few of them asked for anew at a time. PURE."""

from collections.abc import Callable
from typing import Generic, TypeVar

K = TypeVar("K")


class KeptAnswers(Generic[K]):
    """Words by key. Where there are more keys than turns can ask for, the oldest answers are renewed first."""

    def __init__(self, lasts_s: float, most: int, *, unknown: str) -> None:
        """`most`: asked for anew in one turn. `unknown`: the words for what nobody has asked for yet."""
        self._lasts_s, self._most, self._unknown = lasts_s, most, unknown
        self._kept: dict[K, tuple[float, str]] = {}
        self._wanted: set[K] = set()
        self._now, self._left = 0.0, most
        self._due: set[K] = set()

    def turn(self, now: float) -> None:
        """The next turn begins at `now`, seconds; a clock that was set back renews everything."""
        self._kept = {key: one for key, one in self._kept.items() if key in self._wanted}
        old = [key for key, (at, _) in self._kept.items() if not 0 <= now - at < self._lasts_s]
        missing = [key for key in self._wanted if key not in self._kept]
        self._due = set((missing + sorted(old, key=lambda key: self._kept[key][0]))[: self._most])
        self._now, self._left, self._wanted = now, self._most - len(self._due), set()

    def answer(self, key: K, ask: Callable[[], str]) -> str:
        """What is kept; `ask` is called where it is the key's turn, or it is new and there is room."""
        self._wanted.add(key)
        is_new = key not in self._kept and self._left > 0
        if key in self._due:
            self._due.remove(key)
        elif is_new:
            self._left -= 1
        else:
            return self._kept[key][1] if key in self._kept else self._unknown
        self._kept[key] = self._now, ask()
        return self._kept[key][1]

    def forget(self, key: K) -> None:
        """It is asked for anew."""
        self._kept.pop(key, None)
