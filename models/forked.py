"""Work on many items shared among forked children.

A fork inherits what it needs: sessions, nets and closures are not sent. Children render and run ONNX; only the parent
uses torch, whose threads do not survive a fork.
"""

import argparse
import multiprocessing
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.process import BaseProcess
from typing import Any, TypeVar

import cv2

from edge_agent.child import end_with_parent
from edge_agent.errors import ModelError

T = TypeVar("T")
R = TypeVar("R")


def each(work: Callable[[T], R], items: Sequence[T], jobs: int, *, ordered: bool = True) -> Iterator[R]:
    """`work` on every item, in `jobs` processes; results in the items' order, or as they come. They must be picklable.

    What `work` raises is raised here; ModelError where a process was killed. One such loop at a time.
    """
    if jobs <= 1 or len(items) <= 1:
        yield from map(work, items)
        return
    global _shared
    _shared = work, items
    others = set(multiprocessing.active_children())
    # A pool of `multiprocessing` waits for ever for what a killed child was working on.
    pool = ProcessPoolExecutor(min(jobs, len(items)), multiprocessing.get_context("fork"), initializer=_begin)
    is_whole, ours = False, set[BaseProcess]()
    try:
        working = [pool.submit(_item, number) for number in range(len(items))]
        ours = set(multiprocessing.active_children()) - others
        for one in working if ordered else as_completed(working):
            yield one.result()
        is_whole = True
    except BrokenProcessPool as error:
        raise ModelError(
            "a process that worked on this was killed, most likely for memory: give fewer --jobs, or close others"
        ) from error
    finally:
        # Who stops early waits for nobody.
        for child in () if is_whole else ours:
            child.terminate()
        pool.shutdown(cancel_futures=True)


def _begin() -> None:
    """In each child. It ends with its parent, whatever that does itself when it is to end; Ctrl-C, which reaches all of
    them, is for the parent to tell."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_with_parent()
    cv2.setNumThreads(1)


def processes(text: str) -> int:
    """What a person writes behind --jobs."""
    value = int(text) if text.isdecimal() else 0
    if value < 1:
        raise argparse.ArgumentTypeError("write a whole number from 1")
    return value


def _item(number: int) -> Any:
    work, items = _shared
    return work(items[number])


_shared: tuple[Callable[[Any], Any], Sequence[Any]]
