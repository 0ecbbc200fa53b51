"""A wait for the PIN ends, whatever the clock does."""

from pathlib import Path

from edge_agent.pin import FREE_TRIES, Pin


def test_a_clock_that_was_set_back_keeps_nobody_out_for_longer_than_one_wait(tmp_path: Path) -> None:
    now = [1.8e9]
    pin = Pin(tmp_path, lambda: now[0])
    pin.set("483920")
    for _ in range(FREE_TRIES):
        pin.is_right("000001")
    now[0] = 100.0
    assert pin.is_right("483920") == 5.0
    now[0] += 6.0
    assert pin.is_right("483920") is True
