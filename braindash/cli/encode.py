"""The command ``braindash encode``, and how encoding results are printed."""

from pathlib import Path
from typing import Annotated, Any

import typer

from braindash.cli.options import (
    CheckOption,
    CoresOption,
    DataOption,
    DeviceOption,
    HemisphereOption,
    JsonOption,
    LeaveOutOption,
    ModelOption,
    PrecisionOption,
    QueueOption,
    RegionsOption,
    RevisionOption,
    StoreOption,
    StrategyOption,
    Way,
    carry_out,
    carry_out_all,
    choices,
    listed,
    notes,
    open_store,
    plain,
    print_json,
    say,
    way_of,
)
from braindash.defaults import DEFAULT_DELAYS, PRESETS, difference_lines
from braindash.errors import InputError
from braindash.io.dataset.manifest import load_manifest
from braindash.io.dataset.responses import shape
from braindash.io.regions.find import find_regions, usual_set
from braindash.io.regions.masks import Hemisphere
from braindash.io.regions.own import has_own_regions
from braindash.io.regions.sets import OWN_SET, find_set
from braindash.io.spaces.find import surface_for
from braindash.io.store import Store
from braindash.requests import LOW_LEVEL_SPACE, MEAN_SUBJECT, EncodeRequest, build_request
from braindash.specs import CEILING_SELECTIONS, HISTORIES, PENALTIES, SCHEMES

# In place of a subject: each of the manifest's, one after the other.
_ALL = "all"
_DELAYS = ",".join(map(str, DEFAULT_DELAYS))


SubjectOption = Annotated[
    str,
    typer.Option(
        help="A subject of the manifest; several with commas, 'all', or 'mean': all averaged."
    ),
]
PresetOption = Annotated[
    str,
    typer.Option(
        help="The protocol of a paper, for what no option gives. "
        + choices({name: one.paper for name, one in PRESETS.items()})
    ),
]
AlphasOption = Annotated[
    str | None, typer.Option(help="Comma-separated; 17 values from 1 to 1e8 by default.")
]
DelaysOption = Annotated[
    str | None, typer.Option(help=f"Comma-separated, in TRs; {_DELAYS} by default.")
]
FromRowOption = Annotated[
    int | None, typer.Option(help="First scored row of the test stories; the manifest's if none.")
]
ThresholdOption = Annotated[
    float | None,
    typer.Option(help="That a noise ceiling must exceed; 0.4, or 0.1 between subjects, if none."),
]
SelectionOption = Annotated[
    str,
    typer.Option(
        help="What chooses the targets whose score is divided by the ceiling from repeats. "
        + choices(CEILING_SELECTIONS)
    ),
]
HighPassOption = Annotated[
    float | None,
    typer.Option(
        help="In seconds: slower cosines leave features and responses; usual: 128, none by default."
    ),
]
PermutationsOption = Annotated[
    int,
    typer.Option(
        help="Permutations of the test rows for p and q; 0: none. The scheme prewhitened draws "
        "none: every other number is the same."
    ),
]
BootstrapsOption = Annotated[
    int, typer.Option(help="Bootstrap samples of the test rows for intervals; 0: none.")
]
PenaltyOption = Annotated[
    str, typer.Option(help=f"Which targets share a penalty. {choices(PENALTIES)}")
]
HistoryOption = Annotated[
    str, typer.Option(help=f"Rows whose delays reach beyond their story. {choices(HISTORIES)}")
]
SchemeOption = Annotated[str, typer.Option(help=f"How targets are tested. {choices(SCHEMES)}")]
FramesOption = Annotated[
    bool | None,
    typer.Option(
        help="Keep the model's frames, 1.4 GB per hour of sound for a base model, so that subjects "
        "whose rows are at other times need no other run of it; where the data set has such "
        "subjects, if none. No part of any key."
    ),
]
WeightsOption = Annotated[
    str | None,
    typer.Option(
        metavar="LAYER|best",
        help="Keep the weights of one layer beside the result, for `braindash predict`: a layer's "
        "number, or best: by cross-validation in training. No part of any key; a result that is "
        "there already gets them without being computed again.",
    ),
]
NullsOption = Annotated[
    bool,
    typer.Option(
        "--null-panel",
        help="Score as well a constant, a ramp, an onset, shifted features, and the model with "
        "shuffled and with random weights.",
    ),
]
LowLevelOption = Annotated[
    str | None,
    typer.Option(help="residual or banded: how much low-level features explain as well."),
]


LowSpaceOption = Annotated[
    str,
    typer.Option(help="The acoustic space that counts as low level, or several joined by +."),
]
ContextOption = Annotated[
    float | None,
    typer.Option(
        "--context", help="Longest audio in seconds that the model sees at once; 16.1 if none."
    ),
]
ShareOption = Annotated[
    float | None,
    typer.Option(help="Share of the training stories that the fit sees; all if none."),
]
DrawOption = Annotated[
    int,
    typer.Option(
        help="Seed of the order from which that share is taken: smaller ones lie in larger ones."
    ),
]


def encode(
    data: DataOption,
    model: ModelOption,
    subject: SubjectOption,
    store: StoreOption = None,
    revision: RevisionOption = None,
    strategy: StrategyOption = "exact",
    precision: PrecisionOption = "float32",
    preset: PresetOption = "default",
    alphas: AlphasOption = None,
    delays: DelaysOption = None,
    metric: Annotated[str, typer.Option(help="r2 or r, chooses alpha.")] = "r2",
    intercept: Annotated[bool, typer.Option(help="Fit an intercept.")] = True,
    penalty: PenaltyOption = "target",
    history: HistoryOption = "padded",
    high_pass: HighPassOption = None,
    score_from_row: FromRowOption = None,
    ceiling_threshold: ThresholdOption = None,
    ceiling_selection: SelectionOption = "same",
    permutations: PermutationsOption = 1000,
    bootstraps: BootstrapsOption = 1000,
    block_rows: Annotated[int, typer.Option(help="Shortest block of test rows.")] = 10,
    scheme: SchemeOption = "prewhitened",
    seed: Annotated[int, typer.Option(help="Of permutations and bootstrap samples.")] = 0,
    low_level: LowLevelOption = None,
    low_level_space: LowSpaceOption = LOW_LEVEL_SPACE,
    null_panel: NullsOption = False,
    context: ContextOption = None,
    train_share: ShareOption = None,
    train_draw: DrawOption = 0,
    regions: RegionsOption = None,
    hemisphere: HemisphereOption = None,
    device: DeviceOption = "auto",
    threads: CoresOption = None,
    keep_frames: FramesOption = None,
    keep_weights: WeightsOption = None,
    leave_out_bad: LeaveOutOption = False,
    check_only: CheckOption = False,
    queue: QueueOption = False,
    as_json: JsonOption = False,
) -> None:
    """Score how well each layer of a model predicts subjects' responses."""
    asked = {"data": data, "model": model, "subject": subject, "revision": revision}
    features = {"strategy": strategy, "precision": precision, "context_seconds": context}
    share = {"train_share": train_share, "train_draw": train_draw}
    fit = {"metric": metric, "intercept": intercept, "penalty": penalty, "history": history}
    rows = {"high_pass": high_pass, "score_from_row": score_from_row}
    ceilings = {"ceiling_threshold": ceiling_threshold, "ceiling_selection": ceiling_selection}
    drawn = {"n_permutations": permutations, "n_bootstraps": bootstraps, "block_rows": block_rows}
    beside = {"low_level": low_level, "low_level_space": low_level_space, "null_panel": null_panel}
    around = {"device": device, "threads": threads, "leave_out_bad": leave_out_bad}
    kept = {"keep_frames": keep_frames, "keep_weights": keep_weights}
    request = build_request(
        EncodeRequest,
        preset=preset,
        alphas=None if alphas is None else listed(alphas, "--alphas", float),
        delays=None if delays is None else listed(delays, "--delays", int),
        scheme=scheme,
        seed=seed,
        **(asked | features | share | fit | rows | ceilings | drawn | beside | around | kept),
    )
    _score(request, open_store(store), regions, hemisphere, way_of(check_only, queue), as_json)


def _score(
    request: EncodeRequest,
    store: Store,
    regions: str | None,
    hemisphere: Hemisphere | None,
    way: Way,
    as_json: bool,
) -> None:
    """Carry a request out and print its results, as they are seen in a region set."""
    _check_regions(request, regions)
    results, several = _encode(request, store, way, as_json)
    if not as_json:
        print_results(results, store, regions, hemisphere, request.data)
    elif results:
        seen_in = (store, regions, request.data, hemisphere)
        made = [result_document(one, *seen_in) for one in results]
        print_json(made if several else made[0])


def _check_regions(request: EncodeRequest, regions: str | None) -> None:
    """Refuse a region set that cannot be used before anything is computed; tell the preset."""
    wanted = PRESETS[request.preset].region_set
    space = load_manifest(request.data).space
    usual = usual_set(space, data=request.data, wanted=wanted)
    if regions is not None or usual == OWN_SET:  # tables are of the usual one where none is named
        _require_set(regions or usual, request)
    for line in difference_lines(request.preset, request.model_dump()):
        notes.print(plain(line), highlight=False)
    if wanted is not None and regions is None and not find_set(wanted).is_ready:
        notes.print(
            f"Its regions are not here ({find_set(wanted).needs()}): tables are of other regions "
            "until they are; no score depends on it.",
            highlight=False,
        )


def _require_set(name: str, request: EncodeRequest) -> None:
    """Find each subject's regions now: what is wrong with them must not come after the fit."""
    if name != OWN_SET:
        find_set(name).require_ready()
    dataset = load_manifest(request.data).without(request.left_out)
    if name == OWN_SET and not has_own_regions(dataset):
        raise InputError(
            f"{request.data} describes no regions of its own",
            hint="Add [regions] to it, or choose another region set.",
        )
    for subject in _subjects(request.data, request.subject):
        is_mean = subject == MEAN_SUBJECT and subject not in dataset.subjects
        of = dataset.subjects[0] if is_mean else subject
        n_targets = shape(dataset.responses(of, dataset.split(of).test[0]))[1]
        surface = surface_for(dataset, of, n_targets)
        find_regions(name, dataset.space, n_targets, data=dataset, subject=subject, surface=surface)


def _encode(
    request: EncodeRequest, store: Store, way: Way, as_json: bool
) -> tuple[list[Any], bool]:
    """Return the results, and whether several subjects were named."""
    names = _subjects(request.data, request.subject)
    requests = {name: request.model_copy(update={"subject": name}) for name in names}
    if len(names) == 1:
        result = carry_out(requests[names[0]], store, way, as_json)
        results = [] if result is None else [result]
    else:
        results = carry_out_all(requests, store, way, as_json)
    return results, len(names) > 1


def _subjects(data: Path, given: str) -> tuple[str, ...]:
    """Name the subjects that are meant; a name of the manifest is always taken as it is."""
    if given != _ALL and "," not in given:
        return (given,)
    known = load_manifest(data).subjects
    if given in known:
        return (given,)
    return tuple(known) if given == _ALL else tuple(dict.fromkeys(listed(given, "--subject")))


def print_results(
    results: list[Any],
    store: Store,
    regions: str | None = None,
    hemisphere: Hemisphere | None = None,
    data: Path | None = None,
) -> None:
    """Print the regions of encoding results, each with its coverage and its provenance."""
    from braindash.work.regions import seen_in

    for loaded in results:
        result = seen_in(loaded, regions, hemisphere or "both", store, data=data)
        table = result.regions()
        invalid = int((~result.valid).sum())
        say(result.provenance_line())
        say(f"{invalid} of {result.n_targets} targets have no score (constant or NaN)")
        wide = table.pivot(index="region", columns="layer", values="r").round(3)
        wide.columns = [str(layer) for layer in wide.columns]
        covered = table.groupby("region")["coverage"].min()
        wide["coverage"] = [f"{covered[name]:.0%}" for name in wide.index]
        say(wide.loc[list(result.masks)].to_string(na_rep="-"))
        for line in null_lines(result):
            say(line)
        say(f"{result.folder}\n")


def null_lines(result: Any) -> list[str]:
    """Say what the null panel found, and what it warns of; empty without one."""
    from braindash.encoding.nulls.panel import null_line, null_panel, null_warnings

    if null_panel(result) is None:
        return []
    return [null_line(result), *(f"warning: {text}" for text in null_warnings(result))]


def result_document(
    result: Any,
    store: Store,
    name: str | None = None,
    data: Path | None = None,
    hemisphere: Hemisphere | None = None,
) -> dict[str, Any]:
    """Return an encoding result as JSON values, with the regions of one side or of every."""
    from braindash.encoding.ceilings.chosen import selection_line
    from braindash.encoding.seen import hemisphere_table, is_stored_with, regions_for
    from braindash.work.regions import computed, seen_in

    regions = regions_for(result, name, data)
    seen = seen_in(result, regions.name, "both", store, data=data)
    if name is None and is_stored_with(result, regions, "both"):
        table = result.region_intervals()
    else:
        table = hemisphere_table(result, regions, computed(result, regions, store))
    if hemisphere is not None:
        regions.of(hemisphere)  # refuses a side that these targets have not
        table = table[table["hemisphere"] == hemisphere]
    table = table.drop(columns=["model", "subject", "simulated"]).astype(object)
    return {
        "key": result.key,
        "folder": str(result.folder),
        "model": result.model,
        "kind": "encoding",
        "subject": result.subject,
        "simulated": result.simulated,
        "n_targets": result.n_targets,
        "n_without_score": int((~result.valid).sum()),
        "n_significant": result.significant().sum(axis=1).tolist()
        if result.has_significance
        else None,
        "n_significant_in_any_layer": int(result.best_significant().sum())
        if result.has_significance
        else None,
        "significance": result.significance_line(),
        "ceilings": list(result.ceilings),
        "ceiling_bias": selection_line(result),
        "intervals": seen.interval_line(),
        "nulls": null_lines(seen),
        "provenance": seen.provenance_line(),
        "region_set": seen.region_set,
        "regions": table.where(table.notna(), None).to_dict(orient="records"),
    }
