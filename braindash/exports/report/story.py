"""The story player of a report: as many rows as there is room for, with sound where it is wanted.

Stimuli have owners: without being asked the report holds how loud the story is, which says when
something is heard, and neither its sound, its spectrogram nor its words.
"""

import io
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import soundfile

from braindash.encoding.listening.heard import (
    HeardStory,
    find_dataset,
    find_sound,
    find_words,
    heard_stories,
)
from braindash.encoding.listening.picture import SoundPicture, picture_of
from braindash.encoding.result import EncodingResult
from braindash.errors import InputError
from braindash.exports.report.gather import Gathered
from braindash.files import digest_bytes
from braindash.io.dataset.audio import SAMPLE_RATE_HZ, load_audio
from braindash.io.dataset.manifest import Dataset
from braindash.io.entries import predictions_key_of
from braindash.io.labels.textgrid import Interval
from braindash.io.predictions import RowReader
from braindash.io.store import Store
from braindash.viewer.blobs import geometry_blob, map_blob
from braindash.viewer.colours import colour_blob
from braindash.viewer.drawn import can_show
from braindash.views.captions import short_line
from braindash.views.listening.courses import course_blob
from braindash.views.listening.played import (
    BEST,
    Played,
    chosen_layers,
    layers_line,
    story_programme,
    usual_region,
)
from braindash.views.listening.programme import Programme
from braindash.views.listening.series import Series

_ID_LENGTH = 16  # as the viewer's script reads it
# Bytes are rounded to multiples of these, the finest that fits: 254, 127, 64 and 32 steps.
_STEPS = (1, 2, 4, 8)
_LEAST_SECONDS = 60.0  # maps of less are no story
_SAMPLED_ROWS = 24
_MP3 = {"format": "MP3", "subtype": "MPEG_LAYER_III"}


@dataclass(frozen=True)
class StoryPart:
    """What a report carries of a story.

    Attributes
    ----------
    title : str
        The story, of whom.
    blobs : dict of str to dict
        Part of the budget to bytes by name.
    settings : dict
        As the player's script takes them.
    notes : tuple of str
        What is shown, how exact, and what is not here.
    """

    title: str
    blobs: dict[str, dict[str, bytes]]
    settings: dict[str, Any]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Heard:
    """What is known of the sound."""

    picture: SoundPicture | None = None
    words: tuple[Interval, ...] = ()
    mp3: bytes = b""
    note: str = ""


def story_part(
    found: Gathered, store: Store | None, *, with_sound: bool, room: int
) -> tuple[StoryPart | None, str]:
    """Make the story of model A's first subject.

    Parameters
    ----------
    found : Gathered
        Results of the report.
    store : Store or None
        Holds the predictions.
    with_sound : bool
        Carry the sound, its spectrogram and its words too.
    room : int
        Bytes that it may take, as base64.

    Returns
    -------
    StoryPart or None, str
        None with the reason where there is no story.

    Raises
    ------
    InputError
        When the sound is asked for and cannot be had.
    """
    opened = _opened(found, store)
    if isinstance(opened, str):
        if with_sound:
            raise InputError(
                f"there is no story whose sound could be in the report: {opened}",
                hint="Leave --with-sound (with_sound) out.",
            )
        return None, opened
    played, dataset = opened
    region = usual_region(played.result)
    programme = story_programme([played], [found.names[0]], short_line(found.groups[0]), region)
    heard = _heard(dataset, played.result, played.story, with_sound)
    blobs, names = _blobs(programme, heard)
    taken = sum(_base64(one) for part in blobs.values() for one in part.values())
    packed = _fitting(programme, room - taken)
    if packed is None:
        return None, (
            "There was no room for a minute of maps: with fewer maps of models (--maps, maps) or "
            "without the sound there may be"
        )
    series, step, n_rows, pieces = packed
    settings = _settings(programme, series, pieces, names, n_rows)
    for one in pieces:
        blobs.setdefault("story", {}).update(one)
    line = layers_line([played.result], [played.layer], BEST, region)
    notes = (line, _exactness(programme, step, n_rows), heard.note)
    title = f"{played.story.name}, {played.result.subject}"
    return StoryPart(title, blobs, settings, tuple(one for one in notes if one)), ""


def _opened(found: Gathered, store: Store | None) -> tuple[Played, Dataset | None] | str:
    """Open the predictions of model A's first subject; or say why there are none."""
    if not found.groups or store is None:
        return "There is no encoding result in a store"
    result = found.groups[0].first
    if not can_show(result.space, result.n_targets, result.surface):
        return "The targets of model A have no surface"
    entry = store.get_or_none("predictions", predictions_key_of(result))
    if entry is None:
        return "The predictions of model A are not in the store"
    try:
        dataset = find_dataset(result, store, None)
    except InputError:
        dataset = None
    stories = heard_stories(result, store, dataset)
    if not stories:
        return "The test stories of model A are not known"
    (layer,) = chosen_layers([result], BEST, usual_region(result))
    return Played(result, RowReader(entry.result_file), stories[0], layer), dataset


def _heard(
    dataset: Dataset | None, result: EncodingResult, story: HeardStory, with_sound: bool
) -> _Heard:
    """Read the sound, as much of it as is wanted."""
    try:
        if dataset is None:
            raise InputError(
                "the data set of the result is not where it was",
                hint="Put it back, or leave --with-sound (with_sound) out.",
            )
        samples = load_audio(find_sound(dataset, result, story))
    except InputError:
        if with_sound:
            raise
        return _Heard(note="The recording is not here; a silent clock plays.")
    picture = picture_of(samples)
    if not with_sound:
        # A spectrogram can be made to sound again; loudness cannot.
        bare = replace(picture, bands=np.zeros((0, 0), dtype=np.uint8))
        return _Heard(bare, note="Sound, spectrogram and words were not asked for: stimuli have "
                                 "owners. A silent clock plays.")  # fmt: skip
    written = io.BytesIO()
    soundfile.write(written, np.clip(samples, -1.0, 1.0), SAMPLE_RATE_HZ, **_MP3)
    try:
        words = tuple(find_words(dataset, story))
    except InputError as error:
        return _Heard(picture, (), written.getvalue(), f"No words: {error.message}.")
    return _Heard(picture, words, written.getvalue())


def _blobs(
    programme: Programme, heard: _Heard
) -> tuple[dict[str, dict[str, bytes]], dict[str, str]]:
    """Pack all but the series; give their names too."""
    made = {
        "geometry": geometry_blob(programme.base.drawn.geometry),
        "colours": colour_blob(),
        "base": map_blob(programme.base),
        "story": programme.sound_blob(heard.picture, heard.words),
        "courses": course_blob(programme.make_courses()),
    }
    names = {what: _name(content) for what, content in made.items()}
    meshes = {names[what]: made[what] for what in ("geometry", "colours")}
    rest = {names[what]: made[what] for what in ("base", "story", "courses")}
    blobs = {"meshes": meshes, "story": rest}
    if heard.mp3:
        names["sound"] = _name(heard.mp3)
        blobs["sound"] = {names["sound"]: heard.mp3}
    return blobs, names


Packed = tuple[list[Series], int, int, list[dict[str, bytes]]]


def _fitting(programme: Programme, room: int) -> Packed | None:
    """Pack the series as finely as there is room for; then as much of the story as there is."""
    series = [programme.series(track) for track in programme.tracks]
    timing, wanted = programme.timing, programme.timing.n_rows
    least = min(wanted, int(np.ceil(_LEAST_SECONDS / timing.tr)))
    fine = [one for one in _STEPS if _estimate(series, one) * wanted <= room]
    for step in fine or _STEPS[-1:]:
        pieces, taken = _packed(programme, series, step, wanted)
        if taken <= room:
            return series, step, wanted, pieces
    while wanted > least:
        wanted = max(least, min(wanted - 1, int(0.99 * wanted * room / taken)))
        pieces, taken = _packed(programme, series, step, wanted)
        if taken <= room:
            return series, step, wanted, pieces
    return None


def _packed(
    programme: Programme, series: list[Series], step: int, n_rows: int
) -> tuple[list[dict[str, bytes]], int]:
    """Pack the rows up to one; gives what they take, too."""
    pieces = list(_pieces(programme, series, step, n_rows))
    return pieces, sum(_base64(one) for piece in pieces for one in piece.values())


def _estimate(series: list[Series], step: int) -> float:
    """Return how many bytes a row takes, of some rows in the middle."""
    n_rows = series[0].n_rows
    start = max(0, (n_rows - _SAMPLED_ROWS) // 2)
    stop = min(n_rows, start + _SAMPLED_ROWS)
    sizes = [_base64(one.piece(slice(start, stop), step)) for one in series]
    return sum(sizes) / max(1, min(stop + 1, n_rows) - start)


def _pieces(
    programme: Programme, series: list[Series], step: int, n_rows: int
) -> Iterator[dict[str, bytes]]:
    """Pack the pieces of all series up to a row; by their names, in the order of the series."""
    for rows in _rows(programme, n_rows):
        made = [one.piece(rows, step) for one in series]
        yield {_name(content): content for content in made}


def _rows(programme: Programme, n_rows: int) -> list[slice]:
    cut = [slice(rows.start, min(rows.stop, n_rows)) for rows in programme.pieces]
    return [rows for rows in cut if rows.start < rows.stop]


def _settings(
    programme: Programme,
    series: list[Series],
    pieces: list[dict[str, bytes]],
    names: dict[str, str],
    n_rows: int,
) -> dict[str, Any]:
    told = programme.settings(series, None)
    for place, one in enumerate(told["series"]):
        one["sent"] = {str(number): list(piece)[place] for number, piece in enumerate(pieces)}
    told["pieces"] = [[rows.start, rows.stop] for rows in _rows(programme, n_rows)]
    told |= {"target": None, "present": False, "silent": "", "audio": ""}
    return told | names


def _exactness(programme: Programme, step: int, n_rows: int) -> str:
    """Say how finely, and of how much of the story, there are maps."""
    told = f"Maps in {-(-254 // step)} steps between the ends of a series; courses are exact"
    timing = programme.timing
    if n_rows < timing.n_rows:
        minutes = (timing.first + timing.tr * n_rows) / 60
        told += (
            f". Maps of the first {minutes:.1f} min only, for which there was room; courses of all "
            f"{timing.end / 60:.1f} min"
        )
    return f"{told}."


def _base64(content: bytes) -> int:
    """Return how many bytes some take in the file, with the element that they stand in."""
    return 4 * -(-len(content) // 3) + 100


def _name(content: bytes) -> str:
    return digest_bytes(content)[:_ID_LENGTH]
