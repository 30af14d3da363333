"""The families of speech models that braindash opens: plain facts, free of torch."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True)
class Family:
    """What braindash has to know about one ``model_type``.

    Parameters
    ----------
    name : str
        ``model_type`` in a checkpoint's ``config.json``.
    class_name : str
        Class of transformers that holds the bare encoder (no CTC or pre-training head).
    never_read : tuple of str
        Last part of the names of parameters that inference in eval mode never reads: a checkpoint
        may lack them.
    """

    name: str
    class_name: str
    never_read: tuple[str, ...] = ()


# masked_spec_embed replaces masked frames in training (SpecAugment). Eval mode never masks, and
# published checkpoints (wav2vec2-base-960h among them) really come without it.
_MASKING_ONLY = ("masked_spec_embed",)

FAMILIES: Mapping[str, Family] = MappingProxyType(
    {
        family.name: family
        for family in (
            Family("wav2vec2", "Wav2Vec2Model", never_read=_MASKING_ONLY),
            Family("hubert", "HubertModel", never_read=_MASKING_ONLY),
        )
    }
)
