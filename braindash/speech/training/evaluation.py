"""Encode stories without training, and correlate predictions with responses."""

from collections.abc import Sequence

import torch
from torch import Tensor

from braindash.errors import InputError
from braindash.specs import TuningSettings
from braindash.speech.training.front import Inputs
from braindash.speech.training.losses import column_correlation
from braindash.speech.training.network import TuningNetwork, responses_of
from braindash.speech.training.stories import Segment, TuningStory, story_segments
from braindash.speech.training.team import Team


def every_segment(stories: Sequence[TuningStory], settings: TuningSettings) -> list[Segment]:
    """Cut all stories into segments, from their first usable row on."""
    found: list[Segment] = []
    for index in range(len(stories)):
        found += story_segments(stories, index, settings)
    return found


def pooled_features(
    network: TuningNetwork,
    inputs: Inputs,
    segments: Sequence[Segment],
    team: Team,
    autocast: torch.autocast,
    *,
    at_once: int,
    training: bool = False,
) -> Tensor:
    """Encode segments without gradients, each process its share.

    Parameters
    ----------
    network : TuningNetwork
    inputs : Inputs
    segments : sequence of Segment
    team : Team
    autocast : torch.autocast
    at_once : int
        Segments in memory at once.
    training : bool, default False
        With the dropout and the masks of training; else in eval mode.

    Returns
    -------
    Tensor of shape (n_segments, n_rows, n_features), float32
        On the network's device, the same in every process.
    """
    found = torch.zeros(len(segments), network.shape.n_rows, network.width, device=team.device)
    own = list(range(len(segments)))[team.rank :: team.size]
    network.train(training)
    with torch.no_grad():
        for start in range(0, len(own), at_once):
            places = own[start : start + at_once]
            with autocast:
                found[places] = network(inputs.take([segments[place] for place in places]))
    team.add_up([found])
    return found


def subject_rows(
    stories: Sequence[TuningStory],
    segments: Sequence[Segment],
    subject: str,
    n_rows: int,
    device: torch.device,
) -> tuple[list[int], Tensor]:
    """Find the segments that a subject has responses to.

    Returns
    -------
    places : list of int
        Their indices.
    responses : Tensor of shape (n_places * n_rows, n_targets)
    """
    places = [
        at for at, one in enumerate(segments) if stories[one.story].has(subject, one.first, n_rows)
    ]
    if not places:
        raise InputError(
            f"no segment of {subject!r} has responses to all of its {n_rows} rows",
            hint="Too many rows are censored: give shorter segments (segment_trs).",
        )
    parts = []
    for place in places:
        segment = segments[place]
        span = slice(segment.first, segment.first + n_rows)
        parts.append(responses_of(stories[segment.story].responses, [span], subject, device))
    return places, torch.cat(parts).flatten(0, 1)


def validation_r(
    network: TuningNetwork,
    features: Tensor,
    stories: Sequence[TuningStory],
    segments: Sequence[Segment],
) -> dict[str, float]:
    """Average Pearson's r over each subject's targets, over all rows of the stories.

    Parameters
    ----------
    network : TuningNetwork
    features : Tensor of shape (n_segments, n_rows, n_features)
        From :func:`pooled_features`.
    stories : sequence of TuningStory
    segments : sequence of Segment

    Returns
    -------
    dict of str to float
        By subject.
    """
    scores = {}
    with torch.no_grad():
        for subject in network.subjects:
            places, responses = subject_rows(
                stories, segments, subject, network.shape.n_rows, features.device
            )
            prediction = network.predict(features[places], subject)
            scores[subject] = float(column_correlation(prediction, responses).mean())
    return scores
