"""Grey pictures -> the same through a video codec: what a network camera leaves of noise, blocks and small things."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from edge_agent.errors import ModelError


def through_video(pictures: list[np.ndarray], fps: float) -> Iterator[np.ndarray]:
    """(h, w) uint8 pictures through MPEG-4, which predicts frames from each other as H.264 does; sizes must be even.

    ModelError where they do not come out again: what was never compressed must not pass for video.
    """
    height, width = pictures[0].shape
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "clip.mp4")
        writer = cv2.VideoWriter(path, cv2.VideoWriter_fourcc(*"mp4v"), fps, (width, height), False)
        for picture in pictures:
            writer.write(picture)
        writer.release()
        capture = cv2.VideoCapture(path)
        for _ in pictures:
            readable, image = capture.read()
            if not readable:
                raise ModelError(
                    f"{len(pictures)} pictures of {width}x{height} did not come back out of MPEG-4: see to it that "
                    f"{folder} has room, and that this OpenCV writes 'mp4v'"
                )
            yield cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
        capture.release()
