"""Challenge parts through the real intake: known by serial, apart from all units; a miss steps its station down and
lists every unit since the last good one, in whatever order the cases arrive.
"""

import csv
import io
import random
from urllib.parse import urlencode

import pytest
import sqlalchemy as sa
from cloud_fakes import BEGIN, STATION, a_case, case_message
from cloud_fakes import SITE as PLANT
from desk_site import Site

from cloud_sync import challenge, challenge_history, challenge_parts, db, desire, draw, gold_cases, judgement, tallies
from cloud_sync.challenge import Interval, Moment, Plan
from cloud_sync.challenge_parts import NewPart
from cloud_sync.dead_letters import Message
from cloud_sync.judgement import Review
from cloud_sync.standing import standing
from cloud_sync.tables import audit, cases, challenge_runs, looks
from edge_agent import wire
from edge_agent.errors import ConfigError
from edge_agent.messages import Status
from edge_agent.records import Sampled

PLACE = (PLANT, STATION)
REGISTERED = BEGIN - 3600
OK = {"verdict": "ok", "decision": "ok"}


def register(cloud: Site, serial: str = "R-1", truth: str = "leak", **about) -> int:
    new = NewPart(**{"site": PLANT, "station": None, "serial": serial, "truth": truth} | about)
    with cloud.engine.begin() as connection:
        return challenge_parts.register(connection, new, who="quinn", now=REGISTERED)


def status(mode: str, station: str = STATION) -> Message:
    said = Status(status="online", mode=mode, software="1", since="2026-11-20T14:00:00Z")
    return Message(wire.Topics(PLANT, station).status, wire.encode(said))


def arrive(site: Site, *messages: Message, now: float = BEGIN + 9000) -> None:
    site.intake.handle(messages, now)


def unit(sequence: int, **about) -> Message:
    return case_message(a_case(sequence, **OK | {"serial": f"SN-{sequence}"} | about))


def shown(sequence: int, verdict: str, serial: str = "R-1", **about) -> Message:
    return case_message(a_case(sequence, **{"verdict": verdict, "decision": "leak", "serial": serial} | about))


def wanted(site: Site):
    with site.engine.connect() as connection:
        return desire.wanted(connection, PLACE)


def results(site: Site) -> dict[int, str]:
    query = sa.select(challenge_runs.c.sequence, challenge_runs.c.result)
    with site.engine.connect() as connection:
        return {row.sequence: row.result for row in connection.execute(query)}


def called_back(site: Site, sequence: int, name: str = "called_back") -> list[int]:
    """The numbers of the units that this miss calls back."""
    with site.engine.connect() as connection:
        miss = challenge_history.miss(connection, a_case(sequence).case_id)
        found = list(challenge_history.units(connection, PLACE, getattr(miss, name)))
        assert challenge_history.count(connection, PLACE, getattr(miss, name)) == sum(map(len, found))
    return sorted(int(case_id[-6:]) for keys in found for _, case_id in keys)


def test_a_missed_part_steps_its_station_down_and_calls_back_every_unit_since_the_last_good_one(site: Site) -> None:
    arrive(site, status("partial"))
    register(site, leak_std_cm3_s=1e-3)
    register(site, "R-9", leak_std_cm3_s=1e-1)
    register(site, "G-1", "ok")
    assert wanted(site).challenge_serials == ("G-1", "R-1", "R-9")
    told = {
        3: shown(3, "leak"),
        6: shown(6, "leak", "R-9"),
        9: shown(9, "uncertain"),
        10: shown(10, "leak", "G-1"),
        14: shown(14, "ok", mode="partial"),
    }
    messages = [told.get(number) or unit(number) for number in range(1, 17) if number != 8]
    random.Random(3).shuffle(messages)
    for message in messages:
        arrive(site, message, message)
    assert results(site) == {3: "passed", 6: "passed", 9: "repeat", 10: "false_alarm", 14: "missed"}
    assert wanted(site).mode == "shadow"
    assert called_back(site, 14) == [4, 5, 7, 11, 12, 13]
    assert called_back(site, 14, "since") == [15, 16]
    arrive(site, unit(8), now=BEGIN + 99_000)
    arrive(site, *messages, now=BEGIN + 99_001)
    assert called_back(site, 14) == [4, 5, 7, 8, 11, 12, 13], "a late unit is listed where it belongs"
    arrive(site, shown(17, "leak"), unit(18), now=BEGIN + 99_002)
    assert called_back(site, 14, "since") == [15, 16]
    assert wanted(site).mode == "shadow", "a good run raises nothing"
    arrive(site, shown(12, "leak", case_id="TANK1-late-000012"), now=BEGIN + 99_003)
    assert called_back(site, 14) == [13], "a good run that comes late tells of its own time"
    with site.engine.connect() as connection:
        query = sa.select(audit.c.about).where(audit.c.who == "challenge parts", audit.c.about.contains("shadow"))
        assert connection.scalars(query).all() == [
            f"{PLANT}/{STATION} mode shadow: challenge part R-1 leaks and was called ok in case {a_case(14).case_id}"
        ]


@pytest.mark.parametrize(
    ("now", "then", "asked", "after"),
    [
        ("full", "full", None, "shadow"),
        ("shadow", "assist", None, "shadow"),
        ("assist", "shadow", None, "shadow"),
        ("shadow", "shadow", None, None),
        ("human_only", "human_only", None, None),
        ("partial", "partial", "human_only", "human_only"),
        ("partial", "partial", "assist", "shadow"),
    ],
)
def test_a_miss_lowers_what_is_above_shadow_and_raises_nothing(site: Site, now, then, asked, after) -> None:
    register(site)
    arrive(site, status(now))
    if asked:
        with site.engine.begin() as connection:
            desire.want(connection, PLACE, who="ada", reason="trial", now=1.0, mode=asked)
    arrive(site, shown(1, "ok", mode=then))
    assert (results(site), wanted(site).mode) == ({1: "missed"}, after)


def test_a_leaker_that_the_line_was_told_is_ok_is_missed_whatever_the_verdict_came_to(site: Site) -> None:
    register(site)
    arrive(site, shown(1, "leak", mode="partial", disposition="ok"), shown(2, "leak", disposition="leak"))
    assert results(site) == {1: "missed", 2: "passed"}
    assert wanted(site).mode == "shadow"


def test_a_station_that_never_told_its_mode_is_taken_at_its_cases_word(site: Site) -> None:
    register(site)
    arrive(site, shown(1, "ok", mode="shadow"))
    assert wanted(site).mode is None
    arrive(site, shown(2, "ok", mode="full"))
    assert wanted(site).mode == "shadow"


def test_a_serial_is_a_part_at_its_site_alone_and_from_its_registration_to_its_retirement(site: Site) -> None:
    part_id = register(site)
    arrive(site, shown(1, "ok"), shown(2, "ok", started_at="2026-11-20T12:59:59Z"))
    with site.engine.begin() as connection:
        challenge_parts.retire(connection, part_id, who="quinn", now=BEGIN + 300)
    arrive(site, shown(4, "ok"), shown(6, "ok"), shown(7, "ok", sampled=Sampled("challenge", 1.0)))
    arrive(site, case_message(a_case(3, **OK, serial="R-1", site="other")))
    assert results(site) == {1: "missed", 4: "missed"}
    with site.engine.connect() as connection:
        assert challenge_history.unexplained(connection) == 1


def test_a_new_station_hears_of_the_parts_of_its_site_and_an_old_one_of_each_change(site: Site) -> None:
    part_id = register(site)
    assert wanted(site).challenge_serials == ()
    arrive(site, status("shadow"))
    first = wanted(site)
    arrive(site, status("shadow"))
    assert (first.challenge_serials, wanted(site).counter) == (("R-1",), first.counter)
    with site.engine.begin() as connection:
        challenge_parts.retire(connection, part_id, who="quinn", now=BEGIN)
        challenge_parts.retire(connection, part_id, who="quinn", now=BEGIN)
    assert wanted(site).challenge_serials == ()


def test_challenge_parts_are_in_no_rate_no_queue_and_no_dataset(site: Site) -> None:
    register(site)
    case_id = site.case(1, **OK | {"decision": "leak"}, serial="R-1")
    plain = site.case(2, **OK | {"decision": "leak"}, serial="SN-2")
    for name in ("erna", "emil"):
        for one in (case_id, plain):
            review = Review(judgement="leak", familiar=True, seen="stream", took_s=4.0)
            judgement.record(site.engine, site.desk, one, review, name, db.now())
    with site.engine.connect() as connection:
        row = connection.execute(sa.select(cases).where(cases.c.case_id == case_id)).one()
        assert (row.sampled_for, row.sampled_probability) == ("challenge", 1.0)
        assert b'"disagreement"' in bytes(row.payload), "the station's own words stay"
        lanes = [(look.case_id, look.lane) for look in connection.execute(sa.select(looks).order_by(looks.c.id))]
        assert lanes[0] == (plain, "value")
        assert (case_id, "value") not in lanes, "nobody has to judge it, though who wants to may"
        found = tallies.tallies(connection, tallies.Choice(), ())
        assert [(one.units, one.truth) for one in found] == [(1, "leak")]
        assert sum(one.looks for one in tallies.skills(connection, tallies.Choice(), by="role")) == 3
        rules = site.desk.policy
        drawn = draw.draw([one.candidate for one in standing(connection, rules)], rules)
        assert (drawn[case_id].split, drawn[plain].split) == (None, "train")
    with pytest.raises(ConfigError, match="whose truth is leak"):
        gold_cases.declare(site.engine, case_id, "ok", who="quinn", now=db.now())


def test_runs_are_only_added_to(site: Site) -> None:
    register(site)
    arrive(site, shown(1, "ok"))
    with pytest.raises(sa.exc.DBAPIError, match="only added to"), site.engine.begin() as connection:
        connection.execute(sa.update(challenge_runs).values(result="passed"))


@pytest.mark.parametrize(
    ("about", "words"),
    [
        ({"truth": "perhaps"}, "choose leak or ok"),
        ({"serial": ""}, "1 to 128 characters"),
        ({"serial": "x\0"}, "1 to 128 characters"),
        ({"serial": "x\u202ey"}, "1 to 128 characters"),
        ({"truth": "ok", "leak_std_cm3_s": 1e-3}, "a good part has no leak rate"),
        ({"leak_std_cm3_s": float("nan")}, "such as 1e-3"),
        ({"leak_std_cm3_s": -1.0}, "such as 1e-3"),
        ({"site": ""}, "no site is named"),
        ({"serial": "R-0"}, "registered at plant already: retire it first"),
    ],
)
def test_a_part_that_cannot_be_one_is_refused_in_words(site: Site, about: dict, words: str) -> None:
    register(site, "R-0")
    with pytest.raises(ConfigError, match=words):
        register(site, **{"serial": "R-1"} | about)


def test_the_database_finds_the_units_that_the_order_says(site: Site) -> None:
    """Three installations, clocks that jump, any ends."""
    draw_ = random.Random(5)
    messages = []
    for number in range(1, 121):
        boot = draw_.choice(["aaaa-1", "aaaa-2", "bbbb-1", "cccc"])
        at = f"2026-11-20T{draw_.randrange(10, 20)}:{draw_.randrange(10, 60)}:00Z"
        about = {"boot_id": boot, "started_at": at, "case_id": f"c{number}"}
        messages.append(case_message(a_case(draw_.randrange(1, 60), **OK | about)))
    arrive(site, *messages)
    with site.engine.connect() as connection:
        rows = connection.execute(sa.select(cases)).all()
        held = {row.case_id: Moment(row.boot_id, row.sequence, row.started_at) for row in rows}
        for _ in range(40):
            after, until = (draw_.choice([None, *held.values()]) for _ in range(2))
            interval = Interval(after, until)
            found = {key for keys in challenge_history.units(connection, PLACE, interval) for _, key in keys}
            assert found == {key for key, moment in held.items() if challenge.holds(interval, moment)}


def test_what_is_due_follows_from_the_last_answer(site: Site) -> None:
    plan = Plan(when="hours", hours=2.0)
    register(site)
    register(site, "G-1", "ok", station="TANK2")
    now = BEGIN + 7200
    arrive(site, status("shadow"))
    with site.engine.connect() as connection:
        (one,) = challenge_history.standings(connection, plan, now)
        assert (one.truth, one.last, one.due.state) == ("leak", None, "overdue")
    arrive(site, shown(10, "leak"), shown(20, "uncertain"))
    with site.engine.connect() as connection:
        (one,) = challenge_history.standings(connection, plan, now)
        assert (one.last.sequence, one.due.at, one.due.state) == (10, BEGIN + 600 + 7200, "later")
    arrive(site, shown(30, "leak", started_at="2099-01-01T00:00:00Z"), now=now)
    with site.engine.connect() as connection:
        (one,) = challenge_history.standings(connection, plan, now)
        assert (one.last.sequence, one.due.at) == (30, now + 7200), "a clock that is ahead puts off no run"


def test_the_pages_register_show_and_list(site: Site) -> None:
    arrive(site, status("partial"))
    quinn = site.browser("quinn")
    assert "register a leaker" in quinn.text("/challenge")
    form = {"serial": " R-1 ", "truth": "leak", "leak": "0,001", "place": f"{PLANT}/{STATION}"}
    bad = quinn.send("/challenge", form | {"leak": "much"})
    assert bad.status_code == 400 and "is no number" in bad.get_data(as_text=True)
    strange = quinn.send("/challenge", form | {"place": "moon/TANK1"})
    assert strange.status_code == 400 and "was ever heard of" in strange.get_data(as_text=True)
    assert quinn.send("/challenge", form).status_code == 302
    assert "registered at plant already" in quinn.send("/challenge", form).get_data(as_text=True)
    called = {"sampled": Sampled("challenge", 1.0)}
    arrive(site, shown(1, "leak", **called), unit(2), unit(3, serial="=1+1"), shown(4, "ok", **called))
    page = quinn.text("/challenge")
    assert "called leaking part R-1 ok" in page and "too few" in page and "overdue" not in page.split("<h2>Parts")[1]
    assert "challenge part R-1 ok" in quinn.text("/stations")
    missed = a_case(4).case_id
    page = quinn.text(f"/challenge/{missed}")
    assert '<dd id="called-back">2</dd>' in page and "No good run of this kind has followed" in page
    rows = list(csv.DictReader(io.StringIO(quinn.text(f"/challenge/{missed}.csv"))))
    assert [(row["sequence"], row["serial"]) for row in rows] == [("2", "SN-2"), ("3", "'=1+1")]
    assert len(quinn.text(f"/challenge/{missed}.csv?list=after").splitlines()) == 1
    link = {"site": PLANT, "station": STATION, "from": "2026-11-20T14:01", "until": "2026-11-20T14:04"}
    assert urlencode(link, safe=":").replace("&", "&amp;") in page
    assert quinn.get(f"/challenge/{a_case(1).case_id}").status_code == 404
    assert quinn.get(f"/challenge/{missed}.csv?list=never").status_code == 400
    assert quinn.send("/challenge", {"act": "retire", "part": "1"}).status_code == 302
    assert "retired" in quinn.text("/challenge")


def test_who_may_not_register_sees_no_form_and_an_expert_sees_nothing(site: Site) -> None:
    erna = site.browser("erna")
    assert [erna.get(path).status_code for path in ("/challenge", "/challenge/x", "/challenge/x.csv")] == [403] * 3
    assert erna.send("/challenge", {"serial": "R-1"}).status_code == 403
    assert site.stranger().get("/challenge").status_code == 302
