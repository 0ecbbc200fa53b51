"""What the operator's screen shows of what the device says: nothing old, nothing that the mode hides, gravest first."""

from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec
import pytest
from panel_states import CASE, MOVED, WATER, a_last, a_state, an_uplink, situations, watching

from edge_agent import utc
from edge_agent.languages import Languages
from edge_agent.records import DueWord
from edge_agent.screen import FRESH_S, LAST_BIG_S, Screen, Seen, screen
from edge_agent.shifts import Counts, Shift
from edge_agent.state import ShownWord, Watched

NOW = 1_796_000_000.0
LANGUAGES = Languages(Path("/nowhere"), "en")
COUNTS = Counts(Shift(NOW - 10, NOW + 10, "06:00–14:00"), 12, 9, 2, 1, 3)


def shown(state, uplink=None, *, language: str = "en", counts: Counts | None = COUNTS, picture: bool = True) -> Screen:
    seen = Seen(NOW, ZoneInfo("Europe/Berlin"), state, uplink, counts, has_picture=picture)
    return screen(seen, LANGUAGES.by_code[language])


@pytest.mark.parametrize("language", sorted(LANGUAGES.by_code))
@pytest.mark.parametrize("name", sorted(situations(NOW)))
def test_every_situation_can_be_shown_in_every_language(name: str, language: str) -> None:
    found = shown(*situations(NOW)[name], language=language)
    assert found.headline and found.mode and found.link and found.backlog and found.bundle
    assert not any("{" in str(text) for text in msgspec.structs.astuple(found))


@pytest.mark.parametrize("age_s", [FRESH_S + 0.1, -FRESH_S - 0.1, 3600.0])
def test_what_was_said_too_long_ago_is_not_shown(age_s: float) -> None:
    old = NOW - age_s
    said = a_state(old, mode="full", watched=watching(3.2), last_case=a_last(old, verdict="ok"), alarms=(MOVED,))
    found = shown(said, an_uplink(old))
    assert not found.is_fresh and found.headline == "No word from the inspection"
    assert (found.ring, found.last, found.outline, found.mode) == (None, "", None, "Unknown")
    assert found.trouble.cause.startswith("The inspection says nothing") and found.picture == "No picture"
    assert "silent" in found.link and "not known" in found.backlog


def test_a_device_that_never_spoke_says_so() -> None:
    found = shown(None)
    assert "not been heard" in found.detail and "does not run" in found.link


@pytest.mark.parametrize("mode", ["human_only", "shadow"])
@pytest.mark.parametrize("verdict", ["ok", "leak", "uncertain"])
def test_no_word_of_the_machine_is_shown_where_the_mode_hides_it(mode: str, verdict: str) -> None:
    word = ShownWord(CASE, DueWord(verdict, 0.5, 5.0))  # type: ignore[arg-type]
    last = a_last(NOW, verdict=verdict, reason="bubbles rise from one point: 3 in 4.5 s")
    for watched in (watching(5.0), Watched("decided", CASE, 5.0, 5.0), Watched("empty")):
        found = shown(a_state(NOW, mode=mode, shown=word, last_case=last, watched=watched))
        assert found.tone in ("calm", "watch")
        text = f"{found.headline} {found.detail} {found.last}".lower()
        assert not any(said in text for said in ("bubbles", "uncertain", "machine"))
        assert found.headline != "OK" and found.headline != "LEAK"


def test_a_unit_that_was_not_tested_is_told_in_every_mode_with_the_reason() -> None:
    reason = "the unit could be watched for 2.1 s, 5.0 s are needed: hold it longer"
    for mode in ("human_only", "shadow", "assist", "partial", "full"):
        found = shown(a_state(NOW, mode=mode, last_case=a_last(NOW, verdict="not_tested", reason=reason)))
        assert (found.headline, found.symbol) == ("Not tested", "question")
        assert found.detail == "Unit was watched for 2.1 s, 5.0 s are needed: hold it longer"


@pytest.mark.parametrize(
    ("verdict", "headline", "symbol"),
    [("ok", "OK", "check"), ("leak", "LEAK", "drop"), ("uncertain", "Uncertain", "question")],
)
def test_the_word_has_a_shape_and_stays_big_until_the_next_unit_or_for_a_while(verdict, headline, symbol) -> None:
    said = a_state(NOW, mode="assist", last_case=a_last(NOW, verdict=verdict))
    found = shown(said)
    assert (found.headline, found.symbol, found.last) == (headline, symbol, "")
    later = msgspec.structs.replace(said.last_case, ended_at=utc.text(NOW - LAST_BIG_S - 1))
    found = shown(msgspec.structs.replace(said, last_case=later))
    assert found.headline == "Ready" and headline in found.last
    found = shown(msgspec.structs.replace(said, watched=Watched("entering", "TANK1-abc-00008")))
    assert found.headline == "Unit goes in" and headline in found.last


def test_the_ring_shows_usable_against_required_seconds_and_why_they_stand_still() -> None:
    found = shown(a_state(NOW, watched=watching(3.2, "the unit is moving: hold it still")))
    assert (found.ring.share, found.ring.big, found.ring.small) == (0.64, "3.2", "of 5 s")
    assert found.detail == "The unit is moving: hold it still"
    assert shown(a_state(NOW, watched=watching(9.0))).ring.share == 1.0
    assert shown(a_state(NOW, watched=Watched("watching", CASE, 3.2, None))).ring.share == 0.0
    assert shown(a_state(NOW, watched=watching(3.2)), language="de").ring.big == "3,2"


def test_the_gravest_alarm_comes_first_and_of_two_alike_the_older() -> None:
    found = shown(a_state(NOW, alarms=(WATER, MOVED)))
    assert found.trouble.priority == "high" and found.trouble.more == "and 1 more"
    assert found.trouble.cause == "Camera has moved: the picture is 23.4 px (5.1 mm) off and turned by +2.00 degrees"
    assert found.trouble.cure == "Turn the camera left and roll the camera clockwise"
    older = msgspec.structs.replace(MOVED, id="x", cause="older", since="2026-11-29T13:00:00.000Z")
    assert shown(a_state(NOW, alarms=(MOVED, older))).trouble.cause == "Older"
    linked = msgspec.structs.replace(an_uplink(NOW), alarms=(MOVED,))
    assert shown(a_state(NOW, alarms=(WATER,)), linked).trouble.priority == "high"
    assert shown(a_state(NOW)).trouble.cause == "All is well"


def test_a_cure_that_only_repeats_the_cause_is_left_out() -> None:
    said = msgspec.structs.replace(MOVED, cause="something", action="something")
    assert shown(a_state(NOW, alarms=(said,))).trouble.cure == ""


def test_link_and_backlog_say_since_when_and_with_the_day_where_it_was_another() -> None:
    found = shown(a_state(NOW), an_uplink(NOW, connected=False, waiting=7))
    assert found.link.startswith("Offline since ") and found.backlog == "7 units wait to be sent"
    assert len(found.link) == len("Offline since 14:02") and not found.is_linked
    days = msgspec.structs.replace(an_uplink(NOW), since=utc.text(NOW - 3 * 86_400))
    assert shown(a_state(NOW), days).link.startswith("Connected since 20")


def test_counts_that_cannot_be_read_are_no_numbers() -> None:
    found = shown(a_state(NOW), counts=None)
    assert (found.units, found.good, found.shift) == ("–", "–", "Shift: not known just now")
    found = shown(a_state(NOW))
    assert (found.units, found.good, found.leak, found.undecided, found.not_tested) == ("12", "9", "2", "1", "3")


def test_times_that_are_none_break_nothing() -> None:
    said = a_state(NOW, mode="assist", last_case=a_last(NOW, verdict="ok", ended_at="yesterday"))
    assert shown(said, msgspec.structs.replace(an_uplink(NOW), since="")).link == "Connected since ?"
    assert shown(msgspec.structs.replace(said, at="never")).is_fresh is False
