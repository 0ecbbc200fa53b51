"""Conditions -> one process's alarms, kept: its book, what people ordered, the plant's settings and the history.

It runs beside the frame loop, four times a second. A disk that refuses keeps no alarm from being raised.
"""

import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec

from edge_agent import alarm_files, alarms
from edge_agent.alarm_catalogue import Catalogue
from edge_agent.alarm_files import OrderFiles
from edge_agent.alarm_history import AlarmHistory
from edge_agent.alarm_settings import SettingsFile
from edge_agent.alarms import Board, Book, Condition, Entry, Event, Moment, Process
from edge_agent.errors import StoreError

KEEP_EVERY_S = 60.0
"""Shelves that run and words that change are kept so often; what happens is kept at once."""
RETRY_S = 1.0
MOST_WAITING = 1_000
"""Events that wait for a disk; then the oldest are lost."""


class AlarmKeeper:
    """One process's alarms."""

    def __init__(
        self,
        process: Process,
        folder: Path,
        settings: Path,
        *,
        say: Callable[[str], None] = lambda words: None,
    ) -> None:
        """`folder`: data_dir/alarms; `settings`: the plant's alarms.toml; `say` hears once what the disk refuses."""
        self._process, self._folder, self._say = process, folder, say
        self._looking = threading.Lock()
        self._settings = SettingsFile(settings, folder / "changes.jsonl")
        self._orders, self._history = OrderFiles(folder), AlarmHistory(folder / "history.db")
        self._book = self._kept = alarm_files.read_book(folder, process)
        self._waiting: list[Event] = []
        self._kept_s = self._tried_s = float("-inf")
        self._noticed: Catalogue | None = None
        self._fault = ""

    def look(self, conditions: Iterable[Condition], now: Moment | None = None) -> Board:
        """What stands now. From any thread."""
        now = now or Moment(time.monotonic(), time.time())
        with self._looking:
            rules = self._settings.catalogue.rules(self._process)
            self._book, events = alarms.step(
                self._book,
                rules,
                conditions=[*conditions, *self._own()],
                orders=self._orders.read(),
                now=now,
            )
            self._keep(events, now)
            return alarms.board(self._book, rules)

    def _own(self) -> list[Condition]:
        fault = self._settings.fault if self._process == "inspect" else ""
        return [Condition(id="alarm-settings", words=fault)] if fault else []

    def _keep(self, events: tuple[Event, ...], now: Moment) -> None:
        """The book at once where something has happened; the history as soon as the disk takes it."""
        self._waiting = [*self._waiting, *events][-MOST_WAITING:]
        if now.monotonic_s - self._tried_s < RETRY_S and self._fault:
            return
        self._tried_s = now.monotonic_s
        try:
            self._notice(now)
            if self._is_news(now):
                alarm_files.write_book(self._folder, self._process, self._book)
                self._kept, self._kept_s = self._book, now.monotonic_s
            if self._waiting:
                self._history.append(self._waiting)
                self._waiting = []
            self._fault = ""
        except StoreError as error:
            if not self._fault:
                self._say(str(error))
            self._fault = str(error)

    def _notice(self, now: Moment) -> None:
        """Of the processes one writes down what was changed by hand."""
        catalogue = self._settings.catalogue
        if self._process == "inspect" and catalogue is not self._noticed:
            for one in self._settings.notice(now.utc_s):
                self._say(
                    f"alarm settings: {one.setting} of {one.id or 'all'} was {one.old}, is {one.new}, by {one.by}"
                )
            self._noticed = catalogue

    def _is_news(self, now: Moment) -> bool:
        if _settled(self._book) != _settled(self._kept):
            return True
        is_calm = not any(one.holds or one.shelf for one in self._book.entries)
        return not is_calm and now.monotonic_s - self._kept_s >= KEEP_EVERY_S


def _settled(book: Book) -> list[Entry]:
    """Without what runs by itself."""
    calm = {
        "words": "",
        "consequence": "",
        "value": None,
        "eased": None,
        "words_s": 0.0,
        "differs_s": None,
        "away_s": 0.0,
    }
    return [
        msgspec.structs.replace(
            one,
            **calm,
            shelf=msgspec.structs.replace(one.shelf, left_s=0.0, until_s=0.0) if one.shelf else None,
        )
        for one in book.entries
    ]
