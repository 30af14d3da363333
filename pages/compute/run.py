"""Start work: model, data set, subjects, then a preflight, then the jobs."""

from pathlib import Path

import streamlit as st

from braindash.errors import BraindashError
from braindash.io.demo import DEMO_MODELS
from braindash.io.manifest import load_manifest
from braindash.launch import submit_encoding
from braindash.plan import EncodeRequest, build_request
from braindash.preflight import preflight
from braindash.ui import state, widgets

INTRODUCTION = "Score how well each layer of a speech model predicts the brain of each subject."
HUB_MODELS = [
    "facebook/wav2vec2-base",
    "facebook/wav2vec2-base-960h",
    "facebook/hubert-base-ls960",
    "facebook/hubert-large-ll60k",
]
STRATEGIES = {
    "exact": "exact: causal windows, the reference (slow)",
    "chunk": "chunk: about 20 times faster, sees up to 2 s of future audio",
}
MANIFEST_HELP = (
    "A TOML file that names your stories, responses and splits; the README shows one in full. "
    "Or choose the embedded demo, once it is prepared."
)


def choose_data() -> Path | None:
    """Ask for the manifest."""
    demo = state.store().root / "demo" / "manifest.toml"
    options = [str(demo)] if demo.is_file() else []
    text = st.selectbox(
        "Data set (manifest file)",
        options,
        index=0 if options else None,
        accept_new_options=True,
        placeholder="path/to/manifest.toml",
        help=MANIFEST_HELP,
        key="manifest",
    )
    return state.resolve_inside_roots(text) if text else None


def choose_model() -> str | None:
    """Ask for the model: shipped, by hub id, or a local folder."""
    shipped = {f"{name} (shipped with the demo)": str(path) for name, path in DEMO_MODELS.items()}
    text = st.selectbox(
        "Model",
        [*shipped, *HUB_MODELS],
        index=0,
        accept_new_options=True,
        help="A hub id (downloaded when the job runs) or a local folder with config.json and "
        "model.safetensors.",
        key="run_model",
    )
    if text is None or text in shipped:
        return shipped.get(text or "")
    looks_local = text.startswith(("/", "~", "."))
    return str(state.resolve_inside_roots(text)) if looks_local else text


def choose_requests() -> list[EncodeRequest]:
    """Ask for everything and make one request per subject."""
    data = choose_data()
    model = choose_model()
    if data is None or model is None:
        st.info("Choose a data set and a model.")
        return []
    subjects = st.multiselect("Subjects", load_manifest(data).subjects, key="run_subjects")
    strategy = st.radio(
        "Features", list(STRATEGIES), format_func=STRATEGIES.__getitem__, key="run_strategy"
    )
    return [
        build_request(data=data, model=model, subject=subject, strategy=strategy)
        for subject in subjects
    ]


@st.cache_data(ttl=20, show_spinner="Checking data, cache, memory and disk")
def check(request_json: str, root: str) -> tuple[list[str], bool]:
    """Run the preflight of one request."""
    found = preflight(EncodeRequest.model_validate_json(request_json), state.Store(root))
    return found.lines(), found.fits


def submit(requests: list[EncodeRequest]) -> None:
    """Queue the requests; equal ones are one job."""
    try:
        jobs = [submit_encoding(request, state.store()) for request in requests]
    except BraindashError as problem:
        st.session_state["run_problem"] = problem
    else:
        st.session_state["run_submitted"] = len(jobs)


def show_preflight(requests: list[EncodeRequest]) -> None:
    """Show what every request needs and offer to start."""
    st.subheader("Will it run here?", anchor=False)
    fits = True
    for request in requests:
        lines, fit = check(request.model_dump_json(), str(state.store().root))
        fits = fits and fit
        with st.container(border=True):
            st.markdown(f"**{request.subject}**")
            for line in lines:
                st.text(line)
    if not fits:
        st.warning("It may not fit this machine; you can start it all the same.")
    st.button(
        f"Start {len(requests)} job{'s' if len(requests) > 1 else ''}",
        type="primary",
        on_click=submit,
        args=(requests,),
        key="submit",
    )


with widgets.page("Run", INTRODUCTION):
    chosen = choose_requests()
    if chosen:
        show_preflight(chosen)
    if (problem := st.session_state.pop("run_problem", None)) is not None:
        widgets.show_error(problem)
    if st.session_state.pop("run_submitted", None):
        st.success("Submitted. The job goes on when you close the browser.")
        st.page_link("pages/compute/jobs.py", label="Watch it")
    widgets.running_jobs()
