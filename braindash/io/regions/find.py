"""From the name of a region set to the regions of a result, and what is chosen when nobody says."""

import logging
from collections.abc import Iterator
from pathlib import Path

from braindash.errors import InputError
from braindash.io.dataset.dataset import Dataset
from braindash.io.dataset.manifest import load_manifest
from braindash.io.regions.masks import DISCS, WHOLE, Mask, Regions
from braindash.io.regions.own import has_own_regions, own_regions
from braindash.io.regions.painted import set_on_targets
from braindash.io.regions.sets import OWN_SET, RegionSet, find_set, known_sets
from braindash.io.spaces.find import surface_for
from braindash.io.spaces.surface_map import SurfaceMap
from braindash.io.surfaces import SPACE_NAMES

logger = logging.getLogger(__name__)

# What is taken before discs, where its files are there.
_PREFERRED = ("moussa2025-neurips", "destrieux", "desikan")
# Names of the auditory region, the best one first, in sets that have it.
_DESTRIEUX = ("G_temp_sup-G_T_transv", "S_temporal_transverse", "G_temp_sup-Plan_tempo")
_DESIKAN = ("transversetemporal",)
_AUDITORY = (
    *("early_auditory", "AC", "auditory_cortex", "auditory", "primary_auditory", "A1"),
    *(*_DESTRIEUX, *_DESIKAN),  # a subject's own annotations of FreeSurfer
)
_AUDITORY_SETS = (
    ("moussa2025-neurips", ("early_auditory",)),
    ("destrieux", _DESTRIEUX),
    ("desikan", _DESIKAN),
    (DISCS, ("early_auditory",)),
)


def find_regions(
    name: str,
    space: str,
    n_targets: int,
    *,
    data: Path | str | Dataset | None = None,
    subject: str = "",
    surface: SurfaceMap | None = None,
) -> Regions:
    """Find the regions of a set among the targets of a result.

    Parameters
    ----------
    name : str
        A region set; "own" is what the manifest's ``[regions]`` describe.
    space : str
        Space of the responses.
    n_targets : int
        Number of targets.
    data : Path, str or Dataset, optional
        The manifest; needed for "own".
    subject : str, default ""
        Whose, of regions that differ between subjects.
    surface : SurfaceMap, optional
        What brings the targets to a surface.

    Returns
    -------
    Regions
        In a space without surface the sets by name have all targets alone.

    Raises
    ------
    InputError
        When there is no such set, or when a file that it needs is not there: the error says which
        one, and from where it comes.
    """
    if name != OWN_SET:
        return set_on_targets(find_set(name), space, n_targets, surface)
    if data is None:
        raise InputError(
            "the regions 'own' are those of a manifest, and nobody says which manifest",
            hint="Name it with --data (in Python: data=...), or choose another region set.",
        )
    dataset = data if isinstance(data, Dataset) else load_manifest(data)
    return own_regions(dataset, subject, n_targets, surface)


def ready_sets(space: str, *, data: Path | str | None = None) -> list[str]:
    """Name the sets that can be used for results of a space now, the usual one first.

    Parameters
    ----------
    space : str
        Space of the responses.
    data : Path or str, optional
        Their manifest.

    Returns
    -------
    list of str
        At least ``DISCS``, which stand last.
    """
    own = [OWN_SET] if data is not None and _describes(Path(data)) else []
    if SPACE_NAMES.get(space) is None:
        return [*own, DISCS]
    ready = [one.name for one in known_sets().values() if one.is_ready and one.name != DISCS]
    ready.sort(key=lambda name: _PREFERRED.index(name) if name in _PREFERRED else len(_PREFERRED))
    return [*own, *ready, DISCS]


def usual_set(space: str, *, data: Path | str | None = None, wanted: str | None = None) -> str:
    """Name the set that is taken when nobody chooses: discs only where nothing else is given.

    Parameters
    ----------
    space : str
        Space of the responses.
    data : Path or str, optional
        Their manifest.
    wanted : str, optional
        A set that comes first, where its files are there.
    """
    ready = ready_sets(space, data=data)
    return wanted if wanted is not None and wanted in ready else ready[0]


def _describes(manifest: Path) -> bool:
    """Say whether a manifest is there and describes regions."""
    if not manifest.is_file():
        return False
    try:
        return has_own_regions(load_manifest(manifest))
    except InputError as error:
        logger.info("the regions of %s are not offered: %s", manifest, error.message)
        return False


def auditory_region(
    space: str,
    n_targets: int,
    *,
    data: Path | str | Dataset | None = None,
    subject: str = "",
) -> tuple[Mask, str] | None:
    """Find the auditory cortex among the targets of a data set, as well as its labels allow.

    Parameters
    ----------
    space : str
        Space of the responses.
    n_targets : int
        Number of targets.
    data : Path, str or Dataset, optional
        The manifest, whose own regions come first.
    subject : str, default ""
        Whose responses.

    Returns
    -------
    mask : bool array of shape (n_targets,)
        Both hemispheres.
    note : str
        The region, its set, and what that was read from.

    None where no set knows the auditory cortex of these targets.
    """
    for regions, names in _auditory_candidates(space, n_targets, data, subject):
        for name in names:
            mask = regions.masks.get(name)
            if mask is not None and name != WHOLE and mask.any():
                return mask, f"{name}: {regions.note}"
    return None


def _auditory_candidates(
    space: str, n_targets: int, data: Path | str | Dataset | None, subject: str
) -> Iterator[tuple[Regions, tuple[str, ...]]]:
    dataset = load_manifest(data) if isinstance(data, Path | str) else data
    surface = None
    if dataset is not None and SPACE_NAMES.get(space) is None and subject in dataset.subjects:
        surface = surface_for(dataset, subject, n_targets)
    if dataset is not None and has_own_regions(dataset):
        yield own_regions(dataset, subject, n_targets, surface), _AUDITORY
    if SPACE_NAMES.get(space) is None and (surface is None or not surface.reaches_common):
        return
    for name, regions in _AUDITORY_SETS:
        one: RegionSet = find_set(name)
        if one.is_ready:
            yield set_on_targets(one, space, n_targets, surface), regions
