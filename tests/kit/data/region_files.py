"""Small label files with the real names, colour tables and quirks of those that people have."""

from pathlib import Path

import nibabel
import numpy as np
import pytest
from nibabel import freesurfer

from braindash.io.regions.groups import HCP_LABELS
from braindash.io.regions.sources import HOME_VARIABLE
from braindash.io.surfaces import SPACES, load_surface, medial_wall

N_SIDE = SPACES["fsaverage5"]


@pytest.fixture
def label_home(tmp_path, monkeypatch) -> Path:
    """Point braindash at an empty folder of label files."""
    place = tmp_path / "parcellations"
    place.mkdir()
    monkeypatch.setenv(HOME_VARIABLE, str(place))
    return place


def colours(count: int) -> np.ndarray:
    """Draw a colour table without two equal colours: annotations name labels by colour."""
    rng = np.random.default_rng(7)
    codes = rng.choice(256**3 - 1, count, replace=False) + 1
    table = np.zeros((count, 5), dtype=int)
    table[:, :3] = np.stack([codes % 256, codes // 256 % 256, codes // 65536], axis=1)
    return table


def write_annot(path: Path, names, index) -> Path:
    """Write an annotation; ``index`` holds places in ``names``, or -1."""
    path.parent.mkdir(parents=True, exist_ok=True)
    freesurfer.write_annot(
        str(path), np.asarray(index, dtype=int), colours(len(names)), list(names), fill_ctab=True
    )
    return path


def write_label_gii(path: Path, names, index) -> Path:
    """Write a GIFTI label file whose keys are no row numbers."""
    table = nibabel.gifti.GiftiLabelTable()
    for place, (name, colour) in enumerate(zip(names, colours(len(names)), strict=True)):
        label = nibabel.gifti.GiftiLabel(3 * place, *(float(c) / 255 for c in colour[:3]), 1.0)
        label.label = name
        table.labels.append(label)
    data = nibabel.gifti.GiftiDataArray(
        (3 * np.asarray(index)).astype(np.int32), intent="NIFTI_INTENT_LABEL"
    )
    image = nibabel.gifti.GiftiImage(labeltable=table, darrays=[data])
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(image, path)
    return path


def patches(count: int, side: str, space: str = "fsaverage5") -> np.ndarray:
    """Divide a side into patches, 1 to ``count``, with 0 on the medial wall."""
    from scipy.spatial import cKDTree

    points = load_surface("sphere", space)[side].coordinates
    seeds = load_surface("sphere")[side].coordinates[:count]  # the first vertices lie apart
    index = cKDTree(seeds).query(points)[1] + 1
    wall = np.split(medial_wall(space), 2)[side == "right"]
    return np.where(wall, 0, index)


def put_hcp(folder: Path, space: str = "fsaverage5", *, form: str = "annot", prefix: bool = True):
    """Write HCP-MMP1 as its distribution has it: "???" first, then L_V1_ROI and so on."""
    paths = []
    for letter, side in (("L", "left"), ("R", "right")):
        plain = [f"{letter}_{name}_ROI" if prefix else name for name in HCP_LABELS]
        names = ["???", *plain]
        index = patches(len(HCP_LABELS), side, space)
        name = f"{letter.lower()}h.HCPMMP1"
        write, ending = (
            (write_annot, "annot") if form == "annot" else (write_label_gii, "label.gii")
        )
        paths.append(write(folder / f"{name}.{ending}", names, index))
    return paths


def put_overlay(folder: Path, values: np.ndarray) -> list[Path]:
    """Write LanA's overlays, as FreeSurfer does: one value per vertex, three axes."""
    paths = []
    for side, part in zip("LR", np.split(np.asarray(values, dtype=np.float32), 2), strict=True):
        paths.append(folder / f"{side}H_LanA_n804.nii.gz")
        folder.mkdir(parents=True, exist_ok=True)
        nibabel.save(nibabel.Nifti1Image(part.reshape(-1, 1, 1), np.eye(4)), paths[-1])
    return paths


def write_cifti(path: Path, values, n_vertices: int, names: dict[int, str] | None = None) -> Path:
    """Write a dense map of both sides without their last vertices, as without a medial wall.

    ``values`` are (n_maps, n_kept of the left + n_kept of the right); with ``names`` of labels.
    """
    from nibabel import cifti2

    values = np.atleast_2d(np.asarray(values, dtype=np.float32))
    kept = np.arange(values.shape[1] // 2)
    sides = (
        cifti2.BrainModelAxis.from_surface(kept, n_vertices, f"Cortex{side}")
        for side in ("Left", "Right")
    )
    maps = [f"map {number}" for number in range(len(values))]
    if names is None:
        rows = cifti2.ScalarAxis(maps)
    else:
        table = {key: (name, (0.1, 0.2, 0.3, 1.0)) for key, name in names.items()}
        rows = cifti2.LabelAxis(maps, [table] * len(maps))
    left, right = sides
    header = cifti2.Cifti2Header.from_axes((rows, left + right))
    cifti2.Cifti2Image(values, header=header).to_filename(path)
    return path


def write_volume(path: Path, values: np.ndarray, shift: float = 0.0) -> Path:
    """Write a volume of voxels of 3 mm, all of them moved by so many mm."""
    affine = np.diag([3.0, 3.0, 3.0, 1.0])
    affine[:3, 3] = shift
    nibabel.save(nibabel.Nifti1Image(np.asarray(values, dtype=np.float32), affine), path)
    return path
