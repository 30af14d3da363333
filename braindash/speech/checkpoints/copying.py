"""Where model folders may be written, and how one is copied, without torch."""

import shutil
import stat
from pathlib import Path

from braindash.errors import InputError, ResourceError


def check_free(out: Path) -> None:
    """Refuse a folder that holds something."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(
            f"{out} exists already", hint="Give a new folder; nothing is ever overwritten."
        )


def give_mode(folder: Path, example: Path) -> None:
    """Let those read all files of a folder who may read one of them.

    safetensors writes for the owner alone; a laboratory shares its models.
    """
    mode = stat.S_IMODE(example.stat().st_mode)
    for path in folder.iterdir():
        path.chmod(mode)


def copy_model(source: Path, out: Path) -> None:
    """Copy a model's folder to where the user wants it.

    Raises
    ------
    InputError
        When the folder is taken.
    ResourceError
        When it cannot be written.
    """
    check_free(out)
    try:
        shutil.copytree(source, out, dirs_exist_ok=True)
    except (OSError, shutil.Error) as error:
        raise ResourceError(
            f"the tuned model cannot be copied to {out}: {error}",
            hint=f"Copy {source} yourself.",
        ) from error
