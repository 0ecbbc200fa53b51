"""Language files: what they translate, what they leave in English, and that none lacks what the device can say."""

import re
from collections.abc import Iterator
from itertools import cycle, product
from pathlib import Path

import numpy as np
import pytest
from fakes_camera import moved, profile, reference_corners, seen
from said_by_the_device import SOURCE, modules_of, sentences

from edge_agent import alarm_catalogue, automation, camera_watch, drift_station, languages
from edge_agent.automation import Seen, Standing
from edge_agent.decision import _words
from edge_agent.drift import Quantity
from edge_agent.emission import words
from edge_agent.errors import ConfigError
from edge_agent.framing import check
from edge_agent.languages import Languages
from edge_agent.records import Emission
from edge_agent.verdict import _CURES
from edge_agent.water_trend import Due, WaterOutlook

OURS = Languages(Path("/nowhere"), "en")
OTHERS = sorted(set(OURS.by_code) - {"en"})
SPEAKING = (
    "account",
    "alarm_catalogue",
    "alarm_settings",
    "automation",
    "camera_glance",
    "camera_watch",
    "capture",
    "case",
    "challenger",
    "decision",
    "delivery_alarms",
    "drift_keeper",
    "drift_quantities",
    "drift_station",
    "durable",
    "eyes",
    "filming",
    "framing",
    "infer",
    "lamps",
    "mode_keeper",
    "on_screen",
    "outbox",
    "pipeline",
    "selfreport",
    "sheets_seen",
    "station_watch",
    "stream",
    "switch",
    "trial_run",
    "update_report",
    "verdict",
    "vigil",
    "visibility",
    "water_trend",
)
"""Modules whose words come to the screen: as alarms, reasons of cases, words of mode, aim or unit."""
SILENT = {
    "bundle golden onnxcheck": "what is wrong inside a bundle is for whoever made it",
    "exam trial placing offered references station_files": "why a bundle was refused is for whoever trains them",
    "repository fetching update": "why no update comes is for whoever looks after the network",
    "agent camera config inspection locks slots station": "said at the start, by the command",
    "clip_bytes clips pictures recording replay": "said of a recording, by the command",
    "line link": "said to whoever looks after the network, in the log",
    "deliveries ending keeper": "said in the log",
    "orders wire": "said to programs",
    "alarm_files alarm_history profile_history live codes": "said on the pages behind the screen",
}
"""Modules whose words may come to the screen as part of a sentence, and stay English, with the reason."""
PIECES = {
    "| alarm | priority | cause | consequence | what to do | limit | delays on/off | why |\n|": "for the documents",
    "X1 1.5 X1, dead band 1.5": "for the documents",
    " (X1 while it only comes)": "for the documents",
    "(X1, limit 1.5)": "driven below",
    "for 1.5 s (limit 1.5 s)": "driven below",
    "pictures have come in the wrong order": "driven below",
    "the camera gives pictures twice": "driven below",
    "the camera gives too few pictures": "driven below",
    "the camera has given old pictures": "driven below",
    "the camera's capture times have jumped": "driven below",
    "the picture has become 1.5 % X1 (limit 1.5 %)": "driven below",
    "the picture has been frozen": "driven below",
    "drift is not kept: X1": "said in the log",
    "X1 cannot be read (X1): drift is learnt anew": "said in the log",
    "drift, X1: X1": "driven below",
    "X1: X1 since about X1 X1, X1 X1": "driven below",
    "in its good weeks": "driven below",
    "grey levels": "a unit",
    "; and X1 more": "driven below",
    "a hand in the file": "said in the trail",
    "not told": "said in the trail",
    "turn the camera ": "driven below",
    "roll the camera ": "driven below",
    "move the camera ": "driven below",
    " the tank": "driven below",
    "away from": "driven below",
    "nearer to": "driven below",
    "X1 X1 not seen, all X1 are needed: uncover or clean, and check light and focus": "driven below",
    "X1, limit 1.5 px: put it back or run 'calibrate fit' again": "driven below",
    "X1, turned by 1.5 degrees": "driven below",
    "limit 1.5 px and 1.5 degrees": "driven below",
    "the tank's corner X1 is X1 off": "driven below",
    "marker X1 alone is X1 off": "driven below",
    "neither lamp": "driven below",
    "the X1 lamp": "driven below",
    "X1 X1 be read for 1.5 s (limit 1.5 s): clear the view of the lamps and shade them, or mark them again with "
    "'calibrate fit'": "driven below",
    ", the markers were covered": "driven below",
    ", the camera has moved": "driven below",
    "cases wait in memory and are lost at a power cutX1": "driven below",
    "X1 bubbleX1 rose, none from the same place againX1": "driven below",
    ", from X1 places": "driven below",
    "bubbles under 1.5 px (1.5 mm) cannot be seen X1, X1: X1": "driven below",
    "cannot be read or is meant for another station: send it again": "driven below",
    "the mode order X1": "driven below",
    "the cloud's wish X1": "driven below",
    "X1, it is too slow for this device: choose a smaller one": "driven below",
    "the challenger was stopped in X1 of the last X1 cases": "driven below",
    "X1 cases wait for the cloud's receipt, X1": "driven below",
    "the oldest for 1.5 h": "driven below",
    "clip of case X1 is gone: the case goes without it": "said in the log",
    "X1 cases were taken from the spool into X1": "said in the log",
    "X1 unfinished files and X1 clips without a case were removed": "said in the log",
    "outbox X1 was damaged (X1): kept as X1": "said in the log",
    "the disk is short: X1 clips of X1 went without a receipt": "said in the log",
    "the disk is short: the clip of case X1 went for its record": "said in the log",
    "cases without an agreement": "said in the log",
    "held agreement": "what a clip is worth",
    "the bundles in use stay: X1": "said in the log",
    "version X1 is taken back: X1": "said in the log",
    "the bundle that hangs is not taken back: X1": "said in the log",
    "this start is not counted: X1": "said in the log",
    "DESCRIBE X1 RTSP/1.0\r\nCSeq: 1\r\nAccept: application/sdp\r\n\r\n": "said to the camera",
}
"""Strings that are no sentence of the screen, with the reason."""


@pytest.mark.parametrize("code", OTHERS)
def test_every_sentence_that_the_device_can_say_has_a_pattern(code: str) -> None:
    language = OURS.by_code[code]
    said = {one for module in SPEAKING for one in sentences(module)} - set(PIECES)
    unknown = sorted(one for one in said | set(_driven()) if not (language.knows(one) or _is_sql(one)))
    assert unknown == []


def test_no_exception_is_left_of_what_nobody_says_any_more() -> None:
    said = {one for module in SPEAKING for one in sentences(module)}
    assert set(PIECES) - said == set()
    assert all((SOURCE / f"{module}.py").exists() for modules in SILENT for module in modules.split())


def test_every_module_that_says_a_fact_and_its_cure_is_listed() -> None:
    """A new one either speaks on the screen, and has its patterns, or is silent there, for a reason."""
    listed = {*SPEAKING, *(module for modules in SILENT for module in modules.split())}
    others = modules_of("agent", "uplink", "update") - listed
    assert {name for name in others if any(re.search(r"[a-z1)]: [a-z]", one) for one in sentences(name))} == set()


@pytest.mark.parametrize("code", OTHERS)
def test_every_word_of_the_pages_is_there_with_its_places(code: str) -> None:
    english, theirs = (languages.read(languages.OURS / f"{one}.toml").words for one in ("en", code))
    assert set(theirs) == set(english)
    places = {key: set(languages.PLACE.findall(text)) for key, text in english.items()}
    assert {key: set(languages.PLACE.findall(text)) for key, text in theirs.items()} == places


def _driven() -> list[str]:
    """Sentences that are put together."""
    said = [*_of_framing(), *_of_verdicts(), *(seen.words for seen in _standings())]
    said += [_words(blind, 12.0) for blind in (["ok"], ["leak"], ["ok", "leak"])]
    said += [
        f"{count} bubble{'s' * (count > 1)} rose, none from the same place again{', from 2 places' * (count > 1)}"
        for count in (1, 3)
    ]
    said += ["3 bubbles rose from one place in 4.5 s, not as from a leak"]
    emission = Emission(3, 1.3, 2.1, 240.0, 6.3e-3, 2.5e-3, 1.6e-2)
    said += ["bubbles rise from one point: 3 in 4.5 s", f"bubbles rise from one point: 3 in 4.5 s, {words(emission)}"]
    said += ["the challenger was stopped in 3 of the last 10 cases, it is too slow for this device"]
    said += ["cases wait in memory and are lost at a power cut; 3 are lost already"]
    said += [WaterOutlook("clear", 0.9, Due(hours, 0.2, 3.4)).words for hours in (0.5, 3.1)]
    said += ["7 cases wait for the cloud's receipt, the oldest for 1.5 h"]
    said += [*_of_camera(), *_of_drift()]
    for rule in alarm_catalogue.shipped().alarm.values():
        said += [rule.cause, rule.consequence, rule.early_consequence, rule.action]
    return [one for one in said if one]


def _of_camera() -> Iterator[str]:
    for kind in camera_watch._FACTS:
        how = "for 1.5 s (limit 1.0 s)"
        if kind in ("half_rate", "duplicated", "reordered"):
            how = "(7 new pictures a second instead of 15, limit 10)"
        yield camera_watch._words(kind, how)
    for way in ("darker", "brighter"):
        fact = f"the picture has become 30 % {way} (limit 25 %)"
        yield f"{fact}: switch the camera's automatic exposure off, and check the light"


def _of_framing() -> Iterator[str]:
    shifts = [(23.4, 0), (-23.4, 0), (0, 12), (0, -12), (20, 19), (-20, -19), (0, 0)]
    for shift, degrees, scale in product(shifts, (0, 1.2, -1.2), (1, 1.02, 0.98)):
        yield check(seen(moved(reference_corners(), shift, degrees, scale)), profile()).words
    for count in range(4):
        yield check(seen(dict(list(reference_corners().items())[:count])), profile(px_per_mm=None)).words
    strayed = reference_corners()
    strayed["BL"] = strayed["BL"] + np.array([3.0, -2.0])
    yield check(seen(strayed), profile()).words


def _of_drift() -> Iterator[str]:
    for month, quantity in zip(range(1, 13), cycle(drift_station.QUANTITIES), strict=False):
        yield drift_station.words([_moved_since(f"2026-{month:02}-12", quantity)])
    yield drift_station.words([_moved_since("2026-11-12", quantity) for quantity in drift_station.QUANTITIES])


def _moved_since(day: str, quantity: Quantity) -> drift_station.Move:
    return drift_station.Move(quantity=quantity, side="up", since=day, usual=0.1, now=0.2, strength=1.0)


def _of_verdicts() -> Iterator[str]:
    for cause in ("", ", the markers were covered", ", the camera has moved"):
        yield f"the unit could be watched for 2.1 s, 5.0 s are needed{cause}: hold it longer"
    for where, cure in _CURES.values():
        fact = "leaks below 1e-3 std cm3/s could not be seen, 1e-4 is required"
        yield f"bubbles under 1.5 px (0.8 mm) cannot be seen {where}, {fact}: {cure}"


def _standings() -> Iterator[Standing]:
    words: dict[str, tuple] = {"order_word": ("none", "unreadable"), "wish_word": ("none", "unreadable")}
    words |= {"camera": ("ok", "waiting", "moved", "unknown"), "water": ("clear", "murky", "unknown")}
    words |= {
        "clock": ("ok", "jumped", "unknown"),
        "drifted": (False, True),
        "profile_is_checked": (True, False),
        "wish": (None, "human_only"),
    }
    usual = {"highest": "shadow", "site": "plant", "station": "TANK1", "bundle_sha256": "a", "profile_sha256": "b"}
    usual |= {name: known[0] for name, known in words.items()}
    for name, known in words.items():
        for one in known:
            yield automation.step(automation.Kept(), Seen(**usual | {name: one}, now=0.0))[1]


def _is_sql(said: str) -> bool:
    return said.startswith(("SELECT", "PRAGMA"))


@pytest.fixture
def german() -> languages.Language:
    return OURS.by_code["de"]


def test_a_sentence_is_found_by_its_pattern_with_the_languages_decimal_sign(german) -> None:
    said = german.say("the unit could be watched for 2.1 s, 5.0 s are needed: hold it longer")
    assert said == "das Teil wurde 2,1 s beobachtet, 5,0 s werden gebraucht: länger im Wasser lassen"


def test_what_a_language_lacks_is_shown_in_english_and_the_rest_is_not(german) -> None:
    assert (
        german.say("the flux has gone: check the light and the lens") == "the flux has gone: Licht und Objektiv prüfen"
    )
    assert german.say("nobody knows this") == "nobody knows this"
    assert not german.knows("the flux has gone: check the light and the lens")


def test_names_and_addresses_stay_as_they_are(german) -> None:
    said = german.say("10.0.0.5:554 does not answer (Connection refused): check power, cable and address")
    assert said == "10.0.0.5:554 antwortet nicht (Connection refused): Strom, Kabel und Adresse prüfen"
    assert german.say("ordered by ada: trial {name} %s 2.5") == "angeordnet von ada: trial {name} %s 2,5"


def test_a_loose_pattern_does_not_reach_over_the_joints_of_a_closer_one(german) -> None:
    fact = "the camera gives too few pictures (7 new pictures a second instead of 15, limit 11)"
    said = german.say(f"{fact}: check cable and power; ordered by ada: reason: she said so; or not")
    assert said.startswith("die Kamera liefert zu wenige Bilder (7 neue Bilder je Sekunde statt 15, Grenze 11): Kabel")
    assert said.endswith("angeordnet von ada: reason: she said so; or not")


def test_the_english_screen_says_long_sentences_shortly() -> None:
    said = OURS.usual.say("the water gets murky, about 3 h until it must be changed (2.1 to 4.0 h)")
    assert said == "water is getting murky, about 3 h until it must be changed"


def test_a_very_long_sentence_takes_no_time(german) -> None:
    assert german.say("turn " * 5000).startswith("turn")


def test_a_plants_own_file_comes_before_ours_and_may_bring_another_language(tmp_path: Path) -> None:
    (tmp_path / "de.toml").write_text('name = "Deutsch"\ndecimal = ","\n[words]\n"count.units" = "Verdichter"\n')
    (tmp_path / "fr.toml").write_text('name = "Français"\n[sentences]\n"the water is murky" = "l\'eau est trouble"\n')
    found = Languages(tmp_path, "fr")
    assert found.by_code["de"].word("count.units") == "Verdichter"
    assert found.by_code["de"].word("count.good") == "Gut"
    assert found.usual.say("the water is murky: change the water") == "l'eau est trouble: change the water"
    assert found.usual.word("count.good") == "Good"


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ('name = "x"\nwrong = 1\n', "unknown field"),
        ("no toml", "not usable"),
        ('name = "x"\n[sentences]\n"a {one}" = "b {other}"\n', "other places"),
        ('name = "x"\n[sentences]\n"a {one} {one}" = "b"\n', "other places"),
        ('name = "x"\n[sentences]\n"a {}" = "b {}"\n', "needs a name"),
    ],
)
def test_a_file_that_cannot_be_used_is_named_with_its_fault(tmp_path: Path, text: str, fault: str) -> None:
    (tmp_path / "fr.toml").write_text(text)
    with pytest.raises(ConfigError, match=fault) as told:
        Languages(tmp_path, "en")
    assert "fr.toml" in str(told.value)
