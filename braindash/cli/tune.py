"""The command ``braindash tune``."""

from pathlib import Path
from typing import Annotated, Any

import typer

from braindash.cli.options import (
    CheckOption,
    DataOption,
    DeviceOption,
    JsonOption,
    LeaveOutOption,
    QueueOption,
    RevisionOption,
    StoreOption,
    carry_out,
    choices,
    listed,
    maybe_listed,
    notes,
    open_store,
    plain,
    print_json,
    say,
    settings,
    way_of,
)
from braindash.names import given_path
from braindash.process import is_first_process
from braindash.requests import METHODS, TuneRequest, build_tune_request
from braindash.specs import (
    TARGET_RULES,
    TUNING_CONTROLS,
    TUNING_HEADS,
    TUNING_LOSSES,
    AdapterSettings,
    TuningSettings,
)
from braindash.speech.checkpoints.copying import check_free
from braindash.tuning.record import adapter_words

# Options that are no fields of the request.
_NOT_ASKED = {"out", "store", "at_once", "setting", "check_only", "queue", "as_json"}
_QUEUED_OUT = (
    "a model that is tuned in the background stays in the store; leave --out away. When the job is "
    "done, the same command with --out and without --queue copies it"
)
# Whose fields --setting takes, also those of a list.
_FORMS = (AdapterSettings, TuningSettings, TuneRequest)

SubjectsOption = Annotated[str, typer.Option(help="Comma-separated.")]
HeadOption = Annotated[str, typer.Option(help=choices(TUNING_HEADS))]
BottleneckOption = Annotated[
    int | None, typer.Option(help="Values of the head bottleneck; 100 by default.")
]
StepsOption = Annotated[
    int | None,
    typer.Option(
        help="Exactly so many steps, in place of epochs, without an early stop: a model and its "
        "controls then have the same."
    ),
]
OutOption = Annotated[
    Path | None, typer.Option(help="New folder to copy the model to; it stays in the store.")
]
ControlOption = Annotated[
    str, typer.Option(help=f"With the same budget. {choices(TUNING_CONTROLS)}")
]
WordsOption = Annotated[
    Path | None,
    typer.Option(
        help="Of the control text: word vectors, or the folder of a sentence model. Of the control "
        "language-model: the folder of a text model."
    ),
]
TeacherOption = Annotated[
    str | None,
    typer.Option(help="Of the control speech-model: a model, best a larger one than the base."),
]
LayerOption = Annotated[
    int | None, typer.Option(help="Of that model or text model; the last by default.")
]
ValidationOption = Annotated[
    str | None, typer.Option(help="Stories; the manifest's or the last one by default.")
]
TargetsOption = Annotated[
    str,
    typer.Option(help=f"auto: the first ceiling that training data allow; {choices(TARGET_RULES)}"),
]
SegmentOption = Annotated[
    int | None, typer.Option(help="TRs encoded at once; 5: every row by itself, as published.")
]
AttentionOption = Annotated[
    int | None, typer.Option(help="Attention stays within so many TRs of a segment.")
]
PatienceOption = Annotated[
    int | None, typer.Option(help="Epochs without a better validation r; 5, and 0: no early stop.")
]
AtOnceOption = Annotated[
    int | None, typer.Option(help="Segments in memory at once; changes no result's key.")
]
SettingOption = Annotated[
    list[str] | None,
    typer.Option(help="Any other field of the request, NAME=VALUE: rank=16, head_rate=1e-3..."),
]


SeedOption = Annotated[int, typer.Option(help="Of everything that is drawn.")]
RegionSetOption = Annotated[
    str | None, typer.Option(help="Set of these regions (`braindash regions`); discs by default.")
]


def _check_out(out: Path | None) -> None:
    if out is not None:
        check_free(given_path(out, exact=True))


def tune(
    data: DataOption,
    model: Annotated[str, typer.Option(help="The base: local model folder or hub id.")],
    subjects: SubjectsOption,
    out: OutOption = None,
    store: StoreOption = None,
    revision: RevisionOption = None,
    method: Annotated[str, typer.Option(help=choices(METHODS))] = "full",
    loss: Annotated[str, typer.Option(help=choices(TUNING_LOSSES))] = "mse",
    head: HeadOption = "subject",
    bottleneck: BottleneckOption = None,
    control: ControlOption = "none",
    words: WordsOption = None,
    teacher: TeacherOption = None,
    teacher_layer: LayerOption = None,
    validation: ValidationOption = None,
    targets: TargetsOption = "auto",
    threshold: Annotated[float | None, typer.Option(help="Of the noise ceiling.")] = None,
    regions: Annotated[str | None, typer.Option(help="Regions to tune on.")] = None,
    region_set: RegionSetOption = None,
    segment_trs: SegmentOption = None,
    attention_trs: AttentionOption = None,
    epochs: Annotated[int | None, typer.Option(help="At most; 30 by default.")] = None,
    patience: PatienceOption = None,
    steps: StepsOption = None,
    encoder_rate: Annotated[float | None, typer.Option(help="Learning rate; 5e-5.")] = None,
    seed: SeedOption = 0,
    at_once: AtOnceOption = None,
    setting: SettingOption = None,
    device: DeviceOption = "auto",
    threads: Annotated[int | None, typer.Option(help="CPU threads.")] = None,
    leave_out_bad: LeaveOutOption = False,
    check_only: CheckOption = False,
    queue: QueueOption = False,
    as_json: JsonOption = False,
) -> None:
    """Tune a model to the responses of subjects; the same command goes on after an interruption.

    Several GPUs: accelerate launch -m braindash tune ...
    """
    fields = {name: value for name, value in locals().items() if name not in _NOT_ASKED}
    fields |= {
        "subjects": listed(subjects, "--subjects"),
        "validation": maybe_listed(validation, "--validation"),
        "regions": maybe_listed(regions, "--regions"),
        "n_at_once": at_once,
    }
    request = build_tune_request(**fields | settings(setting or [], "--setting", *_FORMS))
    if queue and out is not None:
        raise typer.BadParameter(_QUEUED_OUT, param_hint="--out")
    _check_out(out)
    first = is_first_process()
    way = way_of(check_only, queue)
    result = carry_out(request, open_store(store), way, as_json, quiet=not first)
    if result is None or not first:
        return
    _tell(result if out is None else result.copied(out), as_json)


def _tell(result: Any, as_json: bool) -> None:
    """Print where the tuned model is, and what the training said."""
    if as_json:
        print_json({"key": result.key, "folder": str(result.folder), "record": result.record})
        return
    for warning in result.record["warnings"]:
        notes.print(plain(f"Note: {warning}"), highlight=False)
    notes.print(plain(result.line()), highlight=False)
    if told := adapter_words(result.record):
        notes.print(plain(told), highlight=False)
    say(str(result.folder))
