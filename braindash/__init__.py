"""braindash: layer-wise brain alignment of speech models.

The names below are the public Python interface; they are imported when first used, so that
``import braindash`` stays quick and loads neither torch nor streamlit.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_HOMES = {
    "BraindashError": "braindash.errors",
    "EncodingResult": "braindash.encoding.result",
    "Group": "braindash.encoding.comparison",
    "ProbingResult": "braindash.probing.result",
    "RidgeCV": "braindash.core.ridge.model",
    "Store": "braindash.io.store",
    "compare": "braindash.encoding.comparison",
    "encode": "braindash.api",
    "extract_features": "braindash.api",
    "load_audio": "braindash.io.dataset.audio",
    "load_manifest": "braindash.io.dataset.manifest",
    "open_model": "braindash.speech.models",
    "open_result": "braindash.api",
    "prepare_demo": "braindash.demo.dataset",
    "probe": "braindash.api",
    "tune": "braindash.api",
}

__all__ = ["__version__", *sorted(_HOMES)]  # noqa: PLE0604


def __getattr__(name: str) -> Any:
    """Import a public name from its home on first use."""
    if name not in _HOMES:
        raise AttributeError(f"module 'braindash' has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names."""
    return list(__all__)
