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

from braindash.encoding.listening.heard import HeardStory
from braindash.encoding.listening.picture import SoundPicture, picture_of
from braindash.errors import InputError
from braindash.io.dataset.audio import SAMPLE_RATE_HZ, find_recording, load_audio
from braindash.io.labels.textgrid import Interval
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
from braindash.viewer import PLAYER_MODULES, player_markup, script
from braindash.viewer.colours import region_title
from braindash.views.listening.courses import Course, course_blob
from braindash.views.listening.played import (
    UNIT,
    Played,
    region_rows,
    score_map,
    story_blob,
    target_row,
)
from braindash.views.listening.series import Series, piece_rows

KEY = "story_player"
AUDIO = "story_audio"
"""Key of the container that holds the browser's own audio element."""
COLOURS = "RdBu_r"
# What every browser plays as it is; larger files, and others, are sent as 16 kHz mono.
_PLAYED = {"WAV": "audio/wav", "FLAC": "audio/flac", "OGG": "audio/ogg", "MP3": "audio/mpeg"}
_PLAIN_WAVES = ("PCM_16", "PCM_24", "PCM_U8", "PCM_32", "FLOAT")
_MOST_BYTES = 64_000_000
_MEASURED = "measured"
_THRESHOLD_SHARE = 0.2  # of the scale: what is close to the mean leaves the folds to be seen


@dataclass(frozen=True)
class Sound:
    """What is heard of a story.

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
    played : sequence of Played
        Model A and, where there is one, model B.
    names : sequence of str
        What they are called.
    sound : Sound
        Of the story.
    words : sequence of Interval
        May be empty.
    start : int
        Place of the course that is shown at first, among the regions.
    source : str
        Where the numbers come from, for pictures that are saved.
    delays : sequence of float
        Seconds by which responses can be moved; the usual one first.
    outlined : sequence of str
        Regions that are outlined and named on the surface at first.
    """

    played: Sequence[Played]
    names: Sequence[str]
    sound: Sound
    words: Sequence[Interval]
    start: int
    source: str
    delays: Sequence[float]
    outlined: Sequence[str] = ()

    @property
    def story(self) -> HeardStory:
        """The story that is played."""
        return self.played[0].story

    @property
    def identity(self) -> str:
        """Names all that series and courses depend on."""
        return " ".join(
            f"{one.result.identity} {one.story.name} {one.layer} {name}"
            for one, name in zip(self.played, self.names, strict=True)
        )


@st.cache_resource(max_entries=12, show_spinner="Reading the responses")
def _series(identity: str, layer: int | None, _played: Played) -> Series:
    shown = score_map(_played).drawn
    return Series.of(_played.read(layer), _played.story.n_rows, shown)


@st.cache_resource(max_entries=36, show_spinner=False)
def _piece_message(
    identity: str, layer: int | None, start: int, stop: int, _series: Series
) -> tuple[str, bytes]:
    return named_blob(_series.piece(slice(start, stop)))


@st.cache_resource(max_entries=12, show_spinner="Averaging the regions")
def _courses(identity: str, _played: list[Played]) -> tuple[list[Course], str, bytes]:
    courses = region_rows(_played)
    return courses, *named_blob(course_blob(courses))


@st.cache_resource(max_entries=6, show_spinner=False)
def _story_message(
    identity: str, _story: HeardStory, _sound: Sound, _words: Sequence[Interval]
) -> tuple[str, bytes]:
    return named_blob(story_blob(_story, _sound.picture, _words))


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


def series_of(player: Player) -> list[tuple[str, int | None, Played]]:
    """List the series: what was measured, then what every model predicts; name, layer, source."""
    predicted = [(f"{one.result.key} {one.story.name}", one.layer, one) for one in player.played]
    first = player.played[0]
    return [(f"{first.result.key} {first.story.name}", None, first), *predicted]


def play(player: Player, target: int | None, start_seconds: float) -> int | None:
    """Draw the player.

    Parameters
    ----------
    player : Player
    target : int or None
        Whose course is sent beside those of the regions.
    start_seconds : float
        Where in the story it opens: that piece is sent first.

    Returns
    -------
    int or None
        The target that was clicked just now; -1 where none is shown there.
    """
    above, below = st.container(gap=None), st.container(gap=None)
    with above:
        told = _component()(
            data={"viewer": KEY}, key=KEY, on_pick_change=take_part, on_piece_change=take_part
        )
    drawn = score_map(player.played[0]).drawn
    picked = None
    for asked in (told.pick, told.piece):
        if asked:
            keep_address(asked["address"])
    if told.pick:
        picked = int(drawn.targets[told.pick["index"]])
        target = picked if picked >= 0 else target
    with below:
        settings = _settings(player) | _sent(player, target)
        settings |= _pieces(player, told.piece, start_seconds)
        carrier()(data={"viewer": KEY, "settings": settings}, key=f"{KEY}_settings", height=1)
    return picked


def _settings(player: Player) -> dict[str, Any]:
    """Say what is shown and how, without bytes."""
    return {
        "identity": player.identity,
        "unit": UNIT,
        "cmap": COLOURS,
        "simulated": any(one.result.simulated for one in player.played),
        "source": player.source,
        "present": presenting(),
        "audio": f".st-key-{AUDIO} audio" if player.sound.content else "",
        "silent": "" if player.sound.content else player.sound.note,
        "delays": list(player.delays),
        "start": player.start,
        "outlined": [region_title(name) for name in player.outlined],
        "views": "left",
    }


def _sent(player: Player, target: int | None) -> dict[str, str | None]:
    """Carry surfaces, colours, regions, the story and the courses; return their names."""
    first = player.played[0]
    shown = score_map(first)
    _, name, content = _courses(player.identity, list(player.played))
    geometry = shown.drawn.geometry
    sent = {
        "geometry": geometry_message(geometry.identity, geometry),
        "colours": colour_message(),
        "base": map_message(f"story {first.result.identity} {first.layer}", shown),
        "story": _story_message(
            f"{player.identity} {player.sound.name} {len(player.words)}",
            player.story,
            player.sound,
            player.words,
        ),
        "courses": (name, content),
    }
    if target is not None:
        course = target_row(list(player.played), target)
        sent["target"] = named_blob(course_blob([course]))
    for what, (_, content) in sent.items():
        carrier()(data=content, key=f"{KEY}_{what}", height=1)
    return {"target": None} | {what: name for what, (name, _) in sent.items()}


def _pieces(player: Player, asked: Any, start_seconds: float) -> dict[str, Any]:
    """Carry the piece that is asked for, of every series; name all that were sent so far."""
    story = player.story
    series = [_series(name, layer, one) for name, layer, one in series_of(player)]
    tr = float(story.times()[1] - story.times()[0]) if story.n_rows > 1 else 1.0
    n_drawn = len(series[0].drawn.targets)
    pieces = piece_rows(story.n_rows, tr, n_drawn)
    wanted = _piece_at(pieces, (start_seconds - float(story.times()[0])) / tr)
    if asked and 0 <= int(asked["number"]) < len(pieces):
        wanted = int(asked["number"])
    known = st.session_state.get("story_pieces")
    if known is None or known["identity"] != player.identity:
        known = {"identity": player.identity, "names": {}}
    rows = pieces[wanted]
    names = []
    for place, ((name, layer, _), one) in enumerate(zip(series_of(player), series, strict=True)):
        blob, content = _piece_message(name, layer, rows.start, rows.stop, one)
        carrier()(data=content, key=f"{KEY}_piece_{place}_{wanted % 2}", height=1)
        names.append(blob)
    known["names"][wanted] = names
    st.session_state["story_pieces"] = known
    listed = [_MEASURED, *player.names]
    top = _round(max(series[0].span, 1e-3))
    return {
        "vmax": top,
        "threshold": _round(_THRESHOLD_SHARE * top),
        "pieces": [[rows.start, rows.stop] for rows in pieces],
        "series": [
            {
                "name": listed[place],
                "layer": None if layer is None else f"layer {layer}",
                "span": one.span,
                "sent": {str(number): sent[place] for number, sent in known["names"].items()},
            }
            for place, ((_, layer, _), one) in enumerate(
                zip(series_of(player), series, strict=True)
            )
        ],
    }


def _piece_at(pieces: Sequence[slice], row: float) -> int:
    """Return the number of the piece that holds a row; the nearest where none does."""
    return next((n for n, rows in enumerate(pieces) if row < rows.stop), len(pieces) - 1)


def _round(value: float) -> float:
    """Round to two digits, for the end of a scale."""
    return float(f"{value:.2g}")


def delays_of(played: Played) -> list[float]:
    """Return the delays that can be chosen, in seconds, the middle of the model's own first.

    Without timing there is none.
    """
    tr, rows = played.story.tr, played.result.spec["delays"]
    if not played.story.is_timed or tr is None:
        return []
    middle = round(2 * tr * (min(rows) + max(rows)) / 2) / 2
    others = [seconds for seconds in (2.0, 3.0, 4.0, 5.0, 6.0, 8.0) if seconds != middle]
    return [middle, *others]


def why_silent(problem: InputError) -> Sound:
    """Say why there is no sound."""
    return Sound(note=f"{problem.message[0].upper()}{problem.message[1:]}. {problem.hint}")
