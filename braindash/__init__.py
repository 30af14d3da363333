"""braindash: layer-wise brain alignment of speech models.

The names below are the public Python interface; they are imported when first used, so that
``import braindash`` stays quick and loads neither torch nor streamlit.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from braindash.api import (
        encode,
        extract_features,
        open_result,
        predict,
        probe,
        region_table,
        report,
        target_difference,
        tune,
        with_regions,
    )
    from braindash.checking.report import DataReport
    from braindash.checking.run import check_data
    from braindash.core.ridge.model import RidgeCV
    from braindash.demo.dataset import prepare_demo
    from braindash.encoding.result import EncodingResult
    from braindash.encoding.several.comparison import Group, compare
    from braindash.encoding.sounds.prediction import SoundPrediction
    from braindash.errors import BraindashError
    from braindash.exports.bids import export_bids
    from braindash.exports.folder import take_away
    from braindash.io.dataset.audio import load_audio
    from braindash.io.dataset.manifest import load_manifest
    from braindash.io.store import Store
    from braindash.probing.result import ProbingResult
    from braindash.probing.several import probing_mean
    from braindash.speech.models import open_model
    from braindash.studies.results import StudyResults
    from braindash.studies.study import Study
    from braindash.tuning.result import TuningResult
    from braindash.work.studies import run_study

__all__ = [
    "BraindashError",
    "DataReport",
    "EncodingResult",
    "Group",
    "ProbingResult",
    "RidgeCV",
    "SoundPrediction",
    "Store",
    "Study",
    "StudyResults",
    "TuningResult",
    "__version__",
    "check_data",
    "compare",
    "encode",
    "export_bids",
    "extract_features",
    "load_audio",
    "load_manifest",
    "open_model",
    "open_result",
    "predict",
    "prepare_demo",
    "probe",
    "probing_mean",
    "region_table",
    "report",
    "run_study",
    "take_away",
    "target_difference",
    "tune",
    "with_regions",
]

__version__ = "0.1.0"

# Where each name comes from; the imports above say the same to editors and type checkers.
_HOMES = {
    "BraindashError": "braindash.errors",
    "DataReport": "braindash.checking.report",
    "EncodingResult": "braindash.encoding.result",
    "Group": "braindash.encoding.several.comparison",
    "ProbingResult": "braindash.probing.result",
    "RidgeCV": "braindash.core.ridge.model",
    "SoundPrediction": "braindash.encoding.sounds.prediction",
    "Store": "braindash.io.store",
    "Study": "braindash.studies.study",
    "StudyResults": "braindash.studies.results",
    "TuningResult": "braindash.tuning.result",
    "check_data": "braindash.checking.run",
    "compare": "braindash.encoding.several.comparison",
    "encode": "braindash.api",
    "export_bids": "braindash.exports.bids",
    "extract_features": "braindash.api",
    "load_audio": "braindash.io.dataset.audio",
    "load_manifest": "braindash.io.dataset.manifest",
    "open_model": "braindash.speech.models",
    "open_result": "braindash.api",
    "predict": "braindash.api",
    "prepare_demo": "braindash.demo.dataset",
    "probe": "braindash.api",
    "probing_mean": "braindash.probing.several",
    "region_table": "braindash.api",
    "report": "braindash.api",
    "run_study": "braindash.work.studies",
    "take_away": "braindash.exports.folder",
    "target_difference": "braindash.api",
    "tune": "braindash.api",
    "with_regions": "braindash.api",
}

if not TYPE_CHECKING:  # a type checker would take every name for one of the package's

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
