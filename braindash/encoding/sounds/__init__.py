"""Weights that are kept of results, and what they predict for any sound."""
