"""What `agent update` says of itself <-> update.json, for the uplink, which puts it into status and alarms; and for its
own next start, which tries nothing twice that was refused for good.
"""

import logging
import time
from pathlib import Path
from typing import Literal

import msgspec

from edge_agent import durable, utc
from edge_agent.alarm_keeper import AlarmKeeper
from edge_agent.alarms import Condition
from edge_agent.errors import StoreError
from edge_agent.messages import Alarm, UpdateReport, UpdateWord
from edge_agent.records import BundleRef

Slot = Literal["champion", "challenger"]
SLOTS: tuple[Slot, ...] = ("champion", "challenger")
ALARM = "updates"
log = logging.getLogger(__name__)


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """How far the device is with one wish."""

    report: UpdateReport
    wish: int
    """Counter of the `desired` message that named this bundle first."""
    against: str = ""
    """What a refused bundle was tried on; the same again would have the same end."""


class UpdateFile(msgspec.Struct, frozen=True, kw_only=True):
    """The whole file; replaced in one step."""

    schema: Literal["tankwatch/update/1"] = "tankwatch/update/1"
    champion: Told | None = None
    challenger: Told | None = None
    alarm: Alarm | None = None
    """What stands between the device and the repository; its `state` may say that nobody is shown it."""

    def champion_report(self, seen: UpdateReport | None) -> UpdateReport | None:
        """For the status; `seen`: by the inspection, whose word on a bundle that has reached its place is fresher."""
        if self.champion is None:
            return seen
        mine = self.champion.report
        in_place = mine.state in ("ready", "running", "returned")
        return seen if seen and in_place and seen.bundle == mine.bundle else mine


def read(path: Path) -> UpdateFile:
    """Empty where there is none, or none that can be read: then everything is looked at again."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=UpdateFile)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return UpdateFile()


class Ledger:
    """The file, kept up."""

    def __init__(self, path: Path, alarms: AlarmKeeper) -> None:
        self._path, self._alarms = path, alarms
        self._now = self._written = read(path)
        self._trouble = self._now.alarm.text if self._now.alarm else ""

    def wanted(self, slot: Slot, ref: BundleRef, counter: int) -> int:
        """The bundle is desired for this place; since which `desired` message."""
        told = self._told(slot)
        if told is None or told.report.bundle.sha256 != ref.sha256:
            self._put(
                slot, Told(report=UpdateReport(bundle=ref, state="fetching", at=utc.text(time.time())), wish=counter)
            )
        return self.wish(slot)

    def wish(self, slot: Slot) -> int:
        told = self._told(slot)
        return told.wish if told else 0

    def is_refused(self, slot: Slot, ref: BundleRef, against: str) -> bool:
        """Whether trying it again would have the same end."""
        told = self._told(slot)
        if told is None or told.report.bundle.sha256 != ref.sha256 or told.report.state != "refused":
            return False
        return bool(told.against) and told.against == against

    def tell(self, slot: Slot, ref: BundleRef, word: UpdateWord, words: str = "", *, against: str = "") -> None:
        """Since when it is so stays, as long as it is so."""
        told = self._told(slot)
        if told and (told.report.bundle, told.report.state, told.report.words) == (ref, word, words):
            self._put(slot, msgspec.structs.replace(told, against=against))
            return
        report = UpdateReport(bundle=ref, state=word, words=words, at=utc.text(time.time()))
        self._put(slot, Told(report=report, wish=self.wish(slot), against=against))
        log.info("update slot=%s bundle=%s state=%s words=%s", slot, ref.sha256[:12], word, words)
        self.write()

    @property
    def has_challenger(self) -> bool:
        """Whether one was desired when it was last looked."""
        return self._now.challenger is not None

    def forget_challenger(self) -> None:
        """None is desired any more."""
        self._now = msgspec.structs.replace(self._now, challenger=None)

    def alarm(self, words: str) -> None:
        """The repository cannot be used, or not be trusted."""
        self._trouble = words

    def all_well(self) -> None:
        self._trouble = ""

    def write(self) -> None:
        """The file says it too; what the disk refuses is logged, and said with the next step."""
        conditions = [Condition(id=ALARM, words=self._trouble)] if self._trouble else []
        holding = self._alarms.look(conditions).holding
        self._now = msgspec.structs.replace(self._now, alarm=holding[0] if holding else None)
        if self._now == self._written:
            return
        try:
            durable.write(self._path, msgspec.json.encode(self._now))
            self._written = self._now
        except StoreError as error:
            log.error("not told reason=%s", error)

    def _told(self, slot: Slot) -> Told | None:
        return self._now.champion if slot == "champion" else self._now.challenger

    def _put(self, slot: Slot, told: Told) -> None:
        if slot == "champion":
            self._now = msgspec.structs.replace(self._now, champion=told)
        else:
            self._now = msgspec.structs.replace(self._now, challenger=told)
