"""Commands that open the dashboard: with the embedded demo, or with what is there."""

from pathlib import Path
from typing import Annotated

import typer

from braindash.cli.encode import print_results, result_document
from braindash.cli.options import (
    JsonOption,
    StoreOption,
    open_store,
    print_json,
    progress_bar,
)
from braindash.cli.probe import print_probing, probing_document
from braindash.names import given_path
from braindash.sharing.place import LOOPBACK, PORT, Place, read_url

PortOption = Annotated[int, typer.Option(help="Port of the dashboard.")]
AddressOption = Annotated[
    str, typer.Option(help=f"Address to listen on; any but {LOOPBACK} opens it to other machines.")
]
UrlOption = Annotated[
    str | None,
    typer.Option(
        help="Address that visitors type, where a proxy stands before the dashboard, such as "
        "https://lab.example/brain; its path is passed on as it is."
    ),
]
ReadOnlyOption = Annotated[
    bool,
    typer.Option(
        "--read-only",
        help="Explore only: nobody starts or stops work, names files, uploads or writes; the store "
        "may be on a read-only disk. BRAINDASH_READ_ONLY=1 does the same.",
    ),
]
RolesOption = Annotated[
    Path | None,
    typer.Option(
        help="Visitors sign in, and this TOML file says who is a viewer and who a runner. Needs "
        "the extra sign-in."
    ),
]
SecretsOption = Annotated[
    Path | None,
    typer.Option(
        help="TOML file with the table auth of the provider that visitors sign in with; by "
        "default .streamlit/secrets.toml of this folder or of the home folder."
    ),
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
    place = Place(address, port)
    raise typer.Exit(run_dashboard(opened, place, reload=reload, follow=job.key))


def dashboard(
    store: StoreOption = None,
    port: PortOption = PORT,
    address: AddressOption = LOOPBACK,
    url: UrlOption = None,
    read_only: ReadOnlyOption = False,
    roles: RolesOption = None,
    secrets: SecretsOption = None,
    reload: ReloadOption = False,
) -> None:
    """Open the dashboard on this machine, or share it: what that exposes is said first."""
    from braindash.cli.dashboard import run_dashboard
    from braindash.sharing.settings import Sharing, sharing

    told = sharing()
    shared = Sharing(
        read_only or told.read_only, told.roles if roles is None else given_path(roles).resolve()
    )
    place = Place(address, port, read_url(url))
    run = run_dashboard(open_store(store), place, shared=shared, secrets=secrets, reload=reload)
    raise typer.Exit(run)
