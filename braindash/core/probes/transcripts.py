"""Speech recognition from frozen features: a linear layer trained by CTC, scored by word errors.

Units are the frames of sentences. The connectionist temporal classification loss (Graves et al.
2006) needs no times of letters; what is told is the most probable letter of every frame, repeats
and blanks taken out, without a language model.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import nn
from torch.nn import functional

from braindash.core.devices import check_threads, find_device, limited_threads
from braindash.core.probes.design import make_design
from braindash.core.probes.metrics import Floats, drawn_pieces, piece_counts
from braindash.core.probes.result import LayerProbe, ProbeResult
from braindash.core.probes.sentences import MARK, spoken_words, word_errors
from braindash.core.probes.split import Split
from braindash.core.statistics.bootstrap import LEAST_UNITS, interval_of_units
from braindash.defaults import PARTS
from braindash.errors import InputError
from braindash.progress import NoProgress, Progress

SCORE = "word_accuracy"
_BLANK = 0
_RATE, _BATCH, _MOST_PASSES, _PATIENCE = 5e-3, 16, 200, 10


@dataclass(frozen=True, eq=False)
class _Sentence:
    """One sentence: its frames among those of all sides in their order, its letters and words."""

    frames: NDArray[np.intp]
    letters: torch.Tensor
    words: list[str]
    unit: int


class TranscriptProbes:
    """What :class:`braindash.core.probes.model.Probes` is for labels, for the text of sentences.

    Parameters
    ----------
    name : str
        Of the task.
    texts : sequence of str
        Of the sentence of each frame, behind a text that tells sentences of one recording apart:
        ``"12.30|she had your"``.
    split : Split
        Sides of the frames; those of a recording are in the order of time.
    n_samples : int, default 1000
        Bootstrap samples.
    seed : int, default 0
        Of the layer's start, the order of sentences and the draws.
    device, threads
        As for Probes.

    Raises
    ------
    InputError
        When a side has no sentence with words.
    """

    def __init__(
        self,
        name: str,
        texts: Sequence[str],
        split: Split,
        *,
        n_samples: int = 1000,
        seed: int = 0,
        device: str = "cpu",
        threads: int | None = None,
    ) -> None:
        self._name, self._split, self._seed = name, split, seed
        self._device, self._threads = find_device(device), check_threads(threads)
        words = {text: spoken_words(text.partition(MARK)[2]) for text in set(texts)}
        learnt = {texts[unit] for unit in (*split.train, *split.valid)}
        letters = {letter for text in learnt for letter in " ".join(words[text])}
        self._letters = ["", *sorted(letters)]
        self._sides = self._sentences(texts, words)
        for part, sentences in zip(PARTS, self._sides, strict=True):
            if not sentences:
                raise InputError(
                    f"{name}: the {part} part holds no sentence with words",
                    hint="Give more recordings, or another --seed, or leave the task out.",
                )
        self._pieces = drawn_pieces(split)
        place = {int(unit): int(piece) for unit, piece in zip(split.test, self._pieces.piece,
                                                              strict=True)}  # fmt: skip
        self._piece = np.array([place[one.unit] for one in self._sides[2]])
        self._counts = piece_counts(self._pieces.n_pieces, n_samples, seed)

    def _sentences(
        self, texts: Sequence[str], words: dict[str, list[str]]
    ) -> tuple[list[_Sentence], ...]:
        """Put the frames of each side together by sentence."""
        number = {letter: code for code, letter in enumerate(self._letters)}
        sides, first = [], 0
        for units in (self._split.train, self._split.valid, self._split.test):
            found: dict[tuple[int, str], list[int]] = {}
            for place, unit in enumerate(units, first):
                key = int(self._split.recordings[unit]), texts[unit]
                found.setdefault(key, []).append(place)
            first += len(units)
            sides.append(
                [
                    _Sentence(
                        np.array(places),
                        # A letter that was never learnt cannot be told.
                        torch.tensor(
                            [number[one] for one in " ".join(words[text]) if one in number],
                            dtype=torch.long,
                        ),
                        words[text],
                        int(units[places[0] - first + len(units)]),
                    )
                    for (_, text), places in found.items()
                    if words[text]
                ]
            )
        return tuple(sides)

    def fit_layer(
        self, features: ArrayLike, *, where: str = "this layer", progress: Progress | None = None
    ) -> tuple[LayerProbe, ...]:
        """Train on one layer's frames, and score what is told of the test sentences.

        Parameters and errors as for :meth:`braindash.core.probes.model.Probes.fit_layer`.

        Returns
        -------
        tuple of LayerProbe
            One; its ``alpha`` is the number of passes over the training sentences, and its
            ``detail`` the word error rate of every test sentence.
        """
        with limited_threads(self._threads):
            values = make_design(features, self._split, self._device, where).values
            layer, passes = self._trained(values, progress or NoProgress())
            told = [self._read(layer, values, one) for one in self._sides[2]]
        test = self._sides[2]
        pairs = list(zip(test, told, strict=True))
        errors = np.array([word_errors(one.words, text.split()) for one, text in pairs])
        letters = np.array([word_errors(" ".join(one.words), text) for one, text in pairs])
        counts = np.array([[len(one.words), len(" ".join(one.words))] for one in test]).T
        scores = {
            SCORE: 1 - errors.sum() / counts[0].sum(),
            "wer": errors.sum() / counts[0].sum(),
            "cer": letters.sum() / counts[1].sum(),
        }
        samples = 1 - _drawn(self._counts, self._piece, errors, counts[0])
        return (
            LayerProbe(
                scores={name: float(value) for name, value in scores.items()},
                samples=samples.astype(np.float32),
                alpha=float(passes),
                shuffled=np.empty(0),
                detail=errors / counts[0],
                warnings=self._told(passes),
            ),
        )

    def _told(self, passes: int) -> tuple[str, ...]:
        if passes < _MOST_PASSES:
            return ()
        return (f"{self._name}: training had not ended after {_MOST_PASSES} passes",)

    def _trained(self, values: torch.Tensor, progress: Progress) -> tuple[nn.Linear, int]:
        """Train until the validation sentences' loss has not fallen for some passes."""
        train, valid, _ = self._sides
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self._seed)
            layer = nn.Linear(values.shape[1], len(self._letters))
        layer = layer.to(self._device)
        optimiser = torch.optim.Adam(layer.parameters(), lr=_RATE)
        rng = np.random.default_rng(self._seed)
        best, kept, since = float("inf"), (0, _copied(layer)), 0
        for number in range(1, _MOST_PASSES + 1):
            progress.advance(number - 1, _MOST_PASSES, f"{self._name}: pass {number}")
            order = rng.permutation(len(train))
            for start in range(0, len(order), _BATCH):
                optimiser.zero_grad()
                loss = self._loss(
                    layer, values, [train[at] for at in order[start : start + _BATCH]]
                )
                loss.backward()  # type: ignore[no-untyped-call]  # torch's is not annotated
                optimiser.step()
            with torch.no_grad():
                now = float(self._loss(layer, values, valid))
            since = since + 1 if now >= best else 0
            if now < best:
                best, kept = now, (number, _copied(layer))
            if since == _PATIENCE:
                break
        layer.load_state_dict(kept[1])
        return layer, kept[0]

    def _loss(
        self, layer: nn.Linear, values: torch.Tensor, sentences: Sequence[_Sentence]
    ) -> torch.Tensor:
        """Mean over sentences of the CTC loss per letter."""
        told = [functional.log_softmax(layer(values[one.frames]), dim=1) for one in sentences]
        # Lengths are plain numbers, of no device; torch takes them, and its annotation does not.
        return functional.ctc_loss(
            nn.utils.rnn.pad_sequence(told),
            torch.cat([one.letters for one in sentences]).to(self._device),
            tuple(len(one) for one in told),  # type: ignore[arg-type]
            tuple(len(one.letters) for one in sentences),  # type: ignore[arg-type]
            blank=_BLANK,
            zero_infinity=True,  # more letters than frames: nothing can be told
        )

    def _read(self, layer: nn.Linear, values: torch.Tensor, sentence: _Sentence) -> str:
        """Tell the text of a sentence."""
        with torch.no_grad():
            most = layer(values[sentence.frames]).argmax(dim=1).tolist()
        return "".join(self._letters[code] for code, _ in groupby(most) if code != _BLANK)

    def results(self, layers: Sequence[Sequence[LayerProbe]]) -> tuple[ProbeResult, ...]:
        """Gather what :meth:`fit_layer` gave for every layer; one result."""
        found = [layer[0] for layer in layers]
        metrics = {name: np.array([one.scores[name] for one in found]) for name in found[0].scores}
        samples = np.stack([one.samples for one in found], axis=1)
        unknown = np.full(len(found), np.nan)
        low, high = interval_of_units(metrics[SCORE], samples, self._pieces.n_pieces)
        warnings = [*self._split.warnings]
        if self._pieces.n_pieces < LEAST_UNITS:
            warnings.append(
                f"{self._pieces.description}: there is no interval, which needs {LEAST_UNITS}"
            )
        for number, one in enumerate(found):
            warnings += [f"layer {number}: {text}" for text in one.warnings]
        n_train, n_valid, n_test = map(len, self._sides)
        return (
            ProbeResult(
                task=self._name,
                kind="transcription",
                metric=SCORE,
                method="ctc",
                classes=(),
                score=metrics[SCORE],
                low=low,
                high=high,
                samples=samples,
                n_pieces=self._pieces.n_pieces,
                metrics=metrics,
                detail=np.stack([one.detail for one in found]),
                alpha=np.array([one.alpha for one in found]),
                chance_majority=0.0,  # nothing is told, and every word is deleted
                chance_shuffled=unknown,
                chance_shuffled_sd=unknown,
                selectivity=unknown,
                n_train=n_train,
                n_validation=n_valid,
                n_test=n_test,
                n_classes=0,
                split=self._split.description,
                bootstrap=self._pieces.description,
                level=self._pieces.level,
                warnings=tuple(warnings),
            ),
        )


def _copied(layer: nn.Linear) -> dict[str, torch.Tensor]:
    return {name: value.detach().clone() for name, value in layer.state_dict().items()}


def _drawn(
    counts: NDArray[np.float32],
    piece: NDArray[np.int64],
    errors: NDArray[np.int64],
    words: NDArray[np.int64],
) -> Floats:
    """Word error rate in every sample of the pieces, (n_samples,); NaN where no word is drawn."""
    n_pieces = counts.shape[1]
    wrong, said = (np.bincount(piece, weights=part, minlength=n_pieces) for part in (errors, words))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray((counts @ wrong) / (counts @ said))
