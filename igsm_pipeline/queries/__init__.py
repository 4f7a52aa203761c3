"""What is asked of a model: probe labels, candidate sets, read positions, prefix-shared sequences."""
