"""Start work: encode or probe; model, data, settings, then a preflight, then the jobs."""

from collections.abc import Mapping
from pathlib import Path

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from braindash.defaults import PRESETS, differences
from braindash.requests import EncodeRequest, ProbeRequest, Request, build_request
from braindash.specs import CEILING_SELECTIONS, HISTORIES, PENALTIES, PRECISIONS, SCHEMES
from braindash.ui import answers, choices, probe_form, state, widgets
from braindash.work.kinds import KINDS, preflight
from braindash.work.needs import Preflight
from braindash.work.submit import submit

INTRODUCTION = (
    "Score how well each layer of a speech model predicts the brain of each subject, or what it "
    "tells about labelled speech."
)
ENCODE, PROBE = "Encode", "Probe"
WORK_HELP = (
    "Encode: features of every layer predict brain responses to stories. Probe: features of every "
    "layer foretell phones, words, categories and other labels of recordings."
)
UNTRAINED_HELP = (
    "The same configuration with random weights, drawn from the seed: what the architecture alone "
    "predicts, without any training."
)
REVISION_HELP = "A branch, tag or commit of the hub model; empty means its newest version."
PERMUTATIONS_HELP = (
    "Permutations of the test responses, for p and q values; the smallest p is 1 / (n + 1)."
)
SCHEME_HELP = (
    "How p and q of every target are computed. The prewhitened test is right for slow drifts too "
    "and has no smallest p; the others test r itself, and reject true nulls more often than they "
    "say where the response drifts."
)
UNTESTED = "none"
HIGH_PASS_HELP = (
    "Cosines of this period and slower leave the features and the responses of every story, of "
    "training and test alike, before anything is fitted; 128 s is usual. 0: no filter, as for "
    "responses that are detrended already. It changes r."
)
PENALTY_HELP = (
    "Which targets share a ridge penalty. It is chosen by training stories that are held out in "
    "turn; what it changes is small, also where the signal is low. Regions are those of discs."
)
HISTORY_HELP = (
    "What becomes of the first rows of a story, whose delays reach before its start: they are kept "
    "with zeros there, or are in no fit and in no score."
)
SELECTION_HELP = (
    "A ceiling from repeats that chooses by its own noise divides by it too, and makes scores look "
    "lower where the signal is low. Halves need four presentations of each test story."
)
BOOTSTRAPS_HELP = (
    "Block bootstrap samples of the test story's time, for intervals and the confidence of "
    "preferred layers. 0: no intervals."
)
KEPT = {
    "none": "none",
    "best": "of the best layer, by cross-validation in training",
    "layer": "of one layer",
}
WEIGHTS_HELP = (
    "Weights of one layer beside the result predict the response to any sound. They change no "
    "number and no key; a result that is there already gets them without being computed again."
)
NULLS_HELP = (
    "Score as well what cannot know the responses: a constant, a ramp, an onset, features that are "
    "shifted by minutes, and the model with shuffled and with random weights."
)


def choose_model() -> dict[str, str]:
    """Ask for the model, its revision and whether its untrained control is meant."""
    model = choices.model("run", choices.acoustic_spaces())
    if model is None or model in choices.acoustic_spaces().values():
        return {} if model is None else {"model": model}
    settings = {"model": model}
    places = iter(st.columns([2, 2, 1], vertical_alignment="bottom"))
    if not Path(model).is_absolute():  # local folders have no revisions
        revision = next(places).text_input(
            "Revision", placeholder="main", help=REVISION_HELP, key="run_revision"
        )
        settings |= {"revision": revision.strip()} if revision.strip() else {}
    if next(places).toggle("Untrained control", help=UNTRAINED_HELP, key="run_untrained"):
        seed = next(places).number_input("Seed", min_value=0, value=0, step=1, key="run_seed")
        settings["model"] = f"untrained:{model}@{seed}"
    return settings


def choose_test(place: DeltaGenerator) -> dict[str, int | str]:
    """Ask how every target is tested, and how many permutations are drawn where any are."""
    scheme = place.selectbox(
        "Test of every target",
        [*SCHEMES, UNTESTED],
        format_func=lambda name: f"{name}: {SCHEMES.get(name, 'no p and q values')}",
        help=SCHEME_HELP,
        key="run_scheme",
    )
    if scheme == UNTESTED:
        return {"n_permutations": 0}
    if scheme == "prewhitened":
        return {"scheme": scheme}
    permutations = place.number_input(
        "Permutations",
        min_value=1,
        value=1000,
        step=500,
        help=PERMUTATIONS_HELP,
        key="run_permutations",
    )
    return {"scheme": scheme, "n_permutations": int(permutations)}


def choose_regression(left: DeltaGenerator, right: DeltaGenerator) -> dict[str, str]:
    """Ask which targets share a penalty, what becomes of rows without history, what is divided."""
    penalty = left.selectbox(
        "Penalty",
        list(PENALTIES),
        format_func=lambda name: f"{name}: {PENALTIES[name]}",
        help=PENALTY_HELP,
        key="run_penalty",
    )
    history = right.selectbox(
        "Rows without full history",
        list(HISTORIES),
        format_func=lambda name: f"{name}: {HISTORIES[name]}",
        help=HISTORY_HELP,
        key="run_history",
    )
    selection = left.selectbox(
        "Targets with r / ceiling chosen by",
        list(CEILING_SELECTIONS),
        format_func=lambda name: f"{name}: {CEILING_SELECTIONS[name]}",
        help=SELECTION_HELP,
        key="run_selection",
    )
    return {"penalty": penalty, "history": history, "ceiling_selection": selection}


def choose_weights() -> dict[str, int | str]:
    """Ask whether the weights of a layer are kept, for predictions of any sound."""
    left, right = st.columns(2, vertical_alignment="bottom")
    kept = left.selectbox(
        "Keep weights", list(KEPT), format_func=KEPT.get, help=WEIGHTS_HELP, key="run_weights"
    )
    if kept != "layer":
        return {} if kept == "none" else {"keep_weights": kept}
    layer = right.number_input("Layer", min_value=0, value=0, step=1, key="run_weights_layer")
    return {"keep_weights": int(layer)}


def choose_advanced(*, mixed: bool) -> dict[str, int | float | str | bool]:
    """Ask how significance and uncertainty are estimated, and for the model's arithmetic."""
    precision = "float32"
    with st.expander("Advanced"):
        left, right = st.columns(2)
        tested = choose_test(left)
        bootstraps = right.number_input(
            "Bootstrap samples",
            min_value=0,
            value=1000,
            step=500,
            help=BOOTSTRAPS_HELP,
            key="run_bootstraps",
        )
        high_pass = left.number_input(
            "High-pass filter (s)",
            min_value=0.0,
            value=0.0,
            step=16.0,
            help=HIGH_PASS_HELP,
            key="run_high_pass",
        )
        fitted = choose_regression(left, right)
        if mixed:
            precision = st.selectbox(
                "Precision",
                list(PRECISIONS),
                format_func=lambda name: f"{name}: {PRECISIONS[name]}",
                key="run_precision",
            )
        weights = choose_weights()
        nulls = st.toggle("Null panel", help=NULLS_HELP, key="run_nulls")
        leave_out = choices.leave_out_bad("run")
    return {
        **tested,
        **({"high_pass": high_pass} if high_pass else {}),
        **fitted,
        "n_bootstraps": int(bootstraps),
        "precision": precision,
        **weights,
        "null_panel": nulls,
        "leave_out_bad": leave_out,
    }


def choose_probes() -> list[ProbeRequest]:
    """Ask for everything about a probing run; with controls, one request for each model."""
    above = st.container()
    # First, so that the choice stays when the labels cannot be found.
    model = choices.model("run", choices.acoustic_spaces())
    with above:
        labels = probe_form.choose_labels(lambda: choices.data("run"))
    if labels is None or model is None:
        st.info("Choose recordings with labels, and a model.")
        return []
    return probe_form.choose_requests(labels, model)


def choose_requests() -> list[EncodeRequest]:
    """Ask for everything and make one request per subject."""
    data = choices.data("run")
    model = choose_model()
    if data is None or not model:
        st.info("Choose a data set and a model.")
        return []
    subjects = choices.subjects("Subjects", data, "run")
    strategy = "exact"
    acoustic = model["model"] in choices.acoustic_spaces().values()
    if not acoustic:  # they have one grid of frames and no windows
        strategy = choices.strategy(st.container(), "run", "exact")
    settings = {"data": data, "strategy": strategy} | model | choose_advanced(mixed=not acoustic)
    settings |= {"preset": choices.protocol(list(PRESETS), differences, "run_preset")}
    return [build_request(EncodeRequest, subject=subject, **settings) for subject in subjects]


@st.cache_data(ttl=20, show_spinner="Checking data, cache, memory and disk")
def check(command: str, request_json: str, root: str) -> Preflight:
    """Run the preflight of one request."""
    request = KINDS[command].request.model_validate_json(request_json)
    return preflight(request, state.Store(root))


def start(requests: list[Request]) -> None:
    """Queue the requests; equal ones are one job."""
    with answers.answering("run"):
        for one in requests:
            submit(one, state.store())
        text = "Submitted. The job goes on when you close the browser."
        answers.say("run", text, ("pages/compute/jobs.py", "Watch it"))


def _named(request: Request) -> str:
    return request.subject if isinstance(request, EncodeRequest) else request.model


def show_several(what: str, found: Mapping[str, Preflight]) -> None:
    """Show what several jobs need: a row for each, and below it what they have in common."""
    first = next(iter(found.values()))
    st.dataframe([{what: name} | one.row() for name, one in found.items()], hide_index=True)
    notes: dict[str, list[str]] = {}
    for name, one in found.items():
        for line in one.notes():
            notes.setdefault(line, []).append(name)
    for line, names in notes.items():
        st.text(line if len(names) == len(found) else f"{', '.join(names)}: {line}")
    st.text(
        f"{first.memory_free / 1e9:.1f} GB of memory are available and "
        f"{first.disk_free / 1e9:.1f} GB of disk are free; the jobs run one after the other, and "
        "what several need is made once (the job page shows a measured time as soon as one runs)."
    )


def show_preflight(requests: list[Request]) -> None:
    """Show what every request needs and offer to start."""
    st.header("Will it run here?", anchor=False)
    root = str(state.store().root)
    found = {_named(one): check(one.command, one.model_dump_json(), root) for one in requests}
    with st.container(border=True):
        if len(found) == 1:
            for line in next(iter(found.values())).lines():
                st.text(line)
        else:
            show_several("subject" if isinstance(requests[0], EncodeRequest) else "model", found)
    if not all(one.fits for one in found.values()):
        st.warning("It may not fit this machine; you can start it all the same.")
    st.button(
        f"Start {len(requests)} job{'s' if len(requests) > 1 else ''}",
        type="primary",
        on_click=start,
        args=(requests,),
        key="submit",
    )


with widgets.page("Run", INTRODUCTION, computes=True):
    work = st.segmented_control(
        "Work",
        [ENCODE, PROBE],
        default=ENCODE,
        required=True,
        key="work",
        bind="query-params",
        help=WORK_HELP,
    )
    chosen: list[Request] = [*(choose_probes() if work == PROBE else choose_requests())]
    if chosen:
        show_preflight(chosen)
    answers.show("run")
    widgets.running_jobs()
