"""Training: from recordings and datasets to bundles, and the evaluation of bundles."""
