"""Listen: the test story, measured and predicted; and any sound, of which there is a prediction."""

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from braindash.encoding.listening.heard import (
    HeardStory,
    find_dataset,
    find_sound,
    find_words,
    heard_stories,
)
from braindash.encoding.result import EncodingResult
from braindash.errors import InputError
from braindash.io.dataset.manifest import Dataset
from braindash.io.entries import predictions_key_of
from braindash.io.labels.textgrid import Interval
from braindash.io.predictions import RowReader
from braindash.ui import state, texts, widgets
from braindash.ui.explore import any_sound, listening, selecting
from braindash.ui.explore.listening import Player, Sound
from braindash.ui.visitors.rights import visitor
from braindash.viewer.drawn import can_show
from braindash.views.captions import short_line
from braindash.views.listening.played import (
    BEST,
    Played,
    can_stand_beside,
    chosen_layers,
    layers_line,
    story_programme,
)

INTRODUCTION = (
    "Listen to the test story: what the cortex did, what the model says of it, and what is left, "
    "in step with sound and words. Or bring a sound of your own: what is predicted for it."
)
STORY, SOUND = "story", "sound"
HEARD = {STORY: "the test story", SOUND: "any sound"}
LAYER_HELP = (
    "Whose predictions are shown: the layer that predicts the region best, of each model, or the "
    "one you choose; of model B then the one at the same relative depth."
)


def predictions_of(result: EncodingResult) -> RowReader | None:
    """Open the stored predictions of a result; None where they are gone or damaged."""
    key = predictions_key_of(result)
    folder = state.store().folder("predictions", key)
    written = folder.stat().st_mtime_ns if folder.is_dir() else 0
    found: RowReader | None = _predictions(str(state.store().root), key, written)
    return found


@st.cache_resource(max_entries=24, show_spinner="Opening the predictions")
def _predictions(root: str, key: str, written: int) -> RowReader | None:
    entry = state.Store(root).get_or_none("predictions", key)
    return None if entry is None else RowReader(entry.result_file)


def data_of(result: EncodingResult) -> tuple[Dataset | None, InputError | None]:
    """Find the data set of a result: where it was, or where the visitor says it is now."""
    given = st.session_state.get("story_manifest", "")
    try:
        place = state.resolve_inside_roots(given) if given.strip() else None
        if place is not None and place.is_dir():
            place = place / "manifest.toml"
        return find_dataset(result, state.store(), place), None
    except InputError as error:
        return None, error


def sound_of(
    dataset: Dataset | None, result: EncodingResult, story: HeardStory, problem: InputError | None
) -> Sound:
    """Open the story's recording, or say why it cannot be heard."""
    if dataset is None:
        return listening.why_silent(problem or InputError("the data set is not here", hint=""))
    try:
        return listening.open_sound(find_sound(dataset, result, story))
    except InputError as error:
        return listening.why_silent(error)


def words_of(dataset: Dataset | None, story: HeardStory) -> tuple[list[Interval], str]:
    """Read the story's words; without them, say why in a few words."""
    if dataset is None:
        return [], ""
    try:
        return find_words(dataset, story), ""
    except InputError as error:
        return [], f"No words: {error.message}."


def ask_for_data(sound: Sound) -> None:
    """Offer to say where the data set is, where its sound was not found."""
    if not visitor().may_compute:
        st.caption(f"{texts.plain(sound.note)} Maps and courses play with a silent clock.")
        return
    with st.expander("The sound is not here", icon=":material/volume_off:"):
        st.markdown(f"{texts.plain(sound.note)} Maps and courses play with a silent clock.")
        st.text_input(
            "Manifest of the data set",
            key="story_manifest",
            placeholder="path of manifest.toml, or of its folder",
            help="The data set may have moved since the result was computed. A recording is played "
            "only if it is the one that the model heard.",
        )


def choose(
    results: list[EncodingResult], stories: list[HeardStory], bar: DeltaGenerator
) -> tuple[str, str, str]:
    """Ask for the story, the region and the layer, in the selection bar."""
    first = results[0]
    with bar:
        story = stories[0].name
        if len(stories) > 1:
            story = state.choose("Story", [one.name for one in stories], "story", width=140)
        region = listening.choose_region(first)
        layers = [BEST, *map(str, range(first.n_layers))]
        layer = state.choose("Layer", layers, "layer", show=layer_title, help=LAYER_HELP, width=144)
    return story, region, layer


def layer_title(choice: str) -> str:
    """Write a choice of layer for readers."""
    return "best of the region" if choice == BEST else f"layer {choice}"


def opened(
    selection: selecting.Selection,
    dataset: Dataset | None,
    readers: list[RowReader],
    bar: DeltaGenerator,
) -> tuple[list[Played], str, str]:
    """Ask what is played, and open it: model A and, where it fits, model B; with what is said."""
    results = results_of(selection)[: len(readers)]
    stories = [heard_stories(one, state.store(), dataset) for one in results]
    name, region, choice = choose(results, stories[0], bar)
    found = [[one for one in heard if one.name == name] for heard in stories]
    results = [one for one, story in zip(results, found, strict=True) if story]
    layers = chosen_layers(results, choice, region)
    played = [
        Played(*parts)
        for parts in zip(
            results, readers, [story[0] for story in found if story], layers, strict=False
        )
    ]
    if len(played) > 1 and (reason := can_stand_beside(*played)):
        st.info(f"Model B is not played beside A: {texts.plain(reason)}.", icon=":material/info:")
        played, layers = played[:1], layers[:1]
    return played, region, layers_line([one.result for one in played], layers, choice, region)


def results_of(selection: selecting.Selection) -> list[EncodingResult]:
    """Return the results of model A and, where one is chosen, of model B."""
    return [selection.result, *(state.load(row) for row in selection.other_rows[:1])]


def lacking(selection: selecting.Selection) -> None:
    """Say what to do where the predictions were not kept."""
    st.info(
        f"The predictions of **{texts.plain(selection.row.model)}** "
        f"(key {selection.result.key[:8]}) are not in this store: the result is of an older "
        "version, was brought here without them, or they were damaged. Compute it again, or "
        "export it with its predictions where they are: "
        "`braindash export KEY --with-predictions`.",
        icon=":material/hourglass_empty:",
    )
    widgets.compute_link("pages/compute/run.py", "Compute it again", icon=":material/play_circle:")


def show(selection: selecting.Selection, bar: DeltaGenerator) -> None:
    """Draw the chosen result in time."""
    result = selection.result
    reader = predictions_of(result)
    if reader is None:
        lacking(selection)
        return
    if not can_show(result.space, result.n_targets, result.surface):
        st.info(f"{texts.no_surface(result.space)} Their layer curves are on the page Layers.")
        return
    readers = [reader]
    for other in results_of(selection)[1:]:
        found = predictions_of(other)
        if found is None:
            st.info("Model B is not played beside A: its predictions are not in this store.")
        else:
            readers.append(found)
    dataset, problem = data_of(result)
    played, region, line = opened(selection, dataset, readers, bar)
    first = played[0]
    sound = sound_of(dataset, result, first.story, problem)
    words, no_words = words_of(dataset, first.story)
    names = [selection.model_names[0]]
    if len(played) > 1:
        names = [f"{letter}: {name}" for letter, name in zip("AB", selection.model_names,
                                                             strict=True)]  # fmt: skip
    programme = story_programme(played, names, short_line(selection.group), region)
    listening.hear(sound)
    listening.show_player(Player(programme, sound, words))
    if not sound.content:
        ask_for_data(sound)
    notes = [line, sound.note if sound.content else "", no_words, timing_note(first.story)]
    st.caption(texts.plain(" ".join(note for note in notes if note)))
    results = [one.result for one in played]
    widgets.provenance(
        selection.group, selection.ceiling, taken=[listening.courses_take(programme, results)]
    )


def timing_note(story: HeardStory) -> str:
    """Say when rows are drawn, and what is unusual about it."""
    if not story.is_timed:
        return (
            "When the rows were acquired is not known: neither their features nor the data set are "
            "here. They are counted as one a second."
        )
    return f"{story.n_rows} rows, one every {story.tr:g} s."


with widgets.page("Story", INTRODUCTION):
    available = state.result_rows()
    if not available:
        widgets.empty_store()
    else:
        top = selecting.selection_bar()
        row = st.container(horizontal=True, vertical_alignment="center", key="what_is_heard")
        with row:
            heard = state.choose(
                "What is heard",
                list(HEARD),
                "heard",
                show=HEARD.__getitem__,
                side_by_side=True,
                bare=True,
            )
        chosen = selecting.choose_result(available, bar=top)
        with row:
            if heard == SOUND:
                st.markdown(
                    ":blue-badge[PREDICTION] for this subject, not a measurement", width="content"
                )
            if chosen.result.simulated:
                widgets.simulated_stamp()
        if heard == STORY:
            show(chosen, top)
        else:
            any_sound.show(chosen, results_of(chosen), top)
        with st.expander("What is this, and how do I use it?"):
            st.markdown(texts.STORY if heard == STORY else texts.SOUND)
