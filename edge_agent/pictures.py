"""Arrays <-> JPEG or PNG bytes. Size and form are read from a picture's headers first, so that no bomb is decoded."""

import cv2
import numpy as np

from edge_agent.errors import StoreError
from edge_agent.picture_form import form_fault
from edge_agent.picture_size import picture_size

MAX_SIDE_PX = 4096


def encoded(picture: np.ndarray, suffix: str, options: list[int]) -> bytes:
    """`picture`: (h, w) or (h, w, 3) uint8, BGR. `suffix` and `options` as cv2.imencode takes them."""
    done, data = cv2.imencode(suffix, np.ascontiguousarray(picture), options)
    if not done:
        raise ValueError(f"picture of shape {picture.shape} and type {picture.dtype} cannot be encoded as {suffix}")
    return data.tobytes()


def decoded(data: bytes, flag: int, wanted_px: tuple[int, int] | None = None) -> np.ndarray:
    """uint8 as `flag` (cv2.IMREAD_…) says, of `wanted_px` (width, height) where given. Raises StoreError."""
    size = checked_size(data, wanted_px)
    try:
        picture = cv2.imdecode(np.frombuffer(data, np.uint8), flag | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error as error:
        raise StoreError(f"clip holds a picture that cannot be decoded: {error}") from error
    if picture is None or picture.shape[1::-1] != size:
        raise StoreError("clip holds a picture that cannot be decoded: damaged")
    return picture


def checked_size(data: bytes, wanted_px: tuple[int, int] | None = None) -> tuple[int, int]:
    """Width and height from the headers alone. Raises StoreError where they are not `wanted_px` or over the limit, and
    for a picture of another form than `encoded` gives it.
    """
    size = picture_size(data)
    if size is None or not all(0 < side <= MAX_SIDE_PX for side in size) or (wanted_px and size != tuple(wanted_px)):
        raise StoreError(f"clip holds a picture of {size} px, wanted {wanted_px or 'at most 4096 a side'}: refused")
    if fault := form_fault(data):
        raise StoreError(f"clip holds {fault}: refused")
    return size
