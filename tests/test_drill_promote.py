import contextlib
import copy
import io
import json
import random

import msgspec
import numpy as np
import pytest
import sqlalchemy as sa
from cloud_kinds import KINDS, maker

from benchmarks import drill_promote, twin_units
from benchmarks.drill_promote import is_good
from benchmarks.promotion_story import Story, deserves, make_bundles, rates
from benchmarks.twin_devices import Device, Line, Pool
from cloud_sync import db, promotion
from cloud_sync.config import CloudConfig
from cloud_sync.policy import Promotion
from cloud_sync.tables import cases
from edge_agent import wire
from edge_agent.bundle import open_bundle
from edge_agent.inspection import shipped_bundle
from edge_agent.messages import Desired, Status
from edge_agent.records import Case


@pytest.fixture(scope="module")
def shipped():
    return open_bundle(shipped_bundle())


@pytest.fixture(scope="module")
def units(shipped):
    return twin_units.fitted(shipped)


@pytest.fixture(scope="module")
def ended():
    """Exit status and ledger of the short form."""
    with contextlib.redirect_stdout(io.StringIO()) as out:
        status = drill_promote.run(["--json", "--seed", "1"])
    return status, json.loads(out.getvalue())


@pytest.mark.full
def test_a_better_challenger_comes_to_speak_everywhere_and_an_equal_and_a_worse_one_never_do(ended):
    status, ledger = ended
    assert {name: ledger[name]["promoted"] for name in ("worse", "equal", "better")} == {
        "worse": False,
        "equal": False,
        "better": True,
    }
    assert (ledger["worse"]["state"], ledger["equal"]["state"], ledger["better"]["state"]) == ("lost", "futile", "won")
    assert ledger["rolled_out_everywhere"] and status == 0


@pytest.mark.full
def test_the_worse_one_looks_better_to_whoever_counts_answers_and_only_judgements_show_it(ended):
    _, ledger = ended
    more = ledger["worse"]["more"]
    assert more["unanswered"] < ledger["better"]["more"]["unanswered"] < 0 and more["false_alarms"] == 0
    assert more["misses"] > 0.02 and ledger["worse"]["judged"] > 0


@pytest.mark.full
def test_every_case_is_held_once_though_batches_come_twice_and_no_wish_counts_twice(ended):
    _, ledger = ended
    assert ledger["cases"] == 3 * 3 * 16 * ledger["days"]
    assert (ledger["lost"], ledger["duplicated"], ledger["refused"]) == (0, 0, 0)
    assert ledger["wishes"] > 0 and (ledger["stale_wishes_taken"], ledger["newer_wishes_ignored"]) == (0, 0)


@pytest.mark.full
@pytest.mark.parametrize(
    ("name", "value"),
    [
        *((name, 1) for name in ("lost", "duplicated", "refused", "stale_wishes_taken", "newer_wishes_ignored")),
        ("rolled_out_everywhere", False),
        *((name, {"promoted": wanted, "deserves": not wanted}) for name, wanted in drill_promote.CONTESTS.items()),
        *((name, {"promoted": not wanted, "deserves": wanted}) for name, wanted in drill_promote.CONTESTS.items()),
    ],
)
def test_a_ledger_in_which_anything_is_not_as_it_must_be_is_not_good(ended, name, value):
    ledger = copy.deepcopy(ended[1])
    assert is_good(ledger)
    ledger[name] = ledger[name] | value if isinstance(value, dict) else value
    assert not is_good(ledger)


@pytest.mark.full
def test_a_cloud_that_lets_every_challenger_win_is_found_out(units, tmp_path, monkeypatch):
    monkeypatch.setattr(promotion, "state", lambda *_, **__: np.array("won"))
    ledger = drill_promote.drill(drill_promote.short_plan(2), units[::4], tmp_path)
    assert ledger["worse"]["promoted"] and not ledger["worse"]["deserves"]
    assert not is_good(ledger)


def test_the_ledger_sees_what_is_not_as_it_was_said_and_what_is_there_twice(units, tmp_path):
    config = CloudConfig(data_dir=str(tmp_path / "cloud"))
    story = Story.begin(drill_promote.short_plan(3), units[::20], tmp_path, config)
    engine, seventh = db.open_database(config), (cases.c.sequence == 7) & (cases.c.station == "TANK2")
    assert (story.plant.ledger()["lost"], story.plant.ledger()["duplicated"]) == (0, 0)
    for change, name in ({"sha256": "0" * 64}, "lost"), ({"sequence": 8}, "duplicated"):
        with engine.begin() as connection:
            connection.execute(sa.update(cases).where(seventh).values(change))
        assert story.plant.ledger()[name] == 1


def test_what_deserves_to_win_follows_from_the_truth_alone():
    rules = Promotion(miss_margin=0.01, false_alarm_margin=0.01, answer_margin=0.01)
    fewer = {"misses": 0.0, "false_alarms": 0.0, "unanswered": -0.1}
    assert deserves(fewer, rules)
    assert not deserves(fewer | {"misses": 0.01}, rules), "at the margin"
    assert not deserves(fewer | {"false_alarms": 0.02}, rules)
    assert not deserves(fewer | {"unanswered": 0.0}, rules), "better in nothing"


def test_rates_are_weighed_as_units_come_and_not_as_they_lie_in_the_pool(units, tmp_path):
    bundles = make_bundles(tmp_path)
    champion, worse = (twin_units.words(units, bundles[name]) for name in ("champion", "worse"))
    few, many = (rates(units, Line(leaky), champion, worse) for leaky in (0.02, 0.5))
    assert few["misses"] == many["misses"] > 0
    assert few["unanswered"] != many["unanswered"]


def test_a_device_takes_newer_wishes_only_and_says_what_it_runs(units, tmp_path):
    bundles = make_bundles(tmp_path)
    by_hash = {bundle.sha256: bundle for bundle in bundles.values()}
    pool = Pool(units, by_hash.__getitem__, tmp_path)
    device = Device("plant", "TANK1", bundles["champion"].sha256, pool, Line(0.5), random.Random(1))
    wish = Desired(counter=5, challenger=bundles["better"].ref)
    assert device.take(wire.encode(wish), 0.0) and not device.take(wire.encode(wish), 1.0)
    said = _cases(device.works(200, 0.0, 1000.0))
    assert {case.challenger.bundle for case in said} == {bundles["better"].ref}
    differ = [case for case in said if case.challenger.verdict != case.verdict]
    assert differ and all(case.sampled.probability == 1.0 and case.clip for case in differ)
    assert device.take(wire.encode(msgspec.structs.replace(wish, counter=6, bundle=bundles["better"].ref)), 2.0)
    status = wire.decode(device.reports(2.0)[0].payload, Status)
    assert status.bundle == bundles["better"].ref and status.challenger is None and status.update.state == "running"


@pytest.mark.full
@pytest.mark.parametrize("kind", KINDS)
def test_the_same_comes_of_it_on_every_kind_of_cloud(kind, units, tmp_path, request):
    def of_kind(config):
        other = maker(request, kind)(config.folder)
        return msgspec.structs.replace(config, database=other.database, store=other.store, s3=other.s3)

    assert is_good(drill_promote.drill(drill_promote.short_plan(4), units, tmp_path, kind=of_kind))


@pytest.mark.full
def test_a_unit_is_filmed_once_and_has_a_clip_of_its_own(shipped, tmp_path):
    filmed = twin_units.filmed(shipped, 3, 7, tmp_path)
    kept = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.twclip")}
    again = twin_units.filmed(shipped, 3, 7, tmp_path)
    assert [unit.leaky for unit in again] == [unit.leaky for unit in filmed]
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.twclip")} == kept
    assert filmed and all(unit.clip in kept for unit in filmed)


def _cases(messages):
    return [wire.decode(message.payload, Case) for message in messages if message.topic.endswith("/case")]
