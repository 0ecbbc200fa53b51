"""Hand -> what people do to the picture: arms with sleeves and gloves before the glass, and their shadows."""

import cv2
import numpy as np

from calibration.scene import Hand


def draw_hand(picture: np.ndarray, hand: Hand, share: float) -> None:
    """Into `picture` (h, w) float32 in place; `share` of its time that has passed, 0..1."""
    height, width = picture.shape
    alpha = _arm(hand, share, (height // 2, width // 2), width)
    soft = 22 if hand.shadow else 3
    alpha = cv2.resize(cv2.GaussianBlur(alpha, (0, 0), soft * width / 640), (width, height))
    if hand.shadow:
        picture *= 1 - 0.45 * alpha
        return
    picture *= 1 - alpha
    picture += hand.tone * alpha


def _arm(hand: Hand, share: float, shape: tuple[int, int], width: int) -> np.ndarray:
    """Alpha at half size: an arm that comes in from one side and goes again, with fingers that move."""
    high, wide = shape
    reach = hand.reach * np.sin(np.pi * share)
    start = (-40 if hand.side < 0 else wide + 40, int(high * 0.95))
    end = (int(wide * (reach if hand.side < 0 else 1 - reach)), int(high * (0.95 - 0.5 * reach)))
    mask = np.zeros(shape, np.uint8)
    cv2.line(mask, start, end, 255, int(0.06 * width))
    cv2.circle(mask, end, int(0.045 * width), 235, -1)
    for finger in range(4):
        turn = -0.9 - 0.35 * finger * -hand.side + 0.15 * np.sin(9 * share + finger)
        tip = (int(end[0] - hand.side * 0.075 * width * np.cos(turn)), int(end[1] + 0.075 * width * np.sin(turn)))
        cv2.line(mask, end, tip, 235, max(int(0.018 * width), 1))
    return mask.astype(np.float32) / 255
