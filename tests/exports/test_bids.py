"""A BIDS derivative: its head, its names, its sidecars, and the numbers in it."""

import json
import re
from pathlib import Path

import nibabel
import numpy as np
import pandas as pd
import pytest
from kit.results.made_up import made_up_result
from kit.results.made_up_probing import made_up_probing
from kit.spaces.results import own_brain, put_on_surface
from scipy import sparse

import braindash
from braindash.encoding.maps.kinds import available_maps
from braindash.errors import InputError
from braindash.io.spaces.surface_map import SurfaceMap
from braindash.io.store import Store
from braindash.io.surfaces import SPACES

HALF = SPACES["fsaverage5"]
SIDES = {"L": "left", "R": "right"}
ENTITIES = re.compile(
    r"sub-[A-Za-z0-9]+(_task-[A-Za-z0-9]+)?(_hemi-[LR])?(_space-[A-Za-z0-9]+)?(_den-[0-9]+k)?"
    r"(_stat-[A-Za-z0-9]+)?(_desc-[A-Za-z0-9]+)?_(statmap\.func\.gii|statmap\.json|regions\.tsv|"
    r"regions\.json)"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    results = [
        made_up_result(model="org/a-model"),
        made_up_result(model="other/a-model", seed=1, space="roi"),
    ]
    place = tmp_path_factory.mktemp("bids") / "out"
    return braindash.export_bids(results, place), results


def test_the_head_says_what_made_it_and_of_what(folder):
    place, results = folder
    told = json.loads((place / "dataset_description.json").read_text())
    assert told["DatasetType"] == "derivative" and re.fullmatch(r"1\.\d+\.\d+", told["BIDSVersion"])
    assert told["GeneratedBy"][0]["Name"] == "braindash"
    assert told["GeneratedBy"][0]["Version"] == braindash.__version__
    assert told["SourceDatasets"] == [{"Name": "made up", "Simulated": True}]
    assert "SIMULATED" in told["Name"]
    readme = (place / "README").read_text()
    assert "SIMULATED DATA" in readme and "No maps: targets of the space roi" in readme
    people = pd.read_csv(place / "participants.tsv", sep="\t")
    assert list(people["participant_id"]) == ["sub-S1"]
    assert all(one.key[:8] in readme for one in results)


def test_every_name_is_of_entities_in_their_order(folder):
    place, _ = folder
    files = [one.name for one in (place / "sub-S1" / "func").iterdir()]
    assert files and not [name for name in files if not ENTITIES.fullmatch(name)]
    described = {name.partition(".")[0] for name in files if name.endswith(".json")}
    assert described == {name.partition(".")[0] for name in files}, "every file has its sidecar"
    # Two models of one name are told apart by their keys.
    assert len({re.search("desc-([A-Za-z0-9]+)", name)[1] for name in files}) == 2


def test_maps_and_tables_hold_the_numbers_of_the_result(folder):
    place, (result, other) = folder
    func = place / "sub-S1" / "func"
    for what in available_maps(result):
        stat = what.split("_")[0] + "".join(one.title() for one in what.split("_")[1:])
        assert len(list(func.glob(f"*_stat-{stat}_*.func.gii"))) == 2, what
    [path] = func.glob("*_hemi-R_space-fsaverage_den-10k_stat-r_*.func.gii")
    read = np.stack(nibabel.load(path).agg_data())
    np.testing.assert_array_equal(read, result.r[:, 10242:])
    told = json.loads(path.with_name(path.name.replace(".func.gii", ".json")).read_text())
    assert told["Units"] and told["ResultKey"] == result.key and told["Simulated"] is True
    tables = {one.name: pd.read_csv(one, sep="\t", na_values="n/a") for one in func.glob("*.tsv")}
    sizes = sorted(len(one) for one in tables.values())
    assert sizes == sorted(len(one.regions()) for one in (result, other))
    columns = json.loads(next(func.glob("*_regions.json")).read_text())
    assert columns["r"]["Units"].startswith("correlation")


def test_what_the_specification_requires_of_maps_is_in_their_sidecars(folder, tmp_path):
    """Density beside ``den-``; SpatialReference where ``space-`` is no standard template."""
    place, _ = folder
    dense = list((place / "sub-S1" / "func").glob("*_den-10k_*.json"))
    assert dense and all("10242" in json.loads(one.read_text())["Density"] for one in dense)
    own = own_brain("fsaverage5")
    n_left, total = HALF, 2 * HALF
    matrix = sparse.csr_array(sparse.eye_array(total, dtype=np.float32))
    store = Store(tmp_path / "store")
    surface = SurfaceMap(matrix, "own", n_left, "the subject's own vertices", own)
    key = put_on_surface(store, surface, np.arange(9), space="native")
    place = braindash.export_bids(braindash.open_result(key, store=store), tmp_path / "own")
    maps = list(place.glob("sub-*/func/*_statmap.json"))
    assert maps and all("_space-fsnative_" in one.name for one in maps)
    for one in maps:
        reference = json.loads(one.read_text())["SpatialReference"].removeprefix("bids::")
        side = re.search("_hemi-([LR])_", one.name)[0]
        assert side in reference
        points, _ = nibabel.load(place / reference).agg_data(("pointset", "triangle"))
        mesh = own[Path(reference).name.split("_")[-1].partition(".")[0]]
        np.testing.assert_array_equal(points, mesh[SIDES[side[6]]].coordinates)
    for one in place.glob("sub-*/anat/*.surf.gii"):
        beside = re.sub("_hemi-[LR]", "", one.name).replace(".surf.gii", ".json")
        assert json.loads((one.parent / beside).read_text())["SpatialReference"] == "orig"


def test_subjects_whose_labels_would_be_the_same_have_folders_of_their_own(tmp_path):
    results = [made_up_result(space="roi", subject=name) for name in ("S-1", "S1", "s1")]
    place = braindash.export_bids(results, tmp_path / "out")
    folders = [one.name.casefold() for one in place.iterdir() if one.is_dir()]
    assert len(set(folders)) == 3


def test_what_is_no_encoding_result_or_given_twice_is_refused(tmp_path):
    one = made_up_result(space="roi")
    for given in ([], [one, one], [made_up_probing()]):
        with pytest.raises(InputError):
            braindash.export_bids(given, tmp_path / "out")
    assert not list(tmp_path.iterdir())
