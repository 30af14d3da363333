"""Uploads a tuned model's folder to a hub: what it would be is said first, and private is usual.

Tokens and addresses are those of huggingface_hub itself (``hf auth login``, ``HF_TOKEN``,
``HF_ENDPOINT``); nothing of them is read here. Places of this machine do not leave: they are cut
out of the record and of an adapter's configuration.
"""

import json
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from braindash.errors import BraindashError, InputError
from braindash.io.entries import read_object
from braindash.names import given_path, without_places
from braindash.speech.checkpoints.folders import TUNING_RECORD
from braindash.speech.checkpoints.listing import licence_of
from braindash.speech.checkpoints.places import ADAPTER_CONFIG, CARD, is_hub_id
from braindash.tuning.record import read_record

_BASE = "base_model_name_or_path"


@dataclass(frozen=True)
class Upload:
    """What would be uploaded.

    Attributes
    ----------
    folder : Path
    repository : str
        ``OWNER/NAME`` on the hub.
    public : bool
        Whether everybody may see it.
    files : dict of str to int
        Bytes by name in the repository.
    changed : dict of str to bytes
        Files that leave otherwise than they lie here.
    notes : tuple of str
        What to know before.
    """

    folder: Path
    repository: str
    public: bool
    files: dict[str, int]
    changed: dict[str, bytes]
    notes: tuple[str, ...]

    def lines(self) -> list[str]:
        """Say what would be uploaded, and where."""
        seen = "everybody can see it" if self.public else "private"
        total = sum(self.files.values())
        cut = " (without places of this machine)"
        listed = [
            f"  {name}: {size:,} bytes{cut if name in self.changed else ''}"
            for name, size in self.files.items()
        ]
        head = f"{self.folder} to {self.repository} ({seen}): {len(self.files)} files, "
        return [f"{head}{total / 1e6:.4g} MB", *listed, *self.notes]

    def as_dict(self) -> dict[str, Any]:
        """Return the same, as JSON has it."""
        return {
            "folder": str(self.folder),
            "repository": self.repository,
            "private": not self.public,
            "files": dict(self.files),
            "changed": sorted(self.changed),
            "notes": list(self.notes),
        }


def plan_upload(folder: Path | str, repository: str, *, public: bool = False) -> Upload:
    """Say what of a tuned model would be uploaded; nothing is asked of any network.

    Parameters
    ----------
    folder : Path or str
        Of the tuned model.
    repository : str
        ``OWNER/NAME``.
    public : bool, default False
        Whether everybody may see it.

    Raises
    ------
    InputError
        The folder is not that of a tuned model, or the name is none of a repository.
    """
    place = given_path(folder, exact=True)
    try:
        record = read_record(place)
    except (OSError, ValueError) as error:
        raise InputError(
            f"{place} is not the folder of a tuned model: {error}",
            hint="Give a folder that `braindash tune` wrote; `braindash models` lists them.",
        ) from error
    if "/" not in repository or not is_hub_id(repository):
        raise InputError(
            f"{repository!r} is no repository of a hub", hint="Give OWNER/NAME, as on the hub."
        )
    paths = sorted(path for path in place.rglob("*") if _leaves(path, place))
    changed = _changed(place)
    files = {}
    for path in paths:
        name = path.relative_to(place).as_posix()
        files[name] = len(changed[name]) if name in changed else path.stat().st_size
    return Upload(place.resolve(), repository, public, files, changed, _notes(place, record))


def _leaves(path: Path, folder: Path) -> bool:
    """Take files of the folder itself: no link, which leads elsewhere, and nothing hidden."""
    hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
    return path.is_file() and not path.is_symlink() and not hidden


def _changed(folder: Path) -> dict[str, bytes]:
    """Return the files that name places of this machine, without them."""
    found = {}
    for name in (TUNING_RECORD, ADAPTER_CONFIG):
        path = folder / name
        if not path.is_file():
            continue
        content = read_object(path)
        cleaned = without_places(content)
        if name == ADAPTER_CONFIG and cleaned.get(_BASE) != content.get(_BASE):
            cleaned[_BASE] = Path(str(content[_BASE])).name  # no id, but what it was called
        if cleaned != content:
            found[name] = json.dumps(cleaned, indent=1, ensure_ascii=False).encode()
    return found


def _notes(folder: Path, record: dict[str, Any]) -> tuple[str, ...]:
    notes = []
    if record["data"]["simulated"]:
        notes.append("It was tuned on SIMULATED responses; its card says so.")
    if record["spec"]["control"] != "none":
        notes.append(f"It is a control ({record['spec']['control']}); its card says so.")
    if not (folder / CARD).is_file():
        notes.append(
            f"It has no card: `braindash models card {shlex.quote(str(folder))}` writes {CARD}."
        )
    elif not licence_of(folder):
        notes.append("Its card names no licence: see what the base's licence allows.")
    if not record["base"].get("revision"):
        notes.append(
            f"Its base, {record['base']['name']}, is a local folder: whoever loads an adapter "
            "needs the same weights."
        )
    return tuple(notes)


def upload(planned: Upload) -> str:
    """Upload a tuned model; ask before, this does not.

    Returns
    -------
    str
        Address of the commit.

    Raises
    ------
    InputError
        A public repository of that name is there and ``public`` was not asked for, or the hub
        refuses.
    BraindashError
        The hub cannot be reached.
    """
    from huggingface_hub import CommitOperationAdd, HfApi, errors

    # Of its client, whose package is another in every major version.
    client_error: type[Exception] = getattr(errors, "HTTPError", OSError)
    api = HfApi()
    operations = [
        CommitOperationAdd(
            path_in_repo=name,
            path_or_fileobj=planned.changed.get(name) or str(planned.folder / name),
        )
        for name in planned.files
    ]
    try:
        _make_repository(api, planned)
        commit = api.create_commit(
            planned.repository,
            operations,
            commit_message="Upload a tuned model",
        )
    except errors.OfflineModeIsEnabled as error:
        raise InputError(
            "HF_HUB_OFFLINE is set: nothing may be uploaded", hint="Unset it and try again."
        ) from error
    except errors.LocalTokenNotFoundError as error:
        raise _refused(planned, "there is no token here") from error
    except errors.HfHubHTTPError as error:
        raise _refused(planned, str(error).splitlines()[0]) from error
    except (client_error, OSError) as error:
        raise BraindashError(
            f"the hub cannot be reached: {error}",
            hint="Try again; what was uploaded is not uploaded twice.",
        ) from error
    return str(commit.commit_url)


def _make_repository(api: Any, planned: Upload) -> None:
    """Make the repository, or see that the one that is there is as private as was said."""
    from huggingface_hub.errors import RepositoryNotFoundError

    try:
        there = api.repo_info(planned.repository)
    except RepositoryNotFoundError:
        api.create_repo(planned.repository, private=not planned.public, exist_ok=True)
        return
    if not there.private and not planned.public:
        raise InputError(
            f"{planned.repository} is there already, and everybody can see it",
            hint="Give --public if everybody may see this model, or another name.",
        )


def _refused(planned: Upload, reason: str) -> InputError:
    return InputError(
        f"the hub refuses {planned.repository}: {reason}",
        hint="Log in with `hf auth login` (or set HF_TOKEN) with a token that may write there.",
    )
