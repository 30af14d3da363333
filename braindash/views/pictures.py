"""Static pictures of surface maps, drawn by nilearn: for print, and where there is no WebGL2."""

from collections.abc import Sequence
from io import BytesIO

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure, SubFigure
from numpy.typing import NDArray

from braindash.io.surfaces import HEMISPHERES
from braindash.viewer.blobs import MapSet
from braindash.viewer.colours import MIX_COLOURS
from braindash.views.linked import DIFFERENCE, LinkedMaps, difference_maps

_VIEWS = ("lateral", "medial")
_INK_STEPS = 8  # of each ink's share: 512 colours of three
# Of four views in one row: mirrored about the middle, as in the viewer.
_STRIP = (("left", "lateral"), ("left", "medial"), ("right", "medial"), ("right", "lateral"))
Picture = tuple[MapSet, int]
"""Maps, and which of them to draw."""


def static_figure(maps: MapSet, index: int) -> Figure:
    """Draw one map: both hemispheres, lateral and medial.

    Parameters
    ----------
    maps : MapSet
        The maps.
    index : int
        Which of them.

    Returns
    -------
    matplotlib.figure.Figure
        Save it as PNG, SVG or PDF.
    """
    from matplotlib import pyplot as plt

    figure = plt.figure(figsize=(9, 6.4), layout="constrained")
    axes = [
        figure.add_subplot(2, 2, 2 * row + column + 1, projection="3d")
        for column in range(len(HEMISPHERES))
        for row in range(len(_VIEWS))
    ]
    views = [(side, view) for side in HEMISPHERES for view in _VIEWS]
    _draw(figure, axes, views, (maps, index))
    stamp = _stamp([maps])
    figure.suptitle("  ·  ".join(filter(None, [_title((maps, index)), stamp])))
    return figure


def linked_figure(pictures: Sequence[Picture], titles: Sequence[str]) -> Figure:
    """Draw several maps under each other, one row of four views each.

    Parameters
    ----------
    pictures : sequence of (MapSet, int)
        Maps, and which of them.
    titles : sequence of str
        One per map.
    """
    from matplotlib import pyplot as plt

    figure = plt.figure(figsize=(11, 2.7 * len(pictures) + 0.4), layout="constrained")
    rows = figure.subfigures(len(pictures), 1, squeeze=False)
    for (row,), picture, title in zip(rows, pictures, titles, strict=True):
        axes = [row.add_subplot(1, 4, place + 1, projection="3d") for place in range(4)]
        _draw(row, axes, _STRIP, picture)
        row.suptitle(f"{title} · {_title(picture)}")
    if stamp := _stamp([maps for maps, _ in pictures]):
        figure.suptitle(stamp)
    return figure


def pictures_of(linked: LinkedMaps, layers: Sequence[int]) -> Figure:
    """Draw linked maps at chosen layers, and the difference of A and B where it is shown.

    Parameters
    ----------
    linked : LinkedMaps
        The panels.
    layers : sequence of int
        One per model.
    """
    pictures = list(zip(linked.maps, layers, strict=True))
    if len(pictures) == 1:
        return static_figure(*pictures[0])
    titles = list(linked.names)
    if linked.end is not None:
        pictures.append((difference_maps(linked, layers), 0))
        titles.append(DIFFERENCE)
    return linked_figure(pictures, titles)


def mixed_figure(linked: LinkedMaps, layers: Sequence[int]) -> Figure:
    """Draw two or three maps in one, as inks whose light adds up, as the viewer does.

    Parameters
    ----------
    linked : LinkedMaps
        Two or three panels.
    layers : sequence of int
        One for each.
    """
    from matplotlib import pyplot as plt
    from matplotlib.patches import Patch

    first = linked.maps[0]
    shares = np.stack(
        [
            np.clip((maps.values[layer] - maps.vmin) / (maps.vmax - maps.vmin), 0, 1)
            for maps, layer in zip(linked.maps, layers, strict=True)
        ]
    )
    values = np.stack([maps.values[at] for maps, at in zip(linked.maps, layers, strict=True)])
    known = np.isfinite(values)
    shown = np.where(known, values, -np.inf).max(axis=0) >= first.threshold
    inks = np.array([to_rgb(colour) for colour in MIX_COLOURS[: len(shares)]])
    numbers, palette = ink_numbers(np.where(known, shares, 0.0), inks)
    figure = plt.figure(figsize=(11, 3.3), layout="constrained")
    axes = [figure.add_subplot(1, 4, place + 1, projection="3d") for place in range(4)]
    _draw_numbers(axes, first, np.where(shown, numbers, 0), palette)
    handles = [
        Patch(color=tuple(ink), label=name) for ink, name in zip(inks, linked.names, strict=True)
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=3, frameon=False)
    figure.suptitle("  ·  ".join(filter(None, [first.label, _stamp([first])])))
    return figure


def ink_numbers(
    shares: NDArray[np.floating], inks: NDArray[np.floating]
) -> tuple[NDArray[np.int64], NDArray[np.floating]]:
    """Give each mix of inks a number, and each number its colour.

    Parameters
    ----------
    shares : array of shape (n_inks, n_targets)
        From 0 to 1; in steps of a seventh.
    inks : array of shape (n_inks, 3)
        Red, green and blue of each, from 0 to 1.

    Returns
    -------
    numbers : array of int, shape (n_targets,)
        From 1.
    palette : array of shape (n_colours, 3)
        ``palette[number - 1]`` is the sum of the inks by their shares, at most 1.
    """
    last, count = _INK_STEPS - 1, len(shares)
    places = _INK_STEPS ** np.arange(count)[::-1]
    numbers = 1 + places @ np.rint(np.asarray(shares) * last).astype(np.int64)
    every = np.indices((_INK_STEPS,) * count).reshape(count, -1) / last
    return numbers, np.minimum(every.T @ inks, 1.0)


def _draw_numbers(
    axes: Sequence[Axes],
    maps: MapSet,
    numbers: NDArray[np.integer],
    palette: NDArray[np.floating],
) -> None:
    """Draw four views of colours by number; 0 is cortex."""
    from matplotlib.colors import ListedColormap
    from nilearn.plotting import plot_surf_roi

    shown, geometry = maps.drawn, maps.drawn.geometry
    # The main target of each vertex: numbers of colours have no mean.
    on_mesh = np.nan_to_num(shown.values(numbers.astype(np.float32), nearest=True))
    sides = np.split(on_mesh, [geometry.counts[0]])
    shape = next(iter(geometry.shapes))
    for one, (side, view) in zip(axes, _STRIP, strict=True):
        plot_surf_roi(
            (geometry.shapes[shape][side].copy(), geometry.faces[side]),
            roi_map=sides[HEMISPHERES.index(side)].astype(int),
            bg_map=geometry.depth[side],
            hemi=side,
            view=view,
            engine="matplotlib",
            avg_method="median",  # of three numbers it is one of them
            threshold=0.5,
            vmin=1,
            vmax=len(palette),
            cmap=ListedColormap(palette),
            colorbar=False,
            axes=one,
            figure=one.get_figure(root=True),
            title=f"{side}, {view}",
        )
        one.set_box_aspect(None, zoom=1.4)  # type: ignore[call-arg]


def picture_png(figure: Figure) -> bytes:
    """Write a figure as PNG bytes, and close it."""
    from matplotlib import pyplot as plt

    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    plt.close(figure)
    return buffer.getvalue()


def _draw(
    place: Figure | SubFigure,
    axes: Sequence[Axes],
    views: Sequence[tuple[str, str]],
    picture: Picture,
) -> None:
    """Draw views of one map, with its colour scale."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize
    from nilearn.plotting import plot_surf_stat_map

    maps, index = picture
    shown = maps.drawn
    geometry = shown.geometry
    values = np.split(
        shown.values(maps.values[index], nearest=maps.nearest).astype(float), [geometry.counts[0]]
    )
    shape = next(iter(geometry.shapes))
    for one, (side, view) in zip(axes, views, strict=True):
        hemisphere = HEMISPHERES.index(side)
        plot_surf_stat_map(
            # A copy, since nilearn centres them in place.
            (geometry.shapes[shape][side].copy(), geometry.faces[side]),
            stat_map=values[hemisphere],
            bg_map=geometry.depth[side],
            hemi=side,
            view=view,
            engine="matplotlib",
            threshold=maps.threshold,
            vmin=maps.vmin,
            vmax=maps.vmax,
            cmap=maps.colours,
            colorbar=False,
            axes=one,
            figure=one.get_figure(root=True),
            title=f"{side}, {view}",
        )
        one.set_box_aspect(None, zoom=1.4)  # type: ignore[call-arg]
    scale = ScalarMappable(Normalize(maps.vmin, maps.vmax), maps.colours)
    bar = place.colorbar(scale, ax=list(axes), shrink=0.6, label=maps.label)
    bar.ax.axhline(maps.threshold, color="white", linewidth=1.5)


def _title(picture: Picture) -> str:
    maps, index = picture
    return f"{maps.names[index]} · {maps.label}"


def _stamp(maps: Sequence[MapSet]) -> str:
    return "SIMULATED" if any(one.simulated for one in maps) else ""
