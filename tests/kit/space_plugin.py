"""A distribution that brings a feature space along, laid out as pip installs one."""

import textwrap
from pathlib import Path

from braindash.speech.acoustic import spaces

# What the documentation tells an author to write.
_EXAMPLE = spaces.__doc__.split("is a module ::")[1].split("\n\nof a distribution")[0]
MODULE = textwrap.dedent(_EXAMPLE).strip() + "\n"


def put_plugin(
    folder: Path,
    module: str = MODULE,
    *,
    name: str = "peak",
    version: str = "0.2.0",
    distribution: str = "lab_spaces",
) -> Path:
    """Write a module with its metadata into a folder for ``sys.path``; gives the folder."""
    metadata = folder / f"{distribution}-{version}.dist-info"
    metadata.mkdir(parents=True)
    (folder / f"{distribution}.py").write_text(module)
    (metadata / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n"
    )
    (metadata / "entry_points.txt").write_text(
        f"[braindash.spaces]\n{name} = {distribution}:SPACE\n"
    )
    return folder
