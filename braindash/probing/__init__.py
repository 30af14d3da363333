"""Probing: what each layer of a model tells about labelled speech."""
