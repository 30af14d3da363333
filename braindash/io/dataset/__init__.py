"""A data set on disk: its manifest, recordings and responses."""
