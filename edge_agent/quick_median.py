"""The median of some hundred values, ten times a picture: numpy's own spends most of its time on other shapes. PURE."""

import numpy as np


def median(values: np.ndarray) -> np.floating:
    """Of (n,) values, n > 0."""
    middle = len(values) // 2
    if len(values) % 2:
        return np.partition(values, middle)[middle]
    parted = np.partition(values, (middle - 1, middle))
    return (parted[middle - 1] + parted[middle]) / 2
