"""The lag that was planted into the layouts of public data is read from their folders."""

import pytest
from kit.layouts.arrays import algonauts, denizenslab
from kit.layouts.common import LAG_SECONDS
from kit.layouts.surfaces import fmriprep

from braindash.checking.run import check_data

LAYOUTS = {
    "algonauts": algonauts,
    "denizenslab": lambda folder: denizenslab(folder, subjects=("01",)),
    "fmriprep": lambda folder: fmriprep(folder, subjects=("01",)),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_planted_lag_is_found(tmp_path, layout):
    LAYOUTS[layout](tmp_path)
    report = check_data(tmp_path)
    one = report.subjects[0]
    assert not one.faults()
    assert one.lag_seconds == pytest.approx(LAG_SECONDS, abs=0.2) and one.lag_clear
    for story in one.stories:
        assert story.lag_seconds == pytest.approx(LAG_SECONDS, abs=0.4)
