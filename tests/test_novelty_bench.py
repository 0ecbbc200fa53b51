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
    other, still = (next(iter(make_believe_views(5, kinds))) for kinds in (["boxes"], []))
    assert (first.grey != other.grey).any() and (first.grey != still.grey).any()


@pytest.mark.full
@pytest.mark.timeout(1800)
def test_a_kind_is_left_out_measured_and_kept(tmp_path, capsys):
    asked = ["--kinds", "fallers", "--short", "--json", "--jobs", "1", "--out", str(tmp_path)]
    ended = novelty.run(asked)
    row = json.loads(capsys.readouterr().out)
    assert row["kind"] == "fallers" and row["limit"] > 0
    assert ended == (row["noticed"] < novelty.LEAST_NOTICED or row["familiar"] > novelty.MOST_FAMILIAR)
    assert (tmp_path / "short" / "make_believe-fallers").is_dir()
    assert novelty.run(asked) == ended
    assert json.loads(capsys.readouterr().out) == row
