"""The two small nets: lamps (dark, lit or unreadable) and water (how clear), their samples and their fit."""

import time
from collections.abc import Callable

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from edge_agent.lamp_reading import CROP_PX
from edge_agent.lamps import crop
from edge_agent.water import small_view
from models.data import SceneSource, views
from models.lamp_pictures import DARK, LIT, UNREADABLE, lamp_picture
from models.net import LampNet, WaterNet

Log = Callable[[str], None]
Samples = tuple[np.ndarray, np.ndarray]
"""Pictures (n, channels, h, w) uint8 and what is wanted (n,) float32: a lamp's kind, or the water's clarity."""
Loss = Callable[[nn.Module, torch.Tensor, torch.Tensor], torch.Tensor]
UNREADABLE_SHARE = 0.3
LIGHT_SPREAD = 0.12
"""Of the logarithm of a picture's light, to either side."""
BATCH, RATE = 64, 3e-3
WATER_EPOCHS = 60
LAMP_EPOCHS = 12


def lamp_samples(seed: int, count: int) -> Samples:
    """Made-up lamp crops and their kinds, DARK, LIT or UNREADABLE."""
    rng = np.random.default_rng([seed, 101])
    rest = (1 - UNREADABLE_SHARE) / 2
    kinds = rng.choice((DARK, LIT, UNREADABLE), count, p=(rest, rest, UNREADABLE_SHARE))
    return np.array([lamp_picture(rng, int(kind)) for kind in kinds]), kinds.astype(np.float32)


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


def fit_lamps(samples: Samples, seed: int, log: Log, *, epochs: int = LAMP_EPOCHS) -> LampNet:
    """A LampNet fitted to samples that are also mirrored and change in light."""
    torch.manual_seed(seed)
    return _fit(LampNet(), samples, seed, log, "lamps", epochs=epochs, loss_of=_lamp_loss)


def fit_water(samples: Samples, seed: int, log: Log, *, epochs: int = WATER_EPOCHS) -> WaterNet:
    """A WaterNet fitted to samples that are changed likewise."""
    torch.manual_seed(seed)
    return _fit(WaterNet(), samples, seed, log, "water", epochs=epochs, loss_of=_water_loss)


def _lamp_loss(net: nn.Module, crops: torch.Tensor, kinds: torch.Tensor) -> torch.Tensor:
    """One question for each kind: a picture that is none of them says so."""
    wanted = functional.one_hot(kinds.long(), 3).float()
    return functional.binary_cross_entropy_with_logits(net.logit(crops), wanted)


def _water_loss(net: nn.Module, pictures: torch.Tensor, clarity: torch.Tensor) -> torch.Tensor:
    """By the logarithm of the haze's exponent: clear water from nearly clear counts as much as murky from opaque."""
    haze = functional.softplus(-net.logit(pictures).squeeze(1))
    return functional.smooth_l1_loss(_log_haze(haze), _log_haze(-clarity.clamp(1e-3, 1.0).log()), beta=0.3)


def _log_haze(haze: torch.Tensor) -> torch.Tensor:
    """Below a fiftieth nobody can tell one from the other."""
    return (haze + 0.02).log()


def _fit(net: nn.Module, samples: Samples, seed: int, log: Log, name: str, *, epochs: int, loss_of: Loss) -> nn.Module:
    torch.manual_seed(seed)
    pictures, wanted = torch.from_numpy(samples[0]), torch.from_numpy(samples[1])
    optimiser = torch.optim.AdamW(net.parameters(), lr=RATE, weight_decay=1e-3)
    steps = max(2, epochs * -(-len(pictures) // BATCH))
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=steps)
    began_s, loss = time.monotonic(), torch.zeros(())
    for _ in range(epochs):
        for chosen in torch.randperm(len(pictures)).split(BATCH):
            images = pictures[chosen].float()
            images = images.flip(3) if torch.rand(()) < 0.5 else images
            gain = torch.exp(torch.empty(len(images), 1, 1, 1).uniform_(-LIGHT_SPREAD, LIGHT_SPREAD))
            images = (images * gain + torch.empty(len(images), 1, 1, 1).uniform_(-12, 12)).clamp(0, 255)
            loss = loss_of(net, images, wanted[chosen])
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
            schedule.step()
    log(f"{name} samples={len(pictures)} loss={float(loss.detach()):.4f} seconds={time.monotonic() - began_s:.0f}")
    return net.eval()
