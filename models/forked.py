"""Work on many items shared among forked children.

A fork inherits what it needs: sessions, nets and closures are not sent. Children render and run ONNX; only the parent
uses torch, whose threads do not survive a fork.
"""

import argparse
import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import cv2

T = TypeVar("T")
R = TypeVar("R")


def each(work: Callable[[T], R], items: Sequence[T], jobs: int, *, ordered: bool = True) -> Iterator[R]:
    """`work` on every item, in `jobs` processes; results in the items' order, or as they come. They must be picklable.

    What `work` raises is raised here. One such loop at a time.
    """
    if jobs <= 1 or len(items) <= 1:
        yield from map(work, items)
        return
    global _shared
    _shared = work, items
    with multiprocessing.get_context("fork").Pool(min(jobs, len(items)), cv2.setNumThreads, (1,)) as pool:
        yield from (pool.imap if ordered else pool.imap_unordered)(_item, range(len(items)))


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
