"""A parameter that only full runs look at."""

import pytest


def in_full(*values):
    return pytest.param(*values, marks=pytest.mark.full)
