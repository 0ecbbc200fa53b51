"""What certificates are measured on, by real messages: due words of champion and challenger, and challenge parts."""

from pathlib import Path

import pytest
from cloud_fakes import a_case, case_message
from mode_site import CHALLENGER, CHAMPION, NOW, PROFILE, SITE, ModeSite

from cloud_sync import certificates, challenge_parts
from cloud_sync.certificates import Subject
from cloud_sync.certify import Challenge, Measured
from cloud_sync.challenge_parts import NewPart
from cloud_sync.intake import Intake
from cloud_sync.store import open_store
from edge_agent.records import BundleRef, ChallengerVerdict, DueWord, Sampled

PLACE = (SITE, "TANK1")


class Told:
    """A cloud to which cases come in."""

    def __init__(self, folder: Path) -> None:
        self.site = ModeSite(folder)
        self._intake = Intake(self.site.engine, open_store(self.site.config), max_clip_bytes=1000)
        self._number = 0

    def unit(self, said: tuple[str, str | None], beside: tuple[str, str | None], **about) -> None:
        """Last word and due word of the champion, and of a challenger."""
        self._number += 1
        second = ChallengerVerdict(BundleRef(4, CHALLENGER), beside[0], 0.5, "why", due(beside[1]))
        about |= {"challenger": second, "due": due(said[1]), "bundle": BundleRef(3, CHAMPION)}
        case = a_case(self._number, **{"verdict": said[0], "decision": "ok", "profile_sha256": PROFILE} | about)
        self._intake.handle([case_message(case)], NOW + self._number)

    def measured(self, sha256: str) -> Measured:
        with self.site.engine.connect() as connection:
            return certificates.measured(connection, Subject(PLACE, sha256, PROFILE))


def due(word: str | None) -> DueWord | None:
    return None if word is None else DueWord(word, 0.5, 4.0)


@pytest.fixture
def told(tmp_path: Path) -> Told:
    return Told(tmp_path)


def test_each_bundle_is_measured_by_what_the_line_would_have_been_told_in_time(told: Told) -> None:
    told.unit(("ok", "ok"), ("ok", "uncertain"))
    told.unit(("ok", "uncertain"), ("ok", "ok"))
    told.unit(("ok", "ok"), ("ok", "ok"))
    told.unit(("ok", None), ("ok", None))
    told.unit(("ok", None), ("not_tested", None))
    champion, challenger = told.measured(CHAMPION), told.measured(CHALLENGER)
    assert (champion.tested, champion.answered, champion.answered_ok) == (5, 2, 2)
    assert (challenger.tested, challenger.answered, challenger.answered_ok) == (4, 2, 2)


def test_challenge_parts_show_misses_of_both_by_their_due_words_and_are_no_units(told: Told) -> None:
    with told.site.engine.begin() as connection:
        for serial, truth in (("LEAK-1", "leak"), ("GOOD-1", "ok")):
            part = NewPart(site=SITE, station=None, serial=serial, truth=truth)
            challenge_parts.register(connection, part, who="quinn", now=1.0)
    told.unit(("leak", "leak"), ("leak", "ok"), serial="LEAK-1")
    told.unit(("leak", "leak"), ("ok", "leak"), serial="LEAK-1", sampled=Sampled("challenge", 1.0))
    told.unit(("leak", "leak"), ("ok", "uncertain"), serial="LEAK-1")
    told.unit(("ok", "ok"), ("leak", "leak"), serial="GOOD-1")
    champion, challenger = told.measured(CHAMPION), told.measured(CHALLENGER)
    assert champion.challenge == Challenge(leaky=3, missed=0, good=1, false_alarms=0, parts=1)
    assert challenger.challenge == Challenge(leaky=2, missed=1, good=1, false_alarms=1, parts=1)
    assert (champion.tested, challenger.tested) == (0, 0)
