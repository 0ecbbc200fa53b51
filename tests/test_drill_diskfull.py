"""The drill of a full disk: its parts in short, that it finds what is broken, and the whole station in full runs."""

import msgspec
import pytest

from benchmarks import drill_diskfull, small_disk
from benchmarks.disk_filling import Clips
from benchmarks.installation import make_configs
from benchmarks.made_cases import make_case, write_clip
from benchmarks.refused_writes import Refusals
from edge_agent import durable
from edge_agent.errors import StoreError
from edge_agent.outbox import Outbox, PendingCases
from edge_agent.spool import Spool

PARTS = Refusals(every=(1, 2, 3, 5, 8, 13, 21, 34), cases=3, seed=4)
STATION = {
    "lost": 0, "gaps": 0, "duplicated": 0, "changed": 0, "queue_lost": 0, "queue_extra": 0, "clips_lost": 0,
    "disorder": 0, "refused_by_clips": 0, "recovered_s": 1.0, "decided_without_disk": 2,
    "alarms": {"disk": "w", "disk-space": "w"},
}  # fmt: skip


def refused(folder, refusals: Refusals = PARTS) -> dict:
    return drill_diskfull.drill(drill_diskfull.Plan(refusals, decided=0, seed=4), folder, lambda words: None)


def test_whichever_writes_are_refused_every_case_is_kept_once_and_whole(tmp_path):
    found = refused(tmp_path)
    assert drill_diskfull.is_good(found), found
    parts = found["refusals"]
    assert parts["said"] == parts["made"] == 24 and parts["refused"] > 50 and parts["warned"] > 0
    assert 0 < parts["without_clip"] < 24, "some clips were refused, and some were not"


@pytest.mark.full
def test_a_writer_that_leaves_half_a_file_would_show(tmp_path, monkeypatch):
    def straight(path, data):
        try:
            with open(path, "wb") as file:
                file.write(data)
        except OSError as error:
            raise StoreError("full") from error

    monkeypatch.setattr(durable, "write", straight)
    # Half a file that is written again later is whole in the end: of so many some are not.
    found = refused(tmp_path, Refusals(every=tuple(range(3, 35)), cases=3, seed=4))
    assert found["refusals"]["half"] > 0 and not drill_diskfull.is_good(found)


def test_a_case_that_is_given_up_when_it_is_refused_would_show(tmp_path, monkeypatch):
    def forgetful(self):
        try:
            return [self._outbox.put(*self._waiting.pop(0))] if self._waiting else []
        except StoreError:
            return []

    monkeypatch.setattr(PendingCases, "retry", forgetful)
    found = refused(tmp_path)
    assert found["refusals"]["lost"] > 0 and not drill_diskfull.is_good(found)


def test_a_refusal_that_nobody_catches_would_show(tmp_path, monkeypatch):
    def crashing(self, case):
        self.case_path(case.case_id).write_bytes(b"")

    monkeypatch.setattr(Spool, "keep_case", crashing)
    found = refused(tmp_path, Refusals((2,), cases=2, seed=4))
    assert found["refusals"]["crashed"] == [2] and not drill_diskfull.is_good(found)


def test_a_clip_that_goes_out_of_turn_is_counted(tmp_path):
    device, _ = make_configs(tmp_path, 1883)
    outbox = Outbox.open(device.outbox_path, device.spool_path)
    for number, reason in enumerate(("disagreement", "audit"), start=1):
        case = make_case(number)
        draft = outbox.spool.draft(case.case_id)
        changes = {"clip": write_clip(draft, case), "sampled": type(case.sampled)(reason, 1.0)}
        outbox.put(msgspec.structs.replace(case, **changes), draft)
    clips = Clips(device)
    clips.look()
    leak, audit = sorted(clips.here, key=lambda sha256: -clips.here[sha256])
    outbox.spool.clip_path(leak).unlink()
    clips.look()
    assert (clips.gone, clips.disorder) == ([3], 1)
    outbox.spool.clip_path(audit).unlink()
    clips.look()
    assert (clips.gone, clips.disorder) == ([3, 2], 1)
    outbox.close()


@pytest.mark.parametrize(
    "changed",
    [{name: 1} for name in ("lost", "gaps", "changed", "clips_lost", "disorder", "refused_by_clips")]
    + [{"recovered_s": 10.1}, {"decided_without_disk": 0}, {"alarms": {"disk-space": "w"}}],
)
def test_a_station_that_did_not_keep_a_promise_is_not_good(changed):
    parts = {"crashed": [], "bad": [], "refused": 1}
    assert drill_diskfull.is_good({"refusals": parts, "station": STATION})
    assert not drill_diskfull.is_good({"refusals": parts, "station": STATION | changed})
    assert not drill_diskfull.is_good({"refusals": parts | {"bad": [3]}, "station": None})


def test_no_disk_that_can_be_mounted_is_said_and_costs_only_that_part():
    assert drill_diskfull.is_good(
        {"refusals": {"crashed": [], "bad": [], "refused": 1}, "mounted": False, "station": None}
    )


@pytest.mark.full
def test_a_whole_station_whose_disk_is_full_goes_on_deciding_says_so_and_recovers(tmp_path):
    plan = drill_diskfull.plan(full=False, seed=31)
    found = drill_diskfull.drill(drill_diskfull.Plan(PARTS, plan.decided, 31), tmp_path, lambda words: None)
    if not found["mounted"]:
        pytest.skip(small_disk.NOBODY_MOUNTS)
    assert drill_diskfull.is_good(found), found
    assert found["station"]["gone"]["agreement"] > 0
