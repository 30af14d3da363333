import tomllib
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from braindash.core.timing import Timing
from braindash.errors import InputError
from braindash.io.dataset import tables as manifest_tables
from braindash.io.dataset.manifest import load_manifest

# The manifest of a published data set, as its authors' tree would need it.
PUBLISHED = """
[dataset]
name   = "LeBel 2023"
format = 1
audio_dir     = "stimuli"
alignment_dir = "derivative/TextGrids"

[timing]
tr           = 2.0
first_volume = 10
audio_onset  = 10.0
slice_time   = 0.0

[responses]
path   = "derivative/preprocessed_data/{subject}/{story}.hf5"
key    = "data"
repeats_key = "individual_repeats"
zscored = "run"
space  = "native-volume"

[[subjects]]
id = "UTS01"
units = 81126
noise_ceiling = "subject_NCs/UTS01.npy"
pycortex  = "derivative/pycortex-db/UTS01"
transform = "UTS01_auto"
freesurfer = "derivative/freesurfer_subjdir/UTS01"

[splits]
test  = ["wheretheressmoke"]
valid = ["stagefright"]
train = "*"

[[runs]]
subject = "*"
story   = "wheretheressmoke"
score_from_row = 40
"""


def refused(lab, *changes, more=""):
    """Load a changed manifest that must be refused; give the error."""
    with pytest.raises(InputError) as caught:
        lab.load(*changes, more=more)
    return caught.value


def test_published_form(tmp_path):
    for story in ("wheretheressmoke", "stagefright", "avatar", "legacy"):
        (tmp_path / "stimuli").mkdir(exist_ok=True)
        (tmp_path / f"stimuli/{story}.wav").touch()
        path = tmp_path / f"derivative/preprocessed_data/UTS01/{story}.hf5"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (tmp_path / "derivative/TextGrids").mkdir()
    (tmp_path / "derivative/TextGrids/avatar.TextGrid").touch()
    (tmp_path / "manifest.toml").write_text(PUBLISHED)

    dataset = load_manifest(tmp_path / "manifest.toml")

    assert dataset.name == "LeBel 2023"
    assert not dataset.simulated
    assert dataset.subjects == ("UTS01",)
    assert (dataset.space, dataset.zscored) == ("native-volume", "run")
    split = dataset.split("UTS01")
    assert split.train == ("avatar", "legacy")
    assert (split.valid, split.test) == (("stagefright",), ("wheretheressmoke",))
    assert dataset.timing("UTS01", "avatar") == Timing(2.0, 10, 10.0, 0.0)
    assert dataset.timing("UTS01", "avatar").times(2).tolist() == [10.0, 12.0]
    assert dataset.tolerance("UTS01", "avatar") == 30.0
    source = dataset.responses("UTS01", "wheretheressmoke")
    assert source.units == 81126
    assert (source.key, source.repeats_key) == ("data", "individual_repeats")
    assert source.score_from_row == 40
    assert dataset.responses("UTS01", "avatar").score_from_row == 0
    assert dataset.audio_path("avatar") == tmp_path / "stimuli/avatar.wav"
    assert dataset.annotation_path("avatar") == tmp_path / "derivative/TextGrids/avatar.TextGrid"
    assert dataset.annotation_path("legacy") is None
    assert dataset.noise_ceiling_path("UTS01") == tmp_path / "subject_NCs/UTS01.npy"
    assert dataset.subject("UTS01").transform == "UTS01_auto"


def test_byte_order_mark_is_no_problem(lab):
    lab.load()
    path = lab.folder / "manifest.toml"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert load_manifest(path).name == "small lab"


# What is refused --------------------------------------------------------------------------------


def test_missing_manifest(tmp_path):
    with pytest.raises(InputError, match="is missing"):
        load_manifest(tmp_path / "manifest.toml")
    with pytest.raises(InputError, match="in no layout that is known"):
        load_manifest(tmp_path)


def test_toml_errors_name_the_line(lab):
    error = refused(lab, ("tr = 2.0", "tr = 2,0"))
    assert "not valid TOML" in error.message
    assert "line 7" in error.message


def test_text_in_another_encoding(lab):
    lab.load()
    (lab.folder / "manifest.toml").write_bytes(b'name = "\xe9t\xe9"')
    with pytest.raises(InputError, match="not UTF-8"):
        load_manifest(lab.folder / "manifest.toml")


@pytest.mark.parametrize(
    ("change", "message", "hint"),
    [
        (
            ("tr = 2.0", "tr = 2.0\nonset = 1.0"),
            "[timing] has the unknown field 'onset'",
            "'audio_onset'",
        ),
        (
            ("tr = 2.0", "tr = 2.0\nfirst_volum = 1"),
            "unknown field 'first_volum'",
            "Did you mean 'first_volume'?",
        ),
        (
            ("units = 6", "unit = 6"),
            "[[subjects]] number 1 (id = 'S1') has the unknown field 'unit'",
            "Did you mean 'units'?",
        ),
        (("[splits]", "[split]"), "unknown table 'split'", "Did you mean 'splits'?"),
        (("[timing]", "[extra]\na = 1\n[timing]"), "unknown table 'extra'", "Allowed: 'dataset'"),
        (("tr = 2.0", ""), "[timing] lacks the field 'tr'", "not milliseconds"),
        (("[timing]\ntr = 2.0", ""), "the table [timing] is missing", "at least: tr"),
        (("tr = 2.0", 'tr = "2.0"'), "[timing] tr = '2.0' is not allowed", "seconds"),
        (("tr = 2.0", "tr = 2000"), "tr = 2000 is not allowed", "not milliseconds"),
        (("tr = 2.0", "tr = 0"), "tr = 0 is not allowed", "seconds"),
        (("tr = 2.0", "tr = nan"), "tr = nan is not allowed", "seconds"),
        (("tr = 2.0", "tr = 2.0\nfirst_volume = -1"), "first_volume = -1 is not allowed", "from 0"),
        (
            ('space = "roi"', 'space = "fsaverage7"'),
            "space = 'fsaverage7'",
            "Did you mean 'fsaverage'?",
        ),
        (
            ('space = "roi"', 'space = "roi"\nzscored = true'),
            "zscored = True is not allowed",
            "'none', 'run'",
        ),
        (('id = "S2"', 'id = "a/b"'), "(id = 'a/b') id = 'a/b' is not allowed", "name in paths"),
        (
            ('[[subjects]]\nid = "S1"\nunits = 6\n\n[[subjects]]', "[subjects]"),
            "subjects must be written as [[subjects]]",
            "at least: id",
        ),
        (("[timing]", "[[timing]]"), "timing must be written as [timing]", "at least: tr"),
        (('test = ["smoke"]', "test = 3"), "[splits] test = 3 is not allowed", "at least one"),
        (
            ('name = "small lab"', 'name = "small lab"\nformat = 2'),
            "format = 2 is not allowed",
            "Allowed: '1'",
        ),
    ],
)
def test_form_errors_name_table_field_and_what_is_allowed(lab, change, message, hint):
    error = refused(lab, change)
    assert "manifest.toml" in error.message
    assert message in str(error)
    assert hint in str(error)


@pytest.mark.parametrize(
    ("change", "message", "hint"),
    [
        (('["smoke"]', "[]"), "splits.test is empty", "at least one"),
        (('["smoke"]', '["smok"]'), "splits.test names the story 'smok'", "Did you mean 'smoke'?"),
        (('["smoke"]', '["smoke", "smoke"]'), "splits.test names 'smoke' twice", "once"),
        (
            ('["tree"]', '["tree"]\ntrain = ["smoke", "alpha"]'),
            "'smoke' stands in splits.test and in splits.train",
            "one split only",
        ),
        (
            ('["tree"]', '["smoke"]'),
            "'smoke' stands in splits.test and in splits.valid",
            "one split only",
        ),
        (('["tree"]', '["*"]'), 'splits.valid = "*" is not allowed', "Name the stories"),
        (('["tree"]', '["tree"]\ntrain = ["*", "alpha"]'), 'mixes "*" with names', "list of names"),
        (('"stimuli"', '"stimulus"'), "there is no folder", "relative to the manifest"),
        (('"stimuli"', '"responses"'), "holds no audio file", ".flac"),
        (
            ('"stimuli"', '"stimuli"\nalignment_dir = "grids"'),
            "dataset.alignment_dir: there is no folder",
            "TextGrids",
        ),
        (("{story}.hf5", "{stroy}.hf5"), "unknown placeholder {stroy}", "Did you mean 'story'?"),
        (
            ("{story}.hf5", "{story.__class__}.hf5"),
            "unknown placeholder {story.__class__}",
            "'story'",
        ),
        (("{story}.hf5", "{story!r}.hf5"), "unknown placeholder {story!r}", "'story'"),
        (("{story}.hf5", "{}.hf5"), "unknown placeholder {}", "'story'"),
        (("{story}.hf5", "{story.hf5"), "brace too many or too few", "{{"),
        (("{story}.hf5", "all.hf5"), "lacks {story}", "one response file per story"),
        (("{subject}/", ""), "lacks {subject}", "different subjects"),
        (('"responses/', '"respones/'), "no response file was found", "responses.path"),
        (('id = "S2"', 'id = "S1"'), "names 'S1' 2 times", "once"),
    ],
)
def test_content_errors_say_what_is_allowed(lab, change, message, hint):
    error = refused(lab, change)
    assert "manifest.toml" in error.message
    assert message in str(error)
    assert hint in str(error)


@pytest.mark.parametrize(
    ("row", "message", "hint"),
    [
        ('subject = "S3"', "unknown subject 'S3'", "'S1', 'S2'"),
        ('story = "smoky"', "names the story 'smoky'", "Did you mean 'smoke'?"),
        ('story = "alpha"\naudio = "none.wav"', "audio: there is no file", "relative"),
        ('audio = "stimuli/alpha.flac"', "every story the same audio", "Name the story"),
        ('story = "alpha"\nresponse = "{subj}.npy"', "[[runs]] number 1 response", "'subject'"),
        ('story = "alpha"\nonset = 2.0', "[[runs]] number 1 (story = 'alpha')", "'audio_onset'"),
    ],
)
def test_errors_in_runs(lab, row, message, hint):
    error = refused(lab, more=f"[[runs]]\n{row}\n")
    assert message in str(error)
    assert hint in str(error)


def test_two_rows_for_one_run(lab):
    row = '[[runs]]\nsubject = "S1"\nstory = "alpha"\n'
    assert "number 2 repeats subject = 'S1'" in refused(lab, more=row + row).message


def test_two_audio_files_of_one_story(lab):
    (lab.folder / "stimuli/alpha.wav").touch()
    error = refused(lab)
    assert "'alpha' has several audio files: alpha.flac, alpha.wav" in error.message
    assert "audio_suffix" in error.hint
    assert lab.load(("[timing]", 'audio_suffix = ".flac"\n[timing]'))
    assert lab.load(more='[[runs]]\nstory = "alpha"\naudio = "stimuli/alpha.wav"\n')


def test_unfetched_audio_is_named(lab):
    lab.audio("smoke").unlink()
    lab.audio("smoke").symlink_to(".git/annex/objects/x")
    assert "git annex get" in refused(lab).hint


def test_every_problem_is_listed_at_once(lab):
    error = refused(
        lab,
        ("tr = 2.0", "tr = 2.0\nonset = 1.0"),
        ('space = "roi"', 'space = "brain"'),
        ("units = 6", "units = 6\ncolour = 3"),
        ('["smoke"]', '["smok"]'),
        ('["tree"]', '["alpha"]\ntrain = ["alpha"]'),
        more='[[runs]]\nsubject = "S9"\nfirst_volume = 1.5\n',
    )
    for part in ("'onset'", "'brain'", "'colour'", "first_volume = 1.5"):
        assert part in error.message
    # space is needed, so the rest cannot be checked before it is corrected.
    assert "4 problems" in error.message

    error = refused(
        lab,
        ("tr = 2.0", "tr = 2.0\nonset = 1.0"),
        ('["smoke"]', '["smok"]'),
        ('["tree"]', '["alpha"]\ntrain = ["alpha"]'),
        more='[[runs]]\nsubject = "S9"\nfirst_volume = 1.5\n',
    )
    for part in ("'onset'", "first_volume = 1.5", "'smok'", "'alpha' stands in", "'S9'"):
        assert part in error.message
    assert "5 problems" in error.message
    assert "Did you mean 'smoke'?" in error.message


def test_long_lists_of_stories_are_cut(lab):
    for number in range(40):
        (lab.folder / f"stimuli/story{number:02d}.wav").touch()
    error = refused(lab, ('["smoke"]', '["story070"]'))
    assert "Did you mean 'story07'?" in error.hint
    assert "and 33 more" in error.hint


VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-3, 3), st.floats(), st.text(max_size=3)),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2)
    ),
    max_leaves=4,
)
PLACES = [
    *[(table,) for table in ("dataset", "timing", "responses", "subjects", "splits", "runs", "x")],
    *[
        (table, field)
        for table in ("dataset", "splits")
        for field in ("name", "test", "train", "x")
    ],
    *[("subjects", 0), ("subjects", 0, "id"), ("subjects", 0, "units"), ("runs", 0, "run")],
    *[("runs", 0), ("runs", 0, "tr"), ("splits", "test", 0), ("timing", "tr")],
]


@settings(max_examples=150)
@given(changes=st.lists(st.tuples(st.sampled_from(PLACES), VALUES), min_size=1, max_size=3))
def test_no_content_leads_to_another_error(changes):
    data = tomllib.loads(PUBLISHED)
    for place, value in changes:
        *parents, field = place
        table = data
        for step in parents:
            inside = isinstance(table, dict) and step in table
            inside = inside or (isinstance(table, list) and step == 0 and table)
            table = table[step] if inside else {}
        if isinstance(table, dict) or (isinstance(table, list) and table):
            table[field if isinstance(table, dict) else 0] = value

    with patch.object(manifest_tables, "parsed_toml", lambda path, text: data):
        tables, problems = manifest_tables.read_tables(Path("manifest.toml"), "")

    assert tables is not None or problems
    assert all(problem.message and problem.hint for problem in problems)


def test_many_subjects_are_found_by_their_names(lab):
    """One after the other, the square of so many would be minutes."""
    dataset = lab.load()
    (first, *_) = dataset.tables.subjects
    subjects = [first.model_copy(update={"id": f"s{number}"}) for number in range(40_000)]
    many = replace(dataset, tables=dataset.tables.model_copy(update={"subjects": subjects}))
    assert all(many.subject(one.id) is one for one in subjects)
