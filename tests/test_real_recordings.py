"""Recordings that nobody here made: a score for each, and no leak where there is none. They are test data only."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from in_full import in_full

ROOT = Path(__file__).parent.parent
VIDEOS = (
    "bubbles-boiling-silhouette/boiling_2022_binarised_1200fps_as30.mp4",
    "industrial-bottles-conveyor/bottle-detection.mp4",
    "nobubbles-aquarium-fish/fish.mp4",
    "nobubbles-beads-in-water/bulk-water.mov",
    "nobubbles-general-motion/horse_jitter.mp4",
    "nobubbles-general-motion/rubixfire.mp4",
    "qr-boofcv/movie.mp4",
)
QUICK = VIDEOS[:1] + VIDEOS[2:4]
"""The others are looked at in full runs."""
BUBBLES = "bubbles-boiling"
"""A leak, whatever the machine says; the others hold no bubble."""


@pytest.mark.parametrize("name", [video if video in QUICK else in_full(video) for video in VIDEOS])
def test_every_video_gets_a_score_and_none_without_bubbles_is_a_leak(real_data, name):
    command = [sys.executable, str(ROOT / "tankwatch.py"), "inspect", str(real_data / name), "--single", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    (line,) = done.stdout.splitlines()
    case = json.loads(line)
    assert case["schema"] == "tankwatch/case/1"
    assert case["verdict"] != "not_tested"
    assert 0 <= case["score"] <= 1
    if not name.startswith(BUBBLES):
        assert case["verdict"] != "leak"


def test_the_list_names_every_video_there_is(real_data):
    found = {str(path.relative_to(real_data)) for ending in ("mp4", "mov") for path in real_data.rglob(f"*.{ending}")}
    assert found == set(VIDEOS)
