"""Menus that several pages start work from: the data set, the model and the protocol."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import pandas as pd
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from braindash.defaults import PRESETS, PresetName
from braindash.demo.requests import DEMO_MODELS, MANIFEST_NAME
from braindash.errors import InputError
from braindash.io.dataset.manifest import load_manifest
from braindash.speech.acoustic.spaces import known_spaces
from braindash.speech.windows import STRATEGIES
from braindash.tuning.result import tuned_models
from braindash.ui import state

Name = TypeVar("Name", bound=PresetName)

HUB_MODELS = [
    "facebook/wav2vec2-base",
    "facebook/wav2vec2-base-960h",
    "facebook/wav2vec2-large",
    "facebook/hubert-base-ls960",
    "facebook/hubert-large-ll60k",
    "microsoft/wavlm-base-plus",
    "microsoft/wavlm-large",
    "facebook/data2vec-audio-base",
    "openai/whisper-small",
]
OWN_DATA = "My manifest"
DEMO_DATA = "Embedded demo (simulated)"
OWN_MODEL = "Another hub id or local folder"
MANIFEST_HELP = "A TOML file that names your stories, responses and splits; the README shows one."
LEAVE_OUT = "Leave out bad recordings"
LEAVE_OUT_HELP = (
    "Recordings that are silent, cut short or unreadable stop the run; with this it goes on "
    "without them, and the result lists them."
)
MODEL_HELP = (
    "A hub id is downloaded once; a local folder holds config.json and model.safetensors, or a "
    "LoRA adapter as peft saves it, whose base must be found too. An acoustic space has one layer "
    "and no weights: it says how well the sound itself predicts; the annotated ones need the "
    "manifest's TextGrids."
)


def data(page: str) -> Path | None:
    """Ask for the manifest.

    Parameters
    ----------
    page : str
        Begins the keys of the page's widgets.

    Returns
    -------
    Path or None
        None as long as nothing is named.
    """
    demo = state.store().demo_folder / MANIFEST_NAME
    kinds = [DEMO_DATA, OWN_DATA] if demo.is_file() else [OWN_DATA]
    kind = st.segmented_control(
        "Data set", kinds, default=kinds[0], required=True, key=f"{page}_data"
    )
    if kind == DEMO_DATA:
        return demo
    text = st.text_input(
        "Manifest file", placeholder="/path/to/manifest.toml", help=MANIFEST_HELP, key="manifest"
    )
    return state.resolve_inside_roots(text) if text else None


def subjects(label: str, manifest: Path, page: str) -> list[str]:
    """Ask for subjects of a data set; at first all are chosen.

    Parameters
    ----------
    label : str
        Of the menu.
    manifest : Path
        Names them.
    page : str
        Begins the keys of the page's widgets.
    """
    every = list(load_manifest(manifest).subjects)
    key = f"{page}_subjects"
    if key not in st.session_state or st.session_state.get(f"{key}_of") != every:
        st.session_state[f"{key}_of"] = st.session_state[key] = every
    return st.multiselect(label, every, key=key)


def acoustic_spaces() -> dict[str, str]:
    """Return every acoustic space, also of plugins: what a menu shows, and its full name."""
    return {
        f"{space.full_name}: {space.description}": space.full_name
        for space in known_spaces().values()
    }


def model(page: str, further: Mapping[str, str] | None = None) -> str | None:
    """Ask for a model: shipped, tuned here, by hub id, or a local folder.

    Parameters
    ----------
    page : str
        Begins the keys of the page's widgets.
    further : mapping of str to str, optional
        Names of other things that the page takes, and what they stand for.

    Returns
    -------
    str or None
        None as long as nothing is named.
    """
    named = {f"{name} (shipped with the demo)": str(path) for name, path in DEMO_MODELS.items()}
    tuned = tuned_models(state.store())
    named |= {f"{one.name} (tuned here)": str(one.folder) for one in tuned}
    named |= {name: name for name in HUB_MODELS} | dict(further or {})
    chosen = st.selectbox("Model", [*named, OWN_MODEL], help=MODEL_HELP, key=f"{page}_model")
    return named[chosen] if chosen != OWN_MODEL else own_model()


def own_model(label: str = "Hub id or folder", key: str = "own_model") -> str | None:
    """Ask for a hub id or a folder; folders stay inside the allowed ones."""
    text = st.text_input(
        label, placeholder="organisation/model or /path/to/folder", key=key
    ).strip()
    if ":" in text:
        raise InputError(
            f"{text!r} is neither a hub id nor a folder",
            hint="Untrained controls have a switch below, acoustic spaces stand in the list.",
        )
    looks_local = text.startswith(("/", "~", "."))
    return str(state.resolve_inside_roots(text)) if looks_local else text or None


def leave_out_bad(page: str) -> bool:
    """Ask whether recordings that cannot be used are left out, or stop the run."""
    return st.toggle(LEAVE_OUT, value=False, help=LEAVE_OUT_HELP, key=f"{page}_leave_out_bad")


def strategy(place: DeltaGenerator, page: str, first: str) -> str:
    """Ask how features are made.

    Parameters
    ----------
    place : DeltaGenerator
        Where the menu stands.
    page : str
        Begins the key of its widget.
    first : {"exact", "chunk"}
        The usual one of the page.
    """
    names = sorted(STRATEGIES, key=lambda name: name != first)
    captions = [STRATEGIES[name].description for name in names]
    return place.radio("Features", names, captions=captions, key=f"{page}_strategy")


def protocol(
    names: Sequence[Name], differences: Callable[[Name], Sequence[Sequence[str]]], key: str
) -> Name:
    """Ask for a protocol, and say what it does otherwise than the default.

    Parameters
    ----------
    names : sequence of str
        Of ``PRESETS``.
    differences : callable
        Gives the lines of a protocol's table: setting, its value, the default's.
    key : str
        Of the menu.
    """
    name: Name = st.selectbox(
        "Protocol",
        names,
        format_func=lambda one: f"{one}: {PRESETS[one].paper}",
        help="The default is the corrected protocol; the others are those of papers.",
        key=key,
    )
    if found := differences(name):
        columns = ["setting", name, "default"]
        st.dataframe(pd.DataFrame(found, columns=columns), hide_index=True, height="content")
    return name
