"""Feature spaces that other packages bring along."""

import json
import logging
import os
import subprocess
import sys

import numpy as np
import pytest
from kit.data.toy_lab import make_lab
from kit.plugins import SPACE, put_plugin

import braindash
from braindash.errors import ModelError
from braindash.io.store import Store
from braindash.speech.acoustic import spaces
from braindash.speech.acoustic.model import open_space
from braindash.speech.acoustic.spaces import SPACES, find_space, known_spaces, space_names
from braindash.speech.acoustic.spectral import WINDOW, centred, n_frames
from braindash.speech.checkpoints.locate import locate


@pytest.fixture
def installed(monkeypatch, tmp_path):
    """Install plugins for one test."""

    def install(*arguments, **options):
        folder = put_plugin(tmp_path / f"site-{len(os.listdir(tmp_path))}", *arguments, **options)
        monkeypatch.syspath_prepend(folder)
        # The module of another test may have the same name.
        monkeypatch.delitem(sys.modules, options.get("distribution", "lab_spaces"), raising=False)
        spaces._plugins.cache_clear()
        return folder

    yield install
    spaces._plugins.cache_clear()
    for name in [name for name in sys.modules if name.startswith("lab_")]:
        del sys.modules[name]


IN_ITS_PROCESS = """
from braindash.ui.choices import acoustic_spaces
from braindash.cli import main
from braindash.cli.options import ModelOption
print([label for label in acoustic_spaces() if 'peak' in label])
print('peak' in ModelOption.__metadata__[0].help, flush=True)
main()
"""


@pytest.fixture(scope="module")
def told(tmp_path_factory, quick_model):
    """Store of a process that has a plugin, and its output: menus, help, an encoded subject."""
    folder = tmp_path_factory.mktemp("plugin")
    lab, plugin = make_lab(folder / "lab", quick_model), put_plugin(folder / "site")
    path = os.pathsep.join([str(plugin), *filter(None, [os.environ.get("PYTHONPATH")])])
    command = [sys.executable, "-c", IN_ITS_PROCESS, "encode", "--data", lab.manifest]
    command += ["--model", "acoustic:peak", "--subject", "A", "--alphas", "1,100", "--json"]
    command += ["--permutations", "0", "--bootstraps", "0", "--store", folder / "store"]
    done = subprocess.run(
        list(map(str, command)),
        check=False,
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    menus, help_names_it, document = done.stdout.split("\n", 2)
    return folder / "store", menus, help_names_it, json.loads(document)


def test_a_plugins_space_goes_end_to_end_in_a_process_of_its_own(told):
    store, *_, document = told
    assert document["model"] == "acoustic:peak"
    # This process has no plugin: a result opens without what made it.
    result = braindash.open_result(document["key"], store=store)
    assert result.provenance["model"]["revision"] == "1 of lab_spaces 0.2.0"
    assert result.r.shape[0] == 1 and result.r[0, 0] > 0.3, "responses follow the envelope"
    for entry in Store(store).entries("features"):
        with entry.open() as features:
            assert features["features"].shape[::2] == (1, 1)


def test_a_plugins_space_is_listed_and_computed_in_any_blocks(installed):
    installed()
    assert space_names() == (*SPACES, "peak") and list(known_spaces()) == [*SPACES, "peak"]
    model = open_space("acoustic:peak")
    audio = np.random.default_rng(0).standard_normal(16_000 * 25).astype(np.float32)
    whole = np.concatenate([model.frames(audio, window) for window in model.windows(len(audio))])
    windows = centred(audio, 0, n_frames(len(audio)), WINDOW)
    np.testing.assert_array_equal(
        whole[:, 0], np.abs(windows).max(1, keepdims=True).astype(np.float32)
    )
    assert locate("acoustic:peak").revision == "1 of lab_spaces 0.2.0"


def test_menus_and_help_name_the_spaces_of_plugins(told):
    _, menus, help_names_it, _ = told
    assert (menus, help_names_it) == ("['acoustic:peak: Peak of every 25 ms.']", "True")


def test_a_plugins_fingerprint_follows_its_version_and_settings(installed, monkeypatch):
    prints = []
    for module, version in [
        (SPACE, "0.2.0"),
        (SPACE, "0.3.0"),
        (SPACE.replace('"peak", 1, 1', '"peak", 2, 1'), "0.2.0"),
        (SPACE.replace("0.025", "0.05"), "0.2.0"),
        (SPACE, "0.2.0"),
    ]:
        with monkeypatch.context():
            folder = installed(module, version=version)
            prints.append(find_space("acoustic:peak").fingerprint)
            sys.path.remove(str(folder))
    assert len(set(prints)) == 4 and prints[0] == prints[-1]
    own = SPACE.replace('"peak", 1, 1, {"window_seconds": 0.025}, peak', "{part}")
    own = own.replace("Part({part})", 'PARTS["energy"]').replace("Space, Part", "Space, PARTS")
    installed(own)
    assert find_space("acoustic:peak").fingerprint == SPACES["energy"].fingerprint


@pytest.mark.parametrize(
    ("module", "reason"),
    [
        ("import no_such_module", "No module named 'no_such_module'"),
        ("raise RuntimeError('half installed')", "RuntimeError: half installed"),
        ("SPACE = 7", "it is int, not AcousticSpace"),
        (SPACE.replace('"peak", (', '"other", ('), "named 'peak' and the space 'other'"),
        (SPACE.replace(", peak),)", "),)"), "part 'peak' has no function"),
        (SPACE.replace('.025}, peak),), "Peak of every 25 ms."', '.025}, peak),), "", "word"'),
         "names a tier"),
        (SPACE.replace('{"window_seconds": 0.025}', '{"window_seconds": {1, 2}}'), "TypeError"),
        (SPACE.replace('(Part("peak", 1, 1, {"window_seconds": 0.025}, peak),)', "()"),
         "parts [] are none"),
    ],
)  # fmt: skip
def test_a_broken_plugin_is_named_and_the_others_go_on(installed, module, reason, caplog):
    installed(module, distribution="lab_broken")
    installed(SPACE.replace('"peak", (', '"sound", ('), name="sound")
    with caplog.at_level(logging.WARNING, "braindash"):
        assert list(known_spaces()) == [*SPACES, "sound"]
    assert "'peak' is left out: lab_broken 0.2.0" in caplog.text and reason in caplog.text
    with pytest.raises(ModelError, match=r"lab_broken 0\.2\.0") as caught:
        locate("acoustic:peak")
    assert reason in caught.value.message and "uninstall" in caught.value.hint
    assert locate("acoustic:logmel").n_features == 80


def test_a_plugin_takes_no_name_that_is_taken(installed, caplog):
    installed(SPACE.replace('"peak", (', '"logmel", ('), name="logmel")
    installed(SPACE, distribution="lab_a")
    installed(SPACE, distribution="lab_b")
    assert known_spaces()["logmel"] is SPACES["logmel"]
    assert known_spaces()["peak"].plugin == "lab_a 0.2.0"
    assert "braindash has a feature space of this name" in caplog.text
    assert "lab_a 0.2.0 has a feature space of this name" in caplog.text


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("return np.zeros(3)", r"shape \(3,\), not"),
        ("return np.full((stop - first, 1), np.nan)", "NaN"),
        ("samples[:] = 0", "read-only"),
        ("return 1 / 0", "ZeroDivisionError"),
    ],
)
def test_what_a_plugin_computes_is_checked(installed, line, reason):
    installed(SPACE.replace("    from braindash.speech.acoustic.spectral", f"    {line}\n    from"
                             " braindash.speech.acoustic.spectral"))  # fmt: skip
    model = open_space("acoustic:peak")
    audio = np.zeros(16_000, np.float32)
    with pytest.raises(ModelError, match=reason) as caught:
        model.frames(audio, model.windows(len(audio))[0])
    assert "lab_spaces 0.2.0" in caught.value.hint
