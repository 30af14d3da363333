"""Regions of the cortex: sets of labels, where their files come from, and discs without any."""
