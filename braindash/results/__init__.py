"""Readers of stored results, and what is made of several; light to import."""
