"""Encoding: how well each layer of a model predicts responses of the brain."""
