"""Public data that are known and not read: their folders are told as what they are."""

import re

from braindash.io.layouts.finding import Finding, Layout
from braindash.io.layouts.tree import Tree

_LITCODER = re.compile(r"assembly_[A-Za-z0-9_-]+\.pkl")
_PODCAST = re.compile(r"sub-.*_task-podcast_.*ieeg\.(fif|edf|vhdr|json)")
_SMN = re.compile(r"sub-.*_task-RDR_.*")


def recognise_podcast(tree: Tree) -> Finding | None:
    """Recognise the Podcast ECoG data by their task and electrodes."""
    if next(tree.named(_PODCAST), None) is None:
        return None
    return _told(
        PODCAST,
        tree,
        "recordings of electrodes (ECoG, 512 Hz) are not read yet: braindash reads responses with "
        "one row per TR",
    )


def recognise_smn4lang(tree: Tree) -> Finding | None:
    """Recognise SMN4Lang by its task."""
    if next(tree.named(_SMN), None) is None:
        return None
    return _told(
        SMN4LANG,
        tree,
        "this layout (MEG and fMRI of one task, in Chinese) is not read yet. Its preprocessed fMRI "
        "can be described by a manifest of your own",
    )


def recognise_litcoder(tree: Tree) -> Finding | None:
    """Recognise LITcoder's assemblies by their name."""
    found = next(tree.named(_LITCODER), None)
    if found is None:
        return None
    name = found[0].name
    return _told(
        LITCODER,
        tree,
        f"{name} is a Python pickle, which can run any program when it is read: it is never "
        "opened. In an environment of LITcoder's own, export it: `from "
        "encoding.assembly.assembly_loader import load_assembly`, `assembly = "
        f"load_assembly('{name}')`, and for every story of assembly.stories "
        "`numpy.save(f'{story}.npy', assembly.story_data[story].brain_data)`. Its times are 15 "
        "longer than its rows, 10 at the head and 5 at the tail: first_volume = 10, "
        "audio_onset = 10.0 with tr = 2.0, space = 'fsaverage5', zscored = 'none'",
    )


def _told(layout: Layout, tree: Tree, what: str) -> Finding:
    return Finding(
        layout=layout.name,
        title=layout.title,
        folder=tree.root,
        missing=(what,),
        licence=layout.licence,
        citation=layout.citation,
        source=layout.source,
    )


PODCAST = Layout(
    name="podcast-ecog",
    title="Podcast ECoG (ds005574)",
    recognise=recognise_podcast,
    licence="CC0 1.0",
    citation="Zada et al. (2025). The Podcast ECoG dataset for modeling neural activity during "
    "natural language comprehension. Sci Data",
    source="https://openneuro.org/datasets/ds005574",
    smallest="not read yet",
)
SMN4LANG = Layout(
    name="smn4lang",
    title="SMN4Lang (ds004078)",
    recognise=recognise_smn4lang,
    licence="CC0 1.0",
    citation="Wang, Zhang, Zhang, Zong (2022). A synchronized multimodal neuroimaging dataset for "
    "studying brain language processing. Sci Data 9:590",
    source="https://openneuro.org/datasets/ds004078",
    smallest="not read yet",
)
LITCODER = Layout(
    name="litcoder",
    title="LITcoder assembly of LeBel et al.",
    recognise=recognise_litcoder,
    source="https://github.com/GT-LIT-Lab/litcoder_core",
    smallest="a pickle, about 3 GB, which is not read",
)
