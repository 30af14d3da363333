"""How a result was made: what every kind of work writes beside its arrays."""

import platform
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import braindash
from braindash.specs import StoredStrategy
from braindash.speech.checkpoints.locate import ModelFiles


def common_provenance(
    model: ModelFiles, strategy: StoredStrategy | None, data: str, simulated: bool, seconds: float
) -> dict[str, Any]:
    """Describe a computation as JSON values.

    Parameters
    ----------
    model : ModelFiles
        The model whose features they are.
    strategy : {"exact", "chunk", "frames"} or None
        How its features were made; None where no features are.
    data : str
        Name of the data set.
    simulated : bool
        Whether a generator made the data.
    seconds : float
        How long it took.

    Returns
    -------
    dict
    """
    how = {} if strategy is None else {"strategy": strategy}
    revision = {} if model.revision is None else {"revision": model.revision}
    return how | {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": round(seconds, 3),
        "machine": f"{platform.system()} {platform.machine()}",
        "versions": _versions(),
        "model": {"name": model.name, "fingerprint": model.fingerprint} | revision,
        "data": {"name": data, "simulated": simulated},
    }


def _versions() -> dict[str, str]:
    versions = {"braindash": braindash.__version__, "python": platform.python_version()}
    for package in ("torch", "transformers", "numpy", "scipy"):
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "absent"
    return versions
