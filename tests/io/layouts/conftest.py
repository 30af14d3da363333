"""Every layout once for all tests of this folder: nobody writes into them."""

from functools import lru_cache, partial

import pytest
from kit.layouts.arrays import algonauts, denizenslab, lebel
from kit.layouts.surfaces import fmriprep, narratives, petit_prince

MAKERS = {
    "denizenslab": denizenslab,
    "lebel": lebel,
    "narratives": narratives,
    "petit-prince": petit_prince,
    "algonauts": algonauts,
    "bids-fsaverage5": fmriprep,
    "bids-old-order": partial(fmriprep, subjects=("01",), old_order=True),
    "bids-dtseries": partial(fmriprep, kind="dtseries", subjects=("01",)),
    "bids-volume": partial(fmriprep, kind="volume", subjects=("01",)),
}


@pytest.fixture(scope="session")
def layouts(tmp_path_factory):
    """Return a function that makes the folder of a layout, once."""

    @lru_cache
    def made(name):
        return MAKERS[name](tmp_path_factory.mktemp(name))

    return made


@pytest.fixture(params=MAKERS)
def made(request, layouts):
    return layouts(request.param)
