"""The cloud: from cases to expert reviews, and from reviews to datasets."""
