"""Which profile was seen in place, kept on the disk."""

import numpy as np
import pytest

from edge_agent import profile_check
from edge_agent.errors import StoreError
from edge_agent.records import Framing
from tests.fakes_disk import full_disk

IN_PLACE = Framing("ok", np.eye(3), 4, 0.4321, -0.01)
NOW = 1_796_025_600.0


def test_a_profile_that_was_seen_in_place_is_known_by_its_hash_and_by_how_it_was_seen(tmp_path):
    folder = tmp_path / "profiles"
    assert profile_check.checked(folder) is None
    assert profile_check.mark_checked(folder, "a" * 64, IN_PLACE, now=NOW)
    found = profile_check.last(folder)
    assert profile_check.checked(folder) == found.profile_sha256 == "a" * 64
    assert (found.at[:10], found.corners_seen, found.shift_px, found.rotation_deg) == ("2026-11-30", 4, 0.432, -0.01)


@pytest.mark.parametrize("status", ["shifted", "lost", "unchecked"])
def test_what_was_not_in_place_is_not_kept(tmp_path, status):
    assert not profile_check.mark_checked(tmp_path, "a" * 64, Framing(status, np.eye(3), 3), now=NOW)
    assert profile_check.checked(tmp_path) is None


def test_the_next_profile_takes_the_place_of_the_one_before(tmp_path):
    for name in "ab":
        profile_check.mark_checked(tmp_path, name * 64, IN_PLACE, now=NOW)
    assert profile_check.checked(tmp_path) == "b" * 64


@pytest.mark.parametrize("damage", [b"", b"{", b'{"profile_sha256": 3}', b"\xff\xfe"])
def test_a_damaged_file_is_no_check(tmp_path, damage):
    profile_check.mark_checked(tmp_path, "a" * 64, IN_PLACE, now=NOW)
    (tmp_path / profile_check.FILE).write_bytes(damage)
    assert profile_check.checked(tmp_path) is None


def test_a_full_disk_keeps_what_was_known(tmp_path):
    profile_check.mark_checked(tmp_path, "a" * 64, IN_PLACE, now=NOW)
    with full_disk(), pytest.raises(StoreError):
        profile_check.mark_checked(tmp_path, "b" * 64, IN_PLACE, now=NOW)
    assert profile_check.checked(tmp_path) == "a" * 64
