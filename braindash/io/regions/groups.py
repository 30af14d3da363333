"""Named groups of HCP-MMP1 labels (Glasser et al. 2016), matched by name, never by number.

Each mapping is a region set's content: name of a region, and the labels that it is made of.
"""

from collections.abc import Mapping
from types import MappingProxyType

HCP_LABELS: tuple[str, ...] = tuple(
    """
    V1 MST V6 V2 V3 V4 V8 4 3b FEF PEF 55b V3A RSC POS2 V7 IPS1 FFC V3B LO1 LO2 PIT MT A1 PSL SFL
    PCV STV 7Pm 7m POS1 23d v23ab d23ab 31pv 5m 5mv 23c 5L 24dd 24dv 7AL SCEF 6ma 7Am 7Pl 7PC LIPv
    VIP MIP 1 2 3a 6d 6mp 6v p24pr 33pr a24pr p32pr a24 d32 8BM p32 10r 47m 8Av 8Ad 9m 8BL 9p 10d
    8C 44 45 47l a47r 6r IFJa IFJp IFSp IFSa p9-46v 46 a9-46v 9-46d 9a 10v a10p 10pp 11l 13l OFC
    47s LIPd 6a i6-8 s6-8 43 OP4 OP1 OP2-3 52 RI PFcm PoI2 TA2 FOP4 MI Pir AVI AAIC FOP1 FOP3 FOP2
    PFt AIP EC PreS H ProS PeEc STGa PBelt A5 PHA1 PHA3 STSda STSdp STSvp TGd TE1a TE1p TE2a TF
    TE2p PHT PH TPOJ1 TPOJ2 TPOJ3 DVT PGp IP2 IP1 IP0 PFop PF PFm PGi PGs V6A VMV1 VMV3 PHA2 V4t
    FST V3CD LO3 VMV2 31pd 31a VVC 25 s32 pOFC PoI1 Ig FOP5 p10p p47r TGv MBelt LBelt A4 STSva
    TE1m PI a32pr p24
    """.split()
)
"""All 180 labels of a hemisphere."""

Groups = Mapping[str, tuple[str, ...]]

_EARLY_AUDITORY = ("A1", "LBelt", "PBelt", "MBelt", "RI", "A4")
# Beside the papers' own regions: where a speech model should explain nothing.
_CONTROL = {"early_visual": ("V1", "V2")}

_ICLR_ANGULAR = ("PGi", "PGp", "PGs", "TPOJ2", "TPOJ3")
_ICLR_TEMPORAL = ("TPOJ1", "STGa", "STSda", "STSdp", "A5", "STSva")
_ICLR_FRONTAL = ("44", "45", "IFJa", "IFSp")

MOUSSA_ICLR: Groups = MappingProxyType(
    {
        "primary_auditory": ("A1",),
        "early_auditory": _EARLY_AUDITORY,
        "secondary_auditory": ("STV",),
        "late_language": (*_ICLR_ANGULAR, *_ICLR_TEMPORAL, *_ICLR_FRONTAL, "TA2"),
        "angular_gyrus": _ICLR_ANGULAR,
        "lateral_temporal": _ICLR_TEMPORAL,
        "ifg_mfg": _ICLR_FRONTAL,
        "visual_word_form": ("PH", "TE2p"),
        **_CONTROL,
    }
)
"""Regions of arXiv 2410.09230, as its code lists them (its numbers of V1, V2 and TE2p name other
labels; here the names count)."""

_NEURIPS_ANGULAR = ("PFm", "PGs", "PGi", "TPOJ2", "TPOJ3")
_NEURIPS_TEMPORAL = (
    *("STSda", "STSva", "STGa", "TE1a", "TE2a", "TGv", "TGd", "A5", "STSdp", "STSvp", "PSL"),
    *("STV", "TPOJ1"),
)
_NEURIPS_FRONTAL = ("44", "45", "IFJa", "IFSp")
_NEURIPS_MIDDLE = ("55b",)

MOUSSA_NEURIPS: Groups = MappingProxyType(
    {
        "primary_auditory": ("A1",),
        "early_auditory": _EARLY_AUDITORY,
        "late_language": (
            *(*_NEURIPS_ANGULAR, *_NEURIPS_TEMPORAL),
            *(*_NEURIPS_FRONTAL, *_NEURIPS_MIDDLE),
        ),
        "angular_gyrus": _NEURIPS_ANGULAR,
        "lateral_temporal": _NEURIPS_TEMPORAL,
        "inferior_frontal": _NEURIPS_FRONTAL,
        "middle_frontal": _NEURIPS_MIDDLE,
        **_CONTROL,
    }
)
"""Regions of arXiv 2510.21520, Table 1; late_language is all but early auditory cortex."""

_LANGUAGE_PARTS: dict[str, tuple[str, ...]] = {
    "ifg_orbital": ("47l",),
    "ifg": ("44", "45", "IFJa", "IFSp"),
    "mfg": ("55b",),
    "anterior_temporal": ("TGd", "STGa", "STSda", "STSva", "TE1a"),
    "posterior_temporal": ("A5", "STSdp", "STSvp", "PSL", "STV", "TPOJ1"),
    "angular_gyrus": ("PGi",),
    "superior_frontal": ("SCEF", "SFL"),
}
LANGUAGE_FEDORENKO: Groups = MappingProxyType(
    {
        "language": tuple(name for part in _LANGUAGE_PARTS.values() for name in part),
        **_LANGUAGE_PARTS,
    }
)
"""A language network of labels, ordered after the parcels of Fedorenko et al. (2010): inferior
frontal (orbital and not), middle frontal, anterior and posterior temporal, angular; and the medial
superior frontal part, which labels have and those parcels have not."""

AUDITORY_HIERARCHY: Groups = MappingProxyType(
    {
        "auditory_core": ("A1",),
        "auditory_belt": ("LBelt", "MBelt"),
        "auditory_parabelt": ("PBelt", "RI"),
        "auditory_association": ("A4", "A5", "TA2"),
        "dorsal_sts": ("STSda", "STSdp"),
        "ventral_sts": ("STSva", "STSvp"),
        "anterior_stg": ("STGa",),
        "temporo_parietal_junction": ("TPOJ1", "STV", "PSL"),
    }
)
"""Cortex that hears, from the core outwards: early auditory and auditory association areas of
Glasser et al. (2016, supplement, sections 10 and 11), and where they reach the parietal lobe."""
