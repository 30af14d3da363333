"""Starts things that outlive a request: background jobs and the dashboard's server."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

from braindash.digest import digest_json
from braindash.errors import InputError
from braindash.io.demo import DEMO_MODELS, GENERATOR_VERSION
from braindash.io.labels_sources import LABEL_FOLDERS
from braindash.io.store import Store
from braindash.jobs import Job, JobQueue
from braindash.plan.changes import PROMISED
from braindash.plan.encoding import plan_encoding
from braindash.plan.probing import plan_probing
from braindash.plan.tuning import plan_tuning
from braindash.requests import EncodeRequest, ProbeRequest, Request, RequestT, TuneRequest
from braindash.specs import ENCODING_VERSION, PROBING_VERSION, Spec
from braindash.speech.files import ModelFiles, locate

LOOPBACK = "127.0.0.1"


def demo_job_key() -> str:
    """Name the demo's job: it changes with the generator, the models and the computation."""
    models = {name: locate(str(folder)).fingerprint for name, folder in DEMO_MODELS.items()}
    return digest_json(
        {
            "task": "demo",
            "generator": GENERATOR_VERSION,
            "models": models,
            "encoding": ENCODING_VERSION,
            "probing": PROBING_VERSION,
        }
    )


def submit_demo(store: Store) -> Job:
    """Queue the embedded demo, once; a finished one again when a result of it is gone."""
    return JobQueue(store.root).submit("demo", demo_job_key(), {}, "Embedded demo (simulated data)")


def submit_encoding(request: EncodeRequest, store: Store) -> Job:
    """Queue an encoding run; its key is the key of the result, so equal requests are one job.

    The job carries absolute paths, because its worker may have another working directory, and the
    specification, because the files may have changed when it runs.

    Raises
    ------
    InputError, ModelError
        When the request does not fit the data or the model: nothing is queued then.
    """
    absolute = _with_absolute_paths(request, "data")
    plan = plan_encoding(absolute)
    title = f"Encoding: {plan.model.name}, {plan.dataset.name}, {request.subject}"
    return _submit(absolute, plan.model, plan.spec, title, store)


def submit_probing(request: ProbeRequest, store: Store) -> Job:
    """Queue a probing run, as :func:`submit_encoding` does.

    Raises
    ------
    InputError, ModelError
        When labels, audio, tasks and model do not fit together: nothing is queued then.
    """
    absolute = _with_absolute_paths(request, "data", "labels_path", "categories", "word_vectors")
    folders = {
        name: str(Path(str(value)).expanduser().resolve()) if name in LABEL_FOLDERS else value
        for name, value in request.labels_options.items()
    }
    absolute = absolute.model_copy(update={"labels_options": folders})
    plan = plan_probing(absolute)
    title = f"Probing: {plan.model.name}, {plan.data_name}"
    return _submit(absolute, plan.model, plan.spec, title, store)


def submit_tuning(request: TuneRequest, store: Store) -> Job:
    """Queue a tuning run, as :func:`submit_encoding` does.

    Raises
    ------
    InputError, ModelError
        When the request does not fit the data or the model: nothing is queued then.
    """
    absolute = _with_absolute_paths(request, "data", "words")
    plan = plan_tuning(absolute)
    base = locate(absolute.model, absolute.revision)
    control = "" if request.control == "none" else f" (control: {request.control})"
    people = ", ".join(request.subjects)
    title = f"Tuning: {base.name}, {plan.dataset.name}, {people}{control}"
    return _submit(absolute, base, plan.spec, title, store)


def _with_absolute_paths(request: RequestT, *names: str) -> RequestT:
    paths = {name: path for name in names if (path := getattr(request, name)) is not None}
    return request.model_copy(
        update={name: path.expanduser().resolve() for name, path in paths.items()}
    )


def _submit(request: Request, model: ModelFiles, spec: Spec, title: str, store: Store) -> Job:
    """Queue a request that was planned, with what it means now."""
    if model.revision is None:
        request = request.model_copy(update={"model": _absolute_model(request.model, model)})
    document = request.model_dump(mode="json") | {PROMISED: spec.canonical()}
    return JobQueue(store.root).submit(request.task, spec.key(), document, title)


def _absolute_model(source: str, model: ModelFiles) -> str:
    """Write the folder in a model's source as an absolute path."""
    if model.seed is None:
        return str(Path(source).expanduser().resolve())
    control, _, place = source.partition(":")
    if not Path(place).expanduser().is_dir():
        place = place.removesuffix(f"@{model.seed}")
    return f"{control}:{Path(place).expanduser().resolve()}@{model.seed}"


def app_file() -> Path:
    """Find the dashboard's start-up script beside the package.

    Raises
    ------
    InputError
        When braindash was installed without its checkout.
    """
    path = Path(__file__).resolve().parents[1] / "app.py"
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
