"""The command ``braindash predict``: what kept weights predict for any sound."""

from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from braindash.cli.options import (
    CheckOption,
    DeviceOption,
    JsonOption,
    StoreOption,
    choices,
    open_store,
    print_json,
    progress_bar,
    say,
)
from braindash.encoding.sounds.prediction import SoundPrediction
from braindash.errors import InputError
from braindash.io.store import Store
from braindash.requests import ALTERATIONS, LONGEST_SECONDS, SoundRequest, build_request

ResultOption = Annotated[
    str, typer.Option(help="Key of an encoding result whose weights are kept, or its first digits.")
]
AudioOption = Annotated[
    Path, typer.Option(help="A recording, of any rate and format that is read.")
]
LayerOption = Annotated[
    int | None, typer.Option(help="Where weights of several layers are kept; the best of them.")
]
AlteredOption = Annotated[
    str, typer.Option(help=f"What is done to the sound first. {choices(ALTERATIONS)}")
]
MinusOption = Annotated[
    str | None,
    typer.Option(
        help="Subtract the prediction for the same sound altered: reversed or noise-vocoded."
    ),
]
MinusAudioOption = Annotated[
    Path | None, typer.Option(help="Subtract the prediction for another recording.")
]
MinusResultOption = Annotated[
    str | None,
    typer.Option(
        help="Subtract the prediction by another result of the subject, such as a tuned model's."
    ),
]
OutputOption = Annotated[
    list[Path] | None,
    typer.Option(
        help="NAME.npz (all targets) or NAME.func.gii (a file per hemisphere), each with "
        "NAME.json; may be given several times."
    ),
]
LongestOption = Annotated[
    float, typer.Option(help="Longest sound that is taken, in seconds; what it takes is told.")
]


def predict(
    result: ResultOption,
    audio: AudioOption,
    output: OutputOption = None,
    layer: LayerOption = None,
    start: Annotated[float | None, typer.Option(help="Begin there, in seconds.")] = None,
    stop: Annotated[float | None, typer.Option(help="End there, in seconds.")] = None,
    altered: AlteredOption = "as-is",
    minus: MinusOption = None,
    minus_audio: MinusAudioOption = None,
    minus_result: MinusResultOption = None,
    bands: Annotated[int, typer.Option(help="Of noise-vocoding.")] = 6,
    envelope_hz: Annotated[float, typer.Option(help="Cut-off of noise-vocoding's envelopes.")] = 30,
    seed: Annotated[int, typer.Option(help="Of noise-vocoding's noise.")] = 0,
    model: Annotated[
        str | None, typer.Option(help="Where the model lies, if it was moved since the fit.")
    ] = None,
    longest: LongestOption = LONGEST_SECONDS,
    store: StoreOption = None,
    device: DeviceOption = "auto",
    check_only: CheckOption = False,
    as_json: JsonOption = False,
) -> None:
    """Predict a subject's response to any sound; a prediction, not a measurement."""
    request = build_request(
        SoundRequest,
        result=result,
        audio=audio,
        layer=layer,
        start=start,
        stop=stop,
        altered=altered,
        n_bands=bands,
        envelope_hz=envelope_hz,
        seed=seed,
        model=model,
        longest_seconds=longest,
        device=device,
    )
    opened = open_store(store)
    requests = [request, *_other(request, minus, minus_audio, minus_result)]
    if check_only:
        _tell_needs(requests, opened, as_json)
        return
    made, files = _predicted(requests, opened, output or [])
    if as_json:
        print_json(made.sidecar() | {"files": [str(path) for path in files]})
        return
    say(made.caption())
    say(_course(made))
    for path in files:
        say(str(path))


def _other(
    request: SoundRequest, minus: str | None, audio: Path | None, result: str | None
) -> list[SoundRequest]:
    """Return the request whose prediction is subtracted, if any."""
    given = [one for one in (minus, audio, result) if one is not None]
    if len(given) > 1:
        raise InputError(
            "a prediction can be subtracted once",
            hint="Give one of --minus, --minus-audio and --minus-result.",
        )
    if minus is not None:
        return [build_request(SoundRequest, **(request.model_dump() | {"altered": minus}))]
    if audio is not None:
        # Only the first sound is altered.
        changes = {"audio": audio, "start": None, "stop": None, "altered": "as-is"}
        return [request.model_copy(update=changes)]
    if result is not None:
        return [request.model_copy(update={"result": result, "layer": None, "model": None})]
    return []


def _tell_needs(requests: list[SoundRequest], store: Store, as_json: bool) -> None:
    from braindash.work.sounds import sound_needs

    needs = [sound_needs(one, store) for one in requests]
    if as_json:
        print_json([one.as_dict() for one in needs])
        return
    for one in needs:
        say("\n".join(one.lines()))


def _predicted(
    requests: list[SoundRequest], store: Store, output: list[Path]
) -> tuple[SoundPrediction, list[Path]]:
    """Predict, subtract and write."""
    from braindash.work.sounds import predict_sounds, require_writable, time_series

    require_writable(requests[0], store, output)
    with progress_bar() as bar:
        made, *others = predict_sounds(requests, store, bar)
    for other in others:
        made = made.minus(other)
    series = time_series(made, store)
    written = (path for place in output for path in series.write(place))
    return made, list(dict.fromkeys(written))


def _course(made: SoundPrediction) -> str:
    """Say in a line what is predicted, and when most."""
    size: Any = np.sqrt(np.nanmean(np.square(made.values), axis=1))
    top = int(np.argmax(size))
    return (
        f"{len(made.values)} rows, {made.times[0]:g} to {made.times[-1]:g} s after the start of "
        f"the sound, {int(made.complete.sum())} of them with all delays within it; largest at "
        f"{made.times[top]:g} s (root mean square over targets {size[top]:.3g})."
    )
