"""Drift in the cloud: the same tests over stored cases, control charts, worse slices, pages, a sign for retraining."""

import msgspec
import numpy as np
import pytest
import sqlalchemy as sa
from cloud_fakes import BEGIN
from cloud_kinds import postgres
from mode_site import CHALLENGER, PASSWORD, SITE, ModeSite

from cloud_sync import drift_course, retrain_signs, retrain_triggers, spc, worse_slices
from cloud_sync.policy import Policy
from cloud_sync.slices import Slice
from cloud_sync.tables import device_alarms
from cloud_sync.web import create_app
from cloud_sync.worse_slices import UnitWords
from edge_agent import drift_station
from edge_agent.drift_quantities import BY_NAME
from edge_agent.drift_station import Move
from edge_agent.messages import Alarm

__all__ = ["postgres"]
DAYS, MOVED_ON, A_DAY = 40, 30, 120
DAY_S = 86_400.0
NOW = (BEGIN // DAY_S + DAYS) * DAY_S
STEADY, DARKER = (SITE, "TANK1"), (SITE, "TANK-DARKER-LONG")


def fill(site: ModeSite, station: str, *, darker: bool) -> None:
    """A month of steady days; then, where `darker`, a fifth less light and more uncertain units of one product."""
    random = np.random.default_rng(3)
    for day in range(DAYS):
        moved = darker and day >= MOVED_ON
        level = (72.0 if moved else 90.0) * (1 + 0.01 * random.normal())
        begin = (BEGIN // DAY_S + day) * DAY_S + 3600.0
        words = {"ok": 112 - 12 * moved, "uncertain": 4 + 12 * moved, "leak": 4}
        for number, (word, count) in enumerate(words.items()):
            product = "NEWX" if word == "uncertain" and moved else "PROD"
            about = {"light_levels": level, "clarity": 0.8 + 0.01 * random.normal(), "serial": f"{product}-{day}"}
            score = {"ok": 0.02, "uncertain": 0.5, "leak": 0.98}[word]
            about |= {"score": score, "started_at": begin + 600.0 * number, "outcome": "agree"}
            site.units(station, word, None, count, **about)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> ModeSite:
    found = ModeSite(tmp_path_factory.mktemp("cloud"))
    for name in ("TANK1", "TANK-DARKER-LONG", "TANK-NEW"):
        found.station(name)
    fill(found, "TANK1", darker=False)
    fill(found, "TANK-DARKER-LONG", darker=True)
    alarm = Alarm(
        id="drift", priority="medium", text="drift, light: 72 grey levels", since="x", cause="c", consequence="d",
        action="a",
    )  # fmt: skip
    row = {"site": SITE, "station": "TANK-NEW", "id": "drift", "priority": "medium", "first_at": NOW}
    with found.engine.begin() as connection:
        connection.execute(sa.insert(device_alarms), [row | {"alarm": msgspec.json.encode(alarm)}])
    return found


@pytest.fixture
def reader(site, monkeypatch):
    monkeypatch.setattr("cloud_sync.db.now", lambda: NOW)
    app = create_app(site.config)
    app.config["WTF_CSRF_ENABLED"] = False
    client = app.test_client()
    assert client.post("/login", data={"name": "vera", "password": PASSWORD}).status_code == 302
    return client


def test_the_cloud_finds_what_a_device_would_find_and_a_steady_station_is_steady(site):
    with site.engine.connect() as connection:
        steady = drift_course.course(drift_course.days(connection, STEADY, NOW))
        darker = drift_course.course(drift_course.days(connection, DARKER, NOW))
    assert steady.moves == [] and len(steady.days) == DAYS
    assert {"light", "unsure"} <= {move.quantity.name for move in darker.moves}
    light = next(move for move in darker.moves if move.quantity.name == "light")
    assert light.since == drift_course.date_of(int(BEGIN // DAY_S) + MOVED_ON) and 71 < light.now < 73


def test_after_a_new_disk_whose_numbers_begin_anew_the_bundle_that_runs_is_looked_at(tmp_path):
    site = ModeSite(tmp_path)
    place = site.station("TANK1")
    for day in range(3):
        about = {"started_at": BEGIN + day * DAY_S, "score": 0.02, "outcome": "agree"}
        site.units("TANK1", "ok", None, 5, **about)
    for number in range(5):
        newer = {"started_at": BEGIN + 4 * DAY_S + number, "sequence": number + 1, "bundle_sha256": CHALLENGER}
        site.units("TANK1", "ok", None, 1, **newer)
    with site.engine.connect() as connection:
        (day,) = drift_course.days(connection, place, BEGIN + 5 * DAY_S)
    assert day.units == 5 and day.day == (BEGIN + 4 * DAY_S) // DAY_S


def test_an_alarm_of_a_device_and_the_cloud_s_own_ask_for_retraining_with_the_reason(site):
    with site.engine.connect() as connection:
        said = drift_course.standing(connection, NOW)
        signs = retrain_signs.of_general(connection, Policy(version=1), NOW, code="c", drift=said)
    assert said[0] == "plant/TANK-NEW says: drift, light: 72 grey levels"
    assert any(words.startswith("plant/TANK-DARKER-LONG by its cases: ") and "light: 7" in words for words in said)
    signs = msgspec.structs.replace(signs, new_examples=1)
    assert any("drift: plant/TANK-NEW says" in why for why in retrain_triggers.reasons(signs))


def test_more_leaks_alone_ask_for_no_other_model_by_whomever_they_are_found(site):
    about = {"side": "up", "since": "2026-11-20", "usual": 0.01, "now": 0.03, "strength": 9.0}
    leaks, light = (Move(quantity=BY_NAME[name], **about) for name in ("leaks", "light"))
    assert drift_station.is_of_the_plant_alone(drift_station.words([leaks]))
    for found in ([light], [leaks, light], [light, leaks]):
        assert not drift_station.is_of_the_plant_alone(drift_station.words(found))
    alarm = Alarm(id="drift", priority="medium", text=drift_station.words([leaks]), since="x", cause="c",
                  consequence="d", action="a")  # fmt: skip
    with site.engine.connect() as connection:
        before = drift_course.standing(connection, NOW)
        changed = sa.update(device_alarms).values(alarm=msgspec.json.encode(alarm))
        connection.execute(changed.where(device_alarms.c.station == "TANK-NEW"))
        assert drift_course.standing(connection, NOW) == before[1:]


def test_the_slice_that_has_become_worse_is_named_and_no_other_product(site):
    with site.engine.connect() as connection:
        found = drift_course.degraded(connection, DARKER, NOW)
        assert drift_course.degraded(connection, STEADY, NOW) == []
    assert Slice("all", "all units") in [one.slice for one in found]
    assert not any(one.slice == Slice("serial", "begins with PROD") for one in found)


def test_slices_are_seldom_named_while_nothing_has_changed():
    random, named = np.random.default_rng(5), 0
    for _ in range(40):
        units = [
            UnitWords(
                started_at=float(number * 3000 % 86_400) + 86_400 * (number % 28),
                verdict="uncertain" if random.random() < 0.05 else "ok",
                decision="leak" if random.random() < 0.03 else "ok",
                bundle_version=1,
                serial=f"P{number % 5}XX-1",
                clarity=0.7,
                light_levels=None,
            )
            for number in range(1500)
        ]
        named += bool(worse_slices.worse(units, 21 * DAY_S, ()))
    assert named <= 40 * worse_slices.RISK + 3 * (40 * worse_slices.RISK) ** 0.5


def test_p_limits_are_shewhart_s_and_laney_widens_them_where_days_differ():
    chart = spc.p_chart([1, 2, 3], [5, 10, 3], [100, 200, 60])
    assert chart.centre == pytest.approx(0.05) and chart.out == 0
    assert chart.points[0].high == pytest.approx(0.05 + 3 * (0.05 * 0.95 / 100) ** 0.5)
    batches = ([float(day) for day in range(6)], [50, 10, 60, 5, 55, 8], [1000] * 6)
    plain, wide = spc.p_chart(*batches), spc.p_chart(*batches, laney=True)
    assert plain.out == 6 and wide.out == 0 and wide.spread > 5


def test_limits_of_the_g_chart_leave_as_much_outside_as_three_sigmas_do():
    gaps = np.random.default_rng(2).geometric(0.01, 20_000) - 1
    chart = spc.g_chart(gaps.tolist())
    above = np.mean([point.value > point.high for point in chart.points])
    assert above == pytest.approx(spc.TAIL, rel=0.4)


def test_the_ewma_s_run_length_is_the_stated_one():
    assert spc.ewma_run_length() == pytest.approx(370, rel=0.02)
    assert spc.ewma_run_length(1.0) == pytest.approx(9.0, rel=0.15)
    random = np.random.default_rng(1)
    means = np.concatenate([random.normal(5, 1, 60), random.normal(3, 1, 10)])
    chart = spc.ewma_chart(list(range(70)), means.tolist())
    assert chart.points[-1].is_out


@pytest.mark.parametrize(
    "chart", [lambda: spc.p_chart([], [], []), lambda: spc.g_chart([]), lambda: spc.ewma_chart([1], [1])]
)
def test_a_chart_of_too_little_says_so(chart):
    with pytest.raises(ValueError, match="needs"):
        chart()


def test_the_list_names_who_drifts_first_and_says_how_far_the_learning_is(reader):
    page = reader.get("/drift").text
    assert page.index("TANK-NEW") < page.index("TANK1<") and "drift, light: 72 grey levels" in page
    assert "steady" in page and "light: 72" in page


def test_a_station_s_page_shows_evidence_charts_and_worse_slices(reader):
    page = reader.get("/drift/plant/TANK-DARKER-LONG").text
    assert "What to do: clean the lamp" in page and page.count("<svg") >= 8
    assert "all: all units" in page and "begins with NEWX" not in page
    assert "Nothing has moved" in reader.get("/drift/plant/TANK1").text


def test_a_station_without_cases_is_still_learning_and_an_unknown_one_is_not_found(reader):
    page = reader.get("/drift/plant/TANK-NEW").text
    assert "Still learning" in page and "Too few days" in page and "<b>The device:</b> drift, light" in page
    assert reader.get("/drift/plant/TANK99").status_code == 404


def test_postgresql_counts_the_same_days(site, postgres, tmp_path):
    other = ModeSite(tmp_path, database=postgres.new_database())
    other.station("TANK-DARKER-LONG")
    fill(other, "TANK-DARKER-LONG", darker=True)
    with site.engine.connect() as ours, other.engine.connect() as theirs:
        here, there = drift_course.days(ours, DARKER, NOW), drift_course.days(theirs, DARKER, NOW)
        assert [day.units for day in here] == [day.units for day in there]
        assert [day.light for day in there] == pytest.approx([day.light for day in here])
        assert [day.score for day in there] == pytest.approx([day.score for day in here])
        assert drift_course.degraded(theirs, DARKER, NOW) == drift_course.degraded(ours, DARKER, NOW)
        assert drift_course.standing(theirs, NOW)[0].startswith("plant/TANK-DARKER-LONG by its cases")
    other.engine.dispose()
