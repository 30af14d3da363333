"""Maps of a result as nilearn's image of a surface."""

from typing import TYPE_CHECKING

import numpy as np

from braindash.encoding.maps.kinds import (
    MAP_KINDS,
    Floats,
    Scored,
    map_values,
    result_vertices,
)
from braindash.errors import InputError

if TYPE_CHECKING:
    from nilearn.surface import SurfaceImage


def surface_image(
    result: Scored,
    layer: int | None = None,
    what: str = "r",
    *,
    ceiling: str | None = None,
    shape: str = "inflated",
) -> "SurfaceImage":
    """Return nilearn's image of a kind of map; see ``EncodingResult.surface_image``.

    Parameters
    ----------
    result : EncodingResult
        The result.
    layer, what, ceiling, shape
        As of that method.
    """
    values = map_values(result, what, ceiling)
    if layer is not None:
        values = _one_layer(values, layer, what)
    mapped = result_vertices(result)
    meshes = mapped.meshes(shape)
    from nilearn.surface import InMemoryMesh, PolyData, PolyMesh, SurfaceImage

    sides = mapped.sides(values, nearest=MAP_KINDS[what].nearest)
    return SurfaceImage(
        mesh=PolyMesh(
            # Copies: nilearn centres a mesh in place when it draws it.
            **{
                side: InMemoryMesh(one.coordinates.copy(), one.faces.copy())
                for side, one in meshes.items()
            }
        ),
        data=PolyData(**{side: np.ascontiguousarray(one.T) for side, one in sides.items()}),
    )


def _one_layer(values: Floats, layer: int, what: str) -> Floats:
    if not MAP_KINDS[what].by_layer:
        raise InputError(
            f"the map {what!r} is one of all layers, not of layer {layer}",
            hint="Leave the layer out.",
        )
    if not 0 <= layer < len(values):
        raise InputError(
            f"there is no layer {layer}", hint=f"Choose a layer from 0 to {len(values) - 1}."
        )
    return values[layer : layer + 1]
