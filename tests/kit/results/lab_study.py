"""A study of the made-up lab: what a user writes, small enough to be computed in a test."""

from pathlib import Path

from kit.data.toy_lab import Lab

LAB_STUDY = """
name = "toy"
title = "A toy study"
data = "lab/manifest.toml"

[encode]
strategy = "chunk"
n_permutations = 0
n_bootstraps = 20

[[models]]
name = "small"
model = "{model}"
role = "base"

[[models]]
name = "log-mel"
model = "acoustic:logmel"
role = "control"
base = "small"
"""
ADDED = """
[[models]]
name = "untrained"
model = "untrained:{model}@3"
role = "control"
base = "small"
"""


def write_study(lab: Lab, *, more: str = "", **changes: str) -> Path:
    """Write the study beside the lab's folder; ``changes`` are pieces of text."""
    text = LAB_STUDY.format(model=lab.model) + more.format(model=lab.model)
    for old, new in changes.items():
        text = text.replace(old, new)
    path = lab.folder.parent / "study.toml"
    path.write_text(text, encoding="utf-8")
    return path
