"""The reference is made from the code: all of it is there, and nothing lacks its description."""

import re

import pytest
from kit.documents import ROOT
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

import braindash
from braindash.defaults import PRESETS, differences
from braindash.io.dataset.audio import SAMPLE_RATE_HZ
from braindash.io.dataset.tables import ManifestTables
from braindash.io.labels.sources import LABEL_SOURCES
from braindash.io.regions.discs import REGION_NAMES, published_spheres
from braindash.io.regions.sets import FAMILIES, SETS
from braindash.probing.tasks import PROBE_TASKS
from braindash.requests import EncodeRequest, ProbeRequest
from braindash.specs import AdapterSettings, TuningSettings
from braindash.speech.acoustic.spaces import SPACES
from braindash.speech.checkpoints.families import FAMILIES as MODEL_FAMILIES
from braindash.speech.checkpoints.folders import common_names
from braindash.speech.geometry import geometry_of
from braindash.studies.file import TABLES, StudyTables, settings_of


def rows(text: str) -> list[list[str]]:
    """Cells of every table's rows, without the heads."""
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    cells = [re.split(r" (?<!\\)\| ", line[2:-2]) for line in lines]
    heads = {number for number, line in enumerate(cells[1:]) if set("".join(line)) == {"-"}}
    return [line for number, line in enumerate(cells)
            if number not in heads and number - 1 not in heads]  # fmt: skip


def first_cells(text: str) -> list[str]:
    return [line[0] for line in rows(text)]


def test_every_page_is_made_and_has_no_empty_description(hooks):
    for place, make in hooks.PAGES.items():
        text = make()
        assert text.startswith("# "), place
        if place == "reference/command-line.md":
            assert all(line[2].strip() for line in rows(text) if len(line) == 3)


def test_every_field_of_the_manifest_is_described(hooks):
    text = hooks.manifest()
    listed = rows(text)
    count = 0
    for name, field in ManifestTables.model_fields.items():
        assert f"{{ #{name} }}" in text
        annotation = field.annotation
        model = getattr(annotation, "__args__", [annotation])[0]
        count += len(model.model_fields)
        for one in model.model_fields:
            assert any(line[0] == f"`{one}`" for line in listed), (name, one)
    assert all(len(line) == 4 and line[1].strip() and line[3].strip() for line in listed)
    assert len(listed) == count


def test_every_field_of_a_study_is_described(hooks):
    text = hooks.study()
    own = set(StudyTables.model_fields) - {*TABLES, "encode", "probe"}
    cells = first_cells(text)
    for name in (*own, *(name for one in TABLES.values() for name in one.model_fields)):
        assert f"`{name}`" in cells, name
    assert all(f"{{ #{name} }}" in text for name in TABLES)
    assert all(len(line) == 4 and line[1].strip() and line[3].strip() for line in rows(text))
    for kind in (EncodeRequest, ProbeRequest):
        assert all(f"`{name}`" in text for name in settings_of(kind))


def test_every_command_and_option_is_described(hooks):
    text = hooks.command_line()
    found = dict(hooks.commands())
    assert {"braindash", "braindash encode", "braindash jobs cancel"} <= set(found)
    assert "`--version`" in text and "`--install-completion`" in text
    for name, command in found.items():
        section = text.partition(f"\n## {name}\n")[2].partition("\n## ")[0]
        assert (command.help or "").split("\n")[0] in section and command.help, name
        cells = first_cells(section) if command.params else []
        for parameter in command.params:
            assert parameter.help, f"{name} {parameter.name} has no help"
            names = (*parameter.opts, *parameter.secondary_opts)
            said = [f"`{one}`" for one in names if one.startswith("-")]
            shown = ", ".join(said) or f"`{parameter.name.upper()}`"
            assert shown in cells, f"{name}: {shown}"


@pytest.mark.parametrize("model", [TuningSettings, AdapterSettings])
def test_every_setting_of_tuning_is_described(hooks, model):
    text, options = hooks.command_line(), hooks._tune_options()
    for name, field in model.model_fields.items():
        assert field.description, name
        assert name in options | {"adapter"} or f"| `{name}` |" in text, name


def test_every_entry_of_a_registry_is_described(hooks):
    listed = rows(hooks.tasks())
    assert [line[0] for line in listed] == [f"`{name}`" for name in PROBE_TASKS]
    assert all(len(task.description) > 10 for task in PROBE_TASKS.values())
    cells = first_cells(hooks.spaces())
    for space in SPACES.values():
        assert f"`{space.full_name}`" in cells and len(space.description) > 10
        assert all(f"`{part.name}`" in cells for part in space.parts)
    text = hooks.labels()
    for name, reader in LABEL_SOURCES.items():
        assert f"`{name}`" in first_cells(text) and len(reader.__doc__) > 20
        assert f"::: {reader.__module__}.{reader.__name__}" in text
    cells = first_cells(hooks.regions())
    assert {f"`{name}`" for name in (*REGION_NAMES, *SETS, *FAMILIES)} <= set(cells)
    for one in SETS.values():
        named = (*one.groups, *(file.name for file in one.files))
        assert {f"`{name}`" for name in named} <= set(cells)
    assert {f"`{sphere.name}`" for sphere in published_spheres()} <= set(cells)


def test_every_difference_of_a_preset_is_in_the_table(hooks):
    text = hooks.presets()
    for name in PRESETS:
        for line in differences(name):
            assert list(line) in rows(text.partition(f"## {name}\n")[2].partition("\n## ")[0])


def test_every_public_name_is_documented(hooks):
    text = hooks.python()
    for name in braindash.__all__:
        if not name.startswith("__"):
            value = getattr(braindash, name)
            assert f"## {name}\n" in text and value.__doc__
            assert f"::: {value.__module__}.{value.__qualname__}\n" in text


def test_every_module_says_what_it_is(hooks):
    listed = {line[0].strip("`"): line[1] for line in rows(hooks.modules())}
    sources = (hooks.ROOT / "braindash").rglob("*.py")
    for path in sources:
        place = path.parent if path.stem == "__init__" else path
        assert listed.get(str(place.relative_to(hooks.ROOT))), path


def test_names_with_roles_become_code(hooks):
    assert hooks.plain("see :func:`a.b` or :class:`~a.C`") == "see `a.b` or `C`"
    assert hooks.summary("One ``x``\nline.\n\nAnother.") == "One `x` line."


def test_the_table_of_models_is_what_the_families_are():
    """The one table of a registry that is written by hand, for what it says beside."""
    text = (ROOT / "docs" / "models.md").read_text()
    listed = rows(text.partition("## Families\n")[2].partition("\n## ")[0])
    assert {line[0] for line in listed} == {one.title for one in MODEL_FAMILIES.values()}
    families = {one.title: one for one in MODEL_FAMILIES.values()}
    for title, types, _, rate, *_ in listed:
        family, named = families[title], re.findall("`(.*?)`", types)
        assert set(named) == set(family.model_types or (family.name,)), title
        config = common_names(CONFIG_MAPPING[named[0]]().to_dict(), family)
        hertz = SAMPLE_RATE_HZ / geometry_of(family, config).hop
        assert float(rate) == pytest.approx(hertz, abs=0.005), title
