"""Which tiers of a data set's TextGrids hold phones and words."""

import pytest
from kit.data.annotated_lab import annotate
from kit.data.toy_lab import make_lab

from braindash.errors import InputError
from braindash.files import digest_file, digest_json
from braindash.io.dataset.manifest import load_manifest
from braindash.io.labels.stories import read_story_labels
from braindash.io.labels.textgrid import read_textgrid
from braindash.io.labels.tiers import story_tier, tier_units


@pytest.fixture
def lab(tmp_path, tiny_model):
    return make_lab(tmp_path / "lab", tiny_model)


def named(lab, **tiers):
    """Annotate the lab under unusual names, and name some of them in its manifest."""
    annotate(lab, tiers=("Lautung", "Ortho"))
    lines = "".join(f'\n{field} = "{name}"' for field, name in tiers.items())
    lab.edit('alignment_dir = "grids"', f'alignment_dir = "grids"{lines}')
    return load_manifest(lab.manifest)


def test_usual_names_are_known(lab):
    annotate(lab)
    dataset = load_manifest(lab.manifest)
    assert tier_units(dataset)["phones"] == "phone" and tier_units(dataset)["words"] == "word"
    tier = story_tier(dataset, "fox", "word")
    assert (
        tier.name == "word" and tier.usual and tier.intervals() == read_textgrid(tier.path)["word"]
    )


def test_names_of_the_manifest_stand_instead_of_the_usual_ones(lab):
    dataset = named(lab, phone_tier="lautung", word_tier="Ortho")
    assert tier_units(dataset) == {"lautung": "phone", "ortho": "word"}
    tier = story_tier(dataset, "fox", "phone")
    assert tier.name == "Lautung" and not tier.usual
    # Probing reads the same tiers.
    assert set(read_story_labels(dataset).table["tier"]) == {"phone", "word"}


def test_digest_follows_file_and_tier(lab):
    dataset = named(lab, phone_tier="Lautung", word_tier="Ortho")
    phone, word = (story_tier(dataset, "fox", unit) for unit in ("phone", "word"))
    other = story_tier(dataset, "crow", "word")
    assert len({phone.digest, word.digest, other.digest}) == 3
    assert word.digest == story_tier(dataset, "fox", "word").digest


def test_changed_file_is_read_again(lab):
    dataset = named(lab, word_tier="Ortho")
    path = story_tier(dataset, "fox", "word").path
    path.write_text(path.read_text().replace('"Ortho"', '"Other"'))
    with pytest.raises(InputError, match="holds Lautung, Other, and looked for was ortho"):
        story_tier(dataset, "fox", "word")


def test_tiers_of_speakers_are_one_tier_in_the_order_of_time(lab):
    annotate(lab)
    dataset = load_manifest(lab.manifest)
    whole = story_tier(dataset, "fox", "word")
    text = whole.path.read_text()
    whole.path.write_text(
        text.replace('"word"', '"ann - words"').replace('"phone"', '"bob - Words"')
    )
    tier = story_tier(dataset, "fox", "word")
    assert (tier.name, *tier.others) == tuple(read_textgrid(whole.path))
    found = tier.intervals()
    assert [one.start for one in found] == sorted(one.start for one in found)
    assert len(found) == sum(map(len, read_textgrid(whole.path).values()))
    with pytest.raises(InputError, match="no tier of phones"):
        story_tier(dataset, "fox", "phone")


def test_a_letter_that_is_read_otherwise_than_before_enters_the_digest(lab):
    """Earlier versions took IPA's y and q for other alphabets'; good tiers keep their digests."""
    annotate(lab)
    dataset = load_manifest(lab.manifest)
    tier = story_tier(dataset, "fox", "phone")
    plain = digest_json({"file": digest_file(tier.path), "tier": tier.name})
    assert tier.digest == plain
    entries = tier.intervals()
    text = tier.path.read_text()
    for old, new in ((entries[1].label, "y"), (entries[2].label, "ʁ")):
        text = text.replace(f'"{old}"', f'"{new}"')
    tier.path.write_text(text)
    tier = story_tier(dataset, "fox", "phone")
    assert tier.digest != digest_json({"file": digest_file(tier.path), "tier": tier.name})
