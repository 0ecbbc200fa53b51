"""Clips have their time; what somebody needs, and every record, stays."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from cloud_fakes import TOPICS, a_case, a_clip, case_message, clip_messages
from cloud_kinds import NewCloud, opened
from desk_site import a_desk

from cloud_sync import config as cloud_config
from cloud_sync import dataset, judgement, retention
from cloud_sync.config import RetentionConfig
from cloud_sync.intake import Intake
from cloud_sync.judgement import Review
from cloud_sync.policy import Policy, Pool
from cloud_sync.tables import audit, cases, clips, gold, looks, sent, studies, study_parts
from edge_agent import wire
from edge_agent.messages import Receipt
from edge_agent.records import Sampled

DAY_S = 86_400.0
NOW = 1_800_000_000.0
RULES = dataset.Rules(Policy(version=1, pool=Pool(training_share=1.0, held_out_share=0.0)), "a" * 64)
POLICY = RetentionConfig(
    agreement_days=10, disagreement_days=100, uncertain_days=50, not_tested_days=20, judged_days=30
)
AGREES = {"verdict": "ok", "decision": "ok", "sampled": Sampled("none", 0.02)}


class Cloud:
    def __init__(self, folder: Path, config: cloud_config.CloudConfig) -> None:
        self.folder, self.config = folder, config
        self.engine, self.store = opened(config)
        self.intake = Intake(self.engine, self.store, max_clip_bytes=10_000_000)

    def case(self, number: int, days: float, **about) -> str:
        """A case with its clip, so many days old; gives the clip's hash."""
        case_id, path = a_case(number).case_id, self.folder / f"{number}.twclip"
        ref = a_clip(path, frames=3, case_id=case_id, size=(64, 240))
        messages = [case_message(a_case(number, clip=ref, **about)), *clip_messages(path, case_id)]
        self.intake.handle(messages, NOW - days * DAY_S)
        return ref.sha256

    def judge(self, number: int, days: float) -> None:
        review = Review(judgement="ok", familiar=True)
        judgement.record(self.engine, a_desk(), a_case(number).case_id, review, "erna", NOW - days * DAY_S)

    def going(self) -> set[str]:
        with self.engine.connect() as connection:
            return {going.sha256 for going in retention.plan(connection, POLICY, NOW)}

    def retain(self) -> set[str]:
        return {going.sha256 for going in retention.run(self.engine, self.store, POLICY, NOW)}

    def add(self, table: sa.Table, **values) -> None:
        with self.engine.begin() as connection:
            connection.execute(sa.insert(table).values(values))

    def states(self) -> dict[str, str]:
        with self.engine.connect() as connection:
            return {row.sha256: row.state for row in connection.execute(sa.select(clips))}


@pytest.fixture
def cloud(tmp_path: Path, new_cloud: NewCloud) -> Iterator[Cloud]:
    cloud = Cloud(tmp_path, new_cloud(tmp_path / "cloud", retention=POLICY))
    yield cloud
    cloud.engine.dispose()


def test_each_kind_has_its_time(cloud: Cloud) -> None:
    old, young = cloud.case(1, 11, **AGREES), cloud.case(2, 9, **AGREES)
    undecided = {"decision": "none", "outcome": "undecided", "sampled": Sampled("none", 0.02)}
    asked, fresh = cloud.case(3, 51, **undecided), cloud.case(4, 49, **undecided)
    strange = cloud.case(5, 101, outcome="agree", sampled=Sampled("none", 0.5))
    assert cloud.going() == {old, asked, strange} and {young, fresh} & cloud.going() == set()


def test_what_somebody_needs_stays_whatever_its_age(cloud: Cloud) -> None:
    free = cloud.case(1, 500, **AGREES)
    waiting = cloud.case(2, 500)
    lately, long_ago = cloud.case(3, 500), cloud.case(4, 500)
    cloud.judge(3, 29)
    cloud.judge(4, 31)
    known, studied = cloud.case(5, 500, **AGREES), cloud.case(6, 500, **AGREES)
    cloud.add(gold, case_id=a_case(5).case_id, truth="ok", set_by="quinn", set_at=NOW)
    cloud.add(studies, id=1, name="s", plan=b"{}", made_by="quinn", made_at=NOW)
    cloud.add(study_parts, study_id=1, part=1, case_id=a_case(6).case_id, truth="ok", borderline=False)
    wanted = cloud.case(7, 500, **AGREES)
    cloud.add(sent, case_id=a_case(7).case_id, sent_by="quinn", reason="light: dark", sent_at=NOW)
    assert cloud.going() == {free, long_ago}
    assert {waiting, lately, known, studied, wanted} & cloud.retain() == set()


def test_a_clip_of_a_dataset_stays(cloud: Cloud) -> None:
    cloud.case(1, 500)
    cloud.judge(1, 400)
    dataset.release(cloud.engine, "weekly", NOW, RULES)
    assert cloud.going() == set()


def test_a_clip_goes_with_a_line_in_the_log_and_its_case_stays(cloud: Cloud) -> None:
    sha256 = cloud.case(1, 11, **AGREES)
    assert cloud.retain() == {sha256} and cloud.retain() == set()
    assert (cloud.states(), cloud.store.holds(sha256)) == ({sha256: "retired"}, False)
    with cloud.engine.connect() as connection:
        assert connection.scalar(sa.select(cases.c.case_id)) == a_case(1).case_id
        (about,) = connection.scalars(sa.select(audit.c.about).where(audit.c.did == "clip_retired"))
    assert about.startswith(f"{sha256} of case {a_case(1).case_id}, agreement, 0.0 MB")


def test_a_station_that_sends_a_retired_clip_again_is_told_that_nobody_wants_it(cloud: Cloud) -> None:
    sha256 = cloud.case(1, 11, **AGREES)
    cloud.retain()
    handled = cloud.intake.handle(clip_messages(cloud.folder / "1.twclip", a_case(1).case_id), NOW)
    (receipt,) = (wire.decode(message.payload, Receipt) for message in handled.receipts)
    assert (receipt.clips, receipt.parts, handled.clips) == ((sha256,), (), ())
    assert cloud.states() == {sha256: "retired"} and TOPICS.receipt == handled.receipts[0].topic


def test_a_run_that_breaks_off_before_the_bytes_go_is_finished_by_the_next(cloud: Cloud, monkeypatch) -> None:
    sha256 = cloud.case(1, 11, **AGREES)
    monkeypatch.setattr(cloud.store, "remove", lambda _: (_ for _ in ()).throw(OSError("power cut")))
    with pytest.raises(OSError, match="power cut"):
        cloud.retain()
    monkeypatch.undo()
    assert cloud.store.holds(sha256)
    assert cloud.retain() == set() and not cloud.store.holds(sha256)


def test_a_clip_whose_row_or_case_is_missing_is_noted_and_never_removed(cloud: Cloud) -> None:
    sha256, alone = cloud.case(1, 11, **AGREES), cloud.case(2, 11, **AGREES)
    with cloud.engine.begin() as connection:
        connection.execute(sa.delete(looks))
        connection.execute(sa.delete(clips))
        connection.execute(sa.delete(cases).where(cases.c.case_id == a_case(2).case_id))
    assert cloud.retain() == {sha256}, "its row was made again, and its case says that it had its time"
    assert cloud.states()[alone] == "stored" and cloud.store.holds(alone)


def test_parts_of_which_none_has_come_for_long_go_and_the_clip_begins_anew(cloud: Cloud, tmp_path: Path) -> None:
    sent = {}
    for number, days in ((1, 15.0), (2, 13.0)):
        path = tmp_path / f"{number}.twclip"
        ref = a_clip(path, frames=3, case_id=a_case(number).case_id, size=(64, 240))
        sent[ref.sha256] = [case_message(a_case(number, clip=ref)), *clip_messages(path, a_case(number).case_id)]
        cloud.intake.handle(clip_messages(path, a_case(number).case_id, part_bytes=1000)[:3], NOW - days * DAY_S)
    old, young = sent
    assert cloud.retain() == {old} and cloud.retain() == set()
    assert cloud.states() == {young: "partial"}
    assert (cloud.store.parts.size(old), cloud.store.parts.size(young)) == (0, 2000)
    assert cloud.intake.handle(sent[old], NOW).clips == (old,)


def test_parts_that_nobody_knows_go_once_they_are_old(cloud: Cloud) -> None:
    stray, fresh = "a" * 64, "b" * 64
    for sha256, age_s in ((stray, 15 * DAY_S), (fresh, 0.0)):
        cloud.store.parts.write(sha256, 0, b"x")
        os.utime(cloud.store.parts.path(sha256), (NOW - age_s, NOW - age_s))
    assert cloud.retain() == set()
    assert (cloud.store.parts.size(stray), cloud.store.parts.size(fresh)) == (0, 1)


def test_a_dry_run_says_what_would_go_and_changes_nothing(cloud: Cloud, tmp_path: Path, capsys) -> None:
    sha256 = cloud.case(1, 9e9 / DAY_S, **AGREES)
    (tmp_path / "cloud.toml").write_bytes(cloud_config.dump(cloud.config))
    arguments = ["--config", str(tmp_path / "cloud.toml")]
    assert retention.retain([*arguments, "--dry-run"]) == 0
    said = capsys.readouterr()
    assert said.out.startswith(f"{sha256}  case ") and "1 clips of 0.0 MB would go, 1 agreement" in said.err
    assert cloud.store.holds(sha256) and cloud.states() == {sha256: "stored"}
    assert retention.retain([*arguments, "--json"]) == 0
    assert '"kind":"agreement"' in capsys.readouterr().out and not cloud.store.holds(sha256)


def test_the_page_says_that_a_clip_has_had_its_time(site) -> None:
    case_id = site.case(1)
    with site.engine.begin() as connection:
        connection.execute(sa.update(clips).values(state="retired"))
    assert "The clip has been removed" in site.browser().text(f"/review/{case_id}")
