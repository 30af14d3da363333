"""Time series as files: opened again by nibabel and NumPy, and equal to what was written."""

import json

import nibabel
import numpy as np
import pytest
from scipy import sparse

from braindash.errors import InputError
from braindash.io.spaces.surface_map import SurfaceMap
from braindash.io.time_series import TimeSeries, check_form

TIMES = np.array([2.0, 4.0, 6.0])


def series_of(n_targets, space, surface=None):
    values = np.random.default_rng(0).standard_normal((3, n_targets)).astype(np.float32)
    values[:, 1] = np.nan
    told = {"Description": "made up", "Units": "z"}
    others = {"complete": np.array([False, True, True])}
    return TimeSeries(values, TIMES, 2.0, space, told, others, surface)


def test_a_file_per_hemisphere_has_an_array_per_row(tmp_path):
    series = series_of(20484, "fsaverage5")
    left, right, sidecar = series.write(tmp_path / "clip.func.gii")
    assert [one.name for one in (left, right, sidecar)] == [
        "clip_hemi-L.func.gii",
        "clip_hemi-R.func.gii",
        "clip.json",
    ]
    for path, values in ((left, series.values[:, :10242]), (right, series.values[:, 10242:])):
        image = nibabel.load(path)
        arrays = image.get_arrays_from_intent("NIFTI_INTENT_TIME_SERIES")
        np.testing.assert_array_equal(np.stack([one.data for one in arrays]), values)
        assert image.meta["TimeStep"] == "2000.000000" == arrays[0].meta["TimeStep"]
        assert image.meta["Description"] == "made up" and image.meta["StartTime"] == "2.000000"
    assert nibabel.load(left).meta["AnatomicalStructurePrimary"] == "CortexLeft"
    assert json.loads(sidecar.read_text()) == series.told


@pytest.mark.parametrize(("mesh", "space"), [("own", "voxels"), ("fsLR32k", "fsLR32k")])
def test_targets_come_to_the_surface_that_their_map_leads_to(mesh, space, tmp_path):
    matrix = sparse.csr_array(np.array([[1, 0, 0], [0.5, 0, 0.5], [0, 0, 1]], dtype=np.float32))
    surface = SurfaceMap(matrix, mesh, 2, "made up")
    series = series_of(3, space, surface)
    left, right, _ = series.write(tmp_path / "clip.gii")
    found = [nibabel.load(one).agg_data().T for one in (left, right)]
    np.testing.assert_allclose(found[0][:, 1], series.values[:, [0, 2]].mean(axis=1), rtol=1e-6)
    np.testing.assert_allclose(found[1][:, 0], series.values[:, 2])
    assert nibabel.load(left).meta["Mesh"] == mesh


def test_an_archive_holds_all_targets_and_says_what_they_are(tmp_path):
    series = series_of(12, "roi")
    path, _ = series.write(tmp_path / "new" / "clip.npz")
    with np.load(path, allow_pickle=False) as found:
        np.testing.assert_array_equal(found["prediction"], series.values)
        np.testing.assert_array_equal(found["times"], TIMES)
        assert found["complete"].tolist() == [False, True, True]
        assert json.loads(str(found["about"])) == series.told


def test_what_cannot_be_written_says_so_before_and_after(tmp_path):
    with pytest.raises(InputError, match=r"clip\.csv has no ending"):
        check_form(tmp_path / "clip.csv", "roi", 12, None)
    with pytest.raises(InputError, match="'roi' have no place on a surface"):
        check_form(tmp_path / "clip.func.gii", "roi", 12, None)
    with pytest.raises(InputError, match="11 targets of the space 'fsaverage5' have no place"):
        check_form(tmp_path / "clip.func.gii", "fsaverage5", 11, None)
    with pytest.raises(InputError, match="'roi' have no place on a surface"):
        series_of(12, "roi").write(tmp_path / "clip.func.gii")
    assert list(tmp_path.iterdir()) == []
