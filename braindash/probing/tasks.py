"""Every question that a probe may ask, from acoustic to semantic: one registry for all interfaces.

A task says which units it asks about (frames, phones, words, or the segments of a tier), what is
foretold of each, and how its test units are kept apart from those it learns from.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from braindash.core.phones import MANNER_OF, PLACE_OF, VOICING_OF
from braindash.errors import InputError, near_match
from braindash.specs import ProbeMetric

# How the sources of models begin that nobody trained.
CONTROL_PREFIXES = ("untrained:", "acoustic:")
FRAME, PHONE, WORD, SENTENCE, PROMPT = "frame", "phone", "word", "sentence", "prompt"
# Frames within sentences, one after the other.
SENTENCE_FRAME = "sentence_frame"
Stage = Literal["acoustic", "phonetic", "lexical", "semantic", "utterance"]
STAGES: tuple[Stage, ...] = ("acoustic", "phonetic", "lexical", "semantic", "utterance")
# Stages that stand on the way from sound to meaning; a whole utterance has no place on it.
HIERARCHY: tuple[Stage, ...] = STAGES[:4]
METRIC_TITLES: Mapping[str, str] = MappingProxyType(
    {
        "r2": "R²",
        "accuracy": "Accuracy",
        "balanced_accuracy": "Balanced accuracy",
        "macro_f1": "Macro-F1",
        "word_accuracy": "Word accuracy (1 - WER)",
    }
)


def metric_words(metric: str) -> str:
    """Write a metric's name inside a sentence."""
    title = METRIC_TITLES.get(metric, metric)
    return title if metric == "r2" else title[:1].lower() + title[1:]


@dataclass(frozen=True)
class TaskInfo:
    """One task.

    Parameters
    ----------
    name : str
        As users write it.
    title : str
        As readers see it.
    stage : str
        Where it stands between sound and meaning.
    units : str
        What it asks about: ``"frame"``, or a tier of the labels.
    description : str
        One sentence for interfaces.
    problem : {"classification", "regression", "multilabel", "transcription"}
        What is foretold.
    space : str, optional
        The acoustic space whose columns are foretold.
    columns : tuple of int, optional
        First column and the one behind the last; all by default.
    relative : bool
        Foretell the difference from the recording's mean, which is the speaker's.
    phones : mapping of str to str, optional
        Class of every phone; the phone itself by default.
    by_type : bool
        Keep the types of words apart: the words of the test part are never learnt from.
    balanced : bool
        Give every class the same weight.
    needs : str, optional
        A file that the user must give: ``"categories"`` or ``"word_vectors"``.
    reads : str, optional
        Another tier, of which the answers are made.
    on_request : bool
        Only asked where it is named, or a preset names it.
    weak : str
        Why a high score says little; empty where it does not.
    """

    name: str
    title: str
    stage: Stage
    units: str
    description: str
    problem: Literal["classification", "regression", "multilabel", "transcription"] = (
        "classification"
    )
    space: str | None = None
    columns: tuple[int, int] | None = None
    relative: bool = False
    phones: Mapping[str, str] | None = None
    by_type: bool = False
    balanced: bool = False
    needs: Literal["categories", "word_vectors"] | None = None
    reads: str | None = None
    on_request: bool = False
    weak: str = ""

    @property
    def tiers(self) -> frozenset[str]:
        """Tiers of the labels that it needs, or ``"frame"``, which needs none."""
        own = SENTENCE if self.units == SENTENCE_FRAME else self.units
        return frozenset({own} if self.reads is None else {own, self.reads})

    @property
    def metric(self) -> str:
        """The score by default: R^2, macro-F1 of sets, accuracy, or balanced accuracy.

        Of a transcription 1 minus the word error rate, so that more is better as everywhere.
        """
        if self.problem == "transcription":
            return "word_accuracy"
        if self.problem == "regression":
            return "r2"
        if self.problem == "multilabel":
            return "macro_f1"
        return "balanced_accuracy" if self.balanced else "accuracy"

    def scored_by(self, metric: ProbeMetric) -> str:
        """Name the score where a metric of classes is asked for; others have their own."""
        chosen = self.problem == "classification" and metric != "task"
        return metric if chosen else self.metric


def _regression(
    name: str,
    title: str,
    text: str,
    columns: tuple[int, int] | None = None,
    *,
    relative: bool = False,
) -> TaskInfo:
    return TaskInfo(
        name,
        title,
        "acoustic",
        FRAME,
        text,
        problem="regression",
        space=f"acoustic:{name}",
        columns=columns,
        relative=relative,
    )


PROBE_TASKS: Mapping[str, TaskInfo] = MappingProxyType(
    {
        task.name: task
        for task in (
            _regression("energy", "Energy", "Loudness of a frame."),
            _regression("logmel", "Log-mel spectrum", "80 mel bands of a frame."),
            _regression(
                "mfcc",
                "MFCC",
                "13 mel-frequency cepstral coefficients of a frame, without slopes.",
                columns=(0, 13),
            ),
            _regression(
                "pitch",
                "Pitch",
                "Logarithm of the pitch of voiced frames, about its mean in the recording.",
                columns=(0, 1),
                relative=True,
            ),
            TaskInfo(
                "voicing",
                "Voicing",
                "phonetic",
                PHONE,
                "Whether a phone is voiced.",
                phones=VOICING_OF,
                balanced=True,
            ),
            TaskInfo(
                "manner",
                "Manner",
                "phonetic",
                PHONE,
                "How a phone is made: vowel, approximant, nasal, stop, fricative, affricate.",
                phones=MANNER_OF,
                balanced=True,
            ),
            TaskInfo(
                "place",
                "Place",
                "phonetic",
                PHONE,
                "Where a phone is made, from labial to glottal; for vowels front, central, back.",
                phones=PLACE_OF,
                balanced=True,
            ),
            TaskInfo("phone", "Phone", "phonetic", PHONE, "Which phone it is.", balanced=True),
            TaskInfo(
                "phone_set",
                "Phones of a sentence",
                "phonetic",
                SENTENCE,
                "Which phones a sentence holds, without their order and times: several labels at "
                "once.",
                problem="multilabel",
                balanced=True,
                reads=PHONE,
                on_request=True,
            ),
            TaskInfo(
                "boundary",
                "Word boundary",
                "lexical",
                PHONE,
                "Whether a word begins with this phone.",
                balanced=True,
                reads=WORD,
            ),
            TaskInfo(
                "asr",
                "Speech recognition",
                "lexical",
                SENTENCE_FRAME,
                "The text of a sentence, letter by letter, by CTC on the frozen layer.",
                problem="transcription",
                on_request=True,
            ),
            TaskInfo(
                "word",
                "Word identity",
                "lexical",
                WORD,
                "Which word it is, of the most frequent ones that every side holds.",
                balanced=True,
            ),
            TaskInfo(
                "category",
                "Semantic category",
                "semantic",
                WORD,
                "Category or part of speech of a word that was never learnt from.",
                by_type=True,
                balanced=True,
                needs="categories",
            ),
            TaskInfo(
                "word_vector",
                "Word embedding",
                "semantic",
                WORD,
                "Vector of a word that was never learnt from.",
                problem="regression",
                by_type=True,
                needs="word_vectors",
            ),
            TaskInfo(
                "sentence_type",
                "Sentence type",
                "utterance",
                SENTENCE,
                "Question, statement or exclamation, by the mark at the end of its text.",
                balanced=True,
            ),
            TaskInfo(
                "phonetic_sentence_type",
                "Phonetic sentence type (weak)",
                "utterance",
                PROMPT,
                "Which part of TIMIT a sentence is of: SA (dialect), SX (compact) or SI (diverse).",
                balanced=True,
                on_request=True,
                weak="all speakers read the same two SA sentences, in training and test, so that a "
                "probe that knows these words by their sound is right",
            ),
            TaskInfo(
                "intent", "Intent", "utterance", "intent", "What a speaker asks for.", balanced=True
            ),
            TaskInfo("scenario", "Scenario", "utterance", "scenario", "What it is about."),
            TaskInfo("action", "Action", "utterance", "action", "What shall be done."),
            TaskInfo(
                "emotion",
                "Emotion",
                "utterance",
                "emotion",
                "The emotion that was acted.",
                balanced=True,
            ),
            TaskInfo(
                "command",
                "Command",
                "utterance",
                WORD,
                "Which word of a closed set an utterance of one word is.",
                on_request=True,
            ),
            TaskInfo(
                "label",
                "Label",
                "utterance",
                "label",
                "The label of a segment of your own table.",
                balanced=True,
            ),
        )
    }
)


def find_task(name: str) -> TaskInfo:
    """Look a task up.

    Raises
    ------
    InputError
        When there is none of this name.
    """
    if name not in PROBE_TASKS:
        raise InputError(f"there is no probing task {name!r}", hint=near_match(name, PROBE_TASKS))
    return PROBE_TASKS[name]


def possible_tasks(
    tiers: Iterable[str],
    *,
    categories: bool = False,
    word_vectors: bool = False,
    on_request: bool = False,
) -> tuple[str, ...]:
    """Name the tasks that labels allow, from acoustic to semantic.

    Parameters
    ----------
    tiers : iterable of str
        Tiers of the labels.
    categories, word_vectors : bool
        Whether the user gave such a file.
    on_request : bool
        Also those that are only asked where they are named.
    """
    there = {FRAME, *tiers}
    given = {"categories": categories, "word_vectors": word_vectors, None: True}
    return tuple(
        task.name
        for task in PROBE_TASKS.values()
        if task.tiers <= there and given[task.needs] and (on_request or not task.on_request)
    )
