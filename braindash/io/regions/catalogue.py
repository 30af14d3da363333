"""The region sets that braindash brings along: by name, and families by number."""

import logging
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import numpy as np

from braindash.errors import InputError
from braindash.io.regions import groups as named
from braindash.io.regions.discs import REGION_NAMES, SPHERE_LABEL, disc_masks
from braindash.io.regions.label_files import read_values
from braindash.io.regions.masks import DISCS, Mask
from braindash.io.regions.parcellation import Parcellation, mesh_of, on_mesh, read_parcellation
from braindash.io.regions.region_set import RegionSet
from braindash.io.regions.sources import (
    DESIKAN_FILES,
    DESTRIEUX_FILES,
    HCP_FILES,
    HCP_TERMS,
    LANA_FILES,
    fetch_destrieux,
    fetch_hashed,
    schaefer_files,
)
from braindash.io.surfaces import medial_wall

logger = logging.getLogger(__name__)

_HCP = "HCP-MMP1, Glasser et al. 2016, doi:10.1038/nature18933"
_HCP_LICENCE = "HCP Open Access Data Use Terms"


def _make_discs(one: RegionSet, paths: Sequence[Path], space: str) -> Mapping[str, Mask]:
    return {name: mask.copy() for name, mask in disc_masks(space).items()}


def _hcp(name: str, title: str, groups: Mapping[str, tuple[str, ...]], note: str = "") -> RegionSet:
    return RegionSet(
        name,
        title,
        _HCP,
        _HCP_LICENCE,
        HCP_FILES,
        groups,
        note=note,
        terms=HCP_TERMS,
        fetch=fetch_hashed,
        folder="hcp-mmp1",
        labels=() if groups else named.HCP_LABELS,
    )


_OWN = (
    RegionSet(
        DISCS,
        "Discs",
        SPHERE_LABEL,
        "published coordinates, no file",
        labels=REGION_NAMES,
        make=_make_discs,
    ),
    _hcp("hcp-mmp1", "HCP-MMP1 areas", {}),
    _hcp(
        "moussa2025-neurips",
        "Regions of arXiv 2510.21520",
        named.MOUSSA_NEURIPS,
        "early visual cortex added as a control",
    ),
    _hcp(
        "moussa2025-iclr",
        "Regions of arXiv 2410.09230",
        named.MOUSSA_ICLR,
        "by name, where that code's numbers name other labels",
    ),
    _hcp(
        "language-fedorenko",
        "Language network",
        named.LANGUAGE_FEDORENKO,
        "labels ordered after the parcels of Fedorenko et al. 2010; not those parcels",
    ),
    _hcp("auditory-hierarchy", "Auditory hierarchy", named.AUDITORY_HIERARCHY),
    RegionSet(
        "destrieux",
        "Destrieux gyri and sulci",
        "Destrieux et al. 2010, doi:10.1016/j.neuroimage.2010.06.010",
        "FreeSurfer software licence",
        DESTRIEUX_FILES,
        terms="The parcellation is distributed with FreeSurfer and falls under its licence: "
        "https://surfer.nmr.mgh.harvard.edu/fswiki/FreeSurferSoftwareLicense\n",
        fetch=fetch_destrieux,
        folder="destrieux",
        marks=("G_temp_sup-G_T_transv", "S_temporal_sup", "G_front_inf-Triangul", "S_central"),
    ),
    RegionSet(
        "desikan",
        "Desikan-Killiany gyri",
        "Desikan et al. 2006, doi:10.1016/j.neuroimage.2006.01.021",
        "FreeSurfer software licence",
        DESIKAN_FILES,
        folder="desikan",
        marks=("superiortemporal", "transversetemporal", "bankssts", "parsopercularis", "insula"),
    ),
)

SETS: Mapping[str, RegionSet] = MappingProxyType({one.name: one for one in _OWN})
"""The sets of braindash that have one name; families have members by number as well."""

_SCHAEFER = re.compile(r"schaefer-([1-9]|10)00(-17)?")
_LANA = re.compile(r"lana-([0-9]{1,2}(?:\.[0-9]{1,3})?)")

FAMILIES: Mapping[str, str] = MappingProxyType(
    {
        "schaefer-N": "N parcels, 100 to 1000, and their 7 networks; schaefer-N-17: 17 networks",
        "lana-X": "the X % of the cortex where LanA's language probability is highest",
    }
)
"""Sets by number, and what the number means."""
USUAL_MEMBERS = ("schaefer-100", "schaefer-400", "schaefer-1000", "lana-2", "lana-10", "lana-20")


def _make_schaefer(one: RegionSet, paths: Sequence[Path], space: str) -> dict[str, Mask]:
    """Make the networks, both sides together, and the parcels, each on its side."""
    parcels: dict[str, Mask] = {}
    networks: dict[str, Mask] = {}
    found = read_parcellation(*paths).on(space)
    _require_schaefer(one, found)
    for name, mask in found.masks.items():
        match = re.fullmatch(r"(?:\d+Networks_)?([LR]H)_([^_]+)(?:_.*)?", name)
        parcels[re.sub(r"^\d+Networks_", "", name)] = mask
        if match:
            network = match[2]
            networks[network] = networks.get(network, np.zeros_like(mask)) | mask
    return networks | parcels


def _require_schaefer(one: RegionSet, found: Parcellation) -> None:
    """Refuse the files of another set of Schaefer's, or of another atlas."""
    match = _SCHAEFER.fullmatch(one.name)
    if match is None:
        return
    count, networks = int(match[1]) * 100, "17" if match[2] else "7"
    prefixes = {prefix[1] for n in found.names if (prefix := re.match(r"(\d+)Networks_", n))}
    # A coarse mesh may have lost a few; sets are a hundred apart.
    if abs(len(found.names) - count) >= 50 or prefixes - {networks}:
        of = f" of {' and '.join(sorted(prefixes))} networks" if prefixes else ""
        raise InputError(
            f"{found.source} have {len(found.names)} labels{of}, but {one.name} has {count} "
            f"parcels of {networks} networks",
            hint="Give the files whose names have both numbers, or name the set that they are of.",
        )


def _schaefer(name: str, match: re.Match[str]) -> RegionSet:
    count, networks = int(match[1]) * 100, 17 if match[2] else 7
    return RegionSet(
        name,
        f"Schaefer, {count} parcels and {networks} networks",
        "Schaefer et al. 2018, doi:10.1093/cercor/bhx179",
        "MIT (CBIG)",
        schaefer_files(count, networks),
        note="parcels of the two sides are no pairs: each is on its side",
        make=_make_schaefer,
        folder="schaefer",
    )


def _make_lana(one: RegionSet, paths: Sequence[Path], space: str) -> dict[str, Mask]:
    """Take the share of the cortex that has the highest probability, of both sides together."""
    values = read_values(paths)
    probability = on_mesh(values, mesh_of(len(values), ", ".join(p.name for p in paths)), space)
    cortex = ~medial_wall(space)
    share = float(one.name.removeprefix("lana-")) / 100
    known = np.where(cortex & np.isfinite(probability), probability, -np.inf)
    count = round(share * int(cortex.sum()))
    top = np.argsort(-known, kind="stable")[:count]
    mask = np.zeros(len(known), dtype=bool)
    mask[top[known[top] > 0]] = True
    _tell_small(one, ", ".join(path.name for path in paths), int(mask.sum()), count)
    return {one.labels[0]: mask}


def _tell_small(one: RegionSet, source: str, n_found: int, n_wanted: int) -> None:
    """Refuse a map without any probability; tell one of fewer vertices than the share has."""
    if not n_found:
        raise InputError(
            f"{source} hold no number above 0 on the cortex: no vertex is of {one.title}",
            hint="Give LanA's maps of probability, one value a vertex, left and right.",
        )
    if n_found < n_wanted:
        logger.warning(
            "%s: only %d vertices are above 0, fewer than the %d of %s: it is smaller than its "
            "name says; was the map cut at a threshold?",
            source,
            n_found,
            n_wanted,
            one.title,
        )


def _lana(name: str, match: re.Match[str]) -> RegionSet:
    share = f"{float(match[1]):g}"
    return RegionSet(
        name,
        f"LanA, top {share} %",
        "Lipkin et al. 2022, doi:10.1038/s41597-022-01645-3",
        "see the atlas's site",
        LANA_FILES,
        labels=(f"lana_top_{share}_percent",),
        note=f"the {share} % of the cortex of both sides with the highest probability of language; "
        "scores fall as the share grows",
        make=_make_lana,
        folder="lana",
    )


def set_by_number(name: str) -> RegionSet | None:
    """Make a set of a family, by its number; None where the name is of no family."""
    if match := _SCHAEFER.fullmatch(name):
        return _schaefer(name, match)
    if (match := _LANA.fullmatch(name)) and float(match[1]) > 0:
        return _lana(name, match)
    return None
