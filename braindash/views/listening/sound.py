"""What is heard, for the browser: how loud and in which bands, and the words, as one blob."""

from collections.abc import Sequence

import numpy as np

from braindash.encoding.listening.heard import HeardStory
from braindash.encoding.listening.picture import SoundPicture
from braindash.io.labels.textgrid import Interval
from braindash.viewer.packing import pack


def story_blob(story: HeardStory, picture: SoundPicture | None, words: Sequence[Interval]) -> bytes:
    """Pack what a player shows of a story beside the brain.

    Parameters
    ----------
    story : HeardStory
        Whose rows are played.
    picture : SoundPicture or None
        None where the sound is not here: the clock runs to the last row.
    words : sequence of Interval
        May be empty.

    Returns
    -------
    bytes
        A header with ``name``, ``seconds``, ``first`` and ``tr`` (in seconds), ``rows``, ``timed``
        and ``words`` as [start, end, word]; uint8 ``loudness`` (n_steps,) and ``bands`` (n_frames,
        n_bands), empty without a picture, at ``steps`` and ``frames`` per second.
    """
    times = story.times()
    tr = story.tr if story.tr is not None and story.is_timed else 1.0
    last = float(times[-1]) + tr if len(times) else tr
    header = {
        "name": story.name,
        "seconds": last if picture is None else picture.seconds,
        "first": float(times[0]) if len(times) else 0.0,
        "tr": tr,
        "rows": story.n_rows,
        "timed": story.is_timed,
        "words": [[round(w.start, 3), round(w.end, 3), w.label.strip()] for w in words],
        "steps": 1.0 if picture is None else picture.steps_per_second,
        "frames": 1.0 if picture is None else picture.frames_per_second,
        "nBands": 0 if picture is None else picture.bands.shape[1],
    }
    empty = np.zeros(0, dtype=np.uint8)
    return pack(
        header,
        {
            "loudness": empty if picture is None else picture.loudness,
            "bands": empty if picture is None else picture.bands,
        },
    )
