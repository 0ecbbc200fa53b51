"""When a stream's pictures were taken, from its own clock and from when they came."""

import socket
import threading

import numpy as np
import pytest

from edge_agent.stream import StreamClock, why_closed

STEP_S = 0.05


def taken(told_s, came_s) -> np.ndarray:
    """Times of the pictures that are kept, NaN for the others."""
    clock = StreamClock()
    found = [clock.taken_s(told, came) for told, came in zip(told_s, came_s, strict=True)]
    return np.array([np.nan if time_s is None else time_s for time_s in found])


def a_stream(seconds: float = 20.0, late_s: float = 1.3) -> tuple[np.ndarray, np.ndarray]:
    """A stream's own times, and when its pictures come: all of the first `late_s` at once, then each after 30 ms."""
    told_s = np.arange(0, seconds, STEP_S)
    came_s = np.maximum(told_s + 1000.03, 1000.03 + late_s + 0.002 * np.arange(len(told_s)))
    return told_s, came_s


def test_pictures_that_had_waited_are_left_out():
    told_s, came_s = a_stream()
    times_s = taken(told_s, came_s)
    kept = ~np.isnan(times_s)
    assert 1.3 < told_s[kept][0] < 1.8
    assert kept[np.argmax(kept) :].all()
    assert np.allclose(times_s[kept], told_s[kept] + 1000.03, atol=2e-3)


def test_a_busy_machine_that_empties_the_buffer_slowly_is_waited_for():
    told_s, came_s = a_stream()
    came_s = np.maximum(came_s, 1001.33 + 0.033 * np.arange(len(told_s)))
    times_s = taken(told_s, came_s)
    assert np.allclose(np.diff(times_s[~np.isnan(times_s)]), STEP_S, atol=2e-3)


def test_an_uneven_network_does_not_show_in_the_times():
    told_s, came_s = a_stream(late_s=0.0)
    came_s = np.maximum.accumulate(came_s + np.random.default_rng(1).exponential(0.04, len(came_s)))
    times_s = taken(told_s, came_s)
    steps_s = np.diff(times_s[~np.isnan(times_s)])
    assert np.abs(steps_s - STEP_S).max() < 0.03
    assert np.mean(np.abs(steps_s - STEP_S) < 2e-3) > 0.9


def test_clocks_that_run_apart_stay_together():
    told_s, came_s = a_stream(seconds=600.0)
    came_s = 1000 + (came_s - 1000) * 1.0003
    times_s = taken(told_s, came_s)
    assert np.nanmax(np.abs(times_s - came_s)[40:]) < 0.01


def test_a_stream_that_begins_anew_is_learned_anew():
    told_s, came_s = a_stream(seconds=5.0)
    times_s = taken(np.tile(told_s, 2), np.concatenate([came_s, came_s + 7.0]))
    assert np.isnan(times_s[len(told_s)])
    assert times_s[-1] == pytest.approx(came_s[-1] + 7.0, abs=2e-3)
    assert (np.diff(times_s[~np.isnan(times_s)]) > 0).all()


def test_a_stream_without_times_has_those_of_its_arrivals():
    told_s, came_s = a_stream(late_s=0.0)
    times_s = taken(np.zeros_like(told_s), came_s)
    assert np.isnan(times_s[0])
    assert np.array_equal(times_s[10:], came_s[10:])


def test_what_is_no_rtsp_server_is_called_so():
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        port = server.getsockname()[1]
        words = why_closed(f"rtsp://127.0.0.1:{port}/x")
        thread.join()
    assert words == f"what answers at 127.0.0.1:{port} is no RTSP server: check the port"
