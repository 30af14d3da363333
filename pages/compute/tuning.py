"""Brain-tune a model: choose, start, watch its epochs, score the result."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import streamlit as st

from braindash.demo.requests import DEMO_MODELS
from braindash.io.dataset.manifest import load_manifest
from braindash.jobs.queue import Job
from braindash.requests import (
    METHODS,
    EncodeRequest,
    TuneRequest,
    build_request,
    build_tune_request,
)
from braindash.specs import TARGET_RULES, TUNING_CONTROLS, TUNING_HEADS, TUNING_LOSSES
from braindash.tuning.result import TunedModel, damaged_models, read_progress, tuned_models
from braindash.ui import answers, choices, region_sets, state, texts, widgets
from braindash.ui.take_away import Take
from braindash.viewer.colours import region_title
from braindash.views.captions import tuning_line
from braindash.views.training import training_curves, training_table
from braindash.work.kinds import preflight
from braindash.work.submit import submit

INTRODUCTION = (
    "Teach a speech model to predict brain responses, and see what that changes. The test story "
    "plays no part."
)
RECIPES = {
    "segments": "Segments of 31 TRs, attention within 3 TRs: every second of audio once",
    "published": "Each row's own 5 TRs, as published: every second of audio five times",
}
RECIPE_SETTINGS: dict[str, dict[str, int]] = {
    "segments": {"segment_trs": 31, "attention_trs": 3},
    "published": {"segment_trs": 5},
}
AUTO_TARGETS = "By the first noise ceiling that training data allow"
CONTROL_HELP = "The same budget with the relation between sound and brain taken away, or changed."
SEED_HELP = "Of everything that is drawn: the order of segments, dropout, adapters, controls."
STEPS_HELP = (
    "Exactly so many steps of the optimiser, without an early stop: a model and its controls then "
    "have the same."
)
BOTTLENECK_HELP = "Between model and heads, where the heads have one."
TEACHER_HINTS = {
    "text": "Name a file of word vectors, or the folder of a sentence model.",
    "language-model": "Name the folder of a text model.",
    "speech-model": "Name a speech model, by its folder or its id on the hub.",
}
# Small models need higher rates; the published ones are of models 768 and more wide.
RATES = {True: (6e-4, 5e-4, 27), False: (5e-5, 1e-4, 128)}


def menu(label: str, options: Mapping[str, str], key: str, help: str | None = None) -> str:
    """Ask for one of several, by what they mean."""
    return st.selectbox(label, list(options), format_func=options.__getitem__, key=key, help=help)


def choose_settings(small: bool) -> dict[str, Any]:
    """Ask for what most people leave as it is."""
    encoder, head, rows = RATES[small]
    with st.expander("Advanced"):
        one, two, three = st.columns(3)
        steps = three.number_input(
            "Steps (0: by epochs)", 0, 10**6, 0, help=STEPS_HELP, key="tune_steps"
        )
        by_steps = steps > 0
        return {
            "epochs": one.number_input(
                "Epochs, at most", 1, 500, 15, key="tune_epochs", disabled=by_steps
            ),
            "patience": two.number_input(
                "Stop after epochs without a better r (0: never)",
                0,
                500,
                5,
                key="tune_patience",
                disabled=by_steps,
            ),
            "steps": int(steps) or None,
            "bottleneck": two.number_input(
                "Values of a bottleneck",
                1,
                10_000,
                100,
                help=BOTTLENECK_HELP,
                key="tune_bottleneck",
            ),
            "seed": three.number_input("Seed", 0, 2**31 - 1, 0, help=SEED_HELP, key="tune_seed"),
            "encoder_rate": one.number_input(
                "Learning rate of the model", 1e-7, 1.0, encoder, format="%.1e", key="tune_rate"
            ),
            "head_rate": two.number_input(
                "Learning rate of the heads", 1e-7, 1.0, head, format="%.1e", key="tune_head_rate"
            ),
            "batch_rows": three.number_input("Rows per step", 1, 4096, rows, key="tune_rows"),
            "leave_out_bad": choices.leave_out_bad("tune"),
        }


def choose_regions(data: Path) -> tuple[str, list[str]]:
    """Ask for the region set of the targets, and for regions of it."""
    offered = region_sets.ready(load_manifest(data).space, data)
    name = st.selectbox("Region set", offered, format_func=region_sets.title, key="tune_region_set")
    known = region_sets.region_names(name, data)
    return name, st.multiselect("Regions", known, format_func=region_title, key="tune_regions")


def choose_teacher(control: str) -> dict[str, Any] | None:
    """Ask what a control learns from; empty where nothing is asked, None where it lacks."""
    if control not in TEACHER_HINTS:
        return {}
    if control == "speech-model":
        given = choices.own_model("Model that is foretold", "tune_teacher")
        taught: dict[str, Any] = {"teacher": given}
    else:
        label = "Text model" if control == "language-model" else "Word vectors or sentence model"
        given = st.text_input(label, key="tune_words")
        taught = {"words": state.resolve_inside_roots(given) if given else None}
    if control != "text":
        layer = st.number_input(
            "Layer of it (-1: the last)", -1, 1000, -1, key="tune_teacher_layer"
        )
        taught["teacher_layer"] = None if layer < 0 else int(layer)
    return taught if given else None


def choose_request(data: Path | None) -> TuneRequest | None:
    """Ask for everything else; None as long as something is missing."""
    base = choices.model("tune")
    if data is None or base is None:
        st.info("Choose a data set and a model.")
        return None
    subjects = choices.subjects("Subjects", data, "tune")
    left, right = st.columns(2)
    with left:
        method = menu("What is tuned", METHODS, "tune_method")
        recipe = menu("What is encoded", RECIPES, "tune_recipe")
        loss = menu("Loss", TUNING_LOSSES, "tune_loss")
        head = menu("Heads", TUNING_HEADS, "tune_head")
    with right:
        targets = menu("Targets", {"auto": AUTO_TARGETS} | TARGET_RULES, "tune_targets")
        control = menu("Control", TUNING_CONTROLS, "tune_control", help=CONTROL_HELP)
        region_set, regions = choose_regions(data) if targets == "regions" else (None, None)
        taught = choose_teacher(control)
    further = choose_settings(base in map(str, DEMO_MODELS.values()))
    if not subjects or taught is None:
        st.info("Choose subjects." if not subjects else TEACHER_HINTS[control])
        return None
    return build_tune_request(
        data=data,
        model=base,
        subjects=tuple(subjects),
        method=method,
        loss=loss,
        head=head,
        targets=targets,
        control=control,
        regions=None if regions is None else tuple(regions),
        region_set=region_set,
        **taught,
        **RECIPE_SETTINGS[recipe],
        **further,
    )


@st.cache_data(ttl=20, show_spinner="Checking data, cache, memory and disk")
def check(request_json: str, root: str) -> tuple[list[str], bool]:
    """Run the preflight of a request."""
    found = preflight(TuneRequest.model_validate_json(request_json), state.Store(root))
    return found.lines(), found.fits


def start(request: TuneRequest) -> None:
    """Queue the run; the same one twice is one job."""
    with answers.answering("tuning"):
        submit(request, state.store())
        answers.say("tuning", "Submitted. The job goes on when you close the browser.")


def show_preflight(request: TuneRequest) -> None:
    """Show what the run needs and offer to start it."""
    st.header("Will it run here?", anchor=False)
    lines, fits = check(request.model_dump_json(), str(state.store().root))
    with st.container(border=True):
        for line in lines:
            st.text(line)
    if not fits:
        st.warning("It may not fit this machine; you can start it all the same.")
    st.button("Start tuning", type="primary", on_click=start, args=(request,), key="tune_submit")


def draw(history: list[dict[str, Any]], n_epochs: int, key: str, **options: Any) -> Any:
    """Draw the epochs of one run; gives the figure."""
    figure = training_curves(history, n_epochs=n_epochs, **options)
    widgets.chart(figure, f"curves_{key}")
    return figure


@st.fragment(run_every=2.0)
def live() -> None:
    """Draw the runs under way, and look again every other second."""
    active = [job for job in state.queue().list(states=widgets.ACTIVE) if job.command == "tune"]
    if active:
        state.queue().ensure_worker()
    for job in active:
        show_job(job)
    before = st.session_state.setdefault("tune_seen", len(active))
    st.session_state["tune_seen"] = len(active)
    if before > len(active):
        st.rerun(scope="app")


def show_job(job: Job) -> None:
    """Draw one run: its bar, and its epochs so far."""
    with st.container(border=True):
        widgets.job_progress(job)
        known = read_progress(state.store(), job.key)
        if known:
            draw(known["history"], known["epochs"], job.key, simulated=known["simulated"])


def score(model: TunedModel, data: str, strategy: str) -> None:
    """Queue an encoding job per subject that the model was tuned on."""
    with answers.answering("tuning"):
        manifest = Path(data)
        subjects = load_manifest(manifest).subjects
        for subject in subjects:
            request = build_request(
                EncodeRequest,
                data=manifest,
                model=str(model.folder),
                subject=subject,
                strategy=strategy,
            )
            submit(request, state.store())
        text = f"Encoding jobs queued: {len(subjects)}."
        answers.say("tuning", text, ("pages/compute/jobs.py", "Watch them"))


def show_model(model: TunedModel, data: Path | None) -> None:
    """Show one tuned model and offer to score it."""
    record = model.record
    with st.expander(model.name):
        if model.simulated:
            widgets.simulated_stamp()
        figure = draw(
            record["history"],
            record["history"][-1]["epoch"],
            model.name,
            kept=record["kept_epoch"],
            simulated=model.simulated,
        )
        taken = Take(
            f"training-{model.name}",
            f"Training of {model.name}",
            (),
            model.simulated,
            figure=figure,
            table=training_table(record["history"]),
        )
        widgets.told(tuning_line(record), [], [taken])
        for warning in record["warnings"]:
            st.warning(warning)
        st.code(str(model.folder), language=None)
        if data is None:
            st.info("Choose a data set above to score this checkpoint.")
            return
        st.button(
            "Score this checkpoint",
            on_click=score,
            args=(model, str(data), "chunk"),
            key=f"score_{model.name}",
            help="Queues an encoding job per subject of the data set above, with chunk features.",
        )


with widgets.page("Tuning", INTRODUCTION, computes=True):
    manifest = choices.data("tune")
    chosen = choose_request(manifest)
    if chosen is not None:
        show_preflight(chosen)
    answers.show("tuning")
    live()
    models = tuned_models(state.store())
    if models:
        st.header("Tuned models", anchor=False)
    for found in models:
        show_model(found, manifest)
    widgets.damaged({str(one.folder): one.problem for one in damaged_models(state.store())})
    with st.expander("What is brain-tuning, and how is it done here?"):
        st.markdown(texts.TUNING)
