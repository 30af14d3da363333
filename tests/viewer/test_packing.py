"""Arrays as blobs: what is packed is read again, also by the viewer's script."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from braindash.viewer.packing import pack, unpack


@given(
    st.lists(
        hnp.arrays(
            st.sampled_from([np.uint8, np.uint16, np.int16, np.float32]),
            hnp.array_shapes(max_dims=2, max_side=7),
        ),
        max_size=4,
    )
)
def test_unpack_undoes_pack(arrays):
    named = {f"a{position}": array for position, array in enumerate(arrays)}
    blob = pack({"word": "grün"}, named)
    header, again = unpack(blob)
    assert header == {"word": "grün"}
    assert list(again) == list(named)
    for name, array in named.items():
        assert again[name].dtype == array.dtype
        assert again[name].tobytes() == array.tobytes()  # NaN included
        assert again[name].shape == array.shape


def test_neighbours_that_are_alike_travel_in_fewer_bytes():
    rng = np.random.default_rng(0)
    layers = 120 + np.cumsum(rng.integers(-2, 3, (13, 5000)), axis=0)
    blob = pack({}, {"maps": layers.astype(np.uint8)})
    assert len(blob) < 0.5 * layers.size
    np.testing.assert_array_equal(unpack(blob)[1]["maps"], layers)
