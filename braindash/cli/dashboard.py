"""The dashboard's server, started from the command line."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

from braindash.errors import InputError
from braindash.io.store import Store

LOOPBACK = "127.0.0.1"


def app_file() -> Path:
    """Find the dashboard's start-up script beside the package.

    Raises
    ------
    InputError
        When braindash was installed without its checkout.
    """
    path = Path(__file__).resolve().parents[2] / "app.py"
    if not path.is_file():
        raise InputError(
            f"the dashboard's start-up script is not at {path}",
            hint="Run the dashboard from a clone of the repository: `streamlit run app.py`.",
        )
    return path


def run_dashboard(store: Store, *, port: int = 8501, address: str = LOOPBACK) -> int:
    """Serve the dashboard until it is stopped.

    Parameters
    ----------
    store : Store
        The results to show.
    port : int, default 8501
        TCP port.
    address : str, default "127.0.0.1"
        Bound address; the default keeps the dashboard on this machine.

    Returns
    -------
    int
        The server's exit status.
    """
    if importlib.util.find_spec("streamlit") is None:
        raise InputError("streamlit is not installed", hint="pip install -r requirements.txt")
    app = app_file()
    command = [sys.executable, "-m", "braindash.ui.serve", str(app)]
    command += ["--server.address", address, "--server.port", str(port)]
    environment = os.environ | {"BRAINDASH_STORE": str(store.root)}
    return subprocess.run(command, env=environment, cwd=app.parent, check=False).returncode
