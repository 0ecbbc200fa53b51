"""Agreement: against statsmodels, against worked examples that were published, and by coverage in simulation."""

import numpy as np
import pytest
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.inter_rater import cohens_kappa
from statsmodels.stats.proportion import proportion_confint

from cloud_sync import concord
from cloud_sync.concord import Table


def counted(counts) -> Table:
    counts = np.asarray(counts)
    return Table(tuple("abcdef"[: len(counts)]), counts, counts.astype(float), counts.astype(float))


TABLES = ([[40, 9], [6, 45]], [[118, 5], [2, 0]], [[53, 5, 2], [11, 14, 5], [1, 6, 3]], [[1, 1], [1, 97]])


@pytest.mark.parametrize("counts", TABLES)
def test_kappa_and_its_error_are_those_of_statsmodels(counts):
    theirs = cohens_kappa(np.asarray(counts))
    assert concord.kappa(counted(counts)).value == pytest.approx(theirs.kappa, abs=1e-9)
    assert concord.kappa_error(counted(counts)) == pytest.approx(theirs.std_kappa, abs=1e-9)


@pytest.mark.parametrize(("first", "second"), [(0, 5), (12, 3), (40, 40), (1, 0), (7, 22)])
def test_mcnemar_is_that_of_statsmodels(first, second):
    found, counts = concord.mcnemar(first, second), [[30, first], [second, 30]]
    assert found.exact_p == pytest.approx(mcnemar(counts, exact=True).pvalue, abs=1e-9)
    if first != second:  # statsmodels corrects a difference of 0 to 1
        theirs = mcnemar(counts, exact=False, correction=True)
        assert (found.chi_square, found.chi_square_p) == pytest.approx((theirs.statistic, theirs.pvalue), abs=1e-9)


@pytest.mark.parametrize(("events", "cases"), [(0, 10), (3, 20), (10, 10), (499, 500)])
def test_proportions_are_those_of_statsmodels(events, cases):
    assert concord.proportion(events, cases) == pytest.approx(
        proportion_confint(events, cases, method="beta"), abs=1e-9
    )


def test_ac1_of_gwets_example_of_125_subjects():
    """Gwet (2002), "Kappa statistic is not satisfactory": 118, 5, 2, 0; kappa -0.0234, AC1 0.9408."""
    found = counted([[118, 5], [2, 0]])
    assert concord.kappa(found).value == pytest.approx(-0.0234, abs=5e-5)
    assert concord.ac1(found).value == pytest.approx(0.9408, abs=5e-5)


@pytest.mark.parametrize("counts", TABLES)
def test_the_error_of_ac1_is_gwets_formula_of_2008(counts):
    counts = np.asarray(counts, float)
    shares, others = counts / counts.sum(), len(counts) - 1
    means = (shares.sum(0) + shares.sum(1)) / 2
    alike, chance = np.trace(shares), (means * (1 - means)).sum() / others
    first = alike * (1 - alike)
    second = (np.diag(shares) * (1 - means)).sum() / others - alike * chance
    third = (shares * (1 - (means[:, None] + means[None, :]) / 2) ** 2).sum() / others**2 - chance**2
    variance = first - 4 * (1 - (alike - chance) / (1 - chance)) * second
    variance += 4 * (1 - (alike - chance) / (1 - chance)) ** 2 * third
    expected = np.sqrt(variance / counts.sum()) / (1 - chance)
    assert concord.ac1_error(counted(counts)) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("counts", [[[0, 0], [0, 0]], [[80, 0], [0, 0]], [[0, 5], [0, 0]], [[3, 0], [0, 4]]])
def test_empty_and_one_sided_tables_give_words_not_nan(counts):
    found = counted(counts)
    for figure in (concord.kappa(found), concord.ac1(found), concord.overall(found)):
        assert all(value is None or np.isfinite(value) for value in (figure.value, figure.low, figure.high))
    assert concord.mcnemar(0, 0).exact_p is None


def test_one_class_alone_leaves_kappa_unsaid_and_ac1_at_one():
    found = counted([[80, 0], [0, 0]])
    assert concord.kappa(found) == concord.Figure(None, None, None, 80)
    figure = concord.ac1(found)
    assert figure.value == figure.high == 1.0
    assert 0.9 < figure.low < 0.99


def test_weights_of_one_are_plain_counts_and_weights_make_up_for_sampling():
    pairs = [("leak", "leak", 8, 1.0), ("leak", "ok", 3, 1.0), ("ok", "ok", 90, 1.0), ("ok", "leak", 2, 1.0)]
    plain = concord.table(pairs, ("leak", "ok"))
    assert plain.cases == 103
    assert np.array_equal(plain.weights, plain.counts)
    weighted = concord.table([*pairs[:2], ("ok", "ok", 9, 10.0), pairs[3]], ("leak", "ok"))
    assert concord.kappa(weighted).value == pytest.approx(concord.kappa(plain).value)
    assert concord.kappa_error(weighted) > concord.kappa_error(plain)


def test_words_outside_the_table_are_left_out():
    assert concord.table([("uncertain", "ok", 5, 1.0), ("ok", "ok", 2, 1.0)], ("leak", "ok")).cases == 2


@pytest.mark.parametrize("measure", [concord.kappa, concord.ac1])
@pytest.mark.parametrize(("cases", "leaky"), [(100, 0.5), (100, 0.1), (300, 0.3), (300, 0.02), (1000, 0.02)])
def test_intervals_cover_the_true_agreement(measure, cases, leaky):
    """Two raters who each find 90 % of leaks and pass 98 % of good units; 1,500 tables a row, seed 7."""
    right = np.array([[0.9, 0.1], [0.02, 0.98]])
    joint = leaky * np.outer(right[0], right[0]) + (1 - leaky) * np.outer(right[1], right[1])
    true = measure(counted(joint * 1e6)).value
    found = [measure(counted(drawn.reshape(2, 2))) for drawn in _drawn(joint, cases)]
    said = [figure for figure in found if figure.low is not None]
    covered = np.mean([figure.low <= true <= figure.high for figure in said])
    assert 0.935 <= covered <= 0.985, (covered, len(said))


def test_weighted_intervals_cover_the_agreement_of_all_units():
    """Agreements are judged with probability 0.1, disagreements always: 1,000 stations of 3,000 units, seed 3."""
    random = np.random.default_rng(3)
    joint = np.array([[0.18, 0.02], [0.03, 0.77]])
    chance = np.array([[0.1, 1.0], [1.0, 0.1]])
    drawn = random.binomial(random.multinomial(3000, joint.ravel(), 1000), chance.ravel()).reshape(-1, 2, 2)
    for measure in (concord.kappa, concord.ac1):
        true = measure(counted(joint * 1e6)).value
        figures = [measure(Table(("leak", "ok"), one, one / chance, one / chance**2)) for one in drawn]
        assert 0.935 <= np.mean([figure.low <= true <= figure.high for figure in figures]) <= 0.985


def _drawn(joint: np.ndarray, cases: int) -> np.ndarray:
    return np.random.default_rng(7).multinomial(cases, joint.ravel(), 1500)
