"""Layouts with names of BIDS: Narratives, Le Petit Prince, and any fMRIPrep derivative."""

import json
from functools import lru_cache
from pathlib import Path

import nibabel
import numpy as np
from nibabel.cifti2.cifti2_axes import BrainModelAxis, SeriesAxis

from kit.layouts.common import Made, spread, write_gifti, write_mask, write_text, write_volumes

N_TARGETS = 8
EVENTS = "onset\tduration\ttrial_type\tstim_file\n"


# ---- Narratives ---------------------------------------------------------------------------------

NARRATIVES_TR = 1.5
# sub, task, run, TR: 001 heard pieman twice, 004 nothing else; 038's prettymouth and 003's first
# pieman are excluded.
NARRATIVES_SCANS = (
    ("001", "pieman", "1", 1.5),
    ("001", "pieman", "2", 1.5),
    ("001", "tunnel", None, 1.5),
    ("002", "pieman", None, 1.5),
    ("002", "slumlordreach", None, 1.5),
    ("004", "pieman", None, 1.5),
    ("003", "pieman", "1", 1.5),
    ("003", "pieman", "2", 1.5),
    ("003", "tunnel", None, 1.5),
    ("006", "pieman", "2", 1.5),
    ("006", "piemanpni", None, 1.5),
    ("038", "prettymouth", None, 1.5),
    ("115", "milkyway", None, 1.52),
    ("115", "tunnel", None, 1.5),
)
# Task: wav's onset, rows of (onset, trial_type).
_PLAYED = {
    "pieman": (0.0, [(0.0, "music"), (15.0, "story")]),
    "tunnel": (3.0, [(3.0, "story")]),
    "piemanpni": (12.0, [(12.0, "story")]),
    "slumlordreach": (4.5, [(4.5, "music"), (29.5, "story"), (40.0, "story")]),
    "prettymouth": (0.0, [(0.0, "music"), (15.0, "story")]),
    "milkyway": (0.0, [(0.0, "music"), (21.0, "story")]),
}
_WAV = {"milkyway": "milkywaysynonyms"}


def narratives(folder: Path, *, derivatives: bool = True) -> Made:
    """The DataLad copy with afni-nosmooth, or the OpenNeuro tree alone."""
    made = Made(folder / "narratives")
    root, seconds = made.folder, 110.0
    for task in _PLAYED:
        made.sound(root / f"stimuli/{_WAV.get(task, task)}_audio.wav", seconds)
    for subject, task, run, tr in NARRATIVES_SCANS:
        name = f"sub-{subject}_task-{task}" + (f"_run-{run}" if run else "")
        raw = root / f"sub-{subject}/func/{name}"
        onset, rows = _PLAYED[task]
        wav = f"{_WAV.get(task, task)}_audio.wav"
        lines = "".join(f"{at}\t10\t{kind}\t{wav}\n" for at, kind in rows)
        write_text(Path(f"{raw}_events.tsv"), EVENTS + lines)
        write_text(Path(f"{raw}_bold.json"), json.dumps({"RepetitionTime": tr}))
        annexed(Path(f"{raw}_bold.nii.gz"))
        if derivatives:
            times = np.arange(int((seconds + 6) / tr)) * tr - onset
            made_rows = made.responses(Path(wav).stem, times, N_TARGETS, seed=int(run or 0))
            for hemi in "LR":
                place = root / f"derivatives/afni-nosmooth/sub-{subject}/func"
                ending = f"space-fsaverage6_hemi-{hemi}_desc-clean.func.gii"
                write_gifti(place / f"{name}_{ending}", spread(made_rows, 40962))
    write_text(
        root / "code/scan_exclude.json",
        json.dumps(
            {
                "pieman": {
                    "sub-003": ["sub-003_task-pieman_run-1"],
                    "sub-006": ["sub-006_task-pieman"],
                },
                "tunnel": {},
            }
        ),
    )
    words = [
        {
            "word": "I",
            "case": "success",
            "alignedWord": "i",
            "start": 15.0,
            "end": 15.4,
            "phones": [{"phone": "ay_S", "duration": 0.4}],
        },
        {"word": "lost", "case": "not-found-in-audio"},
        {
            "word": "it",
            "case": "success",
            "alignedWord": "it",
            "start": 16.0,
            "end": 16.4,
            "phones": [{"phone": "ih_B", "duration": 0.2}, {"phone": "t_E", "duration": 0.2}],
        },
    ]
    for task in _PLAYED:
        align = root / f"stimuli/gentle/{_WAV.get(task, task)}/align.json"
        write_text(align, json.dumps({"transcript": "I lost it", "words": words}))
    return made


def annexed(path: Path) -> None:
    """Make a link of git-annex to content that was never fetched."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(f"../../.git/annex/objects/aa/bb/MD5E-s1--0/{path.name}")


# ---- Le Petit Prince ----------------------------------------------------------------------------

PRINCE_SIZE = (4, 3, 2)


def petit_prince(folder: Path, languages: tuple[str, ...] = ("EN", "FR", "CN")) -> Made:
    """Nine runs of one subject for each language, numbered from 15 on, in the space of Colin27."""
    made = Made(folder / "ds003643")
    root, seconds = made.folder, 34.0
    times = np.arange(int((seconds + 8) / 2)) * 2.0 - 8.0
    for language in languages:
        subject = f"sub-{language}057"
        for section in range(1, 10):
            dash = "_" if language == "FR" else "-"
            wav = root / f"stimuli/task-lpp{language}_section{dash}{section}.wav"
            made.sound(wav, seconds)
            # 9 comes before 10 by number, but not by letter.
            run = section + (8 if language == "FR" else 14)
            name = f"{subject}_task-lpp{language}_run-{run:02d}"
            path = (
                root
                / f"derivatives/{subject}/func/{name}_space-MNIColin27_desc-preproc_bold.nii.gz"
            )
            rows = made.responses(wav.stem, times, N_TARGETS, seed=section)
            write_volumes(path, rows, PRINCE_SIZE)
    return made


# ---- any derivative of fMRIPrep -----------------------------------------------------------------

BIDS_TR = 2.0
START_SECONDS = 0.984
# Task and run -> sound, onset of its first row of events.
_TALES = {
    ("tales", "1"): ("boat", -3.0),
    ("tales", "2"): ("house", 6.0),
    ("tales", "3"): ("tree", 0.5),
}
_REPEATED = ("lake", 4.0)


def fmriprep(
    folder: Path,
    *,
    kind: str = "fsaverage5",
    subjects: tuple[str, ...] = ("01", "02"),
    old_order: bool = False,
) -> Made:
    """Raw events and sidecars with derivatives beside them: two sessions, runs, and repeats.

    ``kind`` is fsaverage5, fsaverage6, dtseries or volume; ``old_order`` has the hemisphere behind
    the space, without a suffix, as before fMRIPrep 21.
    """
    made = Made(folder / "study")
    root, seconds = made.folder, 56.0
    for sound, _ in (*_TALES.values(), _REPEATED):
        made.sound(root / f"stimuli/tales/{sound}.wav", seconds)
    write_text(
        root / "dataset_description.json", json.dumps({"Name": "Tales", "BIDSVersion": "1.8"})
    )
    write_text(root / "task-tales_bold.json", json.dumps({"RepetitionTime": BIDS_TR}))
    scans = [("1", run, *tale) for (_, run), tale in _TALES.items()]
    scans += [("1", "4", *_REPEATED), ("2", "01", *_REPEATED)]
    for subject in subjects:
        for session, run, sound, onset in scans:
            _scan(made, subject, session, run, sound, onset, kind, old_order, seconds)
    return made


def _scan(made, subject, session, run, sound, onset, kind, old_order, seconds) -> None:
    root = made.folder
    scan = f"sub-{subject}_ses-{session}_task-tales_run-{run}"
    raw = root / f"sub-{subject}/ses-{session}/func"
    rows = f"{onset}\t20\tstory\ttales/{sound}.wav\n{onset + 20}\t20\tstory\ttales/{sound}.wav\n"
    write_text(raw / f"{scan}_events.tsv", EVENTS + "n/a\tn/a\tpause\tn/a\n" + rows)
    n_rows = int((seconds + 10) / BIDS_TR)
    times = np.arange(n_rows) * BIDS_TR + START_SECONDS - onset
    seed = int(subject) * 10 + int(session)
    values = made.responses(sound, times, N_TARGETS, seed=seed)
    place = root / f"derivatives/fmriprep/sub-{subject}/ses-{session}/func"
    sidecar = json.dumps({"RepetitionTime": BIDS_TR, "StartTime": START_SECONDS})
    if kind == "dtseries":
        place.mkdir(parents=True, exist_ok=True)
        write_dtseries(place / f"{scan}_space-fsLR_den-91k_bold.dtseries.nii", values)
        write_text(place / f"{scan}_space-fsLR_den-91k_bold.json", sidecar)
    elif kind == "volume":
        stem = f"{scan}_space-MNI152NLin2009cAsym_res-2"
        write_volumes(place / f"{stem}_desc-preproc_bold.nii.gz", values, (5, 4, 3))
        write_mask(place / f"{stem}_desc-brain_mask.nii.gz", (5, 4, 3), 20)
        write_text(place / f"{stem}_desc-preproc_bold.json", sidecar)
    else:
        n_vertices = {"fsaverage5": 10242, "fsaverage6": 40962}[kind]
        for hemi in "LR":
            new = f"{scan}_hemi-{hemi}_space-{kind}_bold"
            stem = f"{scan}_space-{kind}_hemi-{hemi}" if old_order else new
            write_gifti(place / f"{stem}.func.gii", spread(values, n_vertices))
            write_text(place / f"{new}.json", sidecar)
    write_text(place / f"{scan}_desc-confounds_timeseries.tsv", "csf\nn/a\n")


def write_dtseries(path: Path, rows: np.ndarray, n_left: int = 2000, n_right: int = 1900) -> None:
    """Write CIFTI-2: the last vertices of both hemispheres, and a thalamus."""
    values = np.zeros((len(rows), n_left + n_right + 5), dtype=np.float32)
    values[:, :N_TARGETS] = rows
    values[:, -5:] = 77.0
    nibabel.save(nibabel.Cifti2Image(values, header=_header(len(rows), n_left, n_right)), path)


@lru_cache
def _header(n_rows: int, n_left: int, n_right: int) -> nibabel.Cifti2Header:
    left, right = (np.arange(32492 - n, 32492) for n in (n_left, n_right))
    thalamus = BrainModelAxis(
        name=["CIFTI_STRUCTURE_THALAMUS_LEFT"] * 5,
        voxel=np.array([[1, 2, k] for k in range(5)]),
        affine=np.eye(4),
        volume_shape=(10, 10, 10),
    )
    axis = (
        BrainModelAxis.from_surface(left, 32492, "CIFTI_STRUCTURE_CORTEX_LEFT")
        + BrainModelAxis.from_surface(right, 32492, "CIFTI_STRUCTURE_CORTEX_RIGHT")
        + thalamus
    )
    return nibabel.Cifti2Header.from_axes((SeriesAxis(0, BIDS_TR, n_rows), axis))
