"""The registry: what each set holds, needs and says; files of users, of plugins, fetched ones."""

import hashlib
import sys
from dataclasses import replace

import h5py
import nibabel
import numpy as np
import pytest
from kit.data.region_files import N_SIDE, label_home, patches, put_hcp, put_overlay, write_annot
from kit.plugins import REGION_SET, put_plugin

from braindash.errors import InputError
from braindash.io.regions import find, groups, sets, sources
from braindash.io.regions.groups import HCP_LABELS, LANGUAGE_FEDORENKO, MOUSSA_ICLR, MOUSSA_NEURIPS
from braindash.io.regions.masks import WHOLE
from braindash.io.regions.region_set import join_labels
from braindash.io.surfaces import SPACES, medial_wall

__all__ = ["label_home"]

N_TARGETS = 2 * N_SIDE
HCP_SETS = [name for name, one in sets.SETS.items() if one.files == sources.HCP_FILES]


def test_named_groups_are_those_of_the_papers():
    # arXiv 2510.21520, Table 1, and the list in the code of arXiv 2410.09230.
    neurips = (
        "PFm PGs PGi TPOJ2 TPOJ3 STSda STSva STGa TE1a TE2a TGv TGd A5 STSdp STSvp PSL STV TPOJ1 "
        "44 45 IFJa IFSp 55b"
    )
    assert set(MOUSSA_NEURIPS["late_language"]) == set(neurips.split())
    assert set(MOUSSA_NEURIPS["early_auditory"]) == set("A1 PBelt MBelt LBelt RI A4".split())
    iclr = "A5 44 45 IFJa IFSp PGi PGp PGs TPOJ1 TPOJ2 TPOJ3 STGa STSda STSdp TA2 STSva"  # no STSvp
    assert set(MOUSSA_ICLR["late_language"]) == set(iclr.split())
    assert MOUSSA_ICLR["early_visual"] == ("V1", "V2")  # what its numbers did not name
    assert MOUSSA_ICLR["visual_word_form"] == ("PH", "TE2p")
    language = (
        "55b IFJa IFSp 44 45 47l TGd STGa A5 STSda STSva TE1a STSdp STSvp PSL STV TPOJ1 PGi SCEF "
        "SFL"
    )
    assert set(LANGUAGE_FEDORENKO["language"]) == set(language.split())
    assert set(groups.AUDITORY_HIERARCHY["auditory_core"]) == {"A1"}


@pytest.mark.parametrize("name", HCP_SETS)
def test_every_group_names_labels_that_there_are(name):
    one = sets.SETS[name]
    for labels in one.groups.values():
        assert set(labels) <= set(HCP_LABELS) and len(set(labels)) == len(labels)
    assert one.region_names and one.source and one.licence and "Terms" in one.terms


def test_a_set_joins_labels_by_name(label_home):
    put_hcp(label_home)
    regions = sets.find_set("moussa2025-neurips").regions("fsaverage5", N_TARGETS)
    assert list(regions.masks) == [WHOLE, *MOUSSA_NEURIPS]
    both = np.concatenate([patches(180, side) for side in ("left", "right")])
    for name, labels in MOUSSA_NEURIPS.items():
        wanted = np.isin(both, [1 + HCP_LABELS.index(label) for label in labels])
        np.testing.assert_array_equal(regions.masks[name], wanted)
        np.testing.assert_array_equal(regions.of("left")[name][:N_SIDE], wanted[:N_SIDE])
        assert not regions.of("left")[name][N_SIDE:].any()
        np.testing.assert_array_equal(
            regions.of("left")[name] | regions.of("right")[name], regions.masks[name]
        )
    assert "2510.21520" in regions.note and "lh.HCPMMP1.annot" in regions.note
    areas = sets.find_set("hcp-mmp1").regions("fsaverage", 2 * SPACES["fsaverage7"])
    assert len(areas.masks) == 181  # coarser labels, on the fine mesh by the nearest vertex


def test_files_are_found_under_usual_names_and_read_again_when_they_change(label_home):
    put_hcp(label_home / "hcp-mmp1", "fsaverage6", form="gii", prefix=False)
    one = sets.find_set("hcp-mmp1")
    before = one.regions("fsaverage5", N_TARGETS)
    assert before.masks["A1"].any() and "lh.HCPMMP1.label.gii" in before.note
    assert one.regions("fsaverage5", N_TARGETS) is before
    put_hcp(label_home)
    for path in (label_home / "hcp-mmp1").iterdir():
        path.unlink()
    after = sets.find_set("hcp-mmp1").regions("fsaverage5", N_TARGETS)
    assert "lh.HCPMMP1.annot" in after.note
    assert after.digest == before.digest  # the same labels, from other files


@pytest.mark.parametrize("name", [name for name, one in sets.known_sets().items() if one.files])
def test_a_set_without_its_file_says_which_and_from_where(label_home, name):
    one = sets.find_set(name)
    with pytest.raises(InputError) as caught:
        one.regions("fsaverage5", N_TARGETS)
    for file in one.files:
        assert file.name in caught.value.message
    assert one.files[0].where in caught.value.message
    assert str(label_home) in caught.value.hint
    assert one.files[0].name in one.needs() and not one.is_ready


def test_one_missing_side_is_named_alone(label_home):
    left, right = put_hcp(label_home)
    right.unlink()
    with pytest.raises(InputError, match=r"needs rh\.HCPMMP1\.annot, from"):
        sets.find_set("hcp-mmp1").regions("fsaverage5", N_TARGETS)
    assert left.is_file()


def test_files_of_another_parcellation_are_refused(label_home):
    for side in ("lh", "rh"):
        write_annot(label_home / f"{side}.HCPMMP1.annot", ["???", "A1"], np.ones(N_SIDE))
    with pytest.raises(InputError, match="has no label 'LBelt'"):
        sets.find_set("moussa2025-iclr").regions("fsaverage5", N_TARGETS)


def test_other_spaces_have_all_targets_alone(label_home):
    for name in ("discs", "hcp-mmp1"):
        assert list(sets.find_set(name).regions("native-volume", 1000).masks) == [WHOLE]
    with pytest.raises(InputError, match="20484 targets"):
        sets.find_set("discs").regions("fsaverage5", 1000)


def test_schaefer_has_networks_of_both_sides_and_parcels_of_one(label_home):
    for side, letter in (("lh", "LH"), ("rh", "RH")):
        names = ["Background+FreeSurfer_Defined_Medial_Wall"]
        names += [
            f"7Networks_{letter}_{net}_{n}" for net in ("Vis", "Default_Temp") for n in range(1, 76)
        ]
        path = label_home / f"{side}.Schaefer2018_300Parcels_7Networks_order.annot"
        write_annot(path, names, np.arange(N_SIDE) % 151)
    assert "schaefer-300" in sets.known_sets()
    regions = sets.find_set("schaefer-300").regions("fsaverage5", N_TARGETS)
    names = list(regions.masks)
    assert names[1:3] == ["Vis", "Default"] and "LH_Vis_1" in names and len(names) == 303
    assert "RH_Vis_1" not in regions.of("left") and "Vis" in regions.of("left")
    union = np.any([regions.masks[f"{s}H_Vis_{n}"] for s in "LR" for n in range(1, 76)], axis=0)
    np.testing.assert_array_equal(regions.masks["Vis"], union)


def test_files_of_another_atlas_do_not_replace_the_right_ones(label_home, tmp_path):
    def files(name, names, folder=tmp_path):
        return [
            write_annot(
                folder / f"{letter.lower()}h.{name}.annot",
                ["???", *(one.format(letter) for one in names)],
                np.arange(N_SIDE) % (1 + len(names)),
            )
            for letter in "LR"
        ]

    sets.take_over("hcp-mmp1", *put_hcp(tmp_path))
    parcels = [f"7Networks_{{}}H_Vis_{n}" for n in range(1, 51)]
    sets.take_over("schaefer-100", *files("a", parcels))
    kept = {path: path.read_bytes() for path in label_home.rglob("*.annot")}
    for name, labels, problem in (
        ("hcp-mmp1", ["bankssts", "cuneus"], r"no label .*180 of 180 are missing"),
        ("schaefer-100", ["bankssts", "cuneus"], "have 2 labels, but schaefer-100 has 100"),
        ("schaefer-200", parcels, "have 100 labels of 7 networks, but schaefer-200 has 200"),
        ("schaefer-100-17", parcels, "of 7 networks, but schaefer-100-17 has .* of 17 networks"),
    ):
        with pytest.raises(InputError, match=problem):
            sets.take_over(name, *files("b", labels))
    assert {path: path.read_bytes() for path in label_home.rglob("*.annot")} == kept


def test_a_label_that_one_side_lacks_is_told(label_home, caplog):
    left, right = put_hcp(label_home)
    names = ["???", *(f"R_{name}_ROI" for name in HCP_LABELS if name != "STSvp")]
    write_annot(left, ["???", *(f"L_{name}_ROI" for name in HCP_LABELS)], np.arange(N_SIDE) % 181)
    write_annot(right, names, np.arange(N_SIDE) % 180)
    for name in ("moussa2025-neurips", "hcp-mmp1"):
        caplog.clear()
        sets.find_set(name).regions("fsaverage5", N_TARGETS)
        assert "the right hemisphere lacks 1 of" in caplog.text and "STSvp" in caplog.text
        assert "left hemisphere lacks" not in caplog.text


def test_a_label_with_its_side_is_told_without(label_home):
    with pytest.raises(InputError) as caught:
        join_labels({"A1": np.ones(2, bool)}, {"a": ["L_A1_ROI"]}, "x")
    assert "Did you mean 'A1'?" in caught.value.hint


def test_what_was_not_fetched_is_told_and_not_taken_for_the_file(label_home):
    for side in ("lh", "rh"):
        (label_home / f"{side}.aparc.annot").symlink_to(".git/annex/objects/x")
        pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:aa\nsize 9\n"
        (label_home / f"{side}.aparc.a2009s.annot").write_text(pointer)
    for name, what in (("desikan", "git-annex"), ("destrieux", "Git LFS")):
        assert not sets.find_set(name).is_ready
        with pytest.raises(InputError, match=what):
            sets.find_set(name).regions("fsaverage5", N_TARGETS)
    assert find.usual_set("fsaverage5") == "discs"


@pytest.mark.parametrize("share", ["2", "10", "2.5"])
def test_lana_takes_the_top_share_of_the_cortex(label_home, share):
    rng = np.random.default_rng(1)
    probability = rng.uniform(size=N_TARGETS)
    probability[:50] = np.nan
    probability[medial_wall()] = 2.0  # never counts
    put_overlay(label_home, probability)
    regions = sets.find_set(f"lana-{share}").regions("fsaverage5", N_TARGETS)
    mask = regions.masks[f"lana_top_{share}_percent"]
    cortex = ~medial_wall()
    assert mask.sum() == round(float(share) / 100 * cortex.sum())
    assert not (mask & ~cortex).any()
    rest = cortex & ~mask & np.isfinite(probability)
    assert probability[mask].min() >= probability[rest].max()
    assert f"{share} %" in regions.note


def test_a_map_of_lana_without_enough_numbers_is_refused_or_told(label_home, caplog):
    files = put_overlay(label_home, np.zeros(N_TARGETS))
    with pytest.raises(InputError, match="hold no number above 0"):
        sets.find_set("lana-10").regions("fsaverage5", N_TARGETS)
    with pytest.raises(InputError, match="hold no number above 0"):
        sets.take_over("lana-10", *files)
    few = np.flatnonzero(~medial_wall())[::50]
    put_overlay(label_home, np.isin(np.arange(N_TARGETS), few))
    regions = sets.find_set("lana-10").regions("fsaverage5", N_TARGETS)
    assert regions.masks["lana_top_10_percent"].sum() == len(few)
    assert f"only {len(few)} vertices are above 0" in caplog.text


def test_files_that_cannot_be_taken_over_are_refused(label_home, tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["l"], file["r"] = np.arange(N_SIDE) % 3, np.arange(N_SIDE) % 2
    with pytest.raises(InputError, match="an array of a file"):
        sets.take_over("mine", tmp_path / "x.h5#l", tmp_path / "x.h5#r")
    fslr = [
        write_annot(tmp_path / f"{side}h.x.annot", ["???", "a"], np.arange(32492) % 2)
        for side in "lr"
    ]
    with pytest.raises(InputError, match="no fsaverage mesh but fsLR 32k") as caught:
        sets.take_over("mine", *fslr)
    assert "-label-resample" in caught.value.hint and not list(label_home.iterdir())


def test_numbers_in_overlays_make_a_set_of_their_own(label_home, tmp_path):
    paths = []
    for side, shift in (("lh", 0), ("rh", 1)):
        values = ((np.arange(N_SIDE) + shift) % 3).astype(np.float32).reshape(-1, 1, 1)
        paths.append(tmp_path / f"{side}.parcels.mgz")
        nibabel.save(nibabel.MGHImage(values, np.eye(4)), paths[-1])
    masks = sets.take_over("mine", *paths).regions("fsaverage5", N_TARGETS).masks
    assert list(masks) == [WHOLE, "1", "2"]
    assert np.flatnonzero(masks["1"])[[0, N_SIDE // 3]].tolist() == [1, N_SIDE]


@pytest.mark.parametrize("name", ["lana-0", "lana-100", "schaefer-1100", "schaefer-450", "hcp"])
def test_names_of_no_set_are_refused_with_a_near_one(label_home, name):
    with pytest.raises(InputError, match=f"no region set '{name}'") as caught:
        sets.find_set(name)
    assert "braindash regions" in caught.value.hint


def test_label_files_of_the_user_are_a_set_of_their_own(label_home, tmp_path):
    index = np.arange(N_SIDE) % 3
    left, right = (
        write_annot(tmp_path / f"{side}.my.annot", ["???", "speech", "music"], index)
        for side in ("lh", "rh")
    )
    one = sets.take_over("my-lab", left, right)
    assert one.is_ready and sets.known_sets()["my-lab"].paths == one.paths
    regions = sets.find_set("my-lab").regions("fsaverage5", N_TARGETS)
    np.testing.assert_array_equal(regions.masks["speech"], np.tile(index == 1, 2))
    for name in ("My Lab", "../up", "own", "discs"):
        with pytest.raises(InputError):
            sets.take_over(name, left, right)
    with pytest.raises(InputError, match="no label file"):
        sets.take_over("other", left, tmp_path / "gone.annot")
    assert "other" not in sets.known_sets()


def test_a_name_that_no_folder_can_have_is_refused(label_home, tmp_path):
    with pytest.raises(InputError, match="cannot be named"):
        sets.take_over("a" * 300, tmp_path / "lh.annot", tmp_path / "rh.annot")


def test_files_of_a_known_set_are_taken_over_under_its_names(label_home, tmp_path):
    gii = put_hcp(tmp_path / "from", form="gii")
    mine = [path.rename(path.with_name(f"glasser_{path.name[0]}.label.gii")) for path in gii]
    one = sets.take_over("moussa2025-iclr", *mine)
    assert one.is_ready and sets.find_set("hcp-mmp1").is_ready
    annots = put_hcp(tmp_path / "from")
    sets.take_over("hcp-mmp1", *annots)
    assert all(path.name.endswith(".annot") for path in sets.find_set("hcp-mmp1").paths)
    assert not list((label_home / "hcp-mmp1").glob("*.gii"))  # one file a side
    small = [
        write_annot(tmp_path / f"{s}.small.annot", ["???", "A1"], np.ones(N_SIDE)) for s in "lr"
    ]
    with pytest.raises(InputError, match="has no label"):
        sets.take_over("moussa2025-iclr", *small)
    both = small[0].rename(tmp_path / "both.annot")
    with pytest.raises(InputError, match="given as the left and as the right hemisphere"):
        sets.take_over("my-lab", both, both)
    assert (
        sets.find_set("moussa2025-iclr")
        .regions("fsaverage5", N_TARGETS)
        .masks["late_language"]
        .any()
    )


# ---- fetching -------------------------------------------------------------------------------


def serve(monkeypatch, tmp_path, *, broken=False):
    """Let the HCP's addresses lead to files of this machine, through pooch itself."""
    import pooch

    paths = put_hcp(tmp_path / "served")
    urls = {file.url: path for file, path in zip(sources.HCP_FILES, paths, strict=True)}
    digests = {
        file.name: hashlib.md5(urls[file.url].read_bytes()).hexdigest()
        for file in sources.HCP_FILES
    }
    asked = []

    def download(url, output_file, pooch_object, check_only=False):
        asked.append(url)
        content = urls[url].read_bytes()
        with open(output_file, "wb") as file:
            file.write(content[:-1] if broken else content)

    monkeypatch.setattr(pooch.core, "choose_downloader", lambda *args, **kwargs: download)
    files = tuple(
        sources.RegionFile(file.name, file.where, file.also, file.url, digests[file.name])
        for file in sources.HCP_FILES
    )
    changed = {
        name: replace(one, files=files) if one.files == sources.HCP_FILES else one
        for name, one in sets.SETS.items()
    }
    monkeypatch.setattr(sets, "SETS", changed)
    return asked


def test_nothing_is_fetched_unasked(label_home, monkeypatch, tmp_path):
    asked = serve(monkeypatch, tmp_path)
    with pytest.raises(InputError, match="cannot be used here"):
        sets.find_set("hcp-mmp1").regions("fsaverage5", N_TARGETS)
    with pytest.raises(InputError, match="before the licence"):
        sets.fetch_set("hcp-mmp1", accepted=False)
    assert not asked and not list(label_home.rglob("*.annot"))


def test_files_are_fetched_on_consent_and_checked(label_home, monkeypatch, tmp_path):
    asked = serve(monkeypatch, tmp_path)
    paths = sets.fetch_set("moussa2025-neurips", accepted=True)
    assert [path.name for path in paths] == ["lh.HCPMMP1.annot", "rh.HCPMMP1.annot"]
    assert asked == [file.url for file in sources.HCP_FILES]
    assert sets.find_set("hcp-mmp1").regions("fsaverage5", N_TARGETS).masks["A1"].any()
    sets.fetch_set("hcp-mmp1", accepted=False)  # there already
    assert len(asked) == 2


def test_a_file_that_is_not_the_one_meant_is_refused(label_home, monkeypatch, tmp_path):
    serve(monkeypatch, tmp_path, broken=True)
    with pytest.raises(InputError, match=r"lh\.HCPMMP1\.annot could not be fetched") as caught:
        sets.fetch_set("hcp-mmp1", accepted=True)
    assert "by hand" in caught.value.hint
    assert not list(label_home.rglob("*.annot")) and not sets.find_set("hcp-mmp1").is_ready


def test_without_a_network_the_error_says_what_to_do(label_home, monkeypatch):
    import pooch

    def fail(*args, **kwargs):
        raise OSError("no route to host")

    monkeypatch.setattr(pooch.core, "choose_downloader", lambda *args, **kwargs: fail)
    with pytest.raises(InputError, match="no route to host"):
        sets.fetch_set("hcp-mmp1", accepted=True)


@pytest.mark.parametrize("name", ["desikan", "destrieux"])
def test_files_of_another_atlas_are_not_taken_for_a_known_one(label_home, tmp_path, name):
    paths = put_hcp(tmp_path)
    with pytest.raises(InputError, match="files of another atlas"):
        sets.take_over(name, *paths)
    assert not sets.find_set(name).is_ready
    ending = {"desikan": "aparc", "destrieux": "aparc.a2009s"}[name]
    marks = sets.find_set(name).marks
    own = [
        write_annot(tmp_path / f"{side}.{ending}.annot", ["unknown", *marks], np.arange(N_SIDE) % 3)
        for side in ("lh", "rh")
    ]
    assert set(sets.take_over(name, *own).regions("fsaverage5", N_TARGETS).masks) > set(marks[:2])


def test_destrieux_is_fetched_through_nilearn(label_home, monkeypatch):
    import nilearn.datasets

    def fetch(data_dir, verbose):
        for side in ("left", "right"):
            names = ["Unknown", "G_temp_sup-G_T_transv", "Medial_wall"]
            path = data_dir / "destrieux_surface" / f"{side}.aparc.a2009s.annot"
            write_annot(path, names, np.arange(N_SIDE) % 3)

    monkeypatch.setattr(nilearn.datasets, "fetch_atlas_surf_destrieux", fetch)
    sets.fetch_set("destrieux", accepted=True)
    regions = sets.find_set("destrieux").regions("fsaverage5", N_TARGETS)
    assert list(regions.masks) == [WHOLE, "G_temp_sup-G_T_transv"]
    for path in sets.find_set("destrieux").paths:
        path.unlink()

    def broken(data_dir, verbose):
        raise OSError("unreachable")

    monkeypatch.setattr(nilearn.datasets, "fetch_atlas_surf_destrieux", broken)
    with pytest.raises(InputError, match="unreachable"):
        sets.fetch_set("destrieux", accepted=True)
    with pytest.raises(InputError, match="does not fetch"):
        sets.fetch_set("schaefer-400", accepted=True)


# ---- plugins --------------------------------------------------------------------------------


@pytest.fixture
def with_plugins(monkeypatch):
    """Look at the plugins anew, before and after."""
    sets._plugins.cache_clear()
    yield monkeypatch
    sets._plugins.cache_clear()


PLUGIN = {"point": "braindash.regions:SET", "distribution": "my_lab_regions", "name": "my-lab"}


def test_a_plugin_adds_a_set(with_plugins, label_home, tmp_path):
    with_plugins.setattr(
        sys, "path", [str(put_plugin(tmp_path / "site", REGION_SET, **PLUGIN)), *sys.path]
    )
    one = sets.find_set("my-lab")
    assert one.plugin == "my_lab_regions 0.2.0" and "my-lab" in sets.known_sets()
    for side in ("lh", "rh"):
        names = ["???", "STG", "STS", "elsewhere"]
        write_annot(label_home / f"{side}.my_lab.annot", names, np.arange(N_SIDE) % 4)
    masks = one.regions("fsaverage5", N_TARGETS).masks
    assert list(masks) == [WHOLE, "speech"] and masks["speech"].sum() == N_TARGETS / 2


@pytest.mark.parametrize(
    ("module", "name", "problem"),
    [
        ("SET = 3\n", "my-lab", "it is int, not RegionSet"),
        ("raise ValueError('broken')\n", "my-lab", "ValueError: broken"),
        (None, "hcp-mmp1", "braindash has a region set of this name"),
        (None, "another", "the entry point is named 'another'"),
    ],
)
def test_a_broken_plugin_is_left_out(with_plugins, label_home, tmp_path, module, name, problem):
    own = {"name": name, "distribution": f"lab_{len(problem)}"}
    folder = put_plugin(tmp_path / "site", module or REGION_SET, **PLUGIN | own)
    with_plugins.setattr(sys, "path", [str(folder), *sys.path])
    assert problem in sets._plugins().problems[name]
    if name not in sets.SETS:
        with pytest.raises(InputError, match="cannot be used"):
            sets.find_set(name)
    assert sets.find_set("discs").is_ready


# ---- what is taken when nobody says ---------------------------------------------------------


def test_discs_only_where_nothing_else_is_given(label_home):
    assert find.usual_set("fsaverage5") == "discs"
    assert find.ready_sets("fsaverage5") == ["discs"]
    put_hcp(label_home)
    assert find.usual_set("fsaverage5") == "moussa2025-neurips"
    assert find.ready_sets("fsaverage5")[-1] == "discs"
    assert find.usual_set("native-volume") == "discs"


def test_the_auditory_region_comes_from_the_best_set(label_home):
    mask, note = find.auditory_region("fsaverage5", N_TARGETS)
    np.testing.assert_array_equal(
        mask, sets.find_set("discs").regions("fsaverage5", N_TARGETS).masks["early_auditory"]
    )
    assert "published coordinate" in note
    put_hcp(label_home)
    mask, note = find.auditory_region("fsaverage5", N_TARGETS)
    both = np.concatenate([patches(180, side) for side in ("left", "right")])
    early = [1 + HCP_LABELS.index(name) for name in MOUSSA_NEURIPS["early_auditory"]]
    np.testing.assert_array_equal(mask, np.isin(both, early))
    assert "Glasser" in note
    assert find.auditory_region("native-volume", 1000) is None
