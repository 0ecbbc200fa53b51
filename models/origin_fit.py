"""Cases' kymographs with the true origins of their bubbles -> a fitted OriginNet.

Each step shows a part of each case: from a moment a little wrong, to an end of chance, mirrored or not and moved
aside, sometimes with a tight unit's bubbles on top, sometimes with a tight unit in place of what shows above or below
some height. A leak counts from its second birth in that part on; with one, nobody insists on a thing.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from edge_agent.kymograph import ORIGIN_ROWS, ROWS, STEP_S, STEPS, STRIPS, step_of, strips
from models.cases import CaseEvidence, CaseTruth
from models.net import OriginNet

Log = Callable[[str], None]
NEAR_ROWS, NEAR_STRIPS = 1.1, 0.7
"""A cell whose middle lies so near to the true place may be the net's answer."""
QUIET_WEIGHT = 0.5
"""Of a strip that must stay quiet, beside an origin that must be found."""
PLACE_WEIGHT = 0.3
LEAST_SHOWN = 16
"""Rows, a quarter of the height; of 5 left, a third of the leaks show in two cells at most."""
LATENESS_S = 0.5
"""A bubble shows this long after its birth for certain."""


@dataclass(frozen=True, slots=True, eq=False)
class Kymographs:
    """`glow`: (n, STEPS, ROWS, STRIPS) uint8; `watched`: (n, STEPS) bool; `truths`: what each case is."""

    glow: np.ndarray
    watched: np.ndarray
    truths: list[CaseTruth]


@dataclass(frozen=True, slots=True)
class OriginRecipe:
    """How the net is fitted."""

    epochs: int = 20
    batch: int = 4
    """Cases."""
    rate: float = 3e-3
    decay: float = 1e-3
    mixed_share: float = 0.3
    whole_share: float = 0.3
    """Of the views of a case that show it to its end."""
    hidden_share: float = 0.4
    """Of the views in which a part of the height shows another, tight unit."""
    asked: int = 8
    """Strips of a view that are learnt from, at least: those of its leaks, and others by chance."""


def kymographs(found: list[tuple[CaseEvidence, CaseTruth]]) -> Kymographs:
    """The first window of each case."""
    glow = np.zeros((len(found), STEPS, ROWS, STRIPS), np.uint8)
    watched = np.zeros((len(found), STEPS), bool)
    for number, (evidence, _) in enumerate(found):
        step = step_of(evidence.times)
        inside = (step >= 0) & (step < STEPS)
        np.maximum.at(glow[number], step[inside], evidence.glow[inside])
        watched[number, step[inside]] = True
    return Kymographs(glow, watched, [truth for _, truth in found])


def fit(seen: Kymographs, recipe: OriginRecipe, seed: int, settle_s: float, log: Log) -> OriginNet:
    """An OriginNet; births before `settle_s` count as trapped air's."""
    torch.manual_seed(seed)
    rng = np.random.default_rng([seed, 171])
    # Channels last, here and for the pictures: the steps are 1.4 times as quick.
    net = OriginNet().to(memory_format=torch.channels_last)
    count = len(seen.truths)
    batches = max(1, count // recipe.batch)
    optimiser = torch.optim.AdamW(net.parameters(), lr=recipe.rate, weight_decay=recipe.decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, recipe.rate, total_steps=recipe.epochs * batches)
    began_s = time.monotonic()
    for epoch in range(recipe.epochs):
        losses = []
        for chosen in np.array_split(rng.permutation(count), batches):
            loss = torch.stack([_loss(net, *_part(seen, int(one), recipe, settle_s, rng)) for one in chosen]).mean()
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(net.parameters(), 5.0)
            optimiser.step()
            schedule.step()
            losses.append(float(loss.detach()))
        if (epoch + 1) % 5 == 0:
            log(
                f"origins epoch={epoch + 1}/{recipe.epochs} loss={np.mean(losses):.4f} "
                f"seconds={time.monotonic() - began_s:.0f}"
            )
    return net.eval()


def _part(
    seen: Kymographs, number: int, recipe: OriginRecipe, settle_s: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """(strips' numbers, their pictures, where an origin is, where nobody insists); the last two as of `_wanted`."""
    shift = int(rng.integers(-2, 4))
    last = int(np.flatnonzero(seen.watched[number]).max(initial=0))
    end = last if rng.random() < recipe.whole_share else int(rng.integers(min(12, last), last + 1))
    glow, births = _disguised(seen, number, recipe, rng)
    watched = seen.watched[number].copy()
    glow[end + 1 :], watched[end + 1 :] = 0, False
    glow, watched = _later(glow, shift), _later(watched, shift)
    births[:, 0] -= shift * STEP_S
    glow[~watched] = 0
    wanted, open_ = _wanted(births, settle_s, (end - shift) * STEP_S)
    # With what is known of them: else a leak's outer strips, moved over the border, would have to keep quiet.
    moved = np.roll(np.arange(STRIPS)[:: int(rng.choice((-1, 1)))], int(rng.integers(STRIPS)))
    glow, wanted, open_ = glow[:, :, moved], wanted[:, moved], open_[:, moved]
    chosen, pictures = strips(glow, watched, 0.0)
    asked = _asked(np.flatnonzero((wanted | open_)[:, chosen].any(axis=0)), len(chosen), recipe.asked, rng)
    return chosen[asked], pictures[asked], wanted, open_


def _disguised(
    seen: Kymographs, number: int, recipe: OriginRecipe, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """(STEPS, ROWS, STRIPS) uint8 what a case showed, with a tight unit on top, in place of a part, both or neither;
    and its births."""
    glow, watched = seen.glow[number].copy(), seen.watched[number]
    births = seen.truths[number].births.copy()
    tight = [other for other, one in enumerate(seen.truths) if not one.leaky]
    if tight and rng.random() < recipe.mixed_share:
        glow = np.maximum(glow, _at_steps_of(seen, int(rng.choice(tight)), watched, rng))
    if tight and rng.random() < recipe.hidden_share:
        first, beyond = _hidden_rows(births, rng)
        glow[:, first:beyond] = _at_steps_of(seen, int(rng.choice(tight)), watched, rng)[:, first:beyond]
        if beyond == ROWS:
            # They come into view above.
            births[:, 2] = np.minimum(births[:, 2], first / ROWS)
    return glow, births


def _at_steps_of(seen: Kymographs, number: int, watched: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(STEPS, ROWS, STRIPS) what case `number` showed, mirrored or not: its looks in their order, one for each of
    `watched`, from the first again where it has fewer. Where cameras differ, it rises a little quicker or slower."""
    glow, steps = np.zeros_like(seen.glow[number]), np.flatnonzero(seen.watched[number])
    if len(steps):
        glow[watched] = seen.glow[number][steps[np.arange(int(watched.sum())) % len(steps)]]
    return glow if rng.random() < 0.5 else glow[:, :, ::-1]


def _hidden_rows(births: np.ndarray, rng: np.random.Generator) -> tuple[int, int]:
    """The first row that is hidden, and the first below that is not: upper ones, or all from some height on.

    LEAST_SHOWN rows of the lowest leak's way stay: with less of them, leaks would be asked for that show nowhere. A
    second one higher up may be hidden whole.
    """
    lowest = round(float(births[:, 2].max()) * ROWS) if len(births) else int(rng.integers(2 * LEAST_SHOWN, ROWS))
    if rng.random() < 0.5:
        return 0, int(rng.integers(0, max(1, lowest - LEAST_SHOWN)))
    return int(rng.integers(LEAST_SHOWN, max(LEAST_SHOWN + 1, lowest))), ROWS


def _asked(leaky: np.ndarray, count: int, least: int, rng: np.random.Generator) -> np.ndarray:
    """The numbers of the leaky ones of `count` strips -> these and others by chance."""
    others = rng.permutation(np.setdiff1d(np.arange(count), leaky))[: max(least - len(leaky), least // 2)]
    return np.sort(np.concatenate([leaky, others]))


def _later(values: np.ndarray, shift: int) -> np.ndarray:
    """The same as if immersion had been taken to be `shift` steps later."""
    moved = np.roll(values, -shift, axis=0)
    if shift > 0:
        moved[-shift:] = 0
    elif shift < 0:
        moved[:-shift] = 0
    return moved


def _wanted(births: np.ndarray, settle_s: float, end_s: float) -> tuple[np.ndarray, np.ndarray]:
    """(ORIGIN_ROWS, STRIPS) bool: cells of which one is the origin; cells of which nothing is asked."""
    wanted, undecided = np.zeros((2, ORIGIN_ROWS, STRIPS), bool)
    for place in np.unique(births[:, 1:], axis=0):
        at_s = births[(births[:, 1:] == place).all(1), 0]
        told = int(((at_s >= settle_s) & (at_s < end_s - LATENESS_S)).sum())
        across, down = np.clip(place, 0, 0.999) * (STRIPS, ORIGIN_ROWS)
        strip, row = int(across), int(down)
        around = np.ix_(_near(down, ORIGIN_ROWS, NEAR_ROWS), _near(across, STRIPS, NEAR_STRIPS))
        # Its bubbles rise, and sway into the strips beside.
        column = slice(0, row + 4), slice(max(0, strip - 3), strip + 4)
        undecided[column] = True
        # However faintly they glow: asked to glow by 0.3 first, leaks at the edge of what shows were never taught.
        if told >= 2:
            wanted[around] = True
    return wanted, undecided & ~wanted


def _near(place: float, cells: int, reach: float) -> np.ndarray:
    return np.flatnonzero(np.abs(np.arange(cells) + 0.5 - place) <= reach)


def _loss(
    net: OriginNet, chosen: np.ndarray, pictures: np.ndarray, wanted: np.ndarray, undecided: np.ndarray
) -> torch.Tensor:
    """Of a leak one cell that its bubbles pass must say yes, best a wanted one; all others no: each strip's boldest
    answer counts."""
    if not len(chosen):
        return next(net.parameters()).sum() * 0
    said = net(torch.from_numpy(pictures).contiguous(memory_format=torch.channels_last)).T
    wanted_here, open_here = torch.from_numpy(wanted[:, chosen]), torch.from_numpy(undecided[:, chosen])
    way = wanted_here | open_here
    loss = said.sum() * 0
    if wanted.any() and way.any():
        # Sure that it leaks, wherever on their way its bubbles show; and sure where: of the cells that they pass, the
        # lowest are meant. Asked to say so at the origin alone, a net leaves leaks alone that show higher up only.
        loss = loss + functional.softplus(-said[way].max())
        if wanted_here.any():
            loss = loss + PLACE_WEIGHT * (said[way].logsumexp(0) - said[wanted_here].logsumexp(0))
    quiet = said.masked_fill(way, -20.0).amax(0)
    return loss + functional.softplus(quiet).sum() * QUIET_WEIGHT
