"""Answers that do not end (the screen's state, the live picture) take a thread each: only so many at a time.

Where all places are taken the one that has been open longest makes room: a screen that was left behind in some browser
never keeps out the one that somebody stands before.
"""

import threading
from collections import deque
from collections.abc import Iterator

Ending = threading.Event
"""Of one stream; set once it is to end."""


class Places:
    """Of one kind of stream."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._turn = threading.Lock()
        self._open: deque[Ending] = deque()

    def take(self) -> Ending | None:
        """A place, until `leave`; None where even those that were told to end are still there."""
        with self._turn:
            ending = [one for one in self._open if one.is_set()]
            if len(self._open) >= self._most:
                if not ending:
                    self._open[0].set()
                # One more than wanted, for as long as the other needs to see it.
                if len(self._open) > self._most:
                    return None
            mine = Ending()
            self._open.append(mine)
            return mine

    def leave(self, mine: Ending) -> None:
        with self._turn:
            if mine in self._open:
                self._open.remove(mine)

    def end_all(self) -> None:
        with self._turn:
            for one in self._open:
                one.set()


class Held:
    """A stream that leaves its place when it ends, also where it never began: WSGI calls `close` always."""

    def __init__(self, parts: Iterator[bytes], places: Places, mine: Ending) -> None:
        self._parts, self._places, self._mine = parts, places, mine

    def __iter__(self) -> Iterator[bytes]:
        return self._parts

    def close(self) -> None:
        self._mine.set()
        self._places.leave(self._mine)
