"""What must not move: the keys of the embedded demo's results, from their specifications.

Simulated responses may differ in their last bits from machine to machine, so digests and keys
inside a specification are replaced by their numbers in the order in which they appear; everything
else of it decides the key. The keys were written by braindash 0.1.0.
"""

import json
import re

import pytest

from braindash.demo import ADAPTER_FOLDER, SHUFFLED_FOLDER, TEXT_FOLDER, TUNED_FOLDER
from braindash.demo.requests import demo_categories, demo_probe_requests, demo_requests
from braindash.encoding.plan import plan_encoding
from braindash.files import digest_json
from braindash.probing.plan import plan_probing
from braindash.specs import VERSIONED, TuningSpec

_DIGEST = re.compile(r"[0-9a-f]{32}")

ENCODING = {
    "S1": "4f0242202a6033d9e56406820b23ef6f",
    "S2": "25e619b8ffdbf2db39a676fdd25c0304",
    "S3": "188fecb56afb843f5049ad51b058862c",
}
# Of the default test since: predictions are the same.
PREWHITENED = {
    "S1": "69e04a8d13b6bbaefa2d42b4c9865c84",
    "S2": "bc75a6bc4367aae189895fde2bcf4dae",
    "S3": "2699f1d0cfdc1e7e0cb6f8cdd3f8c7a0",
}
PREDICTIONS = {
    "S1": "cc7ef6ec664a526f1bcbee9ec2fd0ac4",
    "S2": "577b718f44c545cb6d578bbd6db64284",
    "S3": "2281c995d07b0a064c3930a13a114d87",
}
# Since penalties of rare kinds of targets are searched among all.
SEARCHED = {
    "S1": "e27a006f7f6a9fc3e94c8ef062000142",
    "S2": "7272a0abbb012155b0d2c5949ac83cfd",
    "S3": "b91fd80aa2fac0b8dfc466e62e579ddc",
}
SEARCHED_PREDICTIONS = {
    "S1": "b887fd9653f078bc2ddf1b4ff1552a63",
    "S2": "053467493c57a3580d9d269fb5e73624",
    "S3": "d76af9587cb5f19e75aa1148dce1b9ec",
}
# Since the confidence of preferred layers is calibrated; predictions are the same.
CALIBRATED = {
    "S1": "7d770ab8a14c7c5c4d183cc92b180bb4",
    "S2": "15059e6700bcdc54bb7d8f12d8aebe5f",
    "S3": "4ba5a46ad85fe0ac714ed62416742c7c",
}
# Since intervals of probes are over the highest level that is on one side only.
NEW_MODEL_PROBING = "f00ca034b5d7056d99cb84c16a15561e"
NEW_SOUND_PROBING = "620e824de74794ba4a38659fb737d9a8"
MODEL_PROBING = "1d20326fbb78dfba77d53299320429dc"
SOUND_PROBING = "024bcba498b62102118e5859ce6ea3e4"
# Stories of training and of test differ in the number of rows.
FEATURES = {
    "998fe4c3ee26c7d161f8afc7512ab9b8",
    "010098e01157821404d8f66f9409f4c3",
    "a6809e471901cb4dd81e4aa3e6d90699",
    "4bb30b3774345312452d238ee491dc99",
}
UNIT_FEATURES = {
    "6de5ef07309de5b9b68afaa74006c4de",
    "15b3fdc3c78e72fa1dd8d593da793a4b",
    "5d25ae86d634364ed40a67becf4a125d",
    "ca94c486ef5aecbbba014a6ef13c9058",
}
TUNING = {TUNED_FOLDER: "80d3cc3164db3e9d9b95f0920bc687b9"}
TUNING |= {ADAPTER_FOLDER: "184a1c42039290d1e39aca72cd9a53ec"}
TUNING |= {SHUFFLED_FOLDER: "484acc9865dbc81f850bf90dc977fba7"}
TUNING |= {TEXT_FOLDER: "e9b6c9338a86b6805c517740778b5486"}

pytestmark = pytest.mark.slow


def with_fixed_digests(value, seen=None):
    """Number the digests of a canonical form."""
    seen = {} if seen is None else seen
    if isinstance(value, dict):
        return {name: with_fixed_digests(value[name], seen) for name in sorted(value)}
    if isinstance(value, list):
        return [with_fixed_digests(one, seen) for one in value]
    if isinstance(value, str) and _DIGEST.fullmatch(value):
        return seen.setdefault(value, f"{len(seen):032x}")
    return value


def fixed_key(spec) -> str:
    return digest_json(with_fixed_digests(spec.canonical()))


@pytest.fixture(scope="module")
def encodings(hollow_manifest):
    requests = demo_requests(hollow_manifest)
    return [plan_encoding(request) for request in requests]


@pytest.fixture(scope="module")
def probings(hollow_manifest):
    demo_categories(hollow_manifest.parent)
    return [plan_probing(request) for request in demo_probe_requests(hollow_manifest)]


def as_before(spec):
    """Specify what was computed before targets were tested on prewhitened pairs."""
    older = {"n_permutations": 1000, "scheme": "blocks", "best_of_layers": False}
    older |= {"confidence": "share"}
    return spec.model_copy(update={"statistics": spec.statistics.model_copy(update=older)})


def test_keys_of_encodings_and_predictions(encodings):
    assert len(encodings) == 6
    for plan in encodings:
        subject, statistics = plan.request.subject, plan.spec.statistics
        plain = statistics.model_copy(update={"confidence": "share"})
        searched = plan.spec.model_copy(update={"statistics": plain})
        sampled = searched.model_copy(update={"search": "sampled"})
        assert fixed_key(as_before(sampled)) == ENCODING[subject]
        assert fixed_key(sampled) == PREWHITENED[subject]
        assert fixed_key(sampled.fit) == PREDICTIONS[subject]
        assert fixed_key(searched) == SEARCHED[subject]
        assert fixed_key(plan.spec) == CALIBRATED[subject]
        assert fixed_key(plan.spec.fit) == SEARCHED_PREDICTIONS[subject]


def test_keys_of_features(encodings):
    found = {
        fixed_key(story.extraction)
        for plan in encodings
        for _, stories in plan.extractions
        for story in stories
    }
    assert found == FEATURES


def test_keys_of_probings(probings):
    *models, sound = probings
    assert [fixed_key(plan.spec) for plan in models] == [NEW_MODEL_PROBING] * 3
    assert fixed_key(sound.spec) == NEW_SOUND_PROBING
    before = {"interval_units": "recording"}  # as intervals were, without saying so
    keys = [fixed_key(plan.spec.model_copy(update=before)) for plan in probings]
    assert keys == [*[MODEL_PROBING] * 3, SOUND_PROBING]
    found = {fixed_key(one.spec) for plan in probings for one in plan.extractions}
    assert found == UNIT_FEATURES


@pytest.mark.parametrize("folder", TUNING, ids=lambda folder: folder.name)
def test_keys_of_the_shipped_tuned_models(folder):
    record = json.loads((folder / "tuning.json").read_text())
    spec = TuningSpec.from_canonical(record["spec"])
    assert spec.key() == record["key"], "the record's own key"
    assert fixed_key(spec) == TUNING[folder]


def test_every_kind_of_result_is_pinned():
    pinned = {"encoding", "predictions", "features", "unit-features", "probing", "tuning"}
    pinned |= {"regions"}  # tests/encoding/test_regions.py
    pinned |= {"difference", "weights", "sounds"}  # tests/test_specs.py
    pinned |= {"frames"}  # tests/encoding/test_kept_frames.py
    assert set(VERSIONED) == pinned
