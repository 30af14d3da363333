"""Disk and formats: audio, annotations, manifests, responses, surfaces and the result store.

No mathematics of its own: what is computed from the data lives in ``braindash.core``.
"""
