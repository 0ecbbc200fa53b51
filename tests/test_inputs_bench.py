"""The bench that chooses what the detector sees: what counts as found, and its table."""

import json

import numpy as np
import pytest

from benchmarks import inputs
from models.data import BEAD, RISING, UNSURE


def test_a_bubble_is_found_near_its_place_and_what_is_near_none_is_a_false_detection() -> None:
    rows = np.array(
        [[50, 50, 0, -4, RISING, 4], [90, 90, 0, -4, RISING, 2], [20, 90, 0, 4, BEAD, 6], [70, 20, 0, 0, UNSURE, 8]],
        float,
    )
    places = np.array([[53.0, 50.0], [20.0, 90.0], [70.0, 25.0], [110.0, 50.0]])
    hits, false = inputs._near(places, np.array([0.9, 0.8, 0.7, 0.6]), rows, (128, 128))
    assert hits == [(4.0, 0.9), (2.0, 0.0)], "the second one has no place near it"
    assert false == [0.8, 0.6], "a bead is no bubble; of what is unsure nobody is blamed"


def test_recall_is_told_at_the_limit_that_lets_so_many_false_ones_through() -> None:
    hits = [(2.0, 0.2), (2.5, 0.6), (4.0, 0.9), (4.5, 0.4)]
    told = inputs._shares(hits, [0.9, 0.5, 0.3, 0.1], allowed=1)
    assert told == {
        "recall": 0.5, "recall 0-3 px": 0.5, "recall 3-5 px": 0.5, "recall 5-99 px": None, "limit": 0.5,
    }  # fmt: skip
    assert inputs._shares([], [], allowed=1)["recall"] is None


def test_the_table_has_means_and_spreads_over_seeds() -> None:
    rows = [{"key": f"a/{seed}", "input": "a", "seed": seed, "recall": 0.5 + 0.1 * seed} for seed in (1, 2)]
    assert inputs._table(rows).splitlines()[-1] == "| a | 0.65 ± 0.05 |"


@pytest.mark.full
def test_a_short_run_is_taken_up_again_and_gives_a_row_for_each_kind(tmp_path, capsys, monkeypatch) -> None:
    monkeypatch.setattr(inputs, "KINDS", {name: inputs.KINDS[name] for name in ("single frame", "shipped, at 320x240")})
    monkeypatch.delenv("TANKWATCH_REAL_DATA", raising=False)
    call = ["--scenes", "2", "--epochs", "1", "--seeds", "1", "--out", str(tmp_path)]
    assert inputs.run(call) == 0
    kept = tmp_path / f"rows-{inputs.FORM}.jsonl"
    rows = [json.loads(line) for line in kept.read_text().splitlines()]
    assert [row["input"] for row in rows] == [*inputs.BLOBS, *inputs.KINDS]
    first = capsys.readouterr().out
    assert inputs.run(call) == 0
    assert capsys.readouterr().out == first
    assert len(kept.read_text().splitlines()) == len(rows)
