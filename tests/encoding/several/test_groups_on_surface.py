"""Subjects with voxels of their own: their mean map is on fsaverage5, by each one's mapper."""

import numpy as np
import pytest
from kit.spaces.files import random_mapper
from kit.spaces.results import put_on_surface

from braindash.encoding.result import EncodingResult
from braindash.encoding.seen import look_at, regions_for
from braindash.encoding.several.groups import Group
from braindash.errors import InputError
from braindash.io.regions.discs import disc_masks
from braindash.io.regions.masks import WHOLE
from braindash.io.spaces.surface_map import SurfaceMap
from braindash.io.store import Store
from braindash.viewer.blobs import map_blob
from braindash.viewer.packing import unpack
from braindash.views.linked import link_maps, linked_note


def two_subjects(root, *, mapped=2):
    """Two results with other numbers of voxels; of the second the mapper may be lacking."""
    store, found = Store(root), []
    for place, n in enumerate((14, 9)):
        surface = SurfaceMap(random_mapper(n, seed=place), "fsaverage5", 10242, f"mapper {place}")
        key = put_on_surface(
            store, surface, np.arange(3), space="native-volume", subject=f"S{place}"
        )
        if place >= mapped:
            (store.root / "surface-of" / f"{key}.json").unlink()
        result = EncodingResult.load(store.get("encoding", key))
        found.append(look_at(result, regions_for(result, "discs"), "both", None))
    return found


def test_the_mean_map_is_over_vertices(tmp_path):
    results = two_subjects(tmp_path)
    group = Group.of(results)
    assert (group.space, group.n_targets, group.surface) == ("fsaverage5", 20484, None)
    each = [one.surface.values(one.r) for one in results]
    with np.errstate(invalid="ignore"):
        known = np.isfinite(each).sum(axis=0)
        expected = np.where(known, np.nansum(each, axis=0) / np.maximum(known, 1), np.nan)
    np.testing.assert_allclose(group.scores(), expected, rtol=1e-5)
    discs = disc_masks("fsaverage5")
    assert list(group.masks) == [WHOLE, *discs]
    for name, mask in discs.items():
        np.testing.assert_array_equal(group.masks[name], mask)
    linked = link_maps([group], ["A"], normalised=False, ceilings=[None])
    header, _ = unpack(map_blob(linked.maps[0]))
    means = group.regions().set_index(["layer", "region"])["r"]
    row = next(one for one in header["regions"] if one["name"] == "Primary auditory")
    assert row["means"][1] == pytest.approx(means[1, "primary_auditory"], abs=1e-6)
    assert "On fsaverage5: mapper" in linked_note(linked, [group], None)
    assert np.isnan(group.ceiling_at(5))


def test_subjects_without_a_way_have_no_mean_map(tmp_path):
    results = two_subjects(tmp_path, mapped=1)
    # Both in the set of all targets alone: the second one's discs are not known.
    plain = [one.loaded or one for one in results]
    group = Group.of(plain)
    assert not group.on_common
    with pytest.raises(InputError, match="have no mean"):
        group.scores()
