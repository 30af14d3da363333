"""Figures of studies: many models, subjects and regions at once."""
