"""The control under a figure that gives it, its data and its maps as files.

Nothing is made before it is asked for: what the control offers is drawn when it is opened, and a
file is made when its button is pressed.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd
import streamlit as st
from matplotlib.figure import Figure

from braindash.encoding.result import EncodingResult
from braindash.encoding.several.groups import Group
from braindash.exports.source import Source, file_name, json_bytes, zipped
from braindash.probing.result import ProbingResult
from braindash.viewer.blobs import MapSet
from braindash.views.linked import LinkedMaps

LABEL = "Take away"
_KEY_DIGITS = 8
_NAMED = 2  # keys in the name of a file
_FIGURES, _TABLES = ("svg", "pdf", "png"), ("CSV", "Parquet")
_PROMISE = "Files are made when you press a button; each holds where its numbers come from."

Files = Mapping[str, bytes]
MakeFiles = Callable[[Source], Files]
Picture = tuple[str, Callable[[], Figure]]
"""What a picture shows, and what draws it."""


@dataclass(frozen=True)
class Take:
    """What can be taken away of one figure or table.

    Attributes
    ----------
    name : str
        In the names of files, and of the control: one of its kind on a page.
    title : str
        What it shows.
    keys : tuple of str
        Of the results.
    simulated : bool
        Whether any of them is of simulated data.
    figure : plotly.graph_objects.Figure, optional
        As the page shows it.
    picture : callable, optional
        Says, when the control is opened, which map is seen now, and what draws it.
    table : pandas.DataFrame or callable, optional
        The numbers, or what makes them; of a figure without, those that it draws.
    maps : callable, optional
        Says, when the control is opened, which maps are seen now: gives what makes their files,
        by their names, with the source that it is given.
    label : str
        Of the control, where several stand beside each other.
    """

    name: str
    title: str
    keys: tuple[str, ...]
    simulated: bool
    figure: Any = None
    picture: Callable[[], Picture] | None = None
    table: pd.DataFrame | Callable[[], pd.DataFrame] | None = None
    maps: Callable[[], MakeFiles] | None = None
    label: str = LABEL

    @property
    def file(self) -> str:
        """Name of its files, without what stands behind the dot."""
        first, *others = [key[:_KEY_DIGITS] for key in self.keys[:_NAMED]] or [""]
        return file_name("braindash", first, *[f"and-{key}" for key in others], self.name)


def take(
    results: Sequence[Group | EncodingResult | ProbingResult], name: str, title: str, **what: Any
) -> Take:
    """Say what can be taken away of a figure of some results.

    Parameters
    ----------
    results : sequence of Group, EncodingResult or ProbingResult
        In the figure, model A first.
    name, title : str
        As of :class:`Take`.
    **what
        Its other attributes.
    """
    every = [one.results if isinstance(one, Group) else (one,) for one in results]
    first = [several[0].key for several in every]
    keys = tuple(dict.fromkeys([*first, *(one.key for several in every for one in several)]))
    return Take(name, title, keys, any(one.simulated for one in results), **what)


def control(taken: Take, line: str, details: Sequence[str]) -> None:
    """Draw the control.

    Parameters
    ----------
    taken : Take
        What is offered.
    line : str
        The provenance line under the figure.
    details : sequence of str
        What stands behind "Details".
    """
    _draw(taken, Source(taken.title, line, tuple(details), taken.keys, taken.simulated))


@st.fragment
def _draw(taken: Take, source: Source) -> None:
    with st.popover(
        taken.label,
        type="tertiary",
        icon=":material/download:",
        key=f"take_{file_name(taken.name)}",
        on_change="rerun",
    ) as place:
        if not place.open:
            return
        st.caption(_PROMISE)
        with st.container(horizontal=True, gap="small"):
            for name, (file, make) in _offers(taken, source).items():
                st.download_button(
                    name,
                    make,
                    file_name=file,
                    mime=_MIME[file.rpartition(".")[2]],
                    on_click="ignore",
                    key=f"take_{file_name(taken.name)}_{name}",
                )


_MIME = {
    "svg": "image/svg+xml",
    "pdf": "application/pdf",
    "png": "image/png",
    "csv": "text/csv",
    "parquet": "application/vnd.apache.parquet",
    "zip": "application/zip",
}


def _offers(taken: Take, source: Source) -> dict[str, tuple[str, Callable[[], bytes]]]:
    """Say what there is: the text of each button, the name of its file and what makes it."""
    one = taken
    if taken.picture is not None:  # which map is seen now
        title, draw = taken.picture()
        one = replace(taken, picture=lambda: (title, draw))
        source = replace(source, title=title)
    offers: dict[str, tuple[str, Callable[[], bytes]]] = {}
    if one.figure is not None or one.picture is not None:
        for form in _FIGURES:
            offers[form.upper()] = (f"{one.file}.{form}", _figure(one, form, source))
    if one.table is not None or one.figure is not None:
        offers["CSV"] = (f"{one.file}.csv", _table(one, "csv", source))
        offers["Parquet"] = (f"{one.file}.parquet", _table(one, "parquet", source))
    if one.maps is not None:
        maps = one.maps()
        one = replace(one, maps=lambda: maps)
        offers["GIFTI"] = (f"{one.file}-gifti.zip", lambda: zipped(maps(source)))
    every = dict(offers)
    offers["All"] = (f"{one.file}.zip", lambda: _all(one, every, source))
    return offers


def _drawn(taken: Take, forms: Sequence[str], source: Source) -> dict[str, bytes]:
    from braindash.exports.figures import figure_files, picture_files

    if taken.picture is not None:
        return picture_files(taken.picture()[1], forms, source)
    return figure_files(taken.figure, forms, source)


def _figure(taken: Take, form: str, source: Source) -> Callable[[], bytes]:
    return lambda: _drawn(taken, [form], source)[form]


def _table(taken: Take, form: str, source: Source) -> Callable[[], bytes]:
    def make() -> bytes:
        from braindash.exports.tables import table_bytes

        return table_bytes(table_of(taken), form, source)

    return make


def table_of(taken: Take) -> pd.DataFrame:
    """Return the numbers: those that were given, or those that the figure draws."""
    from braindash.exports.tables import figure_table

    if taken.table is None:
        return figure_table(taken.figure)
    return taken.table() if callable(taken.table) else taken.table


def _all(
    taken: Take, offers: Mapping[str, tuple[str, Callable[[], bytes]]], source: Source
) -> bytes:
    """Put every file into one archive, with where the numbers come from as JSON."""
    files: dict[str, bytes] = {}
    if "SVG" in offers:  # drawn once for all formats
        drawn = _drawn(taken, _FIGURES, source)
        files = {f"{taken.file}.{form}": content for form, content in drawn.items()}
    files |= {file: make() for name, (file, make) in offers.items() if name in _TABLES}
    if taken.maps is not None:
        files |= {f"maps/{name}": content for name, content in taken.maps()(source).items()}
    files[f"{taken.file}.json"] = json_bytes(source.document())
    return zipped(files)


# ---- maps -----------------------------------------------------------------------------------


def map_take(
    shown: Callable[[], Mapping[str, MapSet]],
    groups: Sequence[Group],
    title: str,
    picture: Callable[[], Picture],
    **what: Any,
) -> Take:
    """Say what can be taken away of maps on a surface: pictures, and GIFTI of every layer.

    Parameters
    ----------
    shown : callable
        Says which maps are seen now, by what names their files.
    groups : sequence of Group
        Whose maps they are, one for each.
    title : str
        What they show.
    picture : callable
        As of :class:`Take`.
    **what
        Further attributes of it.
    """

    def seen() -> MakeFiles:
        now = shown()

        def files(source: Source) -> Files:
            from braindash.exports.gifti import map_files, set_maps

            found: dict[str, bytes] = {}
            for (name, maps), group in zip(now.items(), groups, strict=False):
                written = set_maps(maps, group.n_targets, group.surface)
                found |= map_files(written, file_name(name), source)
            return found

        return files

    return take(groups, what.pop("name", "maps"), title, picture=picture, maps=seen, **what)


def set_take(maps: MapSet, name: str, title: str, **what: Any) -> Take:
    """Say what can be taken away of one map that is of no result, such as a region set.

    Parameters
    ----------
    maps : MapSet
        With one map; its targets need no other map to come to a surface.
    name, title : str
        As of :class:`Take`.
    **what
        Further attributes of it.
    """

    def files(source: Source) -> Files:
        from braindash.exports.gifti import map_files, set_maps

        return map_files(set_maps(maps, maps.values.shape[1], None), file_name(name), source)

    return Take(
        name,
        title,
        (),
        maps.simulated,
        picture=lambda: picture_of(maps, 0),
        maps=lambda: files,
        **what,
    )


def picture_of(maps: MapSet, layer: int) -> Picture:
    """Say what a map shows and what draws it: four views of one layer."""
    from braindash.views.pictures import static_figure

    place = min(layer, len(maps.names) - 1)
    return f"{maps.label}, {maps.names[place]}", lambda: static_figure(maps, place)


def linked_picture(linked: LinkedMaps, layers: Sequence[int]) -> Picture:
    """Say what maps side by side show and what draws them: a row of four views each."""
    from braindash.views.pictures import pictures_of

    named = zip(linked.names, linked.maps, layers, strict=True)
    title = ", ".join(f"{name} {maps.names[layer]}".strip() for name, maps, layer in named)
    return f"{linked.maps[0].label}: {title}", lambda: pictures_of(linked, layers)
