"""What methods are cited after: the works that reports and model cards name, in one place."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

REFERENCES: Mapping[str, str] = MappingProxyType(
    {
        "moussa2025": "Moussa O, Toneva M (2025). Brain-tuned Speech Models Better Reflect Speech "
        "Processing Stages in the Brain. arXiv:2506.03832.",
        "moussa2024": "Moussa O, Klakow D, Toneva M (2024). Improving Semantic Understanding in "
        "Speech Language Models via Brain-tuning. arXiv:2410.09230.",
        "lora": "Hu EJ, Shen Y, Wallis P et al. (2021). LoRA: Low-Rank Adaptation of Large "
        "Language Models. arXiv:2106.09685.",
        "ridge": "Hoerl AE, Kennard RW (1970). Ridge regression: biased estimation for "
        "nonorthogonal problems. Technometrics 12, 55-67.",
        "huth": "Huth AG, de Heer WA, Griffiths TL, Theunissen FE, Gallant JL (2016). Natural "
        "speech reveals the semantic maps that tile human cerebral cortex. Nature 532, 453-458.",
        "highpass": "Friston KJ, Josephs O, Zarahn E, Holmes AP, Rouquette S, Poline J-B (2000). "
        "To smooth or not to smooth? NeuroImage 12, 196-208.",
        "schoppe": "Schoppe O, Harper NS, Willmore BDB, King AJ, Schnupp JWH (2016). Measuring the "
        "performance of neural models. Frontiers in Computational Neuroscience 10, 10.",
        "brown": "Brown W (1910). Some experimental results in the correlation of mental "
        "abilities. British Journal of Psychology 3, 296-322.",
        "spearman": "Spearman C (1910). Correlation calculated from faulty data. British Journal "
        "of Psychology 3, 271-295.",
        "prewhitening": "Prais SJ, Winsten CB (1954). Trend Estimators and Serial Correlation. "
        "Cowles Commission Discussion Paper 383.",
        "best": "Naiman DQ, Priebe CE (2001). Computing scan statistic p values using importance "
        "sampling. Journal of Computational and Graphical Statistics 10, 296-328.",
        "westfall": "Westfall PH, Young SS (1993). Resampling-Based Multiple Testing. Wiley.",
        "hoeffding": "Hoeffding W (1951). A combinatorial central limit theorem. Annals of "
        "Mathematical Statistics 22, 558-566.",
        "phipson": "Phipson B, Smyth GK (2010). Permutation p-values should never be zero. "
        "Statistical Applications in Genetics and Molecular Biology 9, 39.",
        "fdr": "Benjamini Y, Hochberg Y (1995). Controlling the false discovery rate. Journal of "
        "the Royal Statistical Society B 57, 289-300.",
        "bootstrap": "Politis DN, Romano JP (1992). A circular block-resampling procedure for "
        "stationary data. In: Exploring the Limits of Bootstrap. Wiley.",
        "hesterberg": "Hesterberg TC (2015). What Teachers Should Know About the Bootstrap. The "
        "American Statistician 69, 371-386.",
        "satterthwaite": "Satterthwaite FE (1946). An approximate distribution of estimates of "
        "variance components. Biometrics Bulletin 2, 110-114.",
        "transformers": "Wolf T et al. (2020). Transformers: State-of-the-Art Natural Language "
        "Processing. EMNLP: System Demonstrations, 38-45.",
        "torch": "Paszke A et al. (2019). PyTorch: An Imperative Style, High-Performance Deep "
        "Learning Library. NeurIPS 32.",
        "numpy": "Harris CR et al. (2020). Array programming with NumPy. Nature 585, 357-362.",
        "scipy": "Virtanen P et al. (2020). SciPy 1.0. Nature Methods 17, 261-272.",
    }
)
"""Works by short name."""


def tuning_references(record: Mapping[str, Any]) -> tuple[str, ...]:
    """Name what the record of a tuned model asks to be cited, as in :data:`REFERENCES`."""
    adapter = record["spec"]["settings"]["adapter"] is not None
    return ("moussa2025", "moussa2024", *(("lora",) if adapter else ()))


def written(names: Iterable[str]) -> list[str]:
    """Return works as they are cited, each once, in the order of their short names."""
    return [REFERENCES[name] for name in dict.fromkeys(names)]
