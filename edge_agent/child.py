"""What a child process does first: whoever started it may be killed, and then nothing may be left behind."""

import ctypes
import signal

_DIE_WITH_PARENT = 1
"""PR_SET_PDEATHSIG of prctl(2)."""


def end_with_parent() -> None:
    """This process is told to end when the thread that started it does. Linux alone; called in the child."""
    ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGTERM)
