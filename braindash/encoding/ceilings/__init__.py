"""Noise ceilings of an encoding: which the data allow, what chooses targets, sums over subjects."""
