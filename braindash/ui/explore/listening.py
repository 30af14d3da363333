"""The player of the page Story: sound, words, courses, and the cortex in time.

Everything that moves moves in the browser. The server sends a series of maps in pieces, the first
when the page opens and every other one when the player asks for it, and the exact course of a
vertex when that is clicked.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import soundfile
import streamlit as st

from braindash.encoding.listening.picture import SoundPicture, picture_of
from braindash.encoding.result import EncodingResult
from braindash.errors import InputError
from braindash.io.dataset.audio import SAMPLE_RATE_HZ, find_recording, load_audio
from braindash.io.labels.textgrid import Interval
from braindash.io.regions.masks import WHOLE
from braindash.ui import state
from braindash.ui.explore import address
from braindash.ui.frame import presenting
from braindash.ui.surfaces import (
    carrier,
    colour_message,
    geometry_message,
    keep_address,
    map_message,
    named_blob,
    take_part,
)
from braindash.ui.take_away import Take, take
from braindash.ui.widgets import part
from braindash.viewer import PLAYER_MODULES, player_markup, script
from braindash.viewer.colours import region_title
from braindash.views.listening.courses import course_blob
from braindash.views.listening.played import usual_region
from braindash.views.listening.programme import Programme, Track, course_table
from braindash.views.listening.series import Series

KEY = "story_player"
AUDIO = "story_audio"
"""Key of the container that holds the browser's own audio element."""
# What every browser plays as it is; larger files, and others, are sent as 16 kHz mono.
_PLAYED = {"WAV": "audio/wav", "FLAC": "audio/flac", "OGG": "audio/ogg", "MP3": "audio/mpeg"}
_PLAIN_WAVES = ("PCM_16", "PCM_24", "PCM_U8", "PCM_32", "FLOAT")
_MOST_BYTES = 64_000_000
_REGION_HELP = "The region whose course is shown at first, and in which layers are compared."


@dataclass(frozen=True)
class Sound:
    """What is heard.

    Attributes
    ----------
    content : bytes or str
        The recording for the browser, or the path of its file; empty where there is none.
    kind : str
        Its media type.
    picture : SoundPicture or None
        What is drawn of it.
    note : str
        What is to be said: why there is no sound, or how it is played.
    name : str
        Names the recording and its state; empty without one.
    """

    content: bytes | str = ""
    kind: str = ""
    picture: SoundPicture | None = None
    note: str = ""
    name: str = ""


def open_sound(path: Path) -> Sound:
    """Prepare a recording: decoded once for its picture, played from its file where browsers can.

    Raises
    ------
    InputError
        When it cannot be read.
    """
    status = path.stat()
    found: Sound = _sound(str(path), status.st_mtime_ns, status.st_size)
    return found


@st.cache_resource(max_entries=6, show_spinner="Drawing the sound")
def _sound(path: str, modified: int, size: int) -> Sound:
    samples = load_audio(path)
    picture = picture_of(samples)
    kind, name = _playable(Path(path), size), f"{path} {modified} {size}"
    if kind:
        return Sound(path, kind, picture, name=name)
    file = io.BytesIO()
    soundfile.write(file, samples, SAMPLE_RATE_HZ, format="FLAC")
    note = "Played as 16 kHz mono, as the models hear it."
    return Sound(file.getvalue(), "audio/flac", picture, note, name)


def _playable(path: Path, size: int) -> str:
    """Return the media type of a file that browsers play as it is; empty for others."""
    told = soundfile.info(str(path))
    whole = find_recording(path).counted is None and told.channels <= 2 and size <= _MOST_BYTES
    plain = told.format != "WAV" or told.subtype in _PLAIN_WAVES
    return _PLAYED.get(told.format, "") if whole and plain else ""


@dataclass(frozen=True)
class Player:
    """What the player is told.

    Attributes
    ----------
    programme : Programme
        What it plays.
    sound : Sound
        What is heard.
    words : sequence of Interval
        May be empty.
    key : str
        Streamlit key of the player: another one is a player of its own, with its own scales.
    """

    programme: Programme
    sound: Sound
    words: Sequence[Interval] = ()
    key: str = KEY

    @property
    def identity(self) -> str:
        """Names all that is played and heard."""
        return f"{self.programme.identity} {self.sound.name}"


@st.cache_resource(max_entries=12, show_spinner="Reading the responses")
def _series(identity: str, _programme: Programme, _track: Track) -> Series:
    return _programme.series(_track)


@st.cache_resource(max_entries=6, show_spinner=False)
def _difference(identity: str, _programme: Programme) -> Series | None:
    return _programme.difference()


@st.cache_resource(max_entries=36, show_spinner=False)
def _piece_message(identity: str, start: int, stop: int, _series: Series) -> tuple[str, bytes]:
    return named_blob(_series.piece(slice(start, stop)))


@st.cache_resource(max_entries=12, show_spinner="Averaging the regions")
def _courses(identity: str, _programme: Programme) -> tuple[str, bytes]:
    return named_blob(course_blob(_programme.make_courses()))


@st.cache_resource(max_entries=6, show_spinner=False)
def _sound_message(identity: str, _player: Player) -> tuple[str, bytes]:
    return named_blob(_player.programme.sound_blob(_player.sound.picture, _player.words))


@st.cache_resource(show_spinner=False)
def _component() -> Any:
    """Register the player once per server."""
    html, css = player_markup()
    return st.components.v2.component(
        "braindash_player", html=html, css=css, js=script(PLAYER_MODULES)
    )


def hear(sound: Sound) -> None:
    """Put the browser's own audio element on the page; the player moves it, and follows it."""
    with st.container(key=AUDIO):
        if sound.content:
            st.audio(sound.content, format=sound.kind)


@part
def show_player(player: Player) -> None:
    """Draw the player at the moment and the target of the address.

    A click on the surface draws only this again.
    """
    target = address.target(player.programme.base.values.shape[1])
    try:
        start = float(st.query_params.get("t", "0"))
    except ValueError:
        start = 0.0
    picked = play(player, target, start if start >= 0 else 0.0)
    if picked is None:
        return
    if picked < 0:
        st.info("No target of the data is shown there.")
    else:
        st.query_params["target"] = str(picked)


def play(player: Player, target: int | None, start_seconds: float) -> int | None:
    """Draw the player.

    Parameters
    ----------
    player : Player
    target : int or None
        Whose course is sent beside those of the regions.
    start_seconds : float
        Where in the sound it opens: that piece is sent first.

    Returns
    -------
    int or None
        The target that was clicked just now; -1 where none is shown there.
    """
    above, below = st.container(gap=None), st.container(gap=None)
    with above:
        told = _component()(
            data={"viewer": player.key},
            key=player.key,
            on_pick_change=take_part,
            on_piece_change=take_part,
        )
    drawn = player.programme.base.drawn
    picked = None
    for asked in (told.pick, told.piece):
        if asked:
            keep_address(asked["address"])
    if told.pick:
        picked = int(drawn.targets[told.pick["index"]])
        target = picked if picked >= 0 else target
    with below:
        settings = _settings(player, told.piece, start_seconds) | _sent(player, target)
        message = {"viewer": player.key, "settings": settings}
        carrier()(data=message, key=f"{player.key}_settings", height=1)
    return picked


def _sent(player: Player, target: int | None) -> dict[str, str | None]:
    """Carry surfaces, colours, regions, the sound and the courses; return their names."""
    programme = player.programme
    geometry = programme.base.drawn.geometry
    sent = {
        "geometry": geometry_message(geometry.identity, geometry),
        "colours": colour_message(),
        "base": map_message(programme.base_identity, programme.base),
        "story": _sound_message(f"{player.identity} {len(player.words)}", player),
        "courses": _courses(programme.identity, programme),
    }
    if target is not None:
        sent["target"] = named_blob(course_blob([programme.make_target(target)]))
    for what, (_, content) in sent.items():
        carrier()(data=content, key=f"{player.key}_{what}", height=1)
    return {"target": None} | {what: name for what, (name, _) in sent.items()}


def _settings(player: Player, asked: Any, start_seconds: float) -> dict[str, Any]:
    """Say what is shown; carry the piece that is asked for, and name all that were sent so far."""
    programme = player.programme
    series = [_series(one.identity, programme, one) for one in programme.tracks]
    told = programme.settings(series, _difference(programme.identity, programme))
    wanted = programme.piece_at(start_seconds)
    if asked and 0 <= int(asked["number"]) < len(programme.pieces):
        wanted = int(asked["number"])
    known = st.session_state.get("story_pieces")
    if known is None or known["identity"] != player.identity:
        known = {"identity": player.identity, "names": {}}
    rows = programme.pieces[wanted]
    names = []
    for place, (track, one) in enumerate(zip(programme.tracks, series, strict=True)):
        blob, content = _piece_message(track.identity, rows.start, rows.stop, one)
        carrier()(data=content, key=f"{player.key}_piece_{place}_{wanted % 2}", height=1)
        names.append(blob)
    known["names"][wanted] = names
    st.session_state["story_pieces"] = known
    for place, one in enumerate(told["series"]):
        one["sent"] = {str(number): sent[place] for number, sent in known["names"].items()}
    return told | {
        "identity": player.identity,
        "present": presenting(),
        "audio": f".st-key-{AUDIO} audio" if player.sound.content else "",
        "silent": "" if player.sound.content else player.sound.note,
    }


def choose_region(result: EncodingResult) -> str:
    """Ask for the region whose course is shown at first."""
    usual = usual_region(result)
    named = sorted([name for name in result.masks if name != WHOLE], key=lambda one: one != usual)
    return state.choose(
        "Region", [*named, WHOLE], "region", show=region_title, help=_REGION_HELP, width=140
    )


def courses_take(programme: Programme, results: Sequence[EncodingResult], **what: Any) -> Take:
    """Say what can be taken away of what is played: the courses of all regions as a table.

    Parameters
    ----------
    programme : Programme
        What is played.
    results : sequence of EncodingResult
        Of model A and, where there is one, model B.
    **what
        Further attributes of :class:`~braindash.ui.take_away.Take`.
    """
    title = f"Courses of all regions: {programme.name}"
    return take(results, "courses", title, table=lambda: course_table(programme), **what)


def why_silent(problem: InputError) -> Sound:
    """Say why there is no sound."""
    return Sound(note=f"{problem.message[0].upper()}{problem.message[1:]}. {problem.hint}")
