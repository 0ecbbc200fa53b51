"""PURE. Counts of pairs -> the wealth of bettors against a hypothesis about their difference; from wealth to proof.

Two judge the same units. Of each unit one of them may be worse, the other, or neither: D = +1, -1 or 0. The hypothesis
says that D is `margin` or more on average, whatever came before: E[D | past] >= margin. A bettor who stakes
l = share / (1 - margin) multiplies his wealth by 1 + l (margin - D). That is never negative, and its mean is at most
one while the hypothesis is true: a supermartingale, as is the mean of several bettors (a mixture over l). By Ville's
inequality it ever reaches 1 / a with probability a at most, however often somebody looks and whenever he stops.

Where D is only counted on units of a kind that shows in audits alone (leaks on which both agree), a unit drawn with
probability p counts 1 / p and any other nothing. The draw knows nothing of the truth, so the mean stays what it was.

Sources: Ville 1939; Waudby-Smith & Ramdas 2024, "Estimating means of bounded random variables by betting" (capital
processes, grids of bets); Lindon & Malek 2022 (arXiv 2011.03567), the same idea for counts of categories.
"""

import numpy as np

SHARES = np.sin(np.pi * np.arange(1, 17) / 34) ** 2
"""(K,) of the boldest stake, at which one worse pair costs everything: bold ones suit pairs that never differ, careful
ones suit pairs that often do. Each bettor begins with the same wealth, so that 16 of them cost a factor 16 at most."""


def growth(worse: np.ndarray, better: np.ndarray, same: np.ndarray | float, margin: float) -> np.ndarray:
    """Log factors (..., K) by which wealth grows with so many pairs (...) of D = +1, -1 and 0. `margin` in -1..1; a
    negative one turns the question round: is `worse` at most -margin less often than `better`?"""
    stakes = SHARES / (1 - margin)
    return (
        np.multiply.outer(worse, np.log1p(-SHARES))
        + np.multiply.outer(better, np.log1p(stakes * (1 + margin)))
        + np.multiply.outer(same, np.log1p(stakes * margin))
    )


def audited(same: np.ndarray, margin: float, probability: float) -> np.ndarray:
    """Log factors (..., K) of so many pairs of D = 0 that audits showed, each drawn with this probability."""
    return np.multiply.outer(same, np.log1p(SHARES / (1 - margin) * margin / probability))


def mixed(logs: np.ndarray) -> np.ndarray:
    """(..., K) log wealth of the bettors -> (...) log of its mean: the log of the e-value."""
    highest = logs.max(axis=-1, keepdims=True)
    return highest[..., 0] + np.log(np.exp(logs - highest).mean(axis=-1))
