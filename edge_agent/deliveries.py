"""What waits in the outbox -> the next messages to publish; cases first, then clips, again and again until receipted.

Time comes in, messages come out; the outbox is the only thing that is touched. A broker's acknowledgement counts for
nothing here: only a receipt from the cloud ends a delivery.
"""

import hashlib
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from edge_agent import wire
from edge_agent.errors import StoreError
from edge_agent.messages import PART_BYTES, ClipManifest, Receipt
from edge_agent.outbox import Outbox, WaitingCase, WaitingClip

FIRST_RETRY_S = 10.0
LONGEST_RETRY_S = 300.0
LONGEST_CLIP_RETRY_S = 3600.0
"""A clip that the cloud will not take is megabytes each time."""
UNRECEIPTED_CASES = 100
"""So many cases are under way without a receipt: a broker's queue (1,000 by default) is never flooded."""
NEWEST_CASES = 20
"""So many of them are the newest ones where more wait: what is said today does not wait behind a month without a
network. The others are the oldest."""
NEWEST_SHARE = UNRECEIPTED_CASES // NEWEST_CASES
UNRECEIPTED_CLIPS = 4
"""One that is refused is not counted, and one that is not answered while the cloud speaks of others until it is due."""
MOST_DOUBLINGS = 6
"""Where one clip after the other is not taken, each waits twice as long for its turn as the last: 64 s at most."""
LOOK_S = 1.0
"""To look for a clip among 100,000 whose cases have no receipts takes a tenth of a second: not at each step."""


@dataclass(frozen=True, slots=True)
class Publish:
    """One message to publish with QoS 1."""

    topic: str
    payload: bytes
    retain: bool = False


@dataclass(slots=True)
class _Attempt:
    due_s: float
    tries: int = 0
    newest: bool = False
    """A case that overtook older ones."""
    heard: Literal["nothing", "others", "answer", "refused"] = "nothing"
    """Of a clip: what the cloud has said since it was announced. A disk that does not give it refuses it too."""


@dataclass(slots=True)
class _ClipRun:
    """The clip whose parts are going out."""

    clip: WaitingClip
    parts: int
    next_part: int
    asking_until_s: float | None
    """Until then the cloud may say where to resume; None = parts go out."""


@dataclass(slots=True)
class Deliveries:
    """Everything under way without a receipt."""

    outbox: Outbox
    topics: wire.Topics
    resent: int = 0
    notes: list[str] = field(default_factory=list)
    """Faults that a person should hear of, for the log."""
    _cases: dict[str, tuple[WaitingCase, _Attempt]] = field(default_factory=dict)
    _clips: dict[str, _Attempt] = field(default_factory=dict)
    _run: _ClipRun | None = None
    _noted: set[str] = field(default_factory=set)
    _refusals: int = 0
    """Clips that were not taken since the last one that was."""
    _offer_from_s: float = float("-inf")
    _look_from_s: float = float("-inf")

    def next(self, now_s: float, budget: int) -> list[Publish]:
        """At most `budget` messages. `now_s`: monotonic."""
        out = self._next_cases(now_s, budget)
        try:
            while len(out) < budget and (message := self._next_part(now_s) if self._run else self._announce(now_s)):
                out.append(message)
        except StoreError as error:
            # The cases count as under way by now: whatever a clip does, they go out.
            self._refusals += 1
            self._note_once(str(error))
        return out

    def receipt(self, receipt: Receipt) -> int:
        """What the cloud holds goes; where it asks to resume is kept. How many had been waiting."""
        count = self.outbox.receipted(receipt.cases, receipt.clips)
        for case_id, sha256 in receipt.cases:
            if case_id in self._cases and self._cases[case_id][0].sha256 == sha256:
                del self._cases[case_id]
        for sha256 in receipt.clips:
            self._clips.pop(sha256, None)
            if self._run and self._run.clip.sha256 == sha256:
                self._run = None
        if self._run and self._run.clip.sha256 in receipt.refused:
            self._run = None
        self._hear(receipt)
        if receipt.parts:
            self.outbox.resume_at(receipt.parts)
            self._resume(dict(receipt.parts))
        return count

    def reconnected(self, now_s: float) -> None:
        """What went out before may be lost with the broker: it is due soon, and a clip asks where to go on."""
        for attempt in [attempt for _, attempt in self._cases.values()] + list(self._clips.values()):
            attempt.due_s = min(attempt.due_s, now_s + FIRST_RETRY_S)
            if attempt.heard == "others":
                attempt.heard = "nothing"
        if self._run:
            heard = self._clips[self._run.clip.sha256].heard
            self._clips[self._run.clip.sha256] = _Attempt(now_s, tries=1, heard=heard)
            self._run = None

    def _next_cases(self, now_s: float, budget: int) -> list[Publish]:
        due = [pair for pair in self._cases.values() if pair[1].due_s <= now_s][:budget]
        self.resent += len(due)
        room = min(budget - len(due), UNRECEIPTED_CASES - len(self._cases))
        oldest, newest = self._fresh(room) if room > 0 else ([], [])
        for _, attempt in due:
            _again(attempt, now_s, LONGEST_RETRY_S)
        for cases, overtakes in ((oldest, False), (newest, True)):
            for case in cases:
                self._cases[case.case_id] = (case, _Attempt(now_s + FIRST_RETRY_S, tries=1, newest=overtakes))
        return [Publish(self.topics.case, case.payload) for case in (*(case for case, _ in due), *oldest, *newest)]

    def _fresh(self, room: int) -> tuple[list[WaitingCase], list[WaitingCase]]:
        """The oldest, and the newest where not all that wait can be under way; each by their sequence."""
        under_way = frozenset(self._cases)
        oldest = self.outbox.waiting_cases(room, under_way)
        overtaking = sum(attempt.newest for _, attempt in self._cases.values())
        # Their share of each step too: a window that is small would be theirs alone as often as they are receipted.
        lane = min(max(1, room // NEWEST_SHARE), NEWEST_CASES - overtaking)
        newest = self.outbox.waiting_cases(max(lane, 1), under_way, newest_first=True) if oldest else []
        if not newest or newest[0].sequence - oldest[0].sequence < UNRECEIPTED_CASES:
            return oldest, []
        newest = newest[:lane][::-1]
        slots = UNRECEIPTED_CASES - NEWEST_CASES - (len(self._cases) - overtaking)
        taken = {case.sequence for case in newest}
        behind = [case for case in oldest if case.sequence not in taken]
        return behind[: max(0, min(room - len(newest), slots))], newest

    def _announce(self, now_s: float) -> Publish | None:
        """The manifest of the next clip, due again or new. The answer says where to begin, or that it is there."""
        clip = self._next_clip(now_s)
        if clip is None:
            return None
        attempt = self._clips.setdefault(clip.sha256, _Attempt(now_s))
        # First: a clip that cannot be read does not stand before the others at each step.
        _again(attempt, now_s, LONGEST_CLIP_RETRY_S)
        attempt.heard = "refused"
        self._offer_from_s = now_s + (2.0 ** min(self._refusals, MOST_DOUBLINGS) if self._refusals else 0.0)
        size = self._whole(clip)
        if not size:
            return None
        attempt.heard = "nothing"
        self.resent += attempt.tries > 1
        self._run = _ClipRun(clip, -(-size // PART_BYTES), 0, now_s + FIRST_RETRY_S)
        manifest = ClipManifest(sha256=clip.sha256, bytes=size, parts=self._run.parts, case_id=clip.case_id)
        return Publish(self.topics.clip_manifest(clip.sha256), wire.encode(manifest))

    def _next_clip(self, now_s: float) -> WaitingClip | None:
        """The next one to offer; those that were passed over come when there is no other."""
        later = {sha256: attempt for sha256, attempt in self._clips.items() if attempt.due_s > now_s}
        held = sum(attempt.heard != "refused" for attempt in later.values())
        if held >= UNRECEIPTED_CLIPS or now_s < max(self._offer_from_s, self._look_from_s):
            return None
        passed_over = {id for id, one in self._clips.items() if id not in later and one.heard in ("others", "refused")}
        self._look_from_s = now_s + LOOK_S
        found = self.outbox.waiting_clips(1, frozenset(later.keys() | passed_over))
        if not found and passed_over:
            found = self.outbox.waiting_clips(1, frozenset(later))
        if found:
            self._look_from_s = now_s
            return found[0]
        for sha256 in passed_over:
            # Nobody waits for it any more.
            del self._clips[sha256]
        return None

    def _hear(self, receipt: Receipt) -> None:
        """What it says of the clips under way, and that new ones may go."""
        parts = dict(receipt.parts)
        for sha256, attempt in self._clips.items():
            if sha256 in receipt.refused:
                attempt.heard = "refused"
            elif sha256 in parts:
                attempt.heard = "answer"
            elif attempt.heard == "nothing":
                attempt.heard = "others"
        self._refusals += bool(receipt.refused)
        if receipt.clips or parts:
            self._refusals, self._offer_from_s = 0, float("-inf")
        if receipt.cases:
            self._look_from_s = float("-inf")

    def _next_part(self, now_s: float) -> Publish | None:
        """The next part of the announced clip; None while the cloud may still say where to resume."""
        run = self._run
        assert run is not None
        if run.asking_until_s is not None:
            if now_s < run.asking_until_s:
                return None
            run.asking_until_s, run.next_part = None, min(run.clip.next_part, run.parts - 1)
            self._refusals += 1
        data = self._part(run, now_s)
        if data is None:
            return None
        message = Publish(self.topics.clip_part(run.clip.sha256, run.next_part), data)
        run.next_part += 1
        if run.next_part == run.parts:
            attempt = self._clips[run.clip.sha256]
            attempt.due_s = max(attempt.due_s, now_s + FIRST_RETRY_S)
            self._run = None
        return message

    def _part(self, run: _ClipRun, now_s: float) -> bytes | None:
        """Its bytes; None where the clip is gone. Raises StoreError where it cannot be read: others go meanwhile."""
        try:
            with open(run.clip.path, "rb") as file:
                file.seek(run.next_part * PART_BYTES)
                return file.read(PART_BYTES)
        except FileNotFoundError:
            # A disk that is short gives up clips, also the one that is under way.
            self._run = None
            self._whole(run.clip)
            return None
        except OSError as error:
            self._run, attempt = None, self._clips[run.clip.sha256]
            _again(attempt, now_s, LONGEST_CLIP_RETRY_S)
            attempt.heard = "refused"
            raise _unreadable(run.clip, error) from error

    def _whole(self, clip: WaitingClip) -> int:
        """The clip's size; 0 where the file is gone or holds other bytes: then nobody waits for it any more."""
        try:
            size, sha256 = _measured(clip.path)
        except FileNotFoundError:
            size, sha256 = 0, ""
        except OSError as error:
            raise _unreadable(clip, error) from error
        if size and sha256 == clip.sha256:
            return size
        self.outbox.clip_unusable(clip.sha256)
        self._clips.pop(clip.sha256, None)
        self.notes.append(f"clip of case {clip.case_id} is {'damaged' if size else 'gone'}: the case stays without it")
        return 0

    def _resume(self, parts: dict[str, int]) -> None:
        """The answer to a manifest. While parts go out it is only progress: a lost part shows in an overdue receipt."""
        run = self._run
        if run and run.asking_until_s is not None and run.clip.sha256 in parts:
            run.asking_until_s, run.next_part = None, min(parts[run.clip.sha256], run.parts - 1)

    def _note_once(self, fault: str) -> None:
        if fault not in self._noted:
            self._noted.add(fault)
            self.notes.append(fault)


def _measured(path: Path) -> tuple[int, str]:
    """Bytes and hash of a file, read piece by piece: a clip may be larger than the memory that the uplink has."""
    with open(path, "rb") as file:
        return os.fstat(file.fileno()).st_size, hashlib.file_digest(file, "sha256").hexdigest()


def _unreadable(clip: WaitingClip, error: OSError) -> StoreError:
    return StoreError(f"clip {clip.path} cannot be read ({error.strerror}): check the disk")


def _again(attempt: _Attempt, now_s: float, longest_s: float) -> None:
    attempt.due_s = now_s + min(FIRST_RETRY_S * 2**attempt.tries, longest_s)
    attempt.tries += 1
