"""What a station tries every bundle on: chosen from settled cases, signed, and refused where it would prove nothing."""

import time

import msgspec
import pytest
import sqlalchemy as sa
from cloud_fakes import a_case, a_clip, case_message, clip_messages

import tankwatch
from cloud_sync import config as cloud_config
from cloud_sync import db, gold_cases, signing
from cloud_sync import references as choosing
from cloud_sync.signed_state import Books
from cloud_sync.tables import cases
from edge_agent import references
from edge_agent.clips import Watch
from edge_agent.errors import ConfigError, ModelError
from edge_agent.records import ClipRef

REST = Watch(settled_s=0.0, spans_s=((0.0, 5.0),), usable_s=5.0)


def watched_case(site, sequence: int, *, watch: Watch = REST) -> str:
    """A case whose clip says how its unit was watched."""
    case_id, path = a_case(sequence).case_id, site.folder / f"{sequence}.twclip"
    ref = a_clip(path, frames=4, case_id=case_id, size=(96, 240), watch=watch)
    site.intake.handle([case_message(a_case(sequence, clip=ref)), *clip_messages(path, case_id)], db.now())
    assert isinstance(ref, ClipRef)
    return case_id


def settled(site, sequence: int, truth: str, *, watch: Watch = REST) -> str:
    """Two experts agree."""
    case_id = watched_case(site, sequence, watch=watch)
    for name in ("erna", "emil"):
        site.browser(name).judge(case_id, truth)
    return case_id


@pytest.fixture
def place(site) -> str:
    case = a_case(1)
    (site.folder / "cloud.toml").write_bytes(
        cloud_config.dump(msgspec.structs.replace(site.config, data_dir=str(site.config.folder)))
    )
    signing.begin(site.config, time.time())
    return f"{case.site}/{case.station}"


def command(site, place: str, *more: str) -> int:
    return tankwatch.main(["cloud", "references", place, "--config", str(site.folder / "cloud.toml"), *more])


def signed(site, place: str) -> references.References:
    info = Books.load(site.config).target(f"stations/{place}/references.json")
    path = site.config.updates_path / "targets" / info.get_prefixed_paths()[0]
    return references.read(path.read_bytes(), *place.split("/"))


def test_settled_cases_of_both_kinds_are_signed_with_their_clips(site, place, capsys):
    wanted = {"leak": (1, 2), "ok": (3, 4)}
    ids = {truth: [settled(site, number, truth) for number in numbers] for truth, numbers in wanted.items()}
    watched_case(site, 5)
    assert command(site, place) == 0
    found = signed(site, place)
    assert {truth: [one.case_id for one in found.cases if one.truth == truth] for truth in ids} == ids
    offered = Books.load(site.config).targets()
    assert {f"stations/{place}/{one.sha256}.twclip" for one in found.cases} < set(offered)
    assert command(site, place) == 0 and "signed already" in capsys.readouterr().err
    assert "references_signed" in site.browser("ada").text("/audit")


def test_newer_cases_take_the_place_of_older_ones_and_their_clips_go(site, place):
    for number, truth in enumerate(("leak", "leak", "ok", "ok"), start=1):
        settled(site, number, truth)
    assert command(site, place, "--each", "2") == 0
    before = {one.case_id for one in signed(site, place).cases}
    newest = settled(site, 9, "leak")
    with site.engine.begin() as connection:
        later = sa.update(cases).where(cases.c.case_id == newest).values(started_at=cases.c.started_at + 1000)
        connection.execute(later)
    assert command(site, place, "--each", "2") == 0
    after = {one.case_id for one in signed(site, place).cases}
    assert newest in after - before and len(after) == 4
    clips = [path for path in Books.load(site.config).targets() if path.endswith(".twclip")]
    assert len(clips) == 4


def test_too_few_are_refused_with_the_cure(site, place, capsys):
    settled(site, 1, "leak")
    settled(site, 2, "leak")
    settled(site, 3, "ok", watch=Watch(not_tested="murky"))
    settled(site, 4, "ok")
    assert command(site, place) == 1
    assert "1 of ok with a settled truth" in (words := capsys.readouterr().err) and "second expert" in words


def test_gold_counts_too_and_comes_first(site, place):
    for number, truth in enumerate(("leak", "ok", "ok", "leak", "leak"), start=1):
        settled(site, number, truth)
    first = a_case(1).case_id
    gold_cases.declare(site.engine, first, "leak", who="quinn", now=db.now())
    with site.engine.connect() as connection:
        found, _ = choosing.chosen(connection, site.store, tuple(place.split("/")), 2)
    assert first in {one.case_id for one in found.cases}


def test_the_record_is_refused_where_it_proves_nothing_or_is_anothers():
    case = {"case_id": "a", "sha256": "0" * 64, "truth": "leak"}
    record = {"site": "hall", "station": "T1", "cases": [case, case]}
    for changed, words in (
        ({}, "one kind alone"),
        ({"station": "T2"}, "is of hall/T2, not of hall/T1"),
        ({"cases": [case]}, "not usable"),
        ({"least_right": 2}, "not usable"),
    ):
        with pytest.raises(ModelError, match=words):
            references.read(msgspec.json.encode(record | changed), "hall", "T1")


def test_a_station_without_cases_is_said(site, place):
    with site.engine.connect() as connection, pytest.raises(ConfigError, match="0 of leak and 0 of ok"):
        choosing.chosen(connection, site.store, ("hall", "T9"))
