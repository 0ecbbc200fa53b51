"""The two small nets: lamps (lit or not) and water (how clear), their samples and their fit."""

import time
from collections.abc import Callable

import cv2
import numpy as np
import torch
from torch import nn
from torch.nn import functional

from edge_agent.lamps import CROP_PX, crop
from edge_agent.water import small_view
from models.data import SceneSource, views
from models.net import LampNet, WaterNet

Log = Callable[[str], None]
Samples = tuple[np.ndarray, np.ndarray]
"""Pictures (n, channels, h, w) uint8 and what is wanted (n,) float32, 0..1."""
HUES = (60, 0, 120, 30, 90)
"""Green, red, blue, amber, teal (OpenCV's half degrees): stations differ."""


def lamp_samples(seed: int, count: int) -> Samples:
    """Made-up lamp crops: discs in housings, off, lit, dim, glaring, through PWM, moved, coloured or grey."""
    rng = np.random.default_rng([seed, 101])
    lit = rng.random(count) < 0.5
    return np.array([_lamp(rng, bool(one)) for one in lit]), lit.astype(np.float32)


def scene_samples(scenes: SceneSource, seed: int) -> tuple[Samples, Samples]:
    """(lamp samples, water samples) of one short simulated recording."""
    recording = scenes.recording(seed, "water")
    rng = np.random.default_rng([seed, 102])
    lamps, lit, waters = [], [], []
    for frame, truth in recording.frames():
        if rng.random() < 0.25:
            for lamp in recording.profile.lamps:
                x, y, w, h = lamp.rect_px
                dx, dy = rng.normal(0, 0.08, 2) * (w, h)
                lamps.append(crop(frame.image, (round(x + dx), round(y + dy), w, h)))
                lit.append(lamp.means in truth.lit)
    for view, _, _ in views(recording):
        waters.append(small_view(view.grey))
        if len(waters) == 2:
            break
    clarity = np.full(len(waters), np.exp(-recording.haze), np.float32)
    pictures = np.array(lamps, np.uint8).reshape(-1, 3, CROP_PX, CROP_PX)
    return (pictures, np.array(lit, np.float32)), (np.array(waters, np.uint8)[:, None], clarity)


def fit_lamps(samples: Samples, seed: int, log: Log, *, epochs: int = 25) -> LampNet:
    """A LampNet fitted to samples that are also mirrored and change in light."""
    return _fit(LampNet(), samples, seed, log, "lamps", epochs=epochs, spread=0.5)


def fit_water(samples: Samples, seed: int, log: Log, *, epochs: int = 60) -> WaterNet:
    """A WaterNet. Light changes less than for lamps: haze itself is a loss of contrast."""
    return _fit(WaterNet(), samples, seed, log, "water", epochs=epochs, spread=0.12)


def _fit(net: nn.Module, samples: Samples, seed: int, log: Log, name: str, *, epochs: int, spread: float) -> nn.Module:
    torch.manual_seed(seed)
    pictures, wanted = torch.from_numpy(samples[0]), torch.from_numpy(samples[1])
    batch = 64
    optimiser = torch.optim.AdamW(net.parameters(), lr=3e-3, weight_decay=1e-3)
    steps = max(2, epochs * -(-len(pictures) // batch))
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 3e-3, total_steps=steps)
    began_s, loss = time.monotonic(), torch.zeros(())
    for _ in range(epochs):
        for chosen in torch.randperm(len(pictures)).split(batch):
            images = pictures[chosen].float()
            images = images.flip(3) if torch.rand(()) < 0.5 else images
            gain = torch.exp(torch.empty(len(images), 1, 1, 1).uniform_(-spread, spread))
            images = (images * gain + torch.empty(len(images), 1, 1, 1).uniform_(-12, 12)).clamp(0, 255)
            loss = functional.binary_cross_entropy_with_logits(net.logit(images).squeeze(1), wanted[chosen])
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
            schedule.step()
    log(f"{name} samples={len(pictures)} loss={float(loss.detach()):.4f} seconds={time.monotonic() - began_s:.0f}")
    return net.eval()


def _lamp(rng: np.random.Generator, lit: bool) -> np.ndarray:
    """(3, 24, 24) uint8 BGR."""
    size = CROP_PX * 2
    hue, saturation = float(rng.choice(HUES)) + rng.normal(0, 5), rng.uniform(120, 255)
    ambient = rng.uniform(0.1, 1.0)
    panel = np.full((size, size, 3), rng.uniform(10, 210), np.float32) * rng.uniform(0.85, 1.15, 3) * ambient
    panel += cv2.resize(rng.standard_normal((5, 5)).astype(np.float32), (size, size))[..., None] * rng.uniform(0, 18)
    centre = tuple(int(value) for value in size / 2 + rng.normal(0, 3.0, 2))
    radius = int(rng.uniform(0.22, 0.36) * size)
    if rng.random() < 0.5:
        cv2.circle(panel, centre, radius + 4, (rng.uniform(5, 120) * ambient,) * 3, -1, cv2.LINE_AA)
    # PWM and old lamps: lit is down to two fifths of the full light, off may shine by daylight.
    light = rng.uniform(0.45, 1.0) if lit else 0.0
    level = 255 * light + (1 - light) * rng.uniform(15, 110) * ambient
    tint = _bgr(hue, saturation * (1 - 0.5 * light * rng.random()), level)
    cv2.circle(panel, centre, radius, tint, -1, cv2.LINE_AA)
    if lit:
        core = np.zeros((size, size), np.float32)
        cv2.circle(core, centre, int(radius * rng.uniform(0.4, 1.0)), 1.0, -1, cv2.LINE_AA)
        core = cv2.GaussianBlur(core, (0, 0), radius * 0.35)[..., None]
        halo = cv2.GaussianBlur(core, (0, 0), radius * rng.uniform(0.5, 1.2))[..., None]
        panel += core * (255 * light) * rng.uniform(0.2, 1.0) + halo * np.array(tint) * rng.uniform(0.1, 0.9)
    if rng.random() < 0.5:
        glare = (np.array(centre) + rng.uniform(-0.8, 0.8, 2) * radius).astype(int).tolist()
        spot = np.zeros((size, size), np.float32)
        cv2.circle(spot, glare, int(rng.uniform(1, radius * 0.4)), 1.0, -1, cv2.LINE_AA)
        panel += cv2.GaussianBlur(spot, (0, 0), rng.uniform(0.5, 3))[..., None] * rng.uniform(60, 255)
    small = cv2.resize(panel.astype(np.float32), (CROP_PX, CROP_PX), interpolation=cv2.INTER_AREA)
    small += rng.standard_normal(small.shape) * rng.uniform(0, 6)
    if rng.random() < 0.15:
        small[:] = small.mean(axis=2, keepdims=True)
    return np.clip(small, 0, 255).astype(np.uint8).transpose(2, 0, 1)


def _bgr(hue: float, saturation: float, value: float) -> tuple[float, float, float]:
    pixel = np.array([[[hue % 180, saturation, min(255, value)]]], np.uint8)
    blue, green, red = cv2.cvtColor(pixel, cv2.COLOR_HSV2BGR)[0, 0].tolist()
    return blue, green, red
