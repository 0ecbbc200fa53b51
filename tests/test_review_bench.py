"""`bench review` on small databases: every figure is there, and twenty thousand cases answer like two thousand."""

import shutil
import sqlite3
from pathlib import Path

import pytest

from benchmarks import desk_cases, review
from cloud_sync import broker


@pytest.mark.full
@pytest.mark.skipif(broker.mosquitto() is None, reason="mosquitto is not installed")
def test_the_bench_measures_every_page_under_load(tmp_path: Path) -> None:
    # Few come in: a broker that is read too slowly throws away all beyond a thousand, the case that is waited for too.
    figures = review.measure(2_000, 20_000, pairs=3, kept=tmp_path, per_s=20)
    assert set(figures["pages"]) == set(figures["page_kb"])
    assert all(page["cpu_ms"]["large"] > 0 for page in figures["pages"].values())
    assert figures["visible_ms"]["p95"] < 5_000
    assert not [name for name, size in figures["page_kb"].items() if size > review.LIMIT_KB]
    # Half as much again: two runs of one test on a busy machine differ more than two sizes do.
    slow = {name: page["ratio"] for name, page in figures["pages"].items() if review._alike(page)}
    assert max(slow.values()) < 1.5 * review.LIMIT_RATIO, slow
    assert "CPU-ms" in review._words(figures)


def test_the_newest_cases_are_the_same_in_every_size_and_made_once(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(desk_cases, "REAL_CLIPS", 0)
    few, more = (desk_cases.copy_of(number, tmp_path, tmp_path / f"copy-{number}") for number in (50, 120))
    newest = [_newest(config.folder) for config in (few, more)]
    assert newest[0] == newest[1] and len(newest[0]) == 9
    kept = next(tmp_path.glob("desk-50-*")) / "cloud.db"
    shutil.rmtree(few.folder)
    before = kept.stat().st_mtime_ns
    desk_cases.copy_of(50, tmp_path, few.folder)
    assert kept.stat().st_mtime_ns == before


def _newest(folder: Path) -> list[tuple]:
    with sqlite3.connect(folder / "cloud.db") as connection:
        query = "SELECT case_id, verdict, decision, clarity, serial FROM cases ORDER BY started_at DESC LIMIT 9"
        return connection.execute(query).fetchall()
