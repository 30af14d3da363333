"""The files that region sets are read from: their names, where they come from, how to get them.

Files lie in one folder of this machine, :func:`home`. Nothing is fetched unless somebody asked for
it and accepted the licence.
"""

import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from braindash.errors import InputError
from braindash.files import find_placeholder
from braindash.names import given_path

HOME_VARIABLE = "BRAINDASH_PARCELLATIONS"


@dataclass(frozen=True)
class RegionFile:
    """A file that a region set is read from.

    Attributes
    ----------
    name : str
        Its usual name.
    where : str
        Where its authors give it away.
    also : tuple of str
        Other names under which it is taken.
    url, md5 : str
        What is fetched on consent, and the digest that it must have; empty where it is not.
    """

    name: str
    where: str
    also: tuple[str, ...] = ()
    url: str = ""
    md5: str = ""


def home() -> Path:
    """Return the folder of label files.

    ``BRAINDASH_PARCELLATIONS`` when it is set, else ``braindash/parcellations`` of the user's data
    folder (``XDG_DATA_HOME``, or ``~/.local/share``).
    """
    named = os.environ.get(HOME_VARIABLE)
    if named:
        return given_path(named).resolve()
    data = os.environ.get("XDG_DATA_HOME") or "~/.local/share"
    return given_path(data) / "braindash" / "parcellations"


def find_file(file: RegionFile, folder: str = "") -> Path | None:
    """Look for a file under its names, in :func:`home` and in ``folder`` of it.

    Returns
    -------
    Path or None
        None where it is not there, or something else stands in its place.
    """
    found = (path for path in _places(file, folder) if path.is_file())
    return next((path for path in found if find_placeholder(path) is None), None)


def told_placeholder(file: RegionFile, folder: str = "") -> str:
    """Say what stands where a file is looked for, such as a link to nothing; empty for nothing."""
    for path in _places(file, folder):
        found = find_placeholder(path)
        if found is not None:
            return f"{path} is {found.what} ({found.hint})"
    return ""


def _places(file: RegionFile, folder: str) -> list[Path]:
    names = (file.name, *file.also)
    return [place / name for place in (home() / folder, home()) for name in names]


def fetch_hashed(files: Sequence[RegionFile], folder: Path) -> list[Path]:
    """Fetch files with pooch, each checked against its digest.

    Parameters
    ----------
    files : sequence of RegionFile
        With ``url`` and ``md5``.
    folder : Path
        Where they are put; made when it is not there.

    Raises
    ------
    InputError
        When a file cannot be fetched, or is not the one that was meant; nothing of it is kept.
    """
    import pooch  # only whoever fetches needs it

    found = []
    for file in files:
        try:
            place = pooch.retrieve(
                file.url, known_hash=f"md5:{file.md5}", fname=file.name, path=folder
            )
        except Exception as error:  # its downloaders raise what their libraries raise
            raise InputError(
                f"{file.name} could not be fetched from {file.url}: {error}",
                hint=f"Get it by hand ({file.where}) and put it into {folder}, under this name.",
            ) from error
        found.append(Path(place))
    return found


def fetch_destrieux(files: Sequence[RegionFile], folder: Path) -> list[Path]:
    """Fetch the Destrieux parcellation of fsaverage5 through nilearn, as :func:`fetch_hashed`."""
    from nilearn.datasets import fetch_atlas_surf_destrieux

    partial = folder / "partial"
    try:
        fetch_atlas_surf_destrieux(data_dir=partial, verbose=0)
        found = []
        for file in files:
            name = next(n for n in (file.name, *file.also) if list(partial.rglob(n)))
            found.append(folder / file.name)
            shutil.copyfile(next(partial.rglob(name)), found[-1])
    except Exception as error:  # as above
        raise InputError(
            f"nilearn could not fetch the Destrieux parcellation: {error}",
            hint=f"Get {' and '.join(file.name for file in files)} by hand ({files[0].where}) and "
            f"put them into {folder}.",
        ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return found


Fetch = Callable[[Sequence[RegionFile], Path], list[Path]]

# ---- what there is --------------------------------------------------------------------------

_HCP_WHERE = "https://figshare.com/articles/dataset/HCP-MMP1_0_projected_on_fsaverage/3498446"
_HCP_URL = "https://ndownloader.figshare.com/files/"


def _sided(left: str, right: str, where: str, *also: tuple[str, str]) -> tuple[RegionFile, ...]:
    """Describe the files of both hemispheres."""
    return tuple(
        RegionFile(name, where, tuple(pair[side] for pair in also))
        for side, name in enumerate((left, right))
    )


HCP_FILES = tuple(
    RegionFile(
        f"{side}.HCPMMP1.annot",
        _HCP_WHERE,
        also=(
            *(f"{side}.HCP-MMP1.annot", f"{side}.HCPMMP1.label.gii", f"{side}.HCP-MMP1.label.gii"),
            *(f"{letter}.HCPMMP1.label.gii", f"hemi-{letter}_desc-MMP_dseg.label.gii"),
            *(f"tpl-{mesh}_hemi-{letter}_desc-MMP_dseg.label.gii" for mesh in _MESHES),
        ),
        url=f"{_HCP_URL}{number}",
        md5=md5,
    )
    for _MESHES in [("fsaverage", "fsaverage6", "fsaverage5")]
    for side, letter, number, md5 in (
        ("lh", "L", 5528816, "46a102b59b2fb1bb4bd62d51bf02e975"),
        ("rh", "R", 5528819, "75e96b331940227bbcb07c1c791c2463"),
    )
)
DESTRIEUX_FILES = _sided(
    "lh.aparc.a2009s.annot",
    "rh.aparc.a2009s.annot",
    "the folder label/ of fsaverage or fsaverage5 in FreeSurfer, or nilearn's "
    "fetch_atlas_surf_destrieux",
    ("left.aparc.a2009s.annot", "right.aparc.a2009s.annot"),
    ("lh.aparc.a2009s.label.gii", "rh.aparc.a2009s.label.gii"),
)
DESIKAN_FILES = _sided(
    "lh.aparc.annot", "rh.aparc.annot", "the folder label/ of fsaverage in FreeSurfer"
)
LANA_FILES = _sided(
    "LH_LanA_n804.nii.gz",
    "RH_LanA_n804.nii.gz",
    "https://www.evlabwebapps.com/langatlas (surface version, fsaverage)",
    ("LH_LanA_n804.mgh", "RH_LanA_n804.mgh"),
    ("LH_LanA_n804.nii", "RH_LanA_n804.nii"),
)


def schaefer_files(n_parcels: int, n_networks: int) -> tuple[RegionFile, ...]:
    """Describe the annotations of Schaefer et al. (2018) with so many parcels and networks."""
    name = f"Schaefer2018_{n_parcels}Parcels_{n_networks}Networks_order"
    where = (
        "https://github.com/ThomasYeoLab/CBIG, stable_projects/brain_parcellation/"
        "Schaefer2018_LocalGlobal/Parcellations/FreeSurfer5.3/fsaverage5/label"
    )
    return _sided(
        f"lh.{name}.annot",
        f"rh.{name}.annot",
        where,
        (f"lh.{name}.label.gii", f"rh.{name}.label.gii"),
    )


HCP_TERMS = """\
WU-Minn HCP Consortium Open Access Data Use Terms

I request access to data collected by the Washington University - University of Minnesota
Consortium of the Human Connectome Project (WU-Minn HCP), and I agree to the following:

1. I will not attempt to establish the identity of or attempt to contact any of the included human
   subjects.
2. I understand that under no circumstances will the code that would link these data to Protected
   Health Information be given to me, nor will any additional information about individual human
   subjects be released to me under these Open Access Data Use Terms.
3. I will comply with all relevant rules and regulations imposed by my institution. This may mean
   that I need my research to be approved or declared exempt by a committee that oversees research
   on human subjects, e.g. my IRB or Ethics Committee. The released HCP data are not considered
   de-identified, insofar as certain combinations of HCP Restricted Data (available through a
   separate process) might allow identification of individuals. Different committees operate under
   different national, state and local laws and may interpret regulations differently, so it is
   important to ask about this. If needed and upon request, the HCP will provide a certificate
   stating that you have accepted the HCP Open Access Data Use Terms.
4. I may redistribute original WU-Minn HCP Open Access data and any derived data as long as the
   data are redistributed under these same Data Use Terms.
5. I will acknowledge the use of WU-Minn HCP data and data derived from WU-Minn HCP data when
   publicly presenting any results or algorithms that benefitted from their use.
   1. Papers, book chapters, books, posters, oral presentations, and all other printed and digital
      presentations of results derived from HCP data should contain the following wording in the
      acknowledgments section: "Data were provided [in part] by the Human Connectome Project,
      WU-Minn Consortium (Principal Investigators: David Van Essen and Kamil Ugurbil;
      1U54MH091657) funded by the 16 NIH Institutes and Centers that support the NIH Blueprint for
      Neuroscience Research; and by the McDonnell Center for Systems Neuroscience at Washington
      University."
   2. Authors of publications or presentations using WU-Minn HCP data should cite relevant
      publications describing the methods used by the HCP to acquire and process the data. The
      specific publications that are appropriate to cite in any given study will depend on what
      HCP data were used and for what purposes. An annotated and appropriately up-to-date list of
      publications that may warrant consideration is available at
      http://www.humanconnectome.org/about/acknowledgehcp.html
   3. The WU-Minn HCP Consortium as a whole should not be included as an author of publications or
      presentations if this authorship would be based solely on the use of WU-Minn HCP data.
6. Failure to abide by these guidelines will result in termination of my privileges to access
   WU-Minn HCP data.
"""
