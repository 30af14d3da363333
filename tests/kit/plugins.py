"""A distribution that brings something along by an entry point, laid out as pip installs one."""

import textwrap
from pathlib import Path

from braindash.io.regions import sets
from braindash.speech.acoustic import spaces


def _example(doc: str, opening: str) -> str:
    """What the documentation tells an author to write."""
    return textwrap.dedent(doc.split(opening)[1].split("\n\nof a distribution")[0]).strip() + "\n"


SPACE = _example(spaces.__doc__, "is a module ::")
REGION_SET = _example(sets.__doc__, "of a module ::")


def put_plugin(
    folder: Path,
    module: str = SPACE,
    *,
    point: str = "braindash.spaces:SPACE",
    name: str = "peak",
    version: str = "0.2.0",
    distribution: str = "lab_spaces",
) -> Path:
    """Write a module with its metadata into a folder for ``sys.path``; gives the folder.

    ``point`` is the group of the entry point and the module's object.
    """
    metadata = folder / f"{distribution}-{version}.dist-info"
    metadata.mkdir(parents=True)
    (folder / f"{distribution}.py").write_text(module)
    (metadata / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n"
    )
    group, _, thing = point.partition(":")
    (metadata / "entry_points.txt").write_text(f"[{group}]\n{name} = {distribution}:{thing}\n")
    return folder
