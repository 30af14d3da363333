"""The selection bar of the pages that show encodings: data, models, subject, score, regions."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from braindash.demo.results import tuned_bases, tuned_controls
from braindash.encoding.result import EncodingResult
from braindash.encoding.several.comparison import Difference, Group, compare
from braindash.errors import InputError
from braindash.ui import region_sets, state
from braindash.ui.state import ResultRow
from braindash.ui.texts import plain
from braindash.views.captions import short_names

NORMALISED = "r / ceiling"
SCORES = {"r": "Pearson r", NORMALISED: "r / ceiling"}
ALL_SUBJECTS = "all subjects"
NO_OTHER = "none"
SCORE_HELP = (
    "r: Pearson correlation of predicted and measured response on the test story. "
    "r / ceiling: divided by the noise ceiling where that exceeds 0.4 (0.1 between subjects); "
    "never clipped."
)
CEILING_HELP = (
    "The highest correlation that a perfect model could reach. repeats: from the repeats of the "
    "test story. inter-subject: correlation with the mean of the other subjects, which holds only "
    "what they share. given: the one that the data set's manifest names. "
    "split-half: from halves of the subjects whose mean response was predicted."
)
COMPARE_HELP = "A second model on the same data; every difference is the first minus the second."
# Models with random or shuffled weights, acoustic spaces, words: `untrained:`, `acoustic:` ...
_PREFIXED = re.compile(r"[a-z-]+:")
_MOST_NAMED = 12  # names in a menu's help
THIRD_HELP = "One more model beside the two, for example a control."


@dataclass(frozen=True)
class Selection:
    """The visitor's choice on a page that shows results of one model, or of two.

    Attributes
    ----------
    row : ResultRow
        The chosen result; of several subjects the first one's.
    group : Group
        The chosen results of model A, one per subject.
    normalised : bool
        r / ceiling instead of r.
    ceiling : str or None
        The chosen noise ceiling; None when there is none.
    other_rows : tuple of ResultRow
        Model B, for those of the subjects that have it; empty without a second model.
    short : mapping of str to str
        Short names of the data set's models.
    """

    row: ResultRow
    group: Group
    normalised: bool
    ceiling: str | None
    other_rows: tuple[ResultRow, ...] = ()
    short: Mapping[str, str] = field(default_factory=dict)

    @property
    def result(self) -> EncodingResult:
        """The chosen result; of several subjects the first one's."""
        return self.group.first

    @property
    def score(self) -> str:
        """The score's column in tables."""
        return "r_over_ceiling" if self.normalised else "r"

    @property
    def model_names(self) -> tuple[str, str]:
        """Short names of models A and B; B is empty without a second model."""
        other = self.named(self.other_rows[0].model) if self.other_rows else ""
        return self.named(self.row.model), other

    def named(self, model: str) -> str:
        """Return a model's short name."""
        return self.short.get(model, model)

    def named_like(self, group: Group) -> str:
        """Return the short name of the one of the two models whose results these are."""
        keys = {row.key for row in self.other_rows}
        return self.model_names[int(all(one.key in keys for one in group.results))]

    def difference(self) -> Difference | None:
        """Pair the chosen models; None without a second one.

        Raises
        ------
        InputError
            When the two cannot be compared, or not with the chosen ceiling.
        """
        return self._difference

    @cached_property
    def _difference(self) -> Difference | None:
        if not self.other_rows:
            return None
        pair = compare(self.group, state.load_all(self.other_rows))
        if self.normalised and self.ceiling not in pair.b.ceiling_names:
            raise InputError(
                f"{pair.b.model} has no noise ceiling {self.ceiling!r}",
                hint="Choose the score Pearson r, another ceiling or another model.",
            )
        return pair

    def ceiling_for(self, group: Group) -> str | None:
        """Return the chosen ceiling where a group has it; else its default one."""
        return self.ceiling if self.ceiling in group.ceiling_names else None


def before_and_after(row: ResultRow, rows: list[ResultRow]) -> tuple[ResultRow, ResultRow] | None:
    """Find the result before tuning and the one after it, one of which is ``row``.

    Both are of the same data, subject and kind of features; after tuning the newest one counts.
    """
    bases = tuned_bases(state.store())
    same = [
        one
        for one in rows
        if (one.data, one.subject, one.strategy, one.varied)
        == (row.data, row.subject, row.strategy, row.varied)
    ]
    pairs = [
        (before, after)
        for after in same
        for before in same
        if before.fingerprint and bases.get(after.fingerprint) == before.fingerprint
    ]
    return next((pair for pair in pairs if row in pair), None)


def open_with_finding(rows: list[ResultRow]) -> None:
    """Choose what a visit opens with, on any page, as long as the visitor has chosen nothing else.

    The newest result of a model that is no control; where a model and the one that it was tuned
    from are both there, these two, and the mean of the subjects where there are several. What the
    address names stays.
    """
    session, before = st.session_state, st.session_state.get("opened_with")
    if before is None and ("model" in session or _is_here(st.query_params.get("model"), rows)):
        return
    if before is not None and any(session.get(key) != value for key, value in before.items()):
        return
    if before is None and "model" in st.query_params:
        state.tell_strange("Model", st.query_params["model"])
    in_address = () if before else tuple(one for one in st.query_params if one != "model")
    meant = [
        one
        for one in rows
        if all(
            getattr(one, key) == st.query_params[key]
            for key in ("data", "subject")
            if key in in_address
        )
    ]
    first, *_ = sorted(state.usual_first(meant or rows), key=_controls_behind())
    found = choices_for(first, rows)
    choices = {key: found[key] for key in before or found if key not in in_address}
    session["opened_with"] = choices
    state.set_choices(choices)


def _is_here(model: str | None, rows: list[ResultRow]) -> bool:
    """Say whether an address names a model; one that is not here names none."""
    names = [row.model for row in rows]
    return model in names or model in short_names(names).values()


def _controls_behind() -> Callable[[ResultRow], bool]:
    """Return a key that sorts controls and spaces that are no model behind all others."""
    controls = tuned_controls(state.store())
    return lambda row: row.fingerprint in controls or bool(_PREFIXED.match(row.model))


def choices_for(row: ResultRow, rows: list[ResultRow]) -> dict[str, str]:
    """Return the choices that show a result, before and after tuning where both are there.

    Parameters
    ----------
    row : ResultRow
        The result.
    rows : list of ResultRow
        All results.
    """
    found = before_and_after(row, rows)
    before, after = found or (None, row)
    people = {
        one.subject
        for one in rows
        if (one.data, one.model) == (after.data, after.model) and not one.of_mean
    }
    several = found is not None and len(people) > 1
    return {
        "data": after.data,
        "model": after.model,
        "subject": ALL_SUBJECTS if several else after.subject,
        "compare": NO_OTHER if before is None else before.model,
    }


def was_tuned(selection: Selection) -> bool:
    """Say whether model A was tuned from model B."""
    found = before_and_after(selection.row, [selection.row, *selection.other_rows])
    return found is not None and found[1] == selection.row


def selection_bar() -> DeltaGenerator:
    """Return the place of the selection bar, in one row where the window is wide enough."""
    return st.container(horizontal=True, vertical_alignment="bottom", gap="small", key="selection")


def choose_result(
    rows: list[ResultRow],
    *,
    several_subjects: bool = False,
    pair: bool = False,
    bar: DeltaGenerator | None = None,
) -> Selection:
    """Show the selection bar (data, models, subject, score; regions, ceiling); load what it names.

    Parameters
    ----------
    rows : list of ResultRow
        All results.
    several_subjects : bool, default False
        Offer the mean of all subjects where there are several.
    pair : bool, default False
        Two models are wanted: offer no "none" where there is another one, and also model A itself,
        whose layers may be compared with each other.
    bar : DeltaGenerator, optional
        A :func:`selection_bar` that the page goes on to fill; one of its own when left out.

    Returns
    -------
    Selection
        What was chosen.

    Raises
    ------
    InputError
        When the subjects' results of one model do not belong together.
    """
    open_with_finding(rows)
    rows = state.usual_first(rows)
    with selection_bar() if bar is None else bar:
        data = state.choose("Data set", _unique(row.data for row in rows), "data", width=210)
        rows = [row for row in rows if row.data == data]
        short = short_names(row.model for row in rows)
        model = state.choose(
            "Model A" if pair else "Model",
            _unique(row.model for row in rows),
            "model",
            show=lambda name: short.get(name, name),
            help=_full_names(short),
            width=180,
        )
        subject = _choose_subject([row for row in rows if row.model == model], several_subjects)
        if subject == ALL_SUBJECTS:
            rows = [row for row in rows if not row.of_mean]
        else:
            rows = [row for row in rows if row.subject == subject]
        chosen = [row for row in rows if row.model == model]
        others = _others(rows, chosen)
        other = _choose_other([row.model for row in others], model, short, pair=pair)
        place, more = st.container(width="content"), st.popover("Regions, ceiling")
    with more:
        choose_regions(chosen[0])
    group = Group.of(state.load_all(chosen))
    normalised, ceiling = _choose_score(group, place, more)
    row = next(row for row in chosen if row.key == group.first.key)
    other_rows = tuple(row for row in others if row.model == other)
    return Selection(row, group, normalised, ceiling, other_rows, short)


def _full_names(short: Mapping[str, str]) -> str | None:
    """List what short names stand for, where they are shorter."""
    cut = [f"{one}: {name}" for name, one in short.items() if one != name]
    return "  \n".join(cut[:_MOST_NAMED]) or None


def _others(rows: list[ResultRow], chosen: list[ResultRow]) -> list[ResultRow]:
    subjects = {row.subject for row in chosen}
    return [row for row in rows if row.subject in subjects]


def _choose_other(models: list[str], model: str, short: Mapping[str, str], *, pair: bool) -> str:
    """Ask for a second model of the same data and subjects."""
    names = [name for name in _unique(models) if name != model]
    named = short.get(model, model)
    titles = {NO_OTHER: "no other model", model: f"{named}, another layer"}
    return state.choose(
        "Model B" if pair else "Compare with",
        [*(names or [NO_OTHER]), model] if pair else [NO_OTHER, *names],
        "compare",
        show=lambda name: titles.get(name, short.get(name, name)),
        help=COMPARE_HELP,
        width=180,
    )


def choose_regions(row: ResultRow) -> None:
    """Ask for the region set and the side of all pages; results are loaded after it.

    Parameters
    ----------
    row : ResultRow
        A result on the page: its space and its manifest say which sets there are.
    """
    result = state.load_result(str(state.store().root), row.key)
    offered = region_sets.offers(result)
    asked = st.query_params.get(region_sets.SET, "")
    reason = region_sets.why_not(asked, offered)
    state.choose(
        "Regions",
        offered,
        region_sets.SET,
        show=region_sets.title,
        help=region_sets.SET_HELP,
    )
    if reason:
        st.info(plain(reason), icon=":material/info:")
    regions = region_sets.chosen_regions(result)
    state.choose("Side", list(regions.hemispheres), region_sets.SIDE, help=region_sets.SIDE_HELP)


def choose_third(rows: list[ResultRow], selection: Selection) -> tuple[ResultRow, ...]:
    """Ask for a third model of the same data and subjects.

    Parameters
    ----------
    rows : list of ResultRow
        All results.
    selection : Selection
        Models A and B.

    Returns
    -------
    tuple of ResultRow
        One per subject that has it; empty without a third model.
    """
    subjects = set(selection.group.subjects)
    models = {selection.row.model, *(row.model for row in selection.other_rows)}
    others = [
        row
        for row in rows
        if row.data == selection.row.data and row.subject in subjects and row.model not in models
    ]
    name = state.choose(
        "Third model",
        [NO_OTHER, *_unique(row.model for row in others)],
        "third",
        show=lambda name: "no third model" if name == NO_OTHER else selection.named(name),
        help=THIRD_HELP,
        width=170,
    )
    return tuple(row for row in others if row.model == name)


def _choose_subject(rows: list[ResultRow], several: bool) -> str:
    """Ask for one of a model's subjects, or for the mean of all where there are several."""
    names = sorted({row.subject for row in rows})
    count = len({row.subject for row in rows if not row.of_mean})
    options = [*names, ALL_SUBJECTS] if several and count > 1 else names
    mean = f"mean of all {count}"
    return state.choose(
        "Subject",
        options,
        "subject",
        show=lambda name: mean if name == ALL_SUBJECTS else name,
        width=130,
    )


def _choose_score(
    group: Group, place: DeltaGenerator, more: DeltaGenerator
) -> tuple[bool, str | None]:
    """Ask for r or r / ceiling, and for the ceiling."""
    names = list(group.ceiling_names)
    with place:
        score = state.choose(
            "Score",
            list(SCORES) if names else ["r"],
            "score",
            show=SCORES.__getitem__,
            help=SCORE_HELP,
            side_by_side=True,
        )
    if not names:
        return False, None
    with more:
        ceiling = state.choose("Noise ceiling", names, "ceiling", help=CEILING_HELP)
    return score == NORMALISED, ceiling


def _unique(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))
