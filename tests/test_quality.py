"""`check` and `test` pass on what the tools say."""

import sys

from benchmarks import quality

GOOD, BAD = [sys.executable, "-c", ""], [sys.executable, "-c", "raise SystemExit(3)"]


def test_check_runs_all_parts_and_names_those_that_failed(monkeypatch, capfd):
    monkeypatch.setattr(quality, "CHECKS", {"format": BAD, "lint": GOOD, "types": BAD})
    assert quality.check([]) == 1
    assert "check: lint passed" in (said := capfd.readouterr().err)
    assert said.endswith("check: format, types failed\n")


def test_check_passes_when_every_part_does(monkeypatch):
    monkeypatch.setattr(quality, "CHECKS", {"format": GOOD, "lint": GOOD})
    assert quality.check([]) == 0


def test_options_reach_pytest_and_its_status_comes_back(capfd):
    no_tests = 5
    assert quality.test(["-n", "0", "-q", "tests/test_quality.py", "-k", "nothing_is_called_so"]) == no_tests
    assert " deselected" in capfd.readouterr().out
