"""A stored clip -> one small picture of it, for lists, and its heat map in colour. Decodes: `decoding` asks for it."""

from pathlib import Path

import cv2
import numpy as np

from edge_agent import clips, pictures
from edge_agent.errors import StoreError

WIDTH_PX = 160
QUALITY = 70
FAINTEST = 0.15
"""Heat under this is left transparent: it is nobody's evidence."""


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


def heat(path: Path) -> bytes:
    """PNG, transparent where the detector saw nothing. Raises StoreError where the clip has none."""
    evidence = clips.read(path).evidence_bytes()
    if evidence is None:
        raise StoreError("the clip has no evidence: there is nothing to show")
    return coloured(pictures.decoded(evidence[2], cv2.IMREAD_GRAYSCALE))


def coloured(levels: np.ndarray) -> bytes:
    """(h, w) uint8, 255 = sure -> PNG with colour and alpha."""
    picture = cv2.cvtColor(cv2.applyColorMap(levels, cv2.COLORMAP_INFERNO), cv2.COLOR_BGR2BGRA)
    alpha = np.minimum(255, 1.4 * levels)
    picture[:, :, 3] = np.where(levels < FAINTEST * 255, 0, alpha).astype(np.uint8)
    return pictures.encoded(picture, ".png", [])
