"""The drill of months in logical time: its figures, that what grows shows, and the short form in the full suite."""

import subprocess
import sys

import pytest

from benchmarks import drill_soak, soaking
from benchmarks.installation import make_configs
from benchmarks.soaking import Sample, Soak, Taken
from edge_agent.outbox import Outbox
from edge_agent.spool import Spool

SOAK = Soak(cases=10_000, days=100.0, seed=1)
CLEAN = {"lost": 0, "gaps": 0, "duplicated": 0, "changed": 0, "queue_lost": 0, "queue_extra": 0, "clips_lost": 0}
TOLD = CLEAN | {"cases": 10_000, "asked": 10_000, "waiting": 0, "slope_limit_mb": 1.0}


class Counter:
    value = 0


def samples(memory_mb=lambda n: 80.0, handles=lambda n: 20, threads=lambda n: 2, records=3000, rows_mb=lambda n: 18.0):
    """Looks at a plant in which only what is named grows."""
    found = []
    for n in range(200, 10_001, 200):
        processes = {name: Taken(80.0, 20, 2) for name in ("inspect", "uplink")}
        processes["ingest"] = Taken(memory_mb(n), handles(n), threads(n))
        found.append(Sample(n, processes, records, rows_mb(n), 4.0))
    return found


def judged(**grows) -> tuple[bool, dict]:
    found = TOLD | soaking.figures(samples(**grows), SOAK)
    return drill_soak.is_good(found), found


def test_what_does_not_grow_is_good_whatever_the_warm_up_took():
    assert judged()[0]
    good, found = judged(memory_mb=lambda n: 60.0 + min(n, 1500) / 50)
    assert good and abs(found["slope_mb"]["ingest"]) < 0.01


@pytest.mark.parametrize(
    "grows",
    [
        {"memory_mb": lambda n: 80.0 + n * 1.1e-4},
        {"handles": lambda n: 20 + n // 3000},
        {"threads": lambda n: 2 + n // 3000},
        {"records": 4000},
        {"rows_mb": lambda n: n / 500},
    ],
    ids=lambda grows: next(iter(grows)),
)
def test_whatever_grows_with_the_cases_shows(grows):
    assert not judged(**grows)[0]


def test_a_slope_is_megabytes_for_ten_thousand_cases():
    assert soaking.slope([0, 5_000, 10_000], [10.0, 10.5, 11.0]) == pytest.approx(1.0)


@pytest.mark.parametrize("changed", [{"lost": 1}, {"waiting": 1}, {"cases": 9_999}, {"log_mb": 65.0}])
def test_a_ledger_with_a_fault_is_not_good(changed):
    assert not drill_soak.is_good(judged()[1] | changed)


def test_thirty_days_of_records_are_left_of_a_hundred_and_all_are_in_the_journal(tmp_path, monkeypatch):
    """In logical time, with receipts at once."""
    device, _ = make_configs(tmp_path, 1883)
    put = Outbox.put

    def and_receipted(self, case, clip=None):
        kept = put(self, case, clip)
        self.receipted(cases=[(one.case_id, one.sha256) for one in self.waiting_cases(10)])
        self.receipted(clips=[one.sha256 for one in self.waiting_clips(10)])
        return kept

    monkeypatch.setattr(Outbox, "put", and_receipted)
    soak, done = Soak(cases=50, days=100.0, seed=1), Counter()
    soaking.put_all(device, soak, tmp_path / "journal", done)
    said, kept = soaking.in_journal(tmp_path / "journal"), set(Spool(device.spool_path).case_ids())
    assert done.value == len(said) == 50 and kept < said.keys()
    assert 15 <= len(kept) <= 17, "one every other day, of 30 days and what a turn of retention leaves"
    assert sum(one.needs_eye for one in said.values()) == 2 == sum(bool(one.clip_sha256) for one in said.values())


def test_a_process_that_has_ended_is_no_sample():
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    assert soaking.taken(process.pid).threads == 1
    process.communicate(b"\n")
    with pytest.raises((ProcessLookupError, FileNotFoundError)):
        soaking.taken(process.pid)


@pytest.mark.full
def test_months_of_cases_pass_and_nothing_grows(tmp_path):
    found = drill_soak.drill(drill_soak.plan(full=False, seed=7), tmp_path, lambda words: None)
    assert drill_soak.is_good(found), found
