"""The five nets. What they make of the pixels (differences, gain, clipping) is part of them: devices cannot differ."""

import torch
from torch import nn
from torch.nn import functional

from edge_agent.kymograph import PICTURE

STRIDE = 4
QUARTERS = 4
"""Parts of a kymograph's window in which lines are counted apart."""
CLIP_LEVELS = 32.0
"""Frame differences beyond this many grey levels say no more: a gain of 8 before clipping at 1."""
CLASSES = ("rising", "attached", "bead", "speck")
"""Rising bubble; bubble that sticks; bead that falls or rolls; speck that drifts."""
MAPS = (*CLASSES, "dx", "dy", "vx", "vy", "size")


class BubbleNet(nn.Module):
    """(n, 3, h, w) uint8 composites -> (n, 9, h/4, w/4), in the order of MAPS: a probability for each class, offset in
    cells, velocity in px per spacing, size as log2 of the diameter in px.

    Fully convolutional, stride 4. What it sees: newest minus middle and middle minus oldest, clipped, and the middle
    frame itself through filters without a mean, so that neither light nor water level reaches the features.
    """

    def __init__(self, width: int = 32, neck: int = 16) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, width, 8, stride=STRIDE, padding=2)
        self.near = nn.Conv2d(width, width, 3, padding=1)
        self.wide = nn.Conv2d(width, neck, 3, padding=2, dilation=2)
        self.far = nn.Conv2d(neck, width, 3, padding=4, dilation=4)
        self.head = nn.Conv2d(width, len(MAPS), 1)
        with torch.no_grad():
            self.head.weight.mul_(0.3)
            self.head.bias.zero_()
            # Focal loss: nearly every cell is empty at first.
            self.head.bias[: len(CLASSES)] = -4.0

    def raw(self, composites: torch.Tensor) -> torch.Tensor:
        """The maps before the probabilities are squashed."""
        oldest, middle, newest = composites.float().split(1, dim=1)
        moved = torch.cat([middle - oldest, newest - middle], dim=1).clamp(-CLIP_LEVELS, CLIP_LEVELS)
        return self.maps_of(torch.cat([moved, middle - 128.0], dim=1))

    def maps_of(self, seen: torch.Tensor) -> torch.Tensor:
        """(n, 3, h, w) of whatever the net is to see; the third channel reaches it without its local mean."""
        features = functional.relu(functional.conv2d(seen, self._stem_weight(), self.stem.bias, STRIDE, 2))
        features = functional.relu(self.near(features))
        features = functional.relu(self.wide(features))
        features = functional.relu(self.far(features))
        return self.head(features)

    def forward(self, composites: torch.Tensor) -> torch.Tensor:
        maps = self.raw(composites)
        return torch.cat([maps[:, : len(CLASSES)].sigmoid(), maps[:, len(CLASSES) :]], dim=1)

    def _stem_weight(self) -> torch.Tensor:
        weight = self.stem.weight / CLIP_LEVELS
        still = weight[:, 2:] - weight[:, 2:].mean(dim=(2, 3), keepdim=True)
        return torch.cat([weight[:, :2], still], dim=1)


class OriginNet(nn.Module):
    """(n, *PICTURE) float32 kymographs of strips -> (n, 30) log odds that bubbles rise from each height.

    Convolutions see the beginnings of slanted lines; their means over quarters of the window say whether lines go on
    beginning there, and when. They are taller than long: a bubble rises by some four rows from step to step, and a
    faint one shows only in many of its places together (9 of them fit into 33 rows).
    """

    def __init__(self, width: int = 32, hidden: int = 64) -> None:
        super().__init__()
        self.first = nn.Conv2d(PICTURE[0], width, (5, 9), stride=2, padding=(2, 4))
        self.second = nn.Conv2d(width, width, (3, 7), stride=(2, 1), padding=(1, 3))
        self.third = nn.Conv2d(width, width, (3, 7), padding=(1, 3))
        self.near = nn.Conv1d(width * 6 + QUARTERS, hidden, 3, padding=1)
        self.out = nn.Conv1d(hidden, 1, 1)
        with torch.no_grad():
            self.out.bias.fill_(-3.0)

    def forward(self, strips: torch.Tensor) -> torch.Tensor:
        features = functional.relu(self.first(strips))
        features = functional.relu(self.second(features))
        features = functional.relu(self.third(features))
        watched = functional.avg_pool2d(strips[:, :1], (4, 2))
        share = watched.mean(dim=2).clamp(min=0.01)
        quarters = features.unflatten(2, (QUARTERS, -1)).mean(dim=3).flatten(1, 2)
        watched_quarters = watched.unflatten(2, (QUARTERS, -1)).mean(dim=3).flatten(1, 2)
        pooled = torch.cat([quarters, features.amax(dim=2), features.mean(dim=2) / share, watched_quarters], dim=1)
        return self.out(functional.relu(self.near(pooled))).squeeze(1)


class CaseNet(nn.Module):
    """(n, F) features of `account.Account` -> (n, 2) leak probability at equal odds, and how far the case lies from
    those of training.

    The first `scored` features make the score. Several small nets side by side, which are fitted apart and whose log
    odds are averaged: where cases are few, each draws another boundary, and what only one of them believes is not
    believed. The other features make the distance (Mahalanobis, by dimension: 1 is usual).
    """

    def __init__(
        self, mean: torch.Tensor, spread: torch.Tensor, scored: int, members: int = 8, hidden: int = 16
    ) -> None:
        """`mean`, `spread`: (F,) of each feature."""
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("spread", spread)
        self.register_buffer("whitening", torch.eye(len(mean) - scored))
        """Makes standard features that go together ones that do not; set after the fit."""
        self.scored = scored
        self.hidden = nn.Linear(scored, members * hidden)
        self.out = nn.Linear(members * hidden, 1)
        """The mean of the members: each has a member's share of the weights, and all have the same level."""
        nn.init.uniform_(self.out.weight, -(hidden**-0.5) / members, hidden**-0.5 / members)
        self.members = members
        self.register_buffer("sharpness", torch.ones(1))
        """Set by calibration after the fit: scores below 1 spread towards 0.5."""

    def votes(self, features: torch.Tensor) -> torch.Tensor:
        """(n, members) log odds."""
        shares = (self._known(features) * self.out.weight).unflatten(1, (self.members, -1)).sum(2)
        return shares * self.members + self.out.bias

    def logit(self, features: torch.Tensor) -> torch.Tensor:
        return self.out(self._known(features)) * self.sharpness

    def distance(self, features: torch.Tensor) -> torch.Tensor:
        """(n, 1) root mean square of the whitened features."""
        whitened = self._standard(features)[:, self.scored :] @ self.whitening
        return (whitened * whitened).mean(dim=1, keepdim=True).sqrt()

    def _known(self, features: torch.Tensor) -> torch.Tensor:
        # Beyond four spreads a feature says no more; what was never seen in training must not run away.
        return torch.tanh(self.hidden(self._standard(features)[:, : self.scored].clamp(-4.0, 4.0)))

    def _standard(self, features: torch.Tensor) -> torch.Tensor:
        return (features - self.mean) / self.spread

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return torch.cat([self.logit(features).sigmoid(), self.distance(features)], dim=1)


class LampNet(nn.Module):
    """(n, 3, 24, 24) uint8 BGR lamp crops -> (n, 3) how sure it is that the lamp is dark, lit, unreadable."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 12, 4, stride=2, padding=1)
        self.second = nn.Conv2d(12, 24, 4, stride=2, padding=1)
        self.third = nn.Linear(24 * 36, 32)
        self.out = nn.Linear(32, 3)

    def logit(self, crops: torch.Tensor) -> torch.Tensor:
        features = functional.relu(self.first(crops.float() / 128.0 - 1.0))
        features = functional.relu(self.second(features))
        return self.out(functional.relu(self.third(features.flatten(1))))

    def forward(self, crops: torch.Tensor) -> torch.Tensor:
        return self.logit(crops).sigmoid()


class WaterNet(nn.Module):
    """(n, 1, 96, 128) uint8 small grey tank views -> (n, 1) clarity, the share of light that gets through."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 8, 4, stride=2, padding=1)
        self.second = nn.Conv2d(8, 16, 4, stride=2, padding=1)
        self.third = nn.Conv2d(16, 24, 4, stride=2, padding=1)
        self.fourth = nn.Conv2d(24, 24, 3, stride=2, padding=1)
        self.out = nn.Linear(24 * 6 * 8, 1)

    def logit(self, views: torch.Tensor) -> torch.Tensor:
        features = functional.relu(self.first(views.float() / 64.0 - 2.0))
        features = functional.relu(self.second(features))
        features = functional.relu(self.third(features))
        features = functional.relu(self.fourth(features))
        return self.out(features.flatten(1))

    def forward(self, views: torch.Tensor) -> torch.Tensor:
        return self.logit(views).sigmoid()
