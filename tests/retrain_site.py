"""A cloud with judged clips of the twin, a champion that is quick to train from, and a small twin for candidates."""

from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
from cloud_fakes import a_case, case_message, clip_messages
from desk_site import a_desk
from sqlalchemy.engine import Engine

import tankwatch
from calibration import scenes_for_training
from calibration.manifest import write_manifest
from calibration.twin_spec import TwinSpec
from cloud_sync import config as cloud_config
from cloud_sync import db, judgement, registry, runs
from cloud_sync.candidate import Twin
from cloud_sync.config import CloudConfig, RetrainConfig
from cloud_sync.intake import Intake
from cloud_sync.judgement import Review
from cloud_sync.retrain_command import retrain
from cloud_sync.runs import Order
from cloud_sync.store import open_store
from edge_agent.bundle import open_bundle, write_bundle
from edge_agent.clips import ClipHeader, ClipWriter, Watch
from edge_agent.inspection import shipped_bundle
from edge_agent.records import ClipRef
from models import cases, data
from models.cases import chosen

ROWS = 120
"""Of the champion's own cases: a fit to all of them takes minutes, and says nothing more about the way."""
POLICY = "version = 1\n[pool]\ntraining_share = 0.6\nheld_out_share = 0.4\n"
FIRST_SEED = 900_000
JUDGED_AT = 1_795_000_000.0


def twin_of_two() -> Twin:
    """Small pictures, few a second."""

    def write(path: Path, seed: int, cases: int, profile: str) -> None:
        write_manifest(path, TwinSpec(seed=seed, profile=profile, fps=8.0, size=(320, 240)), cases)

    return Twin(tankwatch._openers(), write)


def filled(folder: Path, clips: list[tuple[Path, bool]]) -> CloudConfig:
    """A cloud in `folder` with its cloud.toml; each clip is a judged case that the machine was unsure of, but the last
    three: with these it was wrong, in an unfamiliar way."""
    folder.mkdir(parents=True)
    (folder / "policy.toml").write_text(POLICY)
    settings = RetrainConfig(twin_cases=2, jobs=1)
    config = CloudConfig(data_dir="cloud", policy="policy.toml", retrain=settings)
    (folder / "cloud.toml").write_bytes(cloud_config.dump(config))
    config = cloud_config.load(folder / "cloud.toml")
    engine, store = db.open_database(config), open_store(config)
    intake, desk = Intake(engine, store, max_clip_bytes=50_000_000), a_desk()
    for number, (path, leaky) in enumerate(clips, 1):
        wrong = number > len(clips) - 3
        verdict = ("ok" if leaky else "leak") if wrong else "uncertain"
        case_id = _arrive(intake, path, number, verdict=verdict, decision="leak" if leaky else "ok")
        review = Review(judgement="leak" if leaky else "ok", familiar=not wrong, seen=None, took_s=4.0)
        judgement.record(engine, desk, case_id, review, "erna", JUDGED_AT + number)
    bundle = registry.keep(config, quick_champion(folder / "champion.bundle"))
    with engine.begin() as connection:
        registry.add(connection, bundle, who="ada", reason="a test", now=1.0)
        registry.move(connection, bundle.sha256, "champion", who="ada", reason="a test", now=2.0)
    engine.dispose()
    return config


def run(config: CloudConfig, *options: str, twin: Twin | None = None) -> int:
    """`cloud retrain` in this process."""
    file = config.folder.parent / "cloud.toml"
    return retrain(["--config", str(file), *options], twin or twin_of_two())


def quick_champion(path: Path) -> Path:
    """The shipped bundle with few of the cases that it was fitted to, and one golden case."""
    shipped = open_bundle(shipped_bundle())
    before = cases.fitted_features(shipped)
    few = chosen(before, np.linspace(0, len(before.leaky) - 1, ROWS).astype(int))
    first = shipped.manifest.golden[0]
    manifest, clips = (
        msgspec.structs.replace(shipped.manifest, golden=(first,)),
        {first.name: shipped.golden[first.name]},
    )
    write_bundle(path, manifest, shipped.nets, cases.features_bytes(few), golden=clips)
    return path


def twin_clips(folder: Path, count: int) -> list[tuple[Path, bool]]:
    """Clips as the device keeps them, and whether the unit leaks."""
    folder.mkdir(parents=True, exist_ok=True)
    return [_clip(folder / f"{seed}.twclip", seed) for seed in range(FIRST_SEED, FIRST_SEED + count)]


def _clip(path: Path, seed: int) -> tuple[Path, bool]:
    recording = scenes_for_training.recording(seed, "cases")
    recording = replace(recording, fps=15.0, scene=replace(recording.scene, hold_s=min(2.2, recording.scene.hold_s)))
    profile, times = recording.profile, []
    header = ClipHeader(
        case_id=f"T-{seed}", station="TANK1", view_size_px=profile.view_size_px, px_per_mm=profile.px_per_mm
    )
    writer = ClipWriter(path, header)
    for view, _, _ in data.views(recording):
        writer.frame(view, view.monotonic_s, [])
        times.append(view.monotonic_s)
    writer.close(Watch(settled_s=times[0], spans_s=((times[0], times[-1]),), usable_s=times[-1] - times[0]))
    return path, recording.leaky


def _arrive(intake: Intake, path: Path, number: int, **about) -> str:
    case_id = a_case(number).case_id
    messages = clip_messages(path, case_id)
    manifest = msgspec.json.decode(messages[0].payload)
    ref = ClipRef(manifest["sha256"], manifest["bytes"])
    intake.handle([case_message(a_case(number, clip=ref, **about)), *messages], db.now())
    return case_id


RATES = {
    "cases": 40,
    "auc": 0.987,
    "coverage": 0.9,
    "counts": {"leaks_answered": 18, "missed": 1, "good_answered": 18, "false_alarms": 0},
    "bounds": {"miss_rate_upper": 0.238, "false_alarm_rate_upper": 0.153},
}


def show_models(config: CloudConfig, engine: Engine, folder: Path, case_ids: list[str]) -> list[str]:
    """A champion, a candidate of a run that is done, one that failed and one that goes on: what pages show. The hashes.

    Nothing is trained: the candidate is the champion with fewer cases in it.
    """
    champion, candidate = registry.keep(config, shipped_bundle()), registry.keep(config, quick_champion(folder / "b"))
    metrics = {
        "clips": 6, "left_out": ["x.twclip shows no watched unit"], "missing": [], "test_left_out": [],
        "warnings": ["clarity: the median is 0.5, half of the champion's data lay between 0.8 and 0.95"],
        "handful_loss": 0.02, "recipes": [{"name": "usual", "held_out_loss": 0.31, "held_out_auc": 0.95}],
        "recipe": "usual", "test": {"candidate": RATES}, "twin": {"candidate": RATES, "champion": RATES},
    }  # fmt: skip
    with engine.begin() as connection:
        registry.add(connection, champion, who="ada", reason="came with the program", now=1.0)
        registry.move(connection, champion.sha256, "champion", who="ada", reason="the first", now=2.0)
        order = Order("general", "ada", "a week has passed", 1)
        done = runs.queue(connection, order, JUDGED_AT)
        values = {"metrics": msgspec.json.encode(metrics), "bundle_sha256": candidate.sha256, "started_at": JUDGED_AT}
        runs.change(connection, done, state="done", ended_at=JUDGED_AT + 90, parent_sha256=champion.sha256, **values)
        registry.add(connection, candidate, who="ada", reason="run 1", now=3.0, run_id=done)
        failed = runs.queue(connection, order, JUDGED_AT + 1)
        runs.change(connection, failed, state="failed", fault="the disk is full: free space")
        runs.queue(connection, msgspec.structs.replace(order, scope="station/plant/TANK1"), JUDGED_AT + 2)
        runs.tell(connection, failed + 1, "training", "looked at 100 of 2000 clips", 0.2)
        rows = [
            {"bundle_sha256": one.sha256, "source": case_id, "part": "random", "label": "leak", "score": 0.5,
             "verdict": "leak" if one is champion or number else "ok"}
            for one in (champion, candidate) for number, case_id in enumerate(case_ids)
        ]  # fmt: skip
        runs.keep_evaluated(connection, done, rows)
    return [champion.sha256, candidate.sha256]
