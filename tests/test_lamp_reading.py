"""What a lamp looked like when it was dark helps where the net is unsure of one picture, and nowhere else."""

import cv2
import numpy as np
import pytest

from edge_agent.decision import DecisionWatch
from edge_agent.eyes import Eyes
from edge_agent.lamp_reading import CROP_PX, MEMORY_S, LampLimits, LampMemory, LampReading
from edge_agent.lamps import crop

LIMITS = LampLimits(lit_above=0.8, dark_below=0.05)
SURELY_DARK, UNSURE, PERHAPS_DARK = (0.99, 0.0, 0.01), (0.3, 0.1, 0.6), (0.9, 0.03, 0.0)
"""dark, lit, unreadable: how sure the net is."""
DARK_LENS, DIM_LENS, LIT_LENS = 30, 60, 150


def a_lamp(lens: int = DARK_LENS, *, panel: int = 70, light: float = 1.0, glint: tuple[int, int] | None = None):
    """A red lens on a panel as the reader crops it; `glint`: where the sun glances off, x and y from the middle."""
    picture = np.full((60, 60, 3), panel, np.uint8)
    cv2.circle(picture, (30, 30), 10, (lens // 4, lens // 4, lens), -1, cv2.LINE_AA)
    if glint:
        cv2.circle(picture, (30 + glint[0], 30 + glint[1]), 3, (250, 250, 250), -1, cv2.LINE_AA)
    return crop(np.clip(picture * light, 0, 255).astype(np.uint8), (20, 20, 20, 20))


def a_memory(*, until_s: float = 1.0) -> LampMemory:
    memory = LampMemory()
    for at_s in np.arange(0.0, until_s, 0.05):
        assert memory.word(LampReading(*SURELY_DARK, a_lamp()), LIMITS, float(at_s)) == "dark"
    return memory


@pytest.mark.parametrize("light", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("glint", [None, (0, 0), (4, -5), (9, 3)])
def test_a_lens_that_looks_as_when_it_was_dark_is_dark_in_any_light_and_under_a_glint(light, glint):
    reading = LampReading(*UNSURE, a_lamp(light=light, glint=glint))
    assert reading.word(LIMITS) == "unreadable"
    assert a_memory().word(reading, LIMITS, 1.0) == "dark"
    assert LampMemory().word(reading, LIMITS, 1.0) == "unreadable", "nothing is known of this lamp yet"


def test_a_lamp_that_has_become_brighter_is_not_dark_unless_the_net_is_sure():
    dim = a_lamp(DIM_LENS)
    assert LampReading(*PERHAPS_DARK, dim).word(LIMITS) == "dark"
    assert a_memory().word(LampReading(*PERHAPS_DARK, dim), LIMITS, 1.0) == "unreadable"
    assert a_memory().word(LampReading(*PERHAPS_DARK, a_lamp()), LIMITS, 1.0) == "dark"
    assert a_memory().word(LampReading(*SURELY_DARK, dim), LIMITS, 1.0) == "dark", "the lamp was moved, say"


@pytest.mark.parametrize("sure", [(0.0, 0.6, 0.1), (0.0, 0.0, 0.97)])
def test_what_the_net_holds_for_lit_or_is_sure_cannot_be_read_is_not_called_dark(sure):
    assert a_memory().word(LampReading(*sure, a_lamp()), LIMITS, 1.0) == "unreadable"
    assert a_memory().word(LampReading(0.0, 0.9, 0.0, a_lamp()), LIMITS, 1.0) == "lit"


def test_a_lamp_that_the_net_only_thinks_dark_teaches_nothing():
    memory = LampMemory()
    assert memory.word(LampReading(*PERHAPS_DARK, a_lamp(LIT_LENS)), LIMITS, 0.0) == "dark"
    assert memory.word(LampReading(*UNSURE, a_lamp(LIT_LENS)), LIMITS, 0.1) == "unreadable"


def test_a_sleeve_as_dark_as_the_lens_is_no_dark_lamp():
    rng = np.random.default_rng(1)
    for housing in (DARK_LENS, DARK_LENS + 5):
        memory = LampMemory()
        memory.word(LampReading(*SURELY_DARK, a_lamp(panel=housing)), LIMITS, 0.0)
        sleeve = np.uint8(np.clip(rng.normal(housing, 2, (3, CROP_PX, CROP_PX)), 0, 255))
        assert memory.word(LampReading(*UNSURE, sleeve), LIMITS, 0.1) == "unreadable"


def test_a_sleeve_before_half_of_a_dull_lens_is_no_dark_lamp():
    memory, half = LampMemory(), a_lamp(panel=DARK_LENS + 4)
    memory.word(LampReading(*SURELY_DARK, half.copy()), LIMITS, 0.0)
    half[:, 10:] = DARK_LENS
    assert memory.word(LampReading(*UNSURE, half), LIMITS, 0.1) == "unreadable"


def test_sun_over_nearly_half_of_the_picture_is_no_glint():
    sun = a_lamp()
    sun[:, 14:] = 250
    assert a_memory().word(LampReading(*UNSURE, sun), LIMITS, 1.0) == "unreadable"


def test_a_dark_lamp_under_a_glint_stays_dark_for_hours():
    memory = a_memory()
    for minute in range(1, 200):
        glint = LampReading(*UNSURE, a_lamp(glint=(4, -5)))
        assert memory.word(glint, LIMITS, minute * MEMORY_S * 0.9) == "dark"


@pytest.mark.parametrize("covered", [np.full((3, CROP_PX, CROP_PX), 30, np.uint8), a_lamp(70), a_lamp(5)])
def test_what_looks_otherwise_stays_unreadable(covered):
    assert a_memory().word(LampReading(*UNSURE, covered), LIMITS, 1.0) == "unreadable"


def test_the_sun_that_wanders_is_followed_while_the_net_is_sure():
    memory = LampMemory()
    for number in range(600):
        lens = DARK_LENS + number // 20
        assert memory.word(LampReading(*SURELY_DARK, a_lamp(lens)), LIMITS, number * 0.1) == "dark"
    assert memory.word(LampReading(*PERHAPS_DARK, a_lamp(lens)), LIMITS, 60.0) == "dark"
    assert a_memory().word(LampReading(*PERHAPS_DARK, a_lamp(lens)), LIMITS, 1.0) == "unreadable"


def test_a_lamp_that_begins_to_shine_slowly_does_not_teach_that_it_is_dark():
    memory, words = a_memory(), []
    for number in range(400):
        unsure = LampReading(*UNSURE, a_lamp(DARK_LENS + number // 20))
        words.append(memory.word(unsure, LIMITS, 1.0 + number * 0.1))
    assert words[0] == "dark" and words[-1] == "unreadable"


def test_what_was_not_seen_dark_for_a_minute_is_forgotten_and_learnt_anew():
    unsure = LampReading(*UNSURE, a_lamp())
    assert a_memory().word(unsure, LIMITS, MEMORY_S) == "dark"
    memory = a_memory()
    assert memory.word(unsure, LIMITS, 1.0 + MEMORY_S) == "unreadable"
    assert memory.word(LampReading(*PERHAPS_DARK, a_lamp(DIM_LENS)), LIMITS, 1.1 + MEMORY_S) == "dark"


def test_a_clock_that_goes_back_and_a_picture_that_nobody_kept_do_no_harm():
    assert a_memory().word(LampReading(*UNSURE, a_lamp()), LIMITS, -1.0) == "unreadable"
    assert a_memory().word(LampReading(*UNSURE), LIMITS, 1.0) == "unreadable"
    black = np.zeros((3, CROP_PX, CROP_PX), np.uint8)
    memory = LampMemory()
    memory.word(LampReading(*SURELY_DARK, black), LIMITS, 0.0)
    assert memory.word(LampReading(*UNSURE, black), LIMITS, 0.1) == "unreadable", "a black picture shows no lamp"


@pytest.mark.parametrize("changed", [False, True])
def test_under_another_profile_nothing_is_known_of_its_lamps(changed):
    watch = DecisionWatch(LIMITS)
    for number in range(20):
        dark = LampReading(*SURELY_DARK, a_lamp())
        assert watch.step({"ok": dark, "leak": dark}, number / 20).panel == "off"
    if changed:
        Eyes(None, None, (64, 48), None, DecisionWatch(LIMITS)).go_on_from(Eyes(None, None, (64, 48), None, watch))
    for number in range(20, 40):
        unsure = LampReading(*UNSURE, a_lamp())
        panel = watch.step({"ok": unsure, "leak": unsure}, number / 20).panel
    assert panel == ("unreadable" if changed else "off")
