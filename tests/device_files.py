"""state.json and uplink.json of a device that has worked for a while, for tests of what reads them."""

import time
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from benchmarks.made_cases import BUNDLE, make_case
from cloud_sync import authority
from edge_agent import state, utc
from edge_agent.config import DeviceConfig
from edge_agent.messages import (
    Alarm,
    FrameCounts,
    InputMetrics,
    MissingCounts,
    OutcomeCounts,
    OutputMetrics,
    PictureMetrics,
    SoftwareMetrics,
    VerdictCounts,
)
from edge_agent.output_figures import OutputFigures
from edge_agent.records import BundleRef
from edge_agent.state import DeviceState, Process, UplinkReport

ALARM = Alarm(id="water", priority="medium", text="w", since="x", cause="c", consequence="d", action="e")
PICTURE = PictureMetrics(
    frames=FrameCounts(usable=900, misframed=40, blind=5, duplicated=3, frozen=2, passed=60),
    looks=30,
    missing=MissingCounts(blur=2),
    contrast_levels=71.0,
    noise_levels=2.2,
    paper_levels=88.0,
    blur_px=1.1,
    clarity=0.9,
    corners_seen=4,
    rotation_deg=0.2,
    smallest_bubble_px=2.4,
    smallest_bubble_mm=1.5,
)


def a_state(age_s: float = 0.0, **changes: object) -> DeviceState:
    """`age_s`: written so long ago. `changes` replaces fields."""
    figures = OutputFigures()
    for number in range(1, 13):
        figures.said(make_case(number))
        figures.stepped(0.004, 0.003, 0.02)
        figures.put(0.006)
        figures.recorded(0.04)
    said = DeviceState(
        at=utc.text(time.time() - age_s),
        boot_id="boot",
        mode="shadow",
        bundle=BUNDLE,
        challenger=BundleRef(2, "c" * 64),
        inspect_starts=1,
        input=InputMetrics(
            camera="ok",
            fps=15.0,
            frames=1010,
            dropped=7,
            framing="ok",
            shift_px=0.8,
            water="clear",
            clarity=0.9,
            brightness=118.0,
            reconnects=1,
            left_out=4,
            picture=PICTURE,
        ),
        output=OutputMetrics(
            cases=12,
            verdicts=VerdictCounts(ok=8, leak=4),
            outcomes=OutcomeCounts(agree=8, machine_leak=4),
            decisions=figures.decisions,
            deciders=figures.deciders,
            latency=figures.latency,
            scores=figures.scores,
            cycle_s=figures.cycle_s,
            usable_s=figures.usable_s,
        ),
        alarms=(ALARM,),
        station="TANK1",
        profile_sha256="d" * 64,
        process=Process(started_at="2026-11-20T06:00:00Z", cpu_s=12.5, resident_mb=210.0),
    )
    return msgspec.structs.replace(said, **changes)


def a_report(age_s: float = 0.0, **changes: object) -> UplinkReport:
    software = SoftwareMetrics(
        version="1.0",
        uptime_s=100.0,
        disk_free_mb=20_000.0,
        waiting_cases=3,
        waiting_clips=2,
        oldest_waiting_s=42.0,
        sent=500,
        receipted=450,
        resent=6,
        reconnects=1,
        waiting_bytes=1_200_000,
        cpu_ratio=0.3,
        memory_mb=4000.0,
        memory_free_mb=2500.0,
        temperature_c=51.5,
        disk_mb=64_000.0,
    )
    said = UplinkReport(
        at=utc.text(time.time() - age_s),
        connected=True,
        since="2026-11-20T06:00:02Z",
        receipt_at="2026-11-20T07:00:02Z",
        software=software,
        waiting_bytes=1_200_000,
        process=Process(started_at="2026-11-20T06:00:01Z", cpu_s=3.5, resident_mb=60.0),
    )
    return msgspec.structs.replace(said, **changes)


def write(device: DeviceConfig, *said: DeviceState | UplinkReport) -> None:
    for one in said:
        state.write(device.state_path if isinstance(one, DeviceState) else device.uplink_path, one)


def with_certificate(device: DeviceConfig, folder: Path) -> DeviceConfig:
    """The device as `tankwatch provision` makes it, with a certificate that holds for two years."""
    made = authority.begin(folder / "ca.key", folder / "ca.crt", "plant", datetime.now(UTC))
    certificate, _, _ = made.issue("plant-TANK1", datetime.now(UTC))
    (folder / "device.crt").write_bytes(certificate)
    broker = msgspec.structs.replace(device.broker, cert=str(folder / "device.crt"))
    return msgspec.structs.replace(device, broker=broker)
