"""The command ``braindash probe``, and how probing results are printed."""

import re
from pathlib import Path
from typing import Annotated, Any, get_args

import typer

from braindash.cli.options import (
    CheckOption,
    CoresOption,
    DeviceOption,
    JsonOption,
    LeaveOutOption,
    ModelOption,
    PrecisionOption,
    QueueOption,
    RevisionOption,
    StoreOption,
    StrategyOption,
    carry_out,
    choices,
    keep,
    listed,
    maybe_listed,
    named_value,
    notes,
    open_store,
    plain,
    print_json,
    say,
    way_of,
)
from braindash.defaults import PRESETS, ProbePresetName, probe_difference_lines
from braindash.io.labels.sources import LABEL_FLAGS, LABEL_NUMBERS, LABEL_SOURCES
from braindash.probing.tasks import PROBE_TASKS
from braindash.requests import ProbeRequest, build_request
from braindash.specs import PROBE_METRICS

_READER = "--labels-option"
_DIGITS = re.compile(r"[0-9]{1,9}")
_FLAG_VALUES = dict.fromkeys(("yes", "true", "on", "1"), True) | dict.fromkeys(
    ("no", "false", "off", "0"), False
)
_TASKS_HELP = f"Comma-separated, of {', '.join(PROBE_TASKS)}; all that the labels allow by default."
_PRESETS = {name: PRESETS[name].paper for name in get_args(ProbePresetName)}
_SOURCES_HELP = f"Source of labels: {', '.join(LABEL_SOURCES)}."

DataOption = Annotated[
    Path | None,
    typer.Option(help="A manifest (TOML) whose alignment_dir holds TextGrids, or its folder."),
]
SourceOption = Annotated[str | None, typer.Option(help=_SOURCES_HELP)]
PathOption = Annotated[Path | None, typer.Option(help="Folder or table of the labels.")]
AudioOption = Annotated[Path | None, typer.Option(help="Folder of the recordings, if elsewhere.")]
ReaderOption = Annotated[
    list[str] | None,
    typer.Option(
        help="NAME=VALUE for the source's reader; may be repeated; tables of tiers add up."
    ),
]
RecordingsOption = Annotated[
    str | None, typer.Option(help="Comma-separated names or patterns (*); all by default.")
]
TasksOption = Annotated[str | None, typer.Option(help=_TASKS_HELP)]
CategoriesOption = Annotated[
    Path | None, typer.Option(help="Table of word and category, for the task category.")
]
VectorsOption = Annotated[
    Path | None, typer.Option(help="GloVe, word2vec (text) or .npz, for the task word_vector.")
]


PresetOption = Annotated[
    str,
    typer.Option(help=f"The protocol of a paper, for what no option gives. {choices(_PRESETS)}"),
]
MetricOption = Annotated[
    str | None, typer.Option(help=f"Score of tasks that have classes. {choices(PROBE_METRICS)}")
]
WithOption = Annotated[
    str | None,
    typer.Option(
        "--mean-with",
        help="Comma-separated keys of other models' results that were asked the same: prints mean "
        "and standard error over all.",
    ),
]


def probe(
    model: ModelOption,
    data: DataOption = None,
    labels: SourceOption = None,
    labels_path: PathOption = None,
    labels_audio: AudioOption = None,
    labels_option: ReaderOption = None,
    recordings: RecordingsOption = None,
    tasks: TasksOption = None,
    categories: CategoriesOption = None,
    word_vectors: VectorsOption = None,
    store: StoreOption = None,
    revision: RevisionOption = None,
    strategy: StrategyOption = "chunk",
    precision: PrecisionOption = "float32",
    preset: PresetOption = "default",
    metric: MetricOption = None,
    method: Annotated[str, typer.Option(help="ridge, discriminant or logistic.")] = "ridge",
    split: Annotated[
        str, typer.Option(help="auto (the source's own, else drawn), drawn or given.")
    ] = "auto",
    max_units: Annotated[int, typer.Option(help="Most units of one kind.")] = 20_000,
    shuffles: Annotated[int, typer.Option(help="Runs with shuffled labels; 0: none.")] = 10,
    bootstraps: Annotated[int, typer.Option(help="Bootstrap samples of intervals.")] = 1000,
    seed: Annotated[int, typer.Option(help="Of the split, the shuffles and the draws.")] = 0,
    device: DeviceOption = "auto",
    threads: CoresOption = None,
    leave_out_bad: LeaveOutOption = False,
    mean_with: WithOption = None,
    check_only: CheckOption = False,
    queue: QueueOption = False,
    as_json: JsonOption = False,
) -> None:
    """Score what each layer of a model tells about labelled speech, from sound to meaning."""
    options = _options(labels_option or [], labels_audio)
    request = build_request(
        ProbeRequest,
        data=data,
        model=model,
        labels=labels,
        labels_path=labels_path,
        labels_options=options,
        recordings=maybe_listed(recordings, "--recordings"),
        tasks=maybe_listed(tasks, "--tasks"),
        categories=categories,
        word_vectors=word_vectors,
        revision=revision,
        strategy=strategy,
        precision=precision,
        preset=preset,
        metric=metric,
        method=method,
        split=split,
        max_units=max_units,
        n_shuffles=shuffles,
        n_bootstraps=bootstraps,
        seed=seed,
        device=device,
        threads=threads,
        leave_out_bad=leave_out_bad,
    )
    opened = open_store(store)
    others = [_opened(opened, key) for key in maybe_listed(mean_with, "--mean-with") or ()]
    for line in probe_difference_lines(request.preset):
        notes.print(plain(line), highlight=False)
    result = carry_out(request, opened, way_of(check_only, queue), as_json)
    if result is None:
        return
    _tell(result, others, as_json)


def _tell(result: Any, others: list[Any], as_json: bool) -> None:
    """Print a result and, where there are others, the mean over all of them."""
    mean = _mean([result, *others]) if others else None
    if as_json:
        told = {} if mean is None else {"mean": mean.to_dict(orient="records")}
        print_json(probing_document(result) | told)
        return
    print_probing([result])
    if mean is not None:
        say(f"Mean and standard error over {len(others) + 1} models: {mean['models'].iloc[0]}")
        say(mean.drop(columns=["models", "simulated"]).round(3).to_string(index=False))


def _opened(store: Any, key: str) -> Any:
    """Open another model's result, before anything is computed."""
    from braindash.probing.result import ProbingResult

    return ProbingResult.load(store.find(key))


def _mean(results: list[Any]) -> Any:
    from braindash.probing.several import probing_mean

    return probing_mean(results)


def _options(given: list[str], audio: Path | None = None) -> dict[str, Any]:
    """Read NAME=VALUE: yes, no and digits for flags and numbers, A:B,C:D is a table of names."""
    found: dict[str, Any] = {}
    for text in given:
        name, value = named_value(text, _READER)
        if name in LABEL_FLAGS:
            keep(found, name, _FLAG_VALUES.get(value.lower(), value), _READER)
        elif name in LABEL_NUMBERS and _DIGITS.fullmatch(value):
            keep(found, name, int(value), _READER)
        elif name == "tiers":
            tiers = found.setdefault(name, {})
            for tier, meaning in listed(value, _READER, _pair):
                keep(tiers, tier, meaning, _READER)
        else:
            keep(found, name, value, _READER)
    if audio is not None:
        keep(found, "audio", str(audio), "--labels-audio")
    return found


def _pair(text: str) -> tuple[str, str]:
    name, colon, tier = text.partition(":")
    if not colon:
        raise typer.BadParameter(f"{text!r} is not TIER:NAME", param_hint=_READER)
    return name.strip(), tier.strip()


def print_probing(results: list[Any]) -> None:
    """Print the scores of probing results, each with its provenance."""
    for result in results:
        say(result.provenance_line())
        wide = result.table().pivot(index="task", columns="layer", values="score")
        wide.insert(0, "chance", [float(result.chance(task).mean()) for task in wide.index])
        wide.insert(0, "metric", [result.metric(task) for task in wide.index])
        say(wide.loc[list(result.tasks)].round(3).to_string(na_rep="-"))
        say(f"{result.folder}\n")


def probing_document(result: Any) -> dict[str, Any]:
    """Return a probing result as JSON values."""
    table = result.table().drop(columns=["model", "simulated"]).astype(object)
    return {
        "key": result.key,
        "folder": str(result.folder),
        "model": result.model,
        "kind": "probing",
        "simulated": result.simulated,
        "provenance": result.provenance_line(),
        "tasks": {task: result.facts(task) for task in result.tasks},
        "intervals": {task: result.interval_line(task) for task in result.tasks},
        "scores": table.where(table.notna(), None).to_dict(orient="records"),
    }
