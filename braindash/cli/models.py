"""Commands about model checkpoints."""

from pathlib import Path
from typing import Annotated, Any

import typer

from braindash.cli.options import (
    JsonOption,
    RevisionOption,
    StoreOption,
    notes,
    open_store,
    plain,
    print_json,
    print_rows,
    say,
)

app = typer.Typer(help="Models on this computer, and what a model is and costs.")

_COLUMNS = ["key", "family", "layers", "width", "frames/s", "size", "licence", "place"]


@app.callback(invoke_without_command=True)
def list_models(
    context: typer.Context,
    folders: Annotated[
        list[Path] | None,
        typer.Option("--folder", help="Look there too; may be given several times."),
    ] = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the speech models on this computer: the hub's cache, the store, folders.

    Without --folder, the folders inside the current one are looked at.
    """
    if context.invoked_subcommand is not None:
        return
    found = _found(folders or [Path()], store)
    if as_json:
        print_json([model.as_dict() for model in found])
        return
    if not found:
        notes.print(
            "No speech model lies here. `braindash encode --model ID` downloads one, `--folder "
            "DIR` looks elsewhere.",
            highlight=False,
        )
        return
    print_rows(_COLUMNS, [_row(model) for model in found], whole_keys=True)
    for model in found:
        if model.problem:
            notes.print(plain(f"{model.source}: {model.problem}"), highlight=False)


@app.command(name="check")
def check_model(
    model: Annotated[
        str,
        typer.Argument(
            help="Local folder, hub id, adapter, MODEL@LANG or untrained:MODEL@SEED (@SEED may be "
            "left out)."
        ),
    ],
    revision: RevisionOption = None,
    load: Annotated[
        bool,
        typer.Option(
            "--load",
            help="Load it too: every weight must be there, and its time is measured here.",
        ),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Explain a model: layers, frames, context, memory and time per hour of sound."""
    from braindash.core.statistics.words import counted
    from braindash.errors import InputError
    from braindash.speech.checkpoints.listing import explain, explained_lines
    from braindash.speech.checkpoints.locate import locate

    files = locate(model, revision)
    if not files.is_speech:
        raise InputError(
            f"{files.name} is a feature space, no speech model: "
            f"{counted(files.n_layers, 'layer')} of {files.n_features} values",
            hint="Give a speech model.",
        )
    told = explain(files)
    lines = explained_lines(told)
    if files.base is not None and files.language is None:
        from braindash.speech.checkpoints.merging import (
            lora_strengths,
            read_adapter,
            strength_words,
        )

        told["lora_b"] = lora_strengths(read_adapter(files))
        lines.append(strength_words(told["lora_b"]))
    if load:
        told["measured"] = _measured(files)
        lines += [
            f"{name}: measured here, an hour of sound takes {seconds / 60:.3g} min"
            for name, seconds in told["measured"].items()
        ]
    if as_json:
        print_json(told)
        return
    for line in lines:
        say(line)


@app.command(name="card")
def write_cards(
    folders: Annotated[
        list[Path] | None,
        typer.Argument(help="Folders of tuned models; by default all of the store."),
    ] = None,
    licence: Annotated[
        str, typer.Option(help="Of the base, such as apache-2.0, where its files do not say it.")
    ] = "",
    replace: Annotated[
        bool, typer.Option("--replace", help="Replace a card that somebody else wrote.")
    ] = False,
    store: StoreOption = None,
) -> None:
    """Write the model card (README.md) of tuned models, from their records."""
    from braindash.tuning.card import write_card
    from braindash.tuning.result import tuned_models

    places = folders or [one.folder for one in tuned_models(open_store(store))]
    if not places:
        notes.print("There is no tuned model in the store: give its folder.")
    for place in places:
        say(str(write_card(place, licence=licence, replace=replace)))


@app.command(name="push")
def push_model(
    folder: Annotated[Path, typer.Argument(help="Folder of a tuned model.")],
    repository: Annotated[str, typer.Argument(help="OWNER/NAME on the hub.")],
    public: Annotated[
        bool, typer.Option("--public", help="Everybody may see it; private by default.")
    ] = False,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Upload without being asked again.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be uploaded.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Upload a tuned model to the Hugging Face hub, after saying what that would be.

    Token and address are those of huggingface_hub: `hf auth login`, HF_TOKEN, HF_ENDPOINT.
    """
    from braindash.exports.push import plan_upload, upload

    planned = plan_upload(folder, repository, public=public)
    if as_json and dry_run:
        print_json(planned.as_dict())
        return
    for line in planned.lines():
        notes.print(plain(line), highlight=False)
    if dry_run:
        return
    if not yes:
        typer.confirm("Upload this?", abort=True, err=True)
    address = upload(planned)
    if as_json:
        print_json(planned.as_dict() | {"commit": address})
    else:
        say(address)


def _found(folders: list[Path], root: Path | None) -> list[Any]:
    from huggingface_hub import constants

    from braindash.speech.checkpoints.listing import find_cached, find_in_folders, summarise
    from braindash.tuning.result import tuned_models

    found = find_cached(Path(constants.HF_HUB_CACHE))
    for tuned in tuned_models(open_store(root)):
        one = summarise(tuned.folder, str(tuned.folder), "store")
        if one is not None:
            found.append(one)
    return [*found, *find_in_folders(folders)]


def _row(model: Any) -> dict[str, Any]:
    rate = "" if model.frame_rate_hz is None else f"{model.frame_rate_hz:.4g}"
    return {
        "key": model.source,
        "family": model.family or "cannot be opened",
        "layers": "" if model.n_layers is None else model.n_layers,
        "width": "" if model.n_features is None else model.n_features,
        "frames/s": rate,
        "size": f"{model.n_bytes / 1e6:.4g} MB",
        "licence": model.licence or "not said",
        "place": model.place,
    }


def _measured(files: Any) -> dict[str, float]:
    from braindash.speech.features import estimate_seconds
    from braindash.speech.models import open_model
    from braindash.speech.windows import STRATEGIES

    opened = open_model(files)
    return {name: estimate_seconds(opened, 3600.0, name) for name in STRATEGIES}


def take_over_checkpoint(
    file: Annotated[Path, typer.Argument(help="A brain-tuned state dictionary (.pth).")],
    base: Annotated[str, typer.Option(help="The model that was tuned: local folder or hub id.")],
    out: Annotated[Path, typer.Option(help="Folder to write; must be new or empty.")],
    revision: Annotated[str | None, typer.Option(help="Revision of a hub base.")] = None,
    lora_alpha: Annotated[
        float | None, typer.Option(help="Alpha of low-rank adapters; 32 by default.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Convert a published brain-tuned checkpoint to a model folder for --model."""
    from braindash.speech.checkpoints.published import import_checkpoint

    record = import_checkpoint(file, base=base, out=out, revision=revision, lora_alpha=lora_alpha)
    if as_json:
        print_json(record.as_dict() | {"folder": str(out)})
        return
    for line in record.lines():
        notes.print(plain(line), highlight=False)
    say(str(out))
