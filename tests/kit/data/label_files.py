"""Small corpora for tests, in the layouts and formats of the real ones."""

from pathlib import Path

import numpy as np
import soundfile

RATE = 16000


def write_sound(path: Path, seconds: float = 1.0, rate: int = RATE, **options) -> Path:
    """Write noise; the format follows the suffix unless ``format`` is given."""
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = 0.1 * np.random.default_rng(len(path.name)).standard_normal(round(seconds * rate))
    soundfile.write(path, noise, rate, **options)
    return path


def write_text(path: Path, *lines: str, encoding: str = "utf-8") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(("\n".join(lines) + "\n").encode(encoding))
    return path


def write_grid(path: Path, tiers, *, short: bool = False, encoding: str = "utf-8") -> Path:
    """Write ``{tier: [(start, end, label)]}`` in Praat's long or short text form."""
    end = max(entry[1] for entries in tiers.values() for entry in entries)
    quoted = '"{}"'.format
    lines = ['File type = "ooTextFile"', 'Object class = "TextGrid"', ""]
    if short:
        lines += ["0", str(end), "<exists>", str(len(tiers))]
    else:
        lines += ["xmin = 0", f"xmax = {end}", "tiers? <exists>", f"size = {len(tiers)}"]
    for name, entries in tiers.items():
        if short:
            lines += ['"IntervalTier"', quoted(name), "0", str(end), str(len(entries))]
        else:
            lines += ['class = "IntervalTier"', f"name = {quoted(name)}", "xmin = 0"]
            lines += [f"xmax = {end}", f"intervals: size = {len(entries)}"]
        for start, stop, label in entries:
            values = [str(start), str(stop), quoted(label)]
            names = ["", "", ""] if short else ["xmin = ", "xmax = ", "text = "]
            lines += [name + value for name, value in zip(names, values, strict=True)]
    return write_text(path, *lines, encoding=encoding)


def rows(labels, *columns):
    """Rows of a label table as plain tuples."""
    table = labels.table[list(columns)]
    return [tuple(row) for row in table.itertuples(index=False)]
