"""Controls that learn from something else than responses: what it is, and what names it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from braindash.errors import InputError
from braindash.files import digest_json, parse_json
from braindash.io.texts import read_text
from braindash.names import given_path
from braindash.remembered.digests import digest_input
from braindash.requests import TuneRequest
from braindash.specs import TuningControl
from braindash.speech.checkpoints.locate import ModelFiles, locate

# What stands for the subject where the targets are no responses.
STAND_INS: Mapping[TuningControl, str] = MappingProxyType(
    {
        "text": "text",
        "language-model": "text",
        "speech-model": "speech-model",
        "stimulus": "stimulus",
    }
)
# Of words, which stand in a tier.
OF_WORDS: frozenset[TuningControl] = frozenset({"text", "language-model"})
# Hidden frames of the sound are foretold.
OF_HIDDEN_FRAMES: frozenset[TuningControl] = frozenset({"stimulus", "joint"})
LAYERED: frozenset[TuningControl] = frozenset({"language-model", "speech-model"})
# Where the configuration of a text model says how many blocks it has.
_N_BLOCKS = ("num_hidden_layers", "n_layer", "n_layers", "num_layers")


@dataclass(frozen=True)
class Teacher:
    """What gives the targets in place of responses.

    Attributes
    ----------
    text : str or None
        Digest of word vectors or of a text model.
    model : ModelFiles or None
        A speech model.
    layer : int or None
        Of a model; None of a text model: the last.
    """

    text: str | None = None
    model: ModelFiles | None = None
    layer: int | None = None


def plan_teacher(request: TuneRequest, base: ModelFiles) -> Teacher:
    """Check what a control learns from, and name it.

    Raises
    ------
    InputError
        What the control needs is not given, or does not belong to it, or the base cannot do it.
    ModelError
        The speech model cannot be found.
    """
    control = request.control
    _check_words(request)
    if (request.teacher is not None) != (control == "speech-model"):
        raise InputError(
            "the control 'speech-model' and the model whose layer is foretold belong together",
            hint="Give both (control 'speech-model', teacher MODEL), or neither.",
        )
    if request.teacher_layer is not None and control not in LAYERED:
        raise InputError(
            f"a layer was given ({request.teacher_layer}), but the control {control!r} has none",
            hint=f"Leave it out, or choose one of the controls {', '.join(sorted(LAYERED))}.",
        )
    if control in OF_HIDDEN_FRAMES and base.padded_samples is not None:
        raise InputError(
            f"the control {control!r} hides frames behind the convolutional front end, and "
            f"{base.name} has none: it hears spectrograms of a fixed length",
            hint="Use a model of the kind of wav2vec 2.0 or HuBERT, or another control.",
        )
    if request.words is not None:
        place = given_path(request.words)
        if control == "language-model":
            _check_layer(request.teacher_layer, _text_blocks(place), str(request.words))
        return Teacher(text=_text_digest(place), layer=request.teacher_layer)
    return Teacher() if request.teacher is None else _speech_teacher(request)


def _speech_teacher(request: TuneRequest) -> Teacher:
    assert request.teacher is not None  # checked
    files = locate(request.teacher)
    if not files.is_speech:
        raise InputError(
            f"{request.teacher!r} is an acoustic feature space or one of words, no speech model",
            hint="Give a speech model, best a larger one than the base.",
        )
    last = files.n_layers - 1
    _check_layer(request.teacher_layer, last, files.name)
    layer = last if request.teacher_layer is None else request.teacher_layer
    return Teacher(model=files, layer=layer)


def _check_layer(layer: int | None, last: int | None, name: str) -> None:
    if layer is not None and last is not None and layer > last:
        raise InputError(
            f"{name} has no layer {layer}", hint=f"Its layers are 0 (before the blocks) to {last}."
        )


def _check_words(request: TuneRequest) -> None:
    if (request.words is not None) != (request.control in OF_WORDS):
        raise InputError(
            "the controls 'text' and 'language-model', and word vectors or a text model, belong "
            "together",
            hint="Give both (control 'text', words FILE_OR_FOLDER), or neither.",
        )
    if request.words is None:
        return
    place = given_path(request.words)
    if not place.exists():
        raise InputError(
            f"there is no file {request.words}",
            hint="Give a file of word vectors, or the folder of a text model.",
        )
    if request.control == "language-model" and not place.is_dir():
        raise InputError(
            f"{request.words} is a file: the control 'language-model' needs a text model",
            hint="Give the folder of one, or take the control 'text' for word vectors.",
        )


def _text_digest(place: Path) -> str:
    """Name word vectors by their file, a text model by the files of its folder."""
    if place.is_file():
        return digest_input(place)
    # Hidden ones too: keys are made of them since there are keys.
    files = sorted(path for path in place.iterdir() if path.is_file())
    return digest_json({path.name: digest_input(path) for path in files})


def _text_blocks(folder: Path) -> int | None:
    """Read how many blocks a text model has; None where its configuration does not say."""
    path = folder / "config.json"
    if not path.is_file():
        raise InputError(
            f"{folder} holds no config.json, so it is no text model",
            hint="Give the folder that `save_pretrained` wrote, with the tokenizer's files.",
        )
    try:
        content = parse_json(read_text(path))
    except ValueError as error:
        raise InputError(
            f"{path} cannot be read: {error}", hint="Copy or download the model again."
        ) from error
    found = [content.get(name) for name in _N_BLOCKS] if isinstance(content, dict) else []
    return next((count for count in found if isinstance(count, int)), None)
