"""The commands about this machine: ``worker`` makes parts here, ``doctor`` says whether it can."""

import signal
from dataclasses import asdict
from types import FrameType
from typing import Annotated

import typer

from braindash.cli.options import (
    CoresOption,
    JsonOption,
    StoreOption,
    listed,
    notes,
    open_store,
    plain,
    print_json,
    say,
)
from braindash.errors import StoreError
from braindash.io.store import default_root
from braindash.names import given_path
from braindash.progress import spoken_duration

JobOption = Annotated[
    list[str] | None,
    typer.Option(
        "--job",
        help="Key of a shared job, or its first digits; several by repeating it. The worker ends "
        "with them; without it every job that comes is worked on.",
    ),
]
KindsOption = Annotated[
    str | None,
    typer.Option(
        help="Only parts of these kinds, comma-separated, such as features on machines with a "
        "GPU and predictions,encoding on others; the first word of a part's name in the log."
    ),
]
MinutesOption = Annotated[
    float | None,
    typer.Option(
        min=0.1,
        help="The worker gives back what it has not finished and is gone before these are over.",
    ),
]
IdleOption = Annotated[
    float, typer.Option(min=0.0, help="End after so long without a part to make.")
]
ProcessesOption = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Parts at a time, each in a process; by default as many as cores and memory allow, "
        "and one on a GPU.",
    ),
]


def worker(
    store: StoreOption = None,
    job: JobOption = None,
    kinds: KindsOption = None,
    max_minutes: MinutesOption = None,
    idle_minutes: IdleOption = 10.0,
    processes: ProcessesOption = None,
    threads: CoresOption = None,
) -> None:
    """Make parts of the jobs that `braindash submit` shared, on any machine that sees the store.

    Start as many as you like, on as many machines; none needs to stay alive.
    """
    from braindash.cluster.pulling import Puller

    opened = open_store(store)
    if not opened.root.is_dir():
        raise StoreError(
            f"there is no store {opened.root} on this machine",
            hint="Mount the file system that the other machines see, and give its folder: --store.",
        )
    puller = Puller(
        opened.root,
        jobs=job or (),
        kinds=() if kinds is None else listed(kinds, "--kinds"),
        processes=processes,
        cores=threads,
        seconds=None if max_minutes is None else 60 * max_minutes,
        idle_seconds=60 * idle_minutes,
        tell=lambda text: say(text, err=True),
    )

    def end(number: int, frame: FrameType | None) -> None:
        puller.stop(f"it was asked to end ({signal.Signals(number).name})")

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    made = puller.work()
    took = spoken_duration(made.seconds) if made.n_made else "no time"
    notes.print(plain(f"{made.n_made} parts made in {took}; ended: {made.reason}"), highlight=False)
    for title, why in made.failed.items():
        notes.print(f"[bold red]Not done:[/] {plain(title)}: {plain(why)}", highlight=False)
    if made.failed:
        raise typer.Exit(1)


QuickOption = Annotated[
    bool, typer.Option("--quick", help="Leave out the self-test, which encodes for ten seconds.")
]


def doctor(
    store: StoreOption = None, quick: QuickOption = False, as_json: JsonOption = False
) -> None:
    """Say whether braindash can work here: ok, warn or fail, each with what to do about it.

    Exit status 1 when something fails. Nothing is fetched and nothing stays behind.
    """
    from braindash.doctor import Finding, worst
    from braindash.doctor.checks import examine

    found: list[Finding] = []
    root = default_root() if store is None else given_path(store, exact=True).resolve()
    for one in examine(root, self_test=not quick):
        found.append(one)
        if not as_json:
            say(one.line())
    if as_json:
        print_json({"level": worst(found), "findings": [asdict(one) for one in found]})
    if worst(found) == "fail":
        raise typer.Exit(1)
