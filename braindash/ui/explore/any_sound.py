"""Any sound on the page Story: brought by a visitor, predicted by the worker, then played.

The sound is read and altered here, predicted in a job, and deleted from the disk when that ends;
what is heard stays in the memory of the visit.
"""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from braindash.core.statistics.words import counted
from braindash.encoding.listening.picture import picture_of
from braindash.encoding.result import EncodingResult
from braindash.encoding.sounds.kept import find_weights, kept_layers
from braindash.encoding.sounds.prediction import SoundPrediction
from braindash.errors import BraindashError, InputError
from braindash.exports.source import Source
from braindash.files import digest_bytes
from braindash.io.dataset.audio import SAMPLE_RATE_HZ
from braindash.jobs.queue import Job
from braindash.requests import ALTERATIONS, SoundRequest, build_request
from braindash.ui import answers, state, texts, widgets
from braindash.ui.explore import listening, selecting
from braindash.ui.explore.listening import Player, Sound
from braindash.ui.frame import presenting
from braindash.ui.visitors.rights import visitor
from braindash.viewer.drawn import can_show
from braindash.views.listening.clips import Clip, clip_lines, clip_programme, heard_line
from braindash.work.brought import (
    LARGEST_SOUND_BYTES,
    AskedSound,
    ask_sounds,
    forget_sound,
    keep_sound,
    open_asked,
    sound_wav,
)
from braindash.work.sounds import series_files
from braindash.work.submit import submit_weights

_ASKED, _WEIGHTS = "sounds_asked", "weights_asked"
_PLACE = "sounds"
NOTHING, OTHER, MODEL = "nothing", "another sound", "model B, for the same sound"
_LOCAL = ("localhost", "127.0.0.1", "[::1]", "::1")
_MB = 1_000_000
_FILE_HELP = (
    "WAV, FLAC, OGG, Opus or MP3, at any rate. Of a film take the sound out first: "
    "ffmpeg -i FILM -vn SOUND.wav"
)
_BESIDE_HELP = (
    "Played beside it, with A minus B. Reversed speech has the same long-term spectrum and "
    "loudness; noise-vocoded speech keeps, in a few bands, its slow course."
)
_BANDS_HELP = "Few bands leave rhythm, many leave words."


@dataclass(frozen=True)
class Visit:
    """What a visitor asked for.

    Attributes
    ----------
    sounds : tuple of AskedSound
        One; or two, which are played beside each other.
    names : tuple of str
        What they are called.
    results : tuple of str
        Keys of the results that they were asked of.
    """

    sounds: tuple[AskedSound, ...]
    names: tuple[str, ...]
    results: tuple[str, ...]


def show(
    selection: selecting.Selection, results: Sequence[EncodingResult], bar: DeltaGenerator
) -> None:
    """Draw the part of the page: what is brought, what is under way, what is predicted.

    Parameters
    ----------
    selection : Selection
        Models A and B.
    results : sequence of EncodingResult
        Of these.
    bar : DeltaGenerator
        The selection bar, which the region goes into.
    """
    result, who = results[0], visitor()
    if not who.may_compute:
        st.info(texts.no_sounds(who.reason))
        return
    with bar:
        region = listening.choose_region(result)
    if not can_show(result.space, result.n_targets, result.surface):
        st.info(texts.no_surface(result.space))
        return
    if not kept_layers(result, state.store()):
        _ask_for_weights(selection, result)
        return
    row = st.container(horizontal=True, gap="small", vertical_alignment="bottom", key="any_sound")
    if not presenting():
        _ask_for_sound(selection, results, row)
    answers.show(_PLACE)
    visit: Visit | None = st.session_state.get(_ASKED)
    if visit is None:
        st.caption(f"{texts.plain(_fitted_to(result))} {texts.SOUND_KEPT}")
        return
    known = {one.key: one for one in results}
    if not set(visit.results) <= set(known):
        st.info("The last prediction was of another model or subject: press **Predict** again.")
        return
    made = _opened(visit)
    if made is None:
        return
    clips = [
        Clip(known[key], one, name)
        for key, one, name in zip(visit.results, made, visit.names, strict=True)
    ]
    _play(visit, clips, region, row)


def _opened(visit: Visit) -> list[SoundPrediction] | None:
    """Open what was predicted; None while it is under way, which is shown then."""
    over = all(job.state == "done" for job in _jobs(visit))
    found = [open_asked(one, state.store()) for one in visit.sounds]
    made = [one for one in found if one is not None]
    if len(made) == len(found):
        return made
    if over:  # looked at before the store: it is not about to come
        st.info("The prediction is not in the store any more: press **Predict** again.")
    else:
        _follow(visit)
    return None


# ---- what is brought -------------------------------------------------------------------------


def _fitted_to(result: EncodingResult) -> str:
    weights = find_weights(result, state.store())
    return (
        f"What comes is a prediction for {result.subject}, not a measurement, by layer "
        f"{weights.layer} of {result.model}, whose weights were {weights.training_line}; of sounds "
        "that are unlike these it is an extrapolation."
    )


def _ask_for_sound(
    selection: selecting.Selection, results: Sequence[EncodingResult], row: DeltaGenerator
) -> None:
    """Ask for the sound, or for two."""
    with row:
        _ask_for_one("sound", "Sound file", "Microphone")
        st.number_input("From (s)", 0.0, None, None, key="sound_start", width=100, step=1.0)
        st.number_input("To (s)", 0.0, None, None, key="sound_stop", width=100, step=1.0)
        beside = _choose_beside(selection, results)
        if beside == OTHER:
            _ask_for_one("sound_b", "Sound file B", "Microphone B")
        if beside == "noise-vocoded":
            st.number_input("Bands", 1, 32, 6, key="sound_bands", width=100, help=_BANDS_HELP)
        st.button(
            "Predict",
            type="primary",
            icon=":material/play_arrow:",
            key="sound_predict",
            on_click=_predict,
            args=(tuple(one.key for one in results), tuple(selection.model_names), beside),
        )
    _say_where_microphones_work()


def _ask_for_one(key: str, file: str, microphone: str) -> None:
    st.file_uploader(
        file,
        key=f"{key}_file",
        max_upload_size=LARGEST_SOUND_BYTES // _MB,
        help=_FILE_HELP,
        width=270,
    )
    st.audio_input(microphone, key=f"{key}_microphone", width=270)


def _choose_beside(selection: selecting.Selection, results: Sequence[EncodingResult]) -> str:
    offered = [NOTHING, *(name for name in ALTERATIONS if name != "as-is"), OTHER]
    if len(results) > 1:
        offered.append(MODEL)
    titles: dict[str, str] = {name: f"itself, {name}" for name in ALTERATIONS}
    titles[MODEL] = f"{selection.model_names[1]}, for the same sound"
    return state.choose(
        "Beside it",
        offered,
        "beside",
        show=lambda name: titles.get(name, name),
        help=_BESIDE_HELP,
        width=210,
    )


def _say_where_microphones_work() -> None:
    """Say why a browser refuses the microphone, where it does."""
    scheme, _, rest = (st.context.url or "").partition("://")
    host = rest.partition("/")[0]
    name = host if host.startswith("[") and host.endswith("]") else host.rpartition(":")[0] or host
    if scheme == "http" and name not in _LOCAL:
        st.info(
            f"Browsers give the microphone to pages over HTTPS or from localhost only, and this "
            f"one comes over http from {host}. Bring a file, or open the dashboard over HTTPS.",
            icon=":material/mic_off:",
        )


def _predict(results: tuple[str, ...], models: tuple[str, str], beside: str) -> None:
    """Keep what was brought, and ask for its predictions; a callback."""
    with answers.answering(_PLACE):
        visit = _asked(results, models, beside)
        _forget_last()
        st.session_state[_ASKED] = visit


def _asked(results: tuple[str, ...], models: tuple[str, str], beside: str) -> Visit:
    """Ask for what the controls say; where that is refused, what was brought is not kept."""
    kept: list[Path] = []
    try:
        return _visit(results, models, beside, kept)
    except BraindashError:
        for path in kept:
            forget_sound(path, state.store())
        raise


def _visit(
    results: tuple[str, ...], models: tuple[str, str], beside: str, kept: list[Path]
) -> Visit:
    first = _brought("sound", kept)
    cut = {"start": st.session_state.get("sound_start"), "stop": st.session_state.get("sound_stop")}
    requests = [_request(results[0], first, cut)]
    if beside == OTHER:
        requests.append(_request(results[0], _brought("sound_b", kept), {}))
    elif beside == MODEL:
        requests.append(_request(results[1], first, cut))
    elif beside != NOTHING:
        bands = int(st.session_state.get("sound_bands") or 6)
        changed = cut | {"altered": beside, "n_bands": bands}
        requests.append(_request(results[0], first, changed))
    sounds = ask_sounds(requests, state.store())
    if len(sounds) == 1:
        names = [sounds[0].name]
    elif beside == MODEL:
        names = [f"{letter}: {name}" for letter, name in zip("AB", models, strict=True)]
    else:
        names = [f"{letter}: {one.name}" for letter, one in zip("AB", sounds, strict=True)]
    return Visit(tuple(sounds), tuple(names), tuple(one.result for one in sounds))


def _request(result: str, audio: Path, changes: Mapping[str, Any]) -> SoundRequest:
    return build_request(SoundRequest, result=result, audio=audio, **changes)


def _brought(key: str, kept: list[Path]) -> Path:
    """Keep what was brought last, of a recording and a file the recording; note where it is."""
    recorded = st.session_state.get(f"{key}_microphone")
    given = recorded or st.session_state.get(f"{key}_file")
    if given is None:
        which = "sound B" if key == "sound_b" else "sound"
        raise InputError(
            f"there is no {which} yet", hint="Choose a file, or record with the microphone."
        )
    name = "recording.wav" if recorded else given.name
    kept.append(keep_sound(given.getvalue(), name, state.store()))
    return kept[-1]


# ---- what is under way -----------------------------------------------------------------------


@st.fragment(run_every=1.0)
def _follow(visit: Visit) -> None:
    """Show the jobs of the visit, live; draw the page when they are done."""
    jobs = _jobs(visit)
    active = [job for job in jobs if job.state in widgets.ACTIVE]
    if not active:
        if all(job.state == "done" for job in jobs):
            st.rerun(scope="app")
        _tell_end(jobs)
        return
    state.queue().ensure_worker()
    for job in active:
        widgets.job_progress(job)
    ahead = [
        job
        for job in state.queue().list(states=("queued", "running"), limit=None)
        if job.key not in _keys(visit) and job.created < active[-1].created
    ]
    if ahead and not any(job.state == "running" for job in active):
        st.caption(f"It waits for {counted(len(ahead), 'job')} before it: see the page Jobs.")
    st.button("Cancel", key="sound_cancel", on_click=_cancel, args=(visit,))


def _keys(visit: Visit) -> set[str]:
    return {one.key for one in visit.sounds}


def _jobs(visit: Visit) -> list[Job]:
    return [job for job in state.queue().list(limit=None) if job.key in _keys(visit)]


def _tell_end(jobs: Sequence[Job]) -> None:
    """Say why there is no prediction."""
    for job in jobs:
        if job.error:
            st.error(texts.plain(f"{job.error}\n\n{job.hint or ''}"))
    if not any(job.error for job in jobs):
        st.info("The prediction was cancelled; the sound is not kept.")


def _cancel(visit: Visit) -> None:
    # All of them, also where one cannot be.
    with answers.answering(_PLACE), ExitStack() as undone:
        for one in visit.sounds:
            undone.callback(forget_sound, one.path, state.store())
            undone.callback(state.queue().cancel, one.key)


def _forget_last() -> None:
    """Delete what a visit before this one left; a job that runs still deletes its own."""
    last: Visit | None = st.session_state.pop(_ASKED, None)
    for one in last.sounds if last else ():
        forget_sound(one.path, state.store())


# ---- what is predicted -----------------------------------------------------------------------


def _play(visit: Visit, clips: Sequence[Clip], region: str, row: DeltaGenerator) -> None:
    """Play the predictions, and say what they are."""
    heard = 0
    if len({one.key for one in visit.sounds}) > 1 and not _is_one_sound(visit):
        with row:
            letter = st.segmented_control(
                "Heard now", ["A", "B"], default="A", required=True, key="sound_heard"
            )
        heard = "AB".index(letter or "A")
    asked = visit.sounds[heard]
    programme = clip_programme(clips, visit.sounds[0].name, region)
    sound = _sound(asked, programme.timing.end)
    listening.hear(sound)
    key = f"sound_{digest_bytes(programme.identity.encode())[:8]}"
    listening.show_player(Player(programme, sound, key=key))
    st.caption(texts.plain(" ".join(clip_lines(clips))))
    predictions = [one.prediction for one in clips]
    told = _contrast(predictions)
    taken = listening.courses_take(
        programme,
        [one.result for one in clips],
        maps=lambda: lambda source: _files(told, source),
    )
    widgets.told(
        heard_line(predictions[0]),
        [texts.SOUND_KEPT, *clip_lines(clips)],
        [taken],
        source=(clip_lines(clips)[0], clip_lines(clips)[1:]),
    )


def _is_one_sound(visit: Visit) -> bool:
    first, *others = visit.sounds
    return all(np.array_equal(first.samples, one.samples) for one in others)


def _sound(asked: AskedSound, end: float) -> Sound:
    """Return what is heard: the sound, then silence until the last row is over."""
    silence = max(0.0, end - len(asked.samples) / SAMPLE_RATE_HZ)
    found: Sound = _heard(f"{asked.key} {silence:.3f}", asked, silence)
    return found


@st.cache_resource(max_entries=4, show_spinner="Drawing the sound", scope="session")
def _heard(identity: str, _asked: AskedSound, _silence: float) -> Sound:
    wav = sound_wav(_asked.samples, _silence)
    padded = np.concatenate(
        [_asked.samples, np.zeros(round(_silence * SAMPLE_RATE_HZ), np.float32)]
    )
    return Sound(wav, "audio/wav", picture_of(padded), name=identity)


def _contrast(predictions: Sequence[SoundPrediction]) -> SoundPrediction:
    first, *others = predictions
    return first.minus(others[0]) if others else first


def _files(prediction: SoundPrediction, source: Source) -> dict[str, bytes]:
    """Write the prediction, or the contrast, as a series; its sidecar says what it is."""
    return series_files(prediction, state.store(), "prediction")


# ---- weights ---------------------------------------------------------------------------------


def _ask_for_weights(selection: selecting.Selection, result: EncodingResult) -> None:
    """Say how weights are kept where there are none, and offer to keep them."""
    try:
        find_weights(result, state.store())
    except BraindashError as error:
        st.info(texts.plain(f"{error.message[0].upper()}{error.message[1:]}. {error.hint}"))
    if result.spec.get("within"):
        return
    asked = st.session_state.get(_WEIGHTS, {})
    if result.key in asked:
        _follow_weights(asked[result.key])
    elif st.button("Keep the weights of the best layer", type="primary", key="keep_weights"):
        with widgets.guarded(), st.spinner("Looking at the data and the model"):
            job = submit_weights(result.key, state.store())
            st.session_state[_WEIGHTS] = {**asked, result.key: job.key}
            st.rerun()


@st.fragment(run_every=1.0)
def _follow_weights(key: str) -> None:
    job = state.queue().get(key)
    if job.state in widgets.ACTIVE:
        state.queue().ensure_worker()
        widgets.job_progress(job)
    elif job.state == "done":
        st.rerun(scope="app")
    else:
        st.error(
            texts.plain(f"{job.error or 'Keeping the weights was cancelled.'}\n\n{job.hint or ''}")
        )
