"""Specifications, digests and errors: the same content has the same key, and nothing else has."""

import json
from typing import ClassVar, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from braindash import requests, specs
from braindash.errors import InputError, near_match
from braindash.files import canonical_json, digest_bytes, digest_file, digest_json
from braindash.specs import (
    VERSIONED,
    DifferenceSpec,
    EncodingSpec,
    ExtractionSpec,
    OtherResponses,
    RowTimes,
    SoundSpec,
    Spec,
    StatisticsSettings,
    StoryInput,
    WeightsSpec,
    current_version,
    older_version,
)
from braindash.speech.windows import STRATEGIES

TIMES = RowTimes(first=2.0, tr=2.0, n_rows=10)
EXTRACTION = ExtractionSpec(
    model="m" * 32,
    audio="a" * 32,
    times=TIMES,
    strategy="exact",
    step_seconds=0.1,
    context_seconds=16.1,
)
STORY = StoryInput(name="one", features="f" * 32, responses="e" * 32, first_row=1, last_row=11)
ENCODING = EncodingSpec(
    subject="S1",
    space="roi",
    train=(STORY,),
    test=(STORY,),
    score_from_row=(0,),
    standardise_responses=True,
    delays=(1, 2),
    alphas=(1.0, 10.0),
    ceilings=(),
)


def test_equal_content_has_an_equal_key_and_survives_json():
    again = ExtractionSpec.model_validate(
        {k: v for k, v in json.loads(canonical_json(EXTRACTION.canonical())).items() if k != "kind"}
    )
    assert again == EXTRACTION and again.key() == EXTRACTION.key()
    assert len(EXTRACTION.key()) == 32


@pytest.mark.parametrize(
    "change",
    [
        {"subject": "S2"},
        {"delays": (1, 2, 3)},
        {"alphas": (1.0, 10.5)},
        {"metric": "r"},
        {"intercept": False},
        {"ceilings": ("repeats",)},
        {"other_subjects": (OtherResponses(subject="S2", responses=("d" * 32,)),)},
        {"statistics": StatisticsSettings(n_permutations=0)},
        {"statistics": StatisticsSettings(n_bootstraps=500)},
        {"statistics": StatisticsSettings(block_rows=12)},
        {"statistics": StatisticsSettings(scheme="blocks")},
        {"statistics": StatisticsSettings(scheme="shift")},
        {"statistics": StatisticsSettings(best_of_layers=False)},
        {"high_pass": 128.0},
        {"statistics": StatisticsSettings(seed=1)},
        {"score_from_row": (5,)},
        {"standardise_responses": False},
        {"test": (STORY.model_copy(update={"first_row": 2}),)},
        {"train": (STORY.model_copy(update={"features": "0" * 32}),)},
    ],
)
def test_every_field_is_part_of_the_key(change):
    assert ENCODING.model_copy(update=change).key() != ENCODING.key()


def test_a_version_is_never_shared():
    """Results of version 1 have other arrays: their keys must never be met again."""
    assert current_version("encoding") == ENCODING.canonical()["version"] == 3
    with pytest.raises(ValidationError):
        EncodingSpec.model_validate(ENCODING.model_dump() | {"version": 1})


def test_unknown_fields_and_changes_are_refused():
    with pytest.raises(ValidationError, match="extra"):
        ExtractionSpec(**EXTRACTION.model_dump(), devise="cuda")
    with pytest.raises(ValidationError, match="frozen"):
        EXTRACTION.model = "other"


def test_kinds_are_told_apart():
    assert RowTimes.kind != ExtractionSpec.kind
    assert digest_json({"kind": "a"}) != digest_json({"kind": "b"})


@given(st.dictionaries(st.text(), st.one_of(st.integers(), st.text(), st.booleans())))
def test_the_digest_ignores_the_order_of_fields(value):
    assert digest_json(value) == digest_json(dict(reversed(value.items())))


@given(st.binary(), st.binary())
def test_parts_are_not_run_together(one, two):
    assert digest_bytes(one, two) != digest_bytes(one + two)


def test_nan_has_no_canonical_form():
    with pytest.raises(ValueError, match="not JSON compliant"):
        digest_json({"alpha": float("nan")})


def test_a_changed_file_has_another_digest(tmp_path):
    path = tmp_path / "a.bin"
    path.write_bytes(b"one")
    before = digest_file(path)
    assert digest_file(path) == before
    path.write_bytes(b"more than one")
    assert digest_file(path) != before


def test_errors_say_what_to_do():
    problem = InputError("the field is wrong", hint=near_match("trian", ["train", "test"]))
    assert "Did you mean 'train'?" in str(problem) and "What to do" in str(problem)
    assert "Did you mean" not in near_match("zzz", ["train"])


def test_a_hint_does_not_list_thousands_of_names():
    hint = near_match("sub-19999x", [f"sub-{place:05d}" for place in range(20_000)])
    assert hint.startswith("Did you mean 'sub-19999'? Allowed: 'sub-00000', 'sub-00001', ")
    assert hint.endswith("'sub-00023' and 19,976 more.") and len(hint) < 400
    assert near_match("s9", [f"s{place}" for place in range(24)]).endswith(" 's22', 's23'.")


# ---- fields that are added later ---------------------------------------------------------------


class Smoothing(Spec):
    """Stands for a nested specification."""

    kind: ClassVar[str] = "smoothing"
    implied: ClassVar[dict] = {"passes": 1}
    width: float = 2.0
    passes: int = 3  # today's default is another one


class Before(Spec):
    kind: ClassVar[str] = "toy"
    name: str


class After(Before):
    """The same kind with fields that were added since."""

    implied: ClassVar[dict] = {"smoothing": None, "centred": False, "parts": []}
    centred: bool = True
    smoothing: Smoothing | None = None
    parts: tuple[str, ...] = ()


def test_an_added_field_keeps_the_keys_of_results_before_it():
    before = Before(name="x")
    after = After(name="x", centred=False)
    assert after.canonical() == before.canonical() and after.key() == before.key()
    keys = {
        After(name="x").key(),
        After(name="x", centred=False, parts=("a",)).key(),
        After(name="x", centred=False, smoothing=Smoothing()).key(),
        After(name="x", centred=False, smoothing=Smoothing(passes=1)).key(),
        before.key(),
    }
    assert len(keys) == 5


def test_an_added_field_of_a_part_is_left_out_too():
    document = After(name="x", smoothing=Smoothing(passes=1)).canonical()
    assert document["smoothing"] == {"width": 2.0}
    assert "passes" in After(name="x", smoothing=Smoothing()).canonical()["smoothing"]


@given(
    st.booleans(),
    st.one_of(st.none(), st.builds(Smoothing, passes=st.integers(1, 4))),
    st.lists(st.text()).map(tuple),
)
def test_a_canonical_form_is_read_as_it_was_written(centred, smoothing, parts):
    spec = After(name="x", centred=centred, smoothing=smoothing, parts=parts)
    assert After.from_canonical(spec.canonical()) == spec


def test_a_result_before_the_field_is_read_with_what_it_implied():
    """Not with the default, which is another one by now; a new request gets the default."""
    assert After.from_canonical(Before(name="x").canonical()) == After(name="x", centred=False)
    assert After.model_validate({"name": "x"}).centred
    queued = After(name="x", centred=False).model_dump(mode="json")
    assert After.model_validate(queued) == After(name="x", centred=False)


def test_results_of_permuted_blocks_keep_their_keys_and_say_so():
    """Their specification is that of version 0.1.0, which knew no other way."""
    before = StatisticsSettings(scheme="blocks", best_of_layers=False)
    told = before.canonical()
    assert "best_of_layers" not in told and told["scheme"] == "blocks"
    assert StatisticsSettings.from_canonical(told) == before
    assert "high_pass" not in ENCODING.canonical() and "high_pass" not in ENCODING.fit.canonical()
    assert StatisticsSettings().canonical()["best_of_layers"]


def test_the_keys_of_what_is_made_of_results_are_pinned():
    a, b = "a" * 32, "b" * 32
    assert DifferenceSpec(a=a, b=b).key() == "f2fef71462c9a4def31755408805d9ac"
    assert WeightsSpec(fit=a, layer=3).key() == "7443d7bf03d6876ad97710fc3c3a6d5f"
    assert SoundSpec(weights=a, samples=b).key() == "b696f6bc87706899b0addddee7eed0e7"


@pytest.mark.parametrize("kind", VERSIONED)
def test_every_older_version_says_what_it_did(kind):
    assert set(VERSIONED[kind].older) == set(range(1, current_version(kind)))
    assert older_version(kind, {VERSIONED[kind].version_field: current_version(kind)}) == ""
    for version, told in VERSIONED[kind].older.items():
        said = older_version(kind, {VERSIONED[kind].version_field: version})
        assert f"version {version} of {current_version(kind)}" in said and told in said


@pytest.mark.parametrize(
    ("meanings", "names"),
    [
        (specs.PRECISIONS, specs.Precision),
        (specs.TUNING_LOSSES, specs.TuningLoss),
        (specs.TUNING_CONTROLS, specs.TuningControl),
        (specs.TARGET_RULES, specs.TargetRule),
        (specs.SCHEMES, specs.Scheme),
        (requests.METHODS, requests.Method),
        (STRATEGIES, specs.Strategy),
    ],
)
def test_every_choice_has_a_meaning_that_pages_and_help_show(meanings, names):
    assert tuple(meanings) == get_args(names)
