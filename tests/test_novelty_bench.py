"""`bench novelty` end to end, far too small to reach its targets."""

import json

import pytest

from benchmarks import novelty
from models.nuisance import KINDS
from models.stages import make_believe_views


def test_a_clip_of_one_kind_shows_that_kind_alone():
    (first, *_), (again, *_) = (list(make_believe_views(5, ["fallers"]))[:3] for _ in range(2))
    assert (first.grey == again.grey).all()
    assert {"fallers", "flames", "boxes"} <= set(KINDS)
    other = next(iter(make_believe_views(5, ["boxes"])))
    assert (first.grey != other.grey).any()


@pytest.mark.full
@pytest.mark.timeout(1800)
def test_a_kind_is_left_out_measured_and_kept(tmp_path, capsys):
    asked = ["--kinds", "fallers", "--short", "--json", "--jobs", "1", "--out", str(tmp_path)]
    ended = novelty.run(asked)
    row = json.loads(capsys.readouterr().out)
    assert row["kind"] == "fallers" and 0 <= row["noticed"] <= 1 and 0 <= row["familiar"] <= 1
    assert ended == (not row["reached"])
    assert (tmp_path / "make_believe-fallers").is_dir()
    assert novelty.run(asked) == ended
    assert json.loads(capsys.readouterr().out) == row
