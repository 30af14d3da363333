"""Commands that open the dashboard: with the embedded demo, or with what is there."""

from typing import Annotated

import typer

from braindash.cli.encode import print_results, result_document
from braindash.cli.options import (
    LOOPBACK,
    PORT,
    JsonOption,
    StoreOption,
    open_store,
    print_json,
    progress_bar,
)
from braindash.cli.probe import print_probing, probing_document

PortOption = Annotated[int, typer.Option(help="Port of the dashboard.")]
AddressOption = Annotated[
    str, typer.Option(help=f"Address to listen on; any but {LOOPBACK} opens it to other machines.")
]
ReloadOption = Annotated[
    bool, typer.Option("--reload", help="For developers: draw pages again when files change.")
]


def demo(
    store: StoreOption = None,
    headless: Annotated[
        bool, typer.Option("--headless", help="Compute here, without a browser.")
    ] = False,
    as_json: JsonOption = False,
    port: PortOption = PORT,
    address: AddressOption = LOOPBACK,
    reload: ReloadOption = False,
) -> None:
    """Compute the embedded demo (simulated data) and open it in the dashboard."""
    if headless or as_json:
        from braindash.demo.results import open_finished

        opened = open_store(store)
        made = open_finished(opened)  # before torch is loaded, which takes seconds
        if made is None:
            from braindash.demo.run import run_demo

            with progress_bar() as bar:
                made = run_demo(opened, bar)
        if as_json:
            print_json(
                {
                    "results": [result_document(result, opened) for result in made.encodings],
                    "probing": [probing_document(result) for result in made.probings],
                }
            )
        else:
            print_results(made.encodings, opened)
            print_probing(made.probings)
        return
    from braindash.cli.dashboard import run_dashboard
    from braindash.work.submit import submit_demo

    opened = open_store(store)
    job = submit_demo(opened)
    run = run_dashboard(opened, port=port, address=address, reload=reload, follow=job.key)
    raise typer.Exit(run)


def dashboard(
    store: StoreOption = None,
    port: PortOption = PORT,
    address: AddressOption = LOOPBACK,
    reload: ReloadOption = False,
) -> None:
    """Open the dashboard on this machine."""
    from braindash.cli.dashboard import run_dashboard

    opened = open_store(store)
    raise typer.Exit(run_dashboard(opened, port=port, address=address, reload=reload))
