"""A stored clip -> one small picture of it, for lists."""

from pathlib import Path

import cv2

from edge_agent import clips, pictures
from edge_agent.errors import StoreError

WIDTH_PX = 160
QUALITY = 70


def poster(path: Path) -> bytes:
    """JPEG of the frame in the middle, at most WIDTH_PX wide and high. Raises StoreError where there is none."""
    clip = clips.read(path)
    if not clip.frame_count:
        raise StoreError("the clip has no whole frame: there is nothing to show")
    (stored,) = clip.tank_pictures([clip.frame_count // 2])
    grey = pictures.decoded(stored, cv2.IMREAD_GRAYSCALE)
    height, width = grey.shape
    shrink = min(1.0, WIDTH_PX / max(height, width))
    small = cv2.resize(
        grey, (max(1, round(width * shrink)), max(1, round(height * shrink))), interpolation=cv2.INTER_AREA
    )
    return pictures.encoded(small, ".jpg", [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
