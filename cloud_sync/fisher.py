"""PURE. Fisher's exact test (1922), one-sided: are there more events now than before?"""


def p_of_more(events: int, units: int, events_before: int, units_before: int) -> float:
    """How likely so many of `units` are where their rate is that of `units_before`, or below."""
    # scipy.stats takes most of a second to load: who only wants pages does without.
    from scipy.stats import fisher_exact

    table = [[events, units - events], [events_before, units_before - events_before]]
    return float(fisher_exact(table, alternative="greater").pvalue)
