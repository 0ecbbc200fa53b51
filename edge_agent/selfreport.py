"""What `agent inspect` knows of itself -> DeviceState, and conditions for alarms. Read from another thread."""

import time
from collections import deque
from collections.abc import Callable
from math import ceil

from edge_agent import utc
from edge_agent.alarms import Board, Condition
from edge_agent.automation import Standing
from edge_agent.camera import Camera
from edge_agent.capture import CaptureHealth
from edge_agent.drift_keeper import DriftKeeper
from edge_agent.eyes import Sight
from edge_agent.machine import OwnProcess
from edge_agent.messages import (
    CameraWord,
    Disposition,
    InputMetrics,
    OutcomeCounts,
    OutputMetrics,
    UpdateReport,
    VerdictCounts,
)
from edge_agent.mode_keeper import Circumstances
from edge_agent.on_screen import OnScreen
from edge_agent.outbox import PendingCases
from edge_agent.output_figures import OutputFigures
from edge_agent.picture_figures import PictureFigures
from edge_agent.records import BundleRef, CameraFault, Case, DispositionWord, FaultKind, Mode
from edge_agent.state import DeviceState, ShownWord
from edge_agent.water_trend import WaterOutlook, WaterWatch

SILENT_S = 1.2
"""A live camera of one frame a second or more has stalled after this long; its capture thread waits longer."""
FIRST_PICTURE_S = 5.0
"""A network camera may take so long to connect (`capture.CONNECT_MS`): only then is it a trouble that none has come."""
SILENT = "the camera gives no pictures: check its cable and power"
REMAINS = "something lies in the tank that was not there when it was set up: take it out, or run 'calibrate fit' again"
LAST_CASES = 100
"""Whose time to the record is told."""
CUT_CASES = 10
"""How often a challenger was stopped is counted in the last ten cases."""
UNSEEN_KINDS: dict[FaultKind, CameraWord] = {
    "unplugged": "lost", "silent": "stalled", "frozen": "stalled", "stale": "stalled", "time_jump": "stalled",
}  # fmt: skip
"""With these the camera gives no pictures that are to be believed."""
PICTURE_KINDS: tuple[FaultKind, ...] = ("black", "white", "noise", "exposure")
"""A black or white picture is a fault of the picture, not of the camera."""


class SelfReport:
    """Adds up since start. The frame loop calls `stepped`, the keeper `said`, the reporting thread `state`."""

    def __init__(
        self,
        boot_id: str,
        mode: Mode,
        camera: Camera,
        pending: PendingCases,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.boot_id, self.mode = boot_id, mode
        self.screen = OnScreen()
        """What the operator's screen may show of unit, camera and profile."""
        self._clock = clock
        self._began_s = self._stepped_s = clock()
        self._film_words = ""
        self.standing: Standing | None = None
        """The mode in force, as the reporting thread has found it last."""
        self.disposition: Disposition | None = None
        self.disposition_until_s = float("-inf")
        """The same on the clock that nobody sets."""
        self._shown: ShownWord | None = None
        self._told: tuple[str, str] | None = None
        self.bundle: BundleRef | None = None
        self.challenger: BundleRef | None = None
        self.update: UpdateReport | None = None
        self.inspect_starts = 0
        self.bundle_words = self.challenger_words = ""
        """What is wrong with the champion that speaks, or with the challenger; empty while nothing is."""
        self.setup_words = ""
        """Why station.toml cannot be used as it is; empty while it can."""
        self._ended_s: dict[str, float] = {}
        self._verdict_ms: deque[float] = deque(maxlen=LAST_CASES)
        self._cuts = 0
        self._was_cut = False
        self._cut_of_last: deque[bool] = deque(maxlen=CUT_CASES)
        self._camera, self._pending = camera, pending
        self._process = OwnProcess()
        self.pictures, self.figures = PictureFigures(), OutputFigures()
        self._sight: Sight | None = None
        self._frames = self._cases = 0
        self._step_s = 0.0
        self._clarity: float | None = None
        self._verdicts: dict[str, int] = {}
        self._outcomes: dict[str, int] = {}
        self.board = Board()
        """The alarms, as the reporting thread has found them last."""
        self._remains = False
        self.drift: DriftKeeper | None = None
        self.water: WaterWatch | None = None
        """Follows the water by the champion's limit; without it each case's own word counts."""
        self._outlook = WaterOutlook()

    def stepped(self, sight: Sight | None, cpu_s: float, *, remains: bool = False) -> None:
        """One more frame was looked at, at this cost; `remains`: something lies in the tank (`Immersion.remains`)."""
        self._sight, self._remains = sight, remains
        self._stepped_s = self._clock()
        self._frames += 1
        self._step_s += cpu_s
        if sight and sight.clarity is not None:
            self._clarity = sight.clarity
        if sight:
            self.pictures.see(sight)

    def passed(self) -> None:
        """One more frame came, of an empty tank in which nothing moves, and was not looked at."""
        self._stepped_s = self._clock()
        self._frames += 1
        self.pictures.passed()

    def ended(self, cases: list[Case], began_s: float) -> None:
        """Cases that ended with the frame that came at `began_s`, on the clock of this report; `said` follows."""
        self._ended_s |= {case.case_id: began_s for case in cases}
        for case in cases[-1:]:
            self.screen.ended(case)
        for _ in cases if self.challenger else ():
            self._cut_of_last.append(self._was_cut)
            self._was_cut = False

    def cut(self) -> None:
        """The challenger was stopped for this case. From any thread."""
        self._was_cut = True
        self._cuts += 1

    def said(self, case: Case) -> None:
        """One more case is on the disk."""
        self._cases += 1
        self.figures.said(case)
        if self.drift:
            self.drift.said(case)
        if case.case_id in self._ended_s:
            waited_s = self._clock() - self._ended_s.pop(case.case_id)
            self._verdict_ms.append(waited_s * 1000)
            self.figures.recorded(waited_s)
        if case.clip:
            self._film_words = ""
        self._verdicts[case.verdict] = self._verdicts.get(case.verdict, 0) + 1
        self._outcomes[case.outcome] = self._outcomes.get(case.outcome, 0) + 1
        if self.water and case.water.clarity is not None:
            self._outlook = self.water.see(case.water.clarity, self._clock(), case.smallest_leak_std_cm3_s)
        elif self.water is None:
            self._outlook = WaterOutlook(case.water.status, case.water.clarity)

    def spoke(self, told: tuple[str, DispositionWord] | None, shown: ShownWord | None, valid_s: float) -> None:
        """What the line was told last and what the screen shows; `valid_s`: how long a disposition holds."""
        self._shown = shown
        is_new, self._told = told != self._told, told
        if told and is_new:
            self.disposition_until_s = self._clock() + valid_s
            self.disposition = Disposition(
                case_id=told[0], disposition=told[1], expires_at=utc.text(time.time() + valid_s)
            )

    @property
    def disposition_holds(self) -> bool:
        """Whether the line may still act on the last one: no other unit has come, and it has not expired."""
        return self._told is not None and self._clock() < self.disposition_until_s

    def circumstances(self) -> Circumstances:
        """What the mode depends on."""
        sight, outlook = self._sight, self._outlook
        health = self._health()
        fault = self._camera_fault(health)
        return Circumstances(
            bundle_sha256=self.bundle.sha256 if self.bundle else None,
            framing=sight.framing.status if sight else None,
            pictures=self._camera_word(health, fault) == "ok" and not (fault and fault.kind == "resolution"),
            camera_words=fault.words if fault else "",
            water="unknown" if self._clarity is None else "murky" if outlook.status == "murky" else "clear",
            drift_words=self.drift.lapse if self.drift else "",
        )

    def not_filmed(self, words: str) -> None:
        """A case goes on without its clip; the next clip on the disk ends the alarm."""
        self._film_words = words

    def conditions(self) -> tuple[Condition, ...]:
        """What is wrong now, in words; the life cycle makes alarms of it."""
        sight, outlook = self._sight, self._outlook
        fault = self._camera_fault(self._health())
        of_picture = fault is not None and fault.kind in PICTURE_KINDS
        framing = sight.framing.words if sight and sight.framing.status in ("shifted", "lost") else ""
        found = {
            "mode": self._mode_trouble(),
            "unit": self._unit_trouble(),
            "camera": fault.words if fault and not of_picture else "",
            "picture": fault.words if fault and of_picture else sight.fault if sight and not fault else "",
            "framing": framing,
            "lamps": sight.signal.words if sight else "",
            "tank": REMAINS if self._remains else "",
            "clips": self._film_words,
            "bundle": self.bundle_words,
            "drift": self.drift.words if self.drift else "",
        }
        return (
            *(Condition(id=id, words=words) for id, words in found.items() if words),
            *([Condition(id="water", words=outlook.words, early=outlook.status != "murky")] if outlook.words else ()),
            *([self._setup_condition()] if self.setup_words else ()),
            *([self._disk_condition()] if self._pending.fault else ()),
            self._cut_condition(),
        )

    def state(self) -> DeviceState:
        """The newest state."""
        now = utc.text(time.time())
        health = self._health()
        fault = self._camera_fault(health)
        mode = self.standing.mode if self.standing else self.mode
        return DeviceState(
            at=now,
            boot_id=self.boot_id,
            mode=mode,
            mode_words=self.standing.words if self.standing else "",
            bundle=self.bundle,
            challenger=self.challenger,
            update=self.update,
            inspect_starts=self.inspect_starts,
            input=self._input(health, fault),
            output=self._output(),
            alarms=self.board.active,
            alarms_aside=self.board.aside,
            disposition=self.disposition,
            shown=self._shown,
            process=self._process.look(),
            station=self.screen.station,
            profile_sha256=self.screen.profile_sha256,
            watched=self.screen.watched(fault.words if fault else ""),
            last_case=self.screen.last_case(mode),
            aim=self.screen.aim(),
        )

    def _input(self, health: CaptureHealth | None, fault: CameraFault | None) -> InputMetrics:
        sight = self._sight
        return InputMetrics(
            camera=self._camera_word(health, fault),
            camera_fault=fault.kind if fault else "",
            fps=health.fps if health else None,
            frames=self._frames,
            dropped=health.dropped if health else 0,
            framing=sight.framing.status if sight else "unchecked",
            shift_px=sight.framing.shift_px if sight else None,
            water="unknown" if self._clarity is None else "murky" if self._outlook.status == "murky" else "clear",
            clarity=self._clarity,
            brightness=round(float(sight.thumb.mean()), 1) if sight else None,
            reconnects=health.reconnects if health else 0,
            left_out=health.left_out if health else 0,
            picture=self.pictures.told,
        )

    def _output(self) -> OutputMetrics:
        return OutputMetrics(
            cases=self._cases,
            verdicts=VerdictCounts(**self._verdicts),
            outcomes=OutcomeCounts(**self._outcomes),
            step_ms=round(self._step_s / self._frames * 1000, 3) if self._frames else None,
            verdict_ms=_percentile_95(list(self._verdict_ms)),
            challenger_cut=self._cuts,
            decisions=self.figures.decisions,
            deciders=self.figures.deciders,
            latency=self.figures.latency,
            scores=self.figures.scores,
            cycle_s=self.figures.cycle_s,
            usable_s=self.figures.usable_s,
        )

    def _health(self) -> CaptureHealth | None:
        return self._camera.health() if hasattr(self._camera, "health") else None

    def _camera_fault(self, health: CaptureHealth | None) -> CameraFault | None:
        """What is wrong: as the capture says, as the frame loop saw it, or that nothing has come there for too long."""
        if health and health.fault:
            return health.fault
        if not self._has_come(health) and self._clock() - self._began_s < FIRST_PICTURE_S:
            return None
        if health and health.status != "ok":
            return CameraFault("unplugged" if health.status == "waiting" else "silent", health.words)
        # Where the capture judges, a loop that is busy loading nets is no silent camera.
        if health is None and self._camera.live and self._clock() - self._stepped_s > SILENT_S:
            return CameraFault("silent", SILENT)
        sight = self._sight
        return CameraFault(sight.fault_kind, sight.fault) if sight and sight.fault and sight.fault_kind else None

    def _camera_word(self, health: CaptureHealth | None, fault: CameraFault | None) -> CameraWord:
        if fault and fault.kind in UNSEEN_KINDS:
            return UNSEEN_KINDS[fault.kind]
        return "ok" if self._has_come(health) else "unknown"

    def _has_come(self, health: CaptureHealth | None) -> bool:
        """Whether any picture has."""
        return self._frames > 0 or (health is not None and health.frame_age_s is not None)

    def _mode_trouble(self) -> str:
        """Words where the mode stepped down by itself."""
        return self.standing.words if self.standing and self.standing.alarm else ""

    def _unit_trouble(self) -> str:
        """In `full` nobody stands there who would see that a unit waits."""
        waits = self._told is not None and self._told[1] == "wait"
        is_full = self.standing is not None and self.standing.mode == "full"
        return "the machine cannot decide on a unit: decide on it" if waits and is_full else ""

    def _cut_condition(self) -> Condition:
        if self.challenger_words:
            return Condition(id="challenger", words=self.challenger_words)
        cut = sum(self._cut_of_last)
        fact = f"the challenger was stopped in {cut} of the last {len(self._cut_of_last)} cases"
        return Condition(
            id="challenger", words=f"{fact}, it is too slow for this device: choose a smaller one", value=cut
        )

    def _setup_condition(self) -> Condition:
        before = "the station is inspected by the profile from before"
        effect = before if self.screen.profile else "nothing is inspected"
        return Condition(id="setup", words=self.setup_words, consequence=effect)

    def _disk_condition(self) -> Condition:
        lost = f"; {self._pending.lost} are lost already" if self._pending.lost else ""
        waiting = f"cases wait in memory and are lost at a power cut{lost}"
        return Condition(id="disk", words=str(self._pending.fault), consequence=waiting)


def _percentile_95(values: list[float]) -> float | None:
    return round(sorted(values)[max(0, ceil(0.95 * len(values)) - 1)], 1) if values else None
