"""Pages that are made from the code whenever the site is built, so that they say what it does.

Every registry describes itself: a description that pages and help show is the one printed here.
"""

import ast
import inspect
import json
import re
import types
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import griffe
import typer
from mkdocs.structure.files import File, Files
from pydantic import BaseModel
from pydantic.fields import FieldInfo

import braindash
from braindash.cli import app
from braindash.defaults import PRESETS, differences, probe_differences
from braindash.io.dataset.tables import ManifestTables, Space
from braindash.io.labels.sources import LABEL_SOURCES
from braindash.io.regions.discs import (
    REGION_NAMES,
    SPHERE_LABEL,
    UNIONS,
    Sphere,
    published_spheres,
)
from braindash.io.regions.masks import WHOLE
from braindash.io.regions.sets import FAMILIES, SETS
from braindash.io.surfaces import SPACE_NAMES
from braindash.probing.tasks import PROBE_TASKS, metric_words
from braindash.requests import EncodeRequest, ProbeRequest, Request, TuneRequest
from braindash.specs import AdapterSettings, TuningSettings
from braindash.speech.acoustic.spaces import PARTS, SPACES
from braindash.studies.file import TABLES, StudyTables, settings_of
from braindash.viewer.colours import region_title

ROOT = Path(__file__).resolve().parents[1]
_ROLE = re.compile(r":[a-z]+:`(~?)([^`]+)`")
_KINDS = {str: "text", int: "whole number", float: "number", bool: "true or false", Path: "path"}
_BOUNDS = {"gt": ">", "ge": "≥", "lt": "<", "le": "≤"}


def on_files(files: Files, config: Any) -> Files:
    """Add the made pages to the site."""
    for place, make in PAGES.items():
        files.append(File.generated(config, place, content=make()))
    return files


class Roles(griffe.Extension):
    """Docstrings name things as Sphinx does; in the site such names become plain code."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Rewrite the docstring of one object."""
        if obj.docstring is not None:
            obj.docstring.value = plain(obj.docstring.value)


def plain(text: str) -> str:
    """Turn the names of roles into code, of those with a tilde the last part."""
    return _ROLE.sub(
        lambda found: f"`{found[2].rsplit('.', 1)[-1] if found[1] else found[2]}`", text
    )


# ---- Markdown -------------------------------------------------------------------------------


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Write a table; a cell may hold any Markdown of one paragraph."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(_cell(text) for text in line)} |" for line in lines)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def code(text: object) -> str:
    """Write a value as code."""
    return f"`{text}`"


def codes(texts: Iterable[object]) -> str:
    """Write values as code, one after the other."""
    return ", ".join(map(code, texts))


def summary(docstring: str | None) -> str:
    """Return the first paragraph of a docstring on one line."""
    paragraph = inspect.cleandoc(docstring or "").split("\n\n")[0]
    return " ".join(plain(paragraph).replace("``", "`").split())


def page(title: str, *parts: str) -> str:
    """Put a page together."""
    return "\n\n".join([f"# {title}", *parts]) + "\n"


# ---- fields of models -----------------------------------------------------------------------


def fields_table(model: type[BaseModel], leave_out: Iterable[str] = ()) -> str:
    """List the fields of a pydantic model: what each takes, its default and its description."""
    rows = [
        [code(name), kind_of(field), default_of(field), _told(name, field)]
        for name, field in model.model_fields.items()
        if name not in leave_out
    ]
    return table(["field", "takes", "default", "what it is"], rows)


def _told(name: str, field: FieldInfo) -> str:
    return _sentence(field.description or "")


def kind_of(field: FieldInfo) -> str:
    """Say what values a field takes, with its bounds."""
    return " ".join([_kind(field.annotation), *_bounds(field.metadata)])


def _kind(annotation: Any) -> str:
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return " ".join([_kind(inner[0]), *_bounds(annotation.__metadata__)])
    if origin is Literal:
        return " or ".join(code(json.dumps(value)) for value in inner)
    if origin in (Union, types.UnionType):
        return " or ".join(_kind(one) for one in inner if one is not type(None))
    if origin is tuple:
        return f"list of {_kind(inner[0])}"
    if origin is dict:
        return "table"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "table"
    return "value" if annotation is Any else _KINDS[annotation]


def _bounds(metadata: Iterable[Any]) -> Iterator[str]:
    for one in metadata:
        if isinstance(one, FieldInfo):
            yield from _bounds(one.metadata)
        for name, sign in _BOUNDS.items():
            if getattr(one, name, None) is not None:
                yield f"{sign} {getattr(one, name):g}"


def default_of(field: FieldInfo) -> str:
    """Write a field's default; "needed" where there is none."""
    if field.is_required():
        return "needed"
    value = field.get_default(call_default_factory=True)
    if value is None or value in ("", (), {}):
        return ""
    if isinstance(value, BaseModel):
        return "see there"
    if isinstance(value, tuple):
        return codes(f"{one:g}" if isinstance(one, float) else one for one in value)
    return code(json.dumps(value))


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", ")")) else ".") if text else ""


# ---- the pages ------------------------------------------------------------------------------


def manifest() -> str:
    """Describe every table and field of a manifest."""
    parts = []
    for name, field in ManifestTables.model_fields.items():
        model, repeated = field.annotation, False
        if get_origin(model) in (Union, types.UnionType):  # a table that may be left out
            model = get_args(model)[0]
        if get_origin(model) is tuple:
            model, repeated = get_args(model)[0], True
        brackets = f"[[{name}]]" if repeated else f"[{name}]"
        needed = "" if field.is_required() else " May be left out."
        times = " Once for each." if repeated else ""
        # "``[timing]``: when response rows were acquired": the heading says the first half.
        told = summary(model.__doc__).partition(": ")[2]
        parts += [f"## {brackets} {{ #{name} }}", f"{_sentence(told)}{times}{needed}"]
        parts.append(fields_table(model))
    return page(
        "Manifest",
        "A manifest is one TOML file that describes a data set. Unknown fields are refused, paths "
        "are relative to the manifest, times are in seconds. [How to write one](../own-data.md).",
        *parts,
    )


def study() -> str:
    """Describe every table and field of a study's file."""
    own = fields_table(StudyTables, leave_out=(*TABLES, "encode", "probe"))
    parts = [own, "## Settings { #settings }"]
    parts.append(
        "Under `[encode]` and `[probe]` stand settings of the requests, the same for every model "
        "and subject; `[probe]` alone says that models are probed."
    )
    kinds: tuple[tuple[str, type[Request]], ...] = (
        ("encode", EncodeRequest),
        ("probe", ProbeRequest),
    )
    for name, kind in kinds:
        parts.append(f"`[{name}]`: {codes(settings_of(kind))}.")
    for name, model in TABLES.items():
        repeated = name != "figures"
        brackets = f"[[{name}]]" if repeated else f"[{name}]"
        told = _sentence(summary(model.__doc__).partition(": ")[2])
        times = " Once for each." if repeated else " May be left out."
        parts += [f"## {brackets} {{ #{name} }}", f"{told}{times}", fields_table(model)]
    return page(
        "Study",
        "A study is one TOML file. Unknown fields are refused, paths are relative to the file. "
        "[How to write one](../studies.md).",
        *parts,
    )


def commands() -> Iterator[tuple[str, Any]]:
    """Give every command that does something or has options, with its full name."""

    def walk(name: str, command: Any) -> Iterator[tuple[str, Any]]:
        inner: Mapping[str, Any] = getattr(command, "commands", {})
        # The root takes options of its own.
        if not inner or command.invoke_without_command or " " not in name:
            yield name, command
        for part, one in inner.items():
            yield from walk(f"{name} {part}", one)

    yield from walk("braindash", typer.main.get_command(app))


def command_line() -> str:
    """Describe every command with its arguments and options."""
    parts = []
    for name, command in commands():
        parts += [f"## {name}", plain(inspect.cleandoc(command.help or ""))]
        if command.params:
            rows = [_parameter_row(parameter) for parameter in command.params]
            parts.append(table(["option", "default", "what it does"], rows))
        if name == "braindash tune":
            parts.append(_tuning_settings())
    return page(
        "Command line",
        "`braindash COMMAND --help` prints the same. `braindash --verbose COMMAND` logs more. The "
        "exit status is 0, 1 after an error that the message explains, 2 for a wrong option, and "
        "130 when you stop a command, which the same command continues.",
        *parts,
    )


def _parameter_row(parameter: Any) -> list[str]:
    if parameter.param_type_name == "argument":
        name = code(parameter.name.upper())
    else:
        name = codes([*parameter.opts, *parameter.secondary_opts])
    flag = getattr(parameter, "is_flag", False)
    default = "needed" if parameter.required else ""
    if not parameter.required and parameter.default is not None and not flag:
        default = code(parameter.default)
    if parameter.envvar:
        default = f"{default} `${parameter.envvar}`".strip()
    return [name, default, parameter.help or ""]


def _tuning_settings() -> str:
    """List what --setting takes beside the options of ``tune``."""
    models: list[type[BaseModel]] = [TuneRequest, TuningSettings]
    rows = "\n\n".join(
        fields_table(model, leave_out=("settings", "adapter", "left_out", *_tune_options()))
        for model in models
    )
    return (
        "### Settings\n\nWhat has no option of its own is given as `--setting NAME=VALUE`, and as "
        f"a keyword of `braindash.tune`:\n\n{rows}\n\nWith `--method lora` also those of the "
        "adapters (`adapter_dropout` for `dropout`):\n\n" + fields_table(AdapterSettings)
    )


def _tune_options() -> set[str]:
    tune = dict(commands())["braindash tune"]
    return {parameter.name for parameter in tune.params} | {"n_at_once"}


def tasks() -> str:
    """Describe every probing task."""
    needs = {"categories": "`--categories`", "word_vectors": "`--word-vectors`", None: ""}
    rows = [
        [
            code(task.name),
            task.title,
            task.stage,
            " and ".join(sorted(task.tiers)),
            f"{task.description}{f' Weak: {task.weak}.' if task.weak else ''}",
            metric_words(task.metric),
            needs[task.needs],
        ]
        for task in PROBE_TASKS.values()
    ]
    named = [code(task.name) for task in PROBE_TASKS.values() if task.on_request]
    return page(
        "Probing tasks",
        "What `braindash probe --tasks` takes, from acoustic to semantic. A task is asked wherever "
        f"the labels have what it is about (*needs*), except {', '.join(named)}, which have to be "
        "named, or come with a [preset](presets.md). Scores of classes can be others "
        "(`--metric macro_f1`). How a probe is fitted and scored is on the page "
        "[Science](../science.md#probing).",
        table(["name", "title", "stage", "needs", "what it asks", "score", "file"], rows),
    )


def labels() -> str:
    """Describe every source of labels, with the options of its reader."""
    parts = []
    for name, reader in LABEL_SOURCES.items():
        parts += [f"## {name}", f"::: {reader.__module__}.{reader.__name__}\n{_BARE}"]
    return page(
        "Label sources",
        "What `braindash probe --labels` takes. The first argument of a reader is `--labels-path`, "
        "`audio` is `--labels-audio`, and any other is given as `--labels-option NAME=VALUE`.",
        table(
            ["name", "what it reads"],
            [[code(name), summary(reader.__doc__)] for name, reader in LABEL_SOURCES.items()],
        ),
        *parts,
    )


_BARE = "    options: {show_root_heading: false, show_root_toc_entry: false}"


def spaces() -> str:
    """Describe every acoustic feature space."""
    rows = [
        [
            code(space.full_name),
            str(space.n_features),
            f"annotated {space.tier}s" if space.tier else "the sound",
            space.description,
        ]
        for space in SPACES.values()
    ]
    return page(
        "Feature spaces",
        "An acoustic space takes the place of a model with one layer (`--model acoustic:NAME`), or "
        "of the low level (`--low-level-space`). Spaces of annotations need an "
        "[`alignment_dir`](manifest.md#dataset) of TextGrids in the manifest and cannot be probed.",
        table(["name", "features", "made from", "what it is"], rows),
        "## Settings",
        "What determines the numbers of each part; a change makes a new version, and results that "
        "were computed with it are computed again.",
        table(
            ["part", "version", "features", "settings"],
            [
                [code(part.name), str(part.version), str(part.n_features), _settings(part.settings)]
                for part in PARTS.values()
            ],
        ),
    )


def _settings(settings: Mapping[str, Any]) -> str:
    shown = []
    for name, value in settings.items():
        if isinstance(value, Mapping):
            shown.append(f"{name} ({_settings(value)})")
        elif isinstance(value, tuple):
            shown.append(f"{name}: {', '.join(map(str, value))}")
        else:
            shown.append(f"{name} = {value:g}")
    return "; ".join(shown)


def regions() -> str:
    """Describe the regions, by published coordinates and by labels."""
    spheres: dict[str, list[Sphere]] = {}
    for sphere in published_spheres():
        spheres.setdefault(sphere.region, []).append(sphere)
    named = [
        [
            code(name),
            region_title(name),
            f"union of {codes(UNIONS[name])}"
            if name in UNIONS
            else f"{len(spheres[name])} spheres of {spheres[name][0].radius_mm:g} mm",
        ]
        for name in REGION_NAMES
    ]
    centres = [
        [
            code(sphere.name),
            code(sphere.region),
            ", ".join(f"{value:g}" for value in sphere.mni),
            f"{sphere.radius_mm:g}",
            sphere.source,
        ]
        for sphere in published_spheres()
    ]
    sets = [
        [
            code(one.name),
            one.title,
            one.source,
            one.licence,
            " and ".join(code(file.name) for file in one.files) or "nothing",
        ]
        for one in SETS.values()
    ]
    families = [[code(name), told, "", "", "its files"] for name, told in FAMILIES.items()]
    files = {file.name: file.where for one in SETS.values() for file in one.files}
    surfaces = [space for space in get_args(Space) if SPACE_NAMES.get(space) is not None]
    groups: list[str] = []
    for one in SETS.values():
        if one.groups:
            rows = [[code(name), codes(labels)] for name, labels in one.groups.items()]
            groups += [f"### {one.name}", f"{one.title} ({one.source}). {one.note}".strip()]
            groups.append(table(["region", "labels"], rows))
    return page(
        "Regions",
        f"Results in the space {' or '.join(map(code, surfaces))} can be looked at in each of "
        f"these sets, and have `{WHOLE}`; in any other space they have `{WHOLE}` alone, and what "
        "the manifest describes. [How sets are used](../regions.md).",
        table(["set", "what it is", "source", "licence", "needs"], sets + families),
        table(["file", "from"], [[code(name), where] for name, where in files.items()]),
        "## Groups of labels",
        "Labels are matched by name, never by number.",
        *groups,
        "## Discs",
        "Where no label file is given, regions are discs. They are no parcels: each is the part of "
        f"the mid-cortical surface inside spheres, and figures say *{SPHERE_LABEL}*.",
        table(["name", "title", "made of"], named),
        "### Published coordinates",
        "A region is the connected patch around the vertex nearest to each centre (MNI152 mm, "
        "carried over to fsaverage), without the medial wall.",
        table(["coordinate", "region", "centre", "radius (mm)", "source"], centres),
    )


def presets() -> str:
    """Describe the protocols of papers, against the default."""
    parts = []
    for one in PRESETS.values():
        if not one.settings:
            continue
        parts += [f"## {one.name}", f"The protocol of {one.paper}."]
        parts.append(table(["setting", one.name, "default"], differences(one.name)))
        if one.probes is not None:
            parts.append(f"`braindash probe --preset {one.name}`:")
            found = probe_differences(one.name)
            parts.append(table(["setting", one.name, "default"], found))
    return page(
        "Presets",
        "What `braindash encode --preset NAME`, and where it is named `braindash probe --preset "
        "NAME`, do otherwise than the default, which is the "
        "corrected protocol. A setting that you give yourself stays. [Regions](../regions.md) says "
        "what of the papers is not reproduced.",
        *parts,
    )


def python() -> str:
    """Describe the public names, from their docstrings."""
    parts = []
    for name in braindash.__all__:
        value = getattr(braindash, name)
        if name.startswith("__"):
            continue
        parts.append(f"## {name}\n\n::: {value.__module__}.{value.__qualname__}\n{_BARE}")
    return page(
        "Python",
        "All public names are attributes of `braindash`; they are imported when they are first "
        "used. Errors are `braindash.BraindashError` and carry a `hint` that says what to do.",
        *parts,
    )


def modules() -> str:
    """List every module with the first line of its docstring."""
    rows = []
    for path in sorted((ROOT / "braindash").rglob("*.py")):
        told = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
        if told:
            place = path.relative_to(ROOT)
            rows.append([code(place.parent if path.stem == "__init__" else place), summary(told)])
    return page(
        "Where things stand",
        "Every folder and file of the package. Who may import whom is on the page "
        "[Architecture](../architecture.md).",
        table(["file", "what it is"], rows),
    )


def contributing() -> str:
    """Take CONTRIBUTING.md over, whose links start at the root of the repository."""
    return (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").replace("](docs/", "](")


PAGES: Mapping[str, Callable[[], str]] = {
    "reference/manifest.md": manifest,
    "reference/study.md": study,
    "reference/command-line.md": command_line,
    "reference/python.md": python,
    "reference/tasks.md": tasks,
    "reference/labels.md": labels,
    "reference/spaces.md": spaces,
    "reference/regions.md": regions,
    "reference/presets.md": presets,
    "reference/modules.md": modules,
    "contributing.md": contributing,
}
