"""Significance and uncertainty of scores of autocorrelated responses."""
