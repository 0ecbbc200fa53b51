"""A fleet of devices without a network: what each is wished, and what it says of that, when it wants to."""

import msgspec

from cloud_sync.rollout_plan import Gates, Plan
from cloud_sync.rollout_records import Place, Report
from cloud_sync.worsening import Tally
from edge_agent.messages import UpdateReport
from edge_agent.records import BundleRef

OLD, NEW = BundleRef(3, "a" * 64), BundleRef(4, "b" * 64)
NOW = 1_795_000_000.0
HOUR = 3600.0
QUICK = Plan(soak_h=1.0, least_cases=10, late_h=2.0, gates=Gates())
GOOD = Tally(200, 4, 4, 190, 2)
BEFORE = Tally(2000, 40, 40, 1900, 20)


def places(count: int) -> list[Place]:
    return [("plant", f"TANK{number}") for number in range(1, count + 1)]


class Device:
    """One device: it takes what it is wished as soon as it is told to go on."""

    def __init__(self, running: BundleRef | None = OLD) -> None:
        self.report = Report(
            running=running, online=True, mode="shadow", ran=BEFORE, verdict_ms=100.0, metrics_at=NOW - 5, starts=1
        )

    def change(self, **fields) -> None:
        self.report = msgspec.structs.replace(self.report, **fields)

    def takes(self, bundle: BundleRef, now: float) -> None:
        """It runs the bundle now, and says so."""
        ran = self.report.new if bundle == NEW else BEFORE
        self.change(running=bundle, asked=bundle, ran=ran, metrics_at=now, starts=1)

    def works(self, tally: Tally, now: float) -> None:
        """More cases of the bundle that it runs, and metrics."""
        ran = self.report.ran + tally
        new = self.report.new + tally if self.report.running == NEW else self.report.new
        self.change(ran=ran, new=new, metrics_at=now)

    def fails(self, state: str, now: float, words: str = "golden cases differ: train it again") -> None:
        self.change(update=UpdateReport(bundle=NEW, state=state, words=words, at=f"at {now}"))


class Fleet:
    """Devices by place, and what the cloud decided last."""

    def __init__(self, count: int) -> None:
        self.devices = {place: Device() for place in places(count)}

    @property
    def reports(self) -> dict[Place, Report]:
        return {place: device.report for place, device in self.devices.items()}

    def obey(self, wishes: dict[Place, BundleRef], now: float) -> None:
        """Every device that is there takes what it is wished."""
        for place, bundle in wishes.items():
            device = self.devices[place]
            if device.report.online and device.report.running != bundle:
                device.takes(bundle, now)

    def work(self, now: float, tally: Tally = GOOD) -> None:
        for device in self.devices.values():
            device.works(tally, now)
