"""Bands in which nothing is heard are left out of what a layer is asked."""

import json
from pathlib import Path

import soundfile
from kit.data.sounds import speechlike

from braindash.io.store import Store
from braindash.requests import ProbeRequest
from braindash.work.kinds import run


def test_bands_above_a_telephones_sound_are_left_out_and_told(tmp_path):
    (tmp_path / "data").mkdir()
    for actor in range(1001, 1007):
        for number, emotion in enumerate(("ANG", "HAP", "SAD")):
            sound = speechlike(0.4, 8000, seed=3 * actor + number)
            soundfile.write(tmp_path / "data" / f"{actor}_DFA_{emotion}_XX.wav", sound, 8000)
    request = ProbeRequest(
        model="acoustic:energy", labels="crema-d", labels_path=tmp_path / "data",
        tasks=("logmel",), n_shuffles=0, n_bootstraps=10,
    )  # fmt: skip
    result = run(request, Store(tmp_path / "store"))
    assert result.tasks == ("logmel",)
    made = (Path(result.folder) / "provenance.json").read_text()
    assert "of 80 outputs are constant in a part of the recordings" in made
    assert any("nothing above 4 kHz" in text for text in json.loads(made)["warnings"])
