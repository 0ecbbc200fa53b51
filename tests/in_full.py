"""A parameter that only full runs look at."""

import pytest


def in_full(*values, id: str | None = None):
    return pytest.param(*values, marks=pytest.mark.full, id=id)
