"""Processors, devices and schedulers that stand in for others, and what rounding they allow."""
