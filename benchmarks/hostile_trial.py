"""`python -m benchmarks.hostile_trial`: what the checks let in, run by the real runtime, each in a child with limits.

A path a line in, a word a line out: `ran`, `refused` by the runtime or by ours, or `died`, which ends the child alone.
"""

import dataclasses
import os
import resource
import sys

import msgspec
import numpy as np

from edge_agent.bundle import Bundle, open_bundle
from edge_agent.errors import ModelError
from edge_agent.infer import Net
from edge_agent.sound import verify

MOST_S, MOST_BYTES = 10, 512 << 20
RAN, REFUSED = 0, 3


def main() -> None:
    """Until stdin ends."""
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            os._exit(_tried(line.strip()))
        _, status = os.waitpid(child, 0)
        print({RAN: "ran", REFUSED: "refused"}.get(os.waitstatus_to_exitcode(status), "died"), flush=True)


def _tried(path: str) -> int:
    resource.setrlimit(resource.RLIMIT_CPU, (MOST_S, MOST_S))
    resource.setrlimit(resource.RLIMIT_DATA, (MOST_BYTES, MOST_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for stream in (1, 2):  # the runtime speaks on both
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream)
    try:
        _run(open_bundle(path))
        return RAN
    except (ModelError, MemoryError):
        return REFUSED


def _run(opened: Bundle) -> None:
    """As a trial does; golden cases are `drill media`'s and take seconds."""
    if opened.manifest.name == "small":
        for name, data in opened.nets.items():
            Net(data, name, 2)(np.zeros((1, 4), np.float32))
    else:
        verify(dataclasses.replace(opened, manifest=msgspec.structs.replace(opened.manifest, golden=()), golden={}))


if __name__ == "__main__":
    main()
