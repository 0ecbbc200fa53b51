"""Crops -> a fitted BubbleNet: targets, the changes that pictures go through, the loss and the loop."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from edge_agent.errors import ModelError
from models.data import ATTACHED, BEAD, CROP_PX, OTHER, RISING, SPECK, UNSURE, Crops
from models.net import CLASSES, MAPS, STRIDE, BubbleNet

CELLS = CROP_PX // STRIDE
JUMPS = ((0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1))
"""Orders of the three frames in which nothing goes on steadily."""
_PLANES = (
    *((kind, kind - RISING) for kind in (RISING, ATTACHED, BEAD, SPECK)),
    (UNSURE, len(CLASSES)),
    (UNSURE, len(CLASSES) + 1),
    (OTHER, len(CLASSES) + 1),
)
"""Which kinds of row are drawn into which planes."""
Log = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class BubbleRecipe:
    """How the detector is fitted."""

    epochs: int = 14
    batch: int = 64
    rate: float = 4e-3
    """Peak learning rate, one cycle."""
    decay: float = 1e-4
    offset_weight: float = 1.0
    velocity_weight: float = 0.08
    """Of pixels per spacing, where offsets are parts of a cell."""
    class_weight: float = 0.3
    """Of the three classes that are no rising bubble: they explain, they do not decide."""
    size_weight: float = 0.3
    """Of log2 of the diameter."""


def fit(
    crops: Crops,
    recipe: BubbleRecipe,
    seed: int,
    log: Log,
    *,
    make: Callable[[], BubbleNet] = BubbleNet,
    maps: Callable[[BubbleNet, torch.Tensor], torch.Tensor] = BubbleNet.raw,
) -> BubbleNet:
    """A net fitted to `crops`; `log` gets a line an epoch. `maps`: what it makes of pictures, where it is to see
    something else in them than the shipped one."""
    if len(crops.pictures) < recipe.batch:
        raise ModelError(f"{len(crops.pictures)} crops are less than a batch of {recipe.batch}: give more scenes")
    torch.manual_seed(seed)
    rng = np.random.default_rng([seed, 91])
    net = make().to(memory_format=torch.channels_last)
    steps = recipe.epochs * (len(crops.pictures) // recipe.batch)
    optimiser = torch.optim.AdamW(net.parameters(), lr=recipe.rate, weight_decay=recipe.decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, recipe.rate, total_steps=max(2, steps), pct_start=0.15)
    began_s = time.monotonic()
    for epoch in range(recipe.epochs):
        losses = []
        order = rng.permutation(len(crops.pictures))
        for first in range(0, len(order) - recipe.batch + 1, recipe.batch):
            chosen = np.sort(order[first : first + recipe.batch])
            pictures, rows = changed(crops.pictures[chosen], crops.rows[chosen], rng)
            total = loss(maps(net, pictures), rows, recipe)
            optimiser.zero_grad(set_to_none=True)
            total.sum().backward()
            torch.nn.utils.clip_grad_norm_(net.parameters(), 5.0)
            optimiser.step()
            schedule.step()
            losses.append(total.detach())
        rising, classes, offset, velocity, size = torch.stack(losses).mean(0).tolist()
        log(
            f"detector epoch={epoch + 1}/{recipe.epochs} rising={rising:.3f} classes={classes:.3f} offset={offset:.3f} "
            f"velocity={velocity:.3f} size={size:.3f} seconds={time.monotonic() - began_s:.0f}"
        )
    return net.eval()


def changed(pictures: np.ndarray, rows: np.ndarray, rng: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """(n, 3, h, w) float32 pictures in grey levels and their rows, after mirroring, turning, zoom, light and shake.

    Planes beyond the three frames (a running median, in comparisons of inputs) go along, without noise.
    """
    images, marks = torch.from_numpy(pictures).clone(), torch.from_numpy(rows).clone()
    images, marks = _mirrored(images, marks, rng)
    images, marks = _turned(images, marks, rng)
    images, marks = _zoomed(images.float(), marks, rng)
    return _lit(_shaken(images, rng), rng), marks


def targets(rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """(n, k, 6) rows -> (n, 4, c, c) wanted classes, (n, 2, c, c) doubt: whether it rises, and what else it is."""
    planes = len(CLASSES) + 2
    maps = torch.zeros(len(rows), planes, CELLS, CELLS)
    for kind, plane in _PLANES:
        which, row = (rows[..., 4] == kind).nonzero(as_tuple=True)
        _stamp(maps, which * planes + plane, rows[which, row])
    return maps[:, : len(CLASSES)], maps[:, len(CLASSES) :]


def _stamp(maps: torch.Tensor, plane: torch.Tensor, rows: torch.Tensor) -> None:
    """Draws a bell for each of `rows` (m, 6) into its plane (m,) of all the planes of `maps`."""
    x, y, diameter = rows[:, 0], rows[:, 1], rows[:, 5]
    centre_x, centre_y = (x / STRIDE - 0.5).round(), (y / STRIDE - 0.5).round()
    reach = (diameter / (3.5 * STRIDE)).clamp(0.7, 2.5)
    near = torch.arange(-6, 7)
    blob = torch.exp(-(near[:, None] ** 2 + near**2) / (2 * reach[:, None, None] ** 2))
    at_y = (centre_y.long()[:, None, None] + near[:, None]).expand_as(blob)
    at_x = (centre_x.long()[:, None, None] + near).expand_as(blob)
    inside = (at_y >= 0) & (at_y < CELLS) & (at_x >= 0) & (at_x < CELLS)
    flat = (plane[:, None, None].expand_as(blob) * CELLS + at_y) * CELLS + at_x
    maps.view(-1).scatter_reduce_(0, flat[inside], blob[inside], "amax")


def loss(maps: torch.Tensor, rows: torch.Tensor, recipe: BubbleRecipe) -> torch.Tensor:
    """(5,): rising, the other classes, offset, velocity, size."""
    wanted, doubt = targets(rows)
    found = (rows[..., 4] == RISING).sum().clamp(min=1)
    # Where something too faint to insist on lies, neither answer costs.
    sure = (1 - doubt).clamp(min=0) ** 2
    rising = _focal(maps[:, :1], wanted[:, :1], sure[:, :1]) / found
    # Make-believe clips know what is no bubble, not what moves: their rows are empty, they have no say in the classes.
    says = ((rows[..., 4] > 0).any(1)).float()[:, None, None, None]
    others = slice(1, len(CLASSES))
    classes = recipe.class_weight * _focal(maps[:, others], wanted[:, others], sure[:, 1:] * says) / found
    offset, velocity, size = _measures(maps, rows)
    weights = recipe.offset_weight, recipe.velocity_weight, recipe.size_weight
    measured = (weight * part for weight, part in zip(weights, (offset, velocity, size), strict=True))
    return torch.stack([rising, classes, *measured])


def _focal(logits: torch.Tensor, wanted: torch.Tensor, sure: torch.Tensor) -> torch.Tensor:
    """Penalty-reduced focal loss of CenterNet (Zhou et al. 2019), summed."""
    hit, miss = functional.logsigmoid(logits), functional.logsigmoid(-logits)
    share = logits.sigmoid()
    centre = (wanted > 0.999).float()
    return -(sure * (centre * (1 - share) ** 2 * hit + (1 - centre) * (1 - wanted) ** 4 * share**2 * miss)).sum()


def _measures(maps: torch.Tensor, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Mean error of offset (cells), velocity (px per spacing) and size (log2 px) at the rising bubbles' cells."""
    place = rows[..., :2] / STRIDE - 0.5
    cell = place.round()
    inside = (rows[..., 4] == RISING) & ((cell >= 0) & (cell < CELLS)).all(-1)
    which, row = inside.nonzero(as_tuple=True)
    if not len(which):
        nothing = maps.sum() * 0
        return nothing, nothing, nothing
    x, y = cell[which, row].long().T
    said = maps[which, :, y, x]
    dx, vx, size = (MAPS.index(name) for name in ("dx", "vx", "size"))
    offset = functional.l1_loss(said[:, dx : dx + 2], (place - cell)[which, row])
    velocity = functional.smooth_l1_loss(said[:, vx : vx + 2], rows[which, row, 2:4], beta=1.0)
    return offset, velocity, functional.l1_loss(said[:, size], rows[which, row, 5].clamp(min=0.5).log2())


def _mirrored(images: torch.Tensor, rows: torch.Tensor, rng: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    flip = torch.from_numpy(rng.random(len(images)) < 0.5)
    images[flip] = images[flip].flip(3)
    rows[flip, :, 0] = CROP_PX - rows[flip, :, 0]
    rows[flip, :, 2] *= -1
    return images, rows


def _turned(images: torch.Tensor, rows: torch.Tensor, rng: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Upside down, backwards in time, or in no order: a bubble that goes down or jumps is something else."""
    over, back = (torch.from_numpy(rng.random(len(images)) < 0.12) for _ in range(2))
    images[over] = images[over].flip(2)
    images[back, :3] = images[back, :3].flip(1)
    rows[over, :, 1] = CROP_PX - rows[over, :, 1]
    rows[over, :, 3] *= -1
    rows[back, :, 2:4] *= -1
    kind, rises = rows[..., 4], rows[..., 3] < 0
    one = (over != back)[:, None]
    falls = one & (kind == RISING) & ~rises
    climbs = (over | back)[:, None] & ((kind == BEAD) | (kind == SPECK) | (kind == OTHER)) & rises
    rows[..., 4] = torch.where(falls, float(BEAD), torch.where(climbs, float(UNSURE), kind))
    for chosen in (rng.random(len(images)) < 0.1).nonzero()[0].tolist():
        order = list(JUMPS[int(rng.integers(len(JUMPS)))])
        images[chosen, :3] = images[chosen][order]
        # What is now in the middle was a step earlier or later, or where it is.
        rows[chosen, :, :2] += (order[1] - 1) * rows[chosen, :, 2:4]
        moving = (rows[chosen, :, 4] == RISING) | (rows[chosen, :, 4] == BEAD) | (rows[chosen, :, 4] == SPECK)
        rows[chosen, moving, 4] = OTHER
    return images, rows


def _zoomed(images: torch.Tensor, rows: torch.Tensor, rng: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """A sixth of the batches come closer: large bubbles, finer steps than the twin's."""
    if rng.random() > 1 / 6:
        return images, rows
    part = int(rng.integers(48, 112))
    left, top = (int(rng.integers(0, CROP_PX - part + 1)) for _ in range(2))
    scale = CROP_PX / part
    piece = images[:, :, top : top + part, left : left + part]
    images = functional.interpolate(piece, (CROP_PX, CROP_PX), mode="bilinear")
    rows[..., :2] = (rows[..., :2] - torch.tensor([left, top])) * scale
    rows[..., 2:4] *= scale
    rows[..., 5] *= scale
    outside = ((rows[..., :2] < -4) | (rows[..., :2] > CROP_PX + 4)).any(-1)
    rows[..., 4][outside] = 0
    return images, rows


def _shaken(images: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """One of the three frames lies up to half a pixel beside the others."""
    if rng.random() > 0.4:
        return images
    channel, axis = int(rng.choice([0, 2])), int(rng.choice([2, 3]))
    share = torch.from_numpy(rng.uniform(-0.5, 0.5, (len(images), 1, 1))).float()
    frame = images[:, channel]
    beside = torch.where(share > 0, frame.roll(1, axis - 1), frame.roll(-1, axis - 1))
    images[:, channel] = frame + share.abs() * (beside - frame)
    return images


def _lit(images: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """Contrast, level, polarity, flicker between frames, noise."""
    count = len(images)

    def drawn(low: float, high: float, shape: tuple[int, ...] = (count, 1, 1, 1)) -> torch.Tensor:
        return torch.from_numpy(rng.uniform(low, high, shape).astype(np.float32))

    # In one step: (image - mean) * gain + mean + offset, some inverted, each frame with its own flicker.
    mean = images[:, 1:2, ::4, ::4].mean(dim=(2, 3), keepdim=True)
    gain = torch.exp(drawn(-0.6, 0.6))
    offset = mean * (1 - gain) + drawn(-25, 25)
    inverted = drawn(0, 1) < 0.3
    gain, offset = torch.where(inverted, -gain, gain), torch.where(inverted, 255 - offset, offset)
    flicker = 1 + drawn(-0.025, 0.025, (count, images.shape[1], 1, 1)) * (drawn(0, 1) < 0.5)
    images = images * (gain * flicker) + offset * flicker
    noisy = torch.from_numpy(rng.random(count) < 0.3)
    images[noisy, :3] += torch.randn_like(images[noisy, :3]) * drawn(0, 2.5)[noisy]
    return images.clamp(0, 255).contiguous(memory_format=torch.channels_last)
