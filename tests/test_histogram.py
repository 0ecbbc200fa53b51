import msgspec
import prometheus_client
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent import histogram
from edge_agent.histogram import Histogram

BOUNDS = (0.01, 0.1, 1.0)
values = st.lists(st.floats(0, 10, allow_nan=False), max_size=50)


def made_of(numbers):
    made = histogram.empty(BOUNDS)
    for number in numbers:
        made = made.seen(number)
    return made


def test_a_value_on_a_bound_is_below_it_and_one_above_all_has_a_bucket_of_its_own():
    made = made_of([0.01, 0.011, 1.0, 7.0])
    assert (made.counts, made.cumulative, made.total) == ((1, 1, 1, 1), (1, 2, 3, 4), 4)
    assert made.sum == pytest.approx(8.021)


@given(values, values)
def test_two_histograms_together_are_the_histogram_of_both(first, second):
    together, at_once = made_of(first).merged(made_of(second)), made_of(first + second)
    assert together.counts == at_once.counts and together.sum == pytest.approx(at_once.sum)


@given(values)
def test_buckets_never_fall_and_hold_what_prometheus_own_histogram_holds(numbers):
    theirs = prometheus_client.Histogram("h", "help", buckets=BOUNDS, registry=None)
    for number in numbers:
        theirs.observe(number)
    (family,) = theirs.collect()
    made = made_of(numbers)
    assert list(made.cumulative) == sorted(made.cumulative)
    assert list(made.cumulative) == [sample.value for sample in family.samples if sample.name == "h_bucket"]


def test_what_is_no_number_is_not_counted():
    assert made_of([float("nan"), float("inf")]).total == 0


def test_histograms_of_other_buckets_do_not_add_up():
    with pytest.raises(ValueError, match="do not add up"):
        histogram.empty(BOUNDS).merged(Histogram())


@pytest.mark.parametrize(
    "text", ['{"upto":[1,2],"counts":[1]}', '{"upto":[2,1],"counts":[1,0,0]}', '{"upto":[],"counts":[-1]}']
)
def test_a_damaged_histogram_is_refused_where_it_is_read(text):
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(text, type=Histogram)
