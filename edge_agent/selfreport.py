"""What `agent inspect` knows of itself -> DeviceState: counts, camera health, alarms. Read from another thread."""

from datetime import UTC, datetime

from edge_agent.camera import Camera
from edge_agent.eyes import Sight
from edge_agent.messages import (
    Alarm,
    AlarmPriority,
    CameraWord,
    InputMetrics,
    OutcomeCounts,
    OutputMetrics,
    VerdictCounts,
)
from edge_agent.outbox import PendingCases
from edge_agent.records import BundleRef, Case, Mode
from edge_agent.state import DeviceState

CAMERA_WORDS: dict[str, CameraWord] = {"ok": "ok", "waiting": "lost"}


class SelfReport:
    """Adds up since start. The frame loop calls `stepped` and `said`; the reporting thread calls `state`."""

    def __init__(self, boot_id: str, mode: Mode, camera: Camera, pending: PendingCases) -> None:
        self.boot_id, self.mode = boot_id, mode
        self.bundle: BundleRef | None = None
        self.challenger: BundleRef | None = None
        self._camera, self._pending = camera, pending
        self._sight: Sight | None = None
        self._frames = self._cases = 0
        self._step_s = 0.0
        self._clarity: float | None = None
        self._verdicts: dict[str, int] = {}
        self._outcomes: dict[str, int] = {}
        self._since: dict[str, str] = {}
        self._murky = False

    def stepped(self, sight: Sight | None, cpu_s: float) -> None:
        """One more frame was looked at, at this cost."""
        self._sight = sight
        self._frames += 1
        self._step_s += cpu_s
        if sight and sight.clarity is not None:
            self._clarity = sight.clarity

    def said(self, case: Case) -> None:
        """One more case is on the disk."""
        self._cases += 1
        self._verdicts[case.verdict] = self._verdicts.get(case.verdict, 0) + 1
        self._outcomes[case.outcome] = self._outcomes.get(case.outcome, 0) + 1
        self._murky = case.water.status == "murky"

    def state(self) -> DeviceState:
        """The newest state."""
        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        health = self._camera.health() if hasattr(self._camera, "health") else None
        sight = self._sight
        return DeviceState(
            at=now,
            boot_id=self.boot_id,
            mode=self.mode,
            bundle=self.bundle,
            challenger=self.challenger,
            input=InputMetrics(
                camera=CAMERA_WORDS.get(health.status, "stalled") if health else "unknown",
                fps=health.fps if health else None,
                frames=self._frames,
                dropped=health.dropped if health else 0,
                framing=sight.framing.status if sight else "unchecked",
                shift_px=sight.framing.shift_px if sight else None,
                water="unknown" if self._clarity is None else "murky" if self._murky else "clear",
                clarity=self._clarity,
                brightness=round(float(sight.thumb.mean()), 1) if sight else None,
            ),
            output=OutputMetrics(
                cases=self._cases,
                verdicts=VerdictCounts(**self._verdicts),
                outcomes=OutcomeCounts(**self._outcomes),
                step_ms=round(self._step_s / self._frames * 1000, 3) if self._frames else None,
            ),
            alarms=self._alarms(now, health.words if health else ""),
        )

    def _alarms(self, now: str, camera_words: str) -> tuple[Alarm, ...]:
        sight = self._sight
        framing = sight.framing.words if sight and sight.framing.status in ("shifted", "lost") else ""
        troubles: list[tuple[str, AlarmPriority, str, str]] = [
            ("camera", "high", camera_words, "units are not tested"),
            ("picture", "high", sight.fault if sight else "", "units are not tested"),
            ("framing", "high", framing, "units are not tested"),
            (
                "water",
                "medium",
                "the water is murky: change the water" if self._murky else "",
                "small leaks are hidden",
            ),
            ("disk", "high", str(self._pending.fault or ""), "cases wait in memory and are lost at a power cut"),
        ]
        active = [(id, priority, words, effect) for id, priority, words, effect in troubles if words]
        self._since = {id: self._since.get(id, now) for id, *_ in active}
        return tuple(
            Alarm(
                id=id,
                priority=priority,
                text=words,
                since=self._since[id],
                cause=words.rsplit(": ", 1)[0],
                consequence=effect,
                action=words.rsplit(": ", 1)[-1],
            )
            for id, priority, words, effect in active
        )
