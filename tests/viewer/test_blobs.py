import numpy as np
import pytest
from matplotlib import colormaps
from matplotlib import image as mpimg

from braindash.core.scores import region_means
from braindash.errors import InputError
from braindash.io.regions.masks import Regions
from braindash.io.surfaces import HEMISPHERES, load_surface, sulcal_depth
from braindash.viewer.blobs import MISSING, MapSet, geometry_blob, map_blob
from braindash.viewer.colours import DIVERGING, SEQUENTIAL, colour_blob
from braindash.viewer.drawn import SHAPES, can_show
from braindash.viewer.packing import unpack
from braindash.views.pictures import picture_png, static_figure
from braindash.views.region_maps import region_map

N_TARGETS = 20484


def made_maps(n_layers=3, n_targets=N_TARGETS, seed=0, **options):
    values = np.random.default_rng(seed).normal(0.2, 0.2, (n_layers, n_targets))
    values = values.astype(np.float32)
    values[:, 5:9] = np.nan
    names = [f"layer {layer}" for layer in range(n_layers)]
    settings = {"label": "Pearson r", "vmin": 0.0, "vmax": 0.8, "threshold": 0.1} | options
    return MapSet(values=values, names=names, **settings)


def test_geometry_keeps_coordinates_within_half_a_step():
    header, arrays = unpack(geometry_blob())
    assert header["shapes"] == list(SHAPES)
    for side in HEMISPHERES:
        np.testing.assert_array_equal(arrays["faces"], load_surface("pial")[side].faces)
        for shape in ("inflated", "pial", "white", "sphere"):
            scale_mm = header["scale_mm"][f"{shape}_{side}"]
            packed = arrays[f"{shape}_{side}"] * (scale_mm / 32767)
            true = load_surface(shape)[side].coordinates
            shift = (true.max(axis=0) + true.min(axis=0)) / 2
            assert np.abs(packed - (true - shift)).max() <= scale_mm / 32767 / 2 + 1e-4


def test_flat_geometry_stands_upright_and_is_seen_from_outside():
    _, arrays = unpack(geometry_blob())
    for side, outwards in (("left", -1), ("right", 1)):
        points = arrays[f"flat_{side}"].astype(float)
        faces = arrays["faces"][arrays[f"on_flat_{side}"] == 1]
        own = load_surface("flat")[side].faces
        assert {frozenset(f) for f in faces.tolist()} == {frozenset(f) for f in own.tolist()}
        assert len(faces) == len(own)
        assert (points[:, 0] == 0).all()
        a, b, c = (points[faces[:, corner]] for corner in range(3))
        facing = np.cross(b - a, c - a)[:, 0] * outwards
        assert (facing >= 0).mean() > 0.999
        used = np.unique(faces)
        inflated = load_surface("inflated")[side].coordinates
        # Front is where the lateral view has it, and up is up.
        assert np.corrcoef(points[used, 1], inflated[used, 1])[0, 1] > 0.9
        assert np.corrcoef(points[used, 2], inflated[used, 2])[0, 1] > 0.8


def test_sulcal_depth_spans_the_bytes():
    _, arrays = unpack(geometry_blob())
    packed = np.concatenate([arrays[f"sulc_{side}"] for side in HEMISPHERES]).astype(float)
    assert packed.min() == 0 and packed.max() == 255
    assert np.corrcoef(packed, sulcal_depth())[0, 1] > 0.9999


def test_thirteen_layers_and_five_meshes_stay_under_the_budget():
    maps = made_maps(13, regions={"a": np.arange(N_TARGETS) < 100})
    total = len(geometry_blob()) + len(colour_blob()) + len(map_blob(maps))
    assert total < 1_500_000
    assert len(map_blob(maps)) < 310_000


def test_maps_are_within_half_a_step_and_missing_stays_missing():
    maps = made_maps()
    header, arrays = unpack(map_blob(maps))
    packed = arrays["maps"]
    assert packed.shape == (3, N_TARGETS) and packed.dtype == np.uint8
    missing = np.isnan(maps.values)
    np.testing.assert_array_equal(packed == MISSING, missing)
    span = header["high"] - header["low"]
    again = header["low"] + packed / 254 * span
    assert np.abs(again - maps.values)[~missing].max() <= span / 254 / 2 + 1e-6
    assert header["names"] == ["layer 0", "layer 1", "layer 2"]
    assert header["label"] == "Pearson r"


@pytest.mark.parametrize("fill", [np.nan, 0.0, 0.37, -np.inf])
def test_maps_of_one_value_or_none_are_packed(fill):
    maps = made_maps()
    flat = MapSet(np.full_like(maps.values, fill), maps.names, "r", 0.0, 1.0, 0.1)
    header, arrays = unpack(map_blob(flat))
    assert np.isfinite([header["low"], header["high"]]).all()
    assert header["high"] > header["low"]
    if np.isfinite(fill):
        value = header["low"] + arrays["maps"] / 254 * (header["high"] - header["low"])
        np.testing.assert_allclose(value, fill, atol=1e-5)
    else:
        assert (arrays["maps"] == MISSING).all()


def test_regions_travel_as_bits_with_exact_means():
    rng = np.random.default_rng(1)
    regions = {name: rng.random(N_TARGETS) < 0.1 for name in ("late_language", "ifg_mfg")}
    regions["nowhere"] = np.zeros(N_TARGETS, dtype=bool)
    maps = made_maps(regions=regions)
    header, arrays = unpack(map_blob(maps))
    for bit, mask in enumerate(regions.values()):
        np.testing.assert_array_equal((arrays["regions"] >> bit) & 1, mask)
    assert [row["name"] for row in header["regions"]] == ["Late language", "IFG / MFG", "Nowhere"]
    table = region_means(maps.values, regions)
    expected = table[table.region == "ifg_mfg"].value
    np.testing.assert_allclose(header["regions"][1]["means"], expected)
    assert header["regions"][2]["means"] == [None] * 3


@pytest.mark.parametrize("count", [16, 17, 181])
def test_more_than_sixteen_regions_travel(count):
    rng = np.random.default_rng(3)
    regions = {f"L{i}": rng.random(N_TARGETS) < 0.05 for i in range(count)}
    maps = made_maps(regions=regions)
    header, arrays = unpack(map_blob(maps))
    assert len(header["regions"]) == count
    words = arrays["regions"].reshape(-1, N_TARGETS)
    assert len(words) == -(-count // 16)
    for place, mask in enumerate(regions.values()):
        np.testing.assert_array_equal((words[place // 16] >> (place % 16)) & 1, mask)
    for row, mask in zip(header["regions"], regions.values(), strict=True):
        known = np.isfinite(maps.values[:, mask]).any(axis=0)
        assert row["coverage"] == pytest.approx(known.mean())


def test_finer_spaces_are_cut_to_the_viewers_mesh():
    fine = made_maps(n_layers=1, n_targets=81924, space="fsaverage6")
    kept = np.concatenate([fine.values[:, :10242], fine.values[:, 40962 : 40962 + 10242]], axis=1)
    coarse = MapSet(kept, fine.names, "Pearson r", 0.0, 0.8, 0.1)
    np.testing.assert_array_equal(
        unpack(map_blob(fine))[1]["maps"], unpack(map_blob(coarse))[1]["maps"]
    )


def test_unfit_maps_are_refused():
    with pytest.raises(InputError, match="2 names"):
        MapSet(np.zeros((3, N_TARGETS)), ["a", "b"], "r", 0.0, 1.0, 0.1)
    with pytest.raises(InputError, match="'volume'"):
        made_maps(space="volume")
    with pytest.raises(InputError, match="100 targets"):
        made_maps(n_targets=100)
    assert can_show("fsaverage", 327684)
    assert not can_show("fsaverage5", 30) and not can_show("volume", N_TARGETS)


def test_colour_tables_are_matplotlibs():
    header, arrays = unpack(colour_blob())
    assert set(arrays) == {*SEQUENTIAL, *DIVERGING}
    assert header["diverging"] == list(DIVERGING)
    for name, table in arrays.items():
        for step in (0, 100, 255):
            expected = np.array(colormaps[name](step / 255)[:3]) * 255
            assert np.abs(table[step] - expected).max() <= 1


def test_static_picture_shows_the_layer_and_says_simulated(tmp_path):
    values = np.full((2, N_TARGETS), np.nan, dtype=np.float32)
    values[1, :] = 0.7
    maps = MapSet(values, ["layer 0", "layer 1"], "Pearson r", 0.0, 0.8, 0.1, simulated=True)
    coloured = []
    for layer in range(2):
        path = tmp_path / f"{layer}.png"
        path.write_bytes(picture_png(static_figure(maps, layer)))
        pixels = mpimg.imread(path)[..., :3]
        coloured.append(np.ptp(pixels, axis=-1) > 0.15)
    assert coloured[0].mean() < 0.01  # nothing but grey cortex and black words
    assert coloured[1].mean() > 0.2
    figure = static_figure(maps, 1)
    assert "layer 1 · Pearson r" in figure.get_suptitle()
    assert "SIMULATED" in figure.get_suptitle()


def test_the_list_of_regions_is_headed_by_what_its_numbers_are():
    mask = np.arange(20484) < 9
    regions = Regions("x", "made up", {"a": mask}, None)
    header, _ = unpack(map_blob(region_map(regions, "fsaverage5")))
    assert header["heading"] == "Numbers of the regions"
    plain = MapSet(np.zeros((1, 20484)), ["one"], "r", 0.0, 1.0, 0.0)
    assert unpack(map_blob(plain))[0]["heading"] == "Region means"
