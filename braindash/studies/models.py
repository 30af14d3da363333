"""The models of a study's file: those that are there, and those that are tuned for it."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from braindash.requests import TuneRequest
from braindash.specs import TuningControl, TuningHead, TuningLoss, TuningSettings
from braindash.tuning.controls import LAYERED, OF_WORDS, STAND_INS

Role = Literal["base", "tuned", "control", "other"]
MOST_TUNED = 60
"""Models that the tables of a study may tune together."""
AXES = ("hours", "rank", "loss", "head", "steps")
"""What tuning curves are drawn against."""
BRAIN: TuningControl = "none"
"""The control that is none: real responses."""


def _as_list(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


Text = Annotated[str, StringConstraints(min_length=1)]
StudyName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,59}$")]
Names = Annotated[tuple[Text, ...], BeforeValidator(_as_list), Field(strict=False, min_length=1)]


class Table(BaseModel):
    """A table of a study's file; fields that it does not have are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class ModelTable(Table):
    """``[[models]]``: one model, or a control that takes its place."""

    name: Text = Field(description="what figures and tables call it")
    model: Text = Field(
        description="as of `--model`: a hub id, a folder (relative to this file), "
        "untrained:MODEL@SEED, shuffled:MODEL@SEED, acoustic:NAME, words:FILE or text:FOLDER"
    )
    revision: Text | None = Field(None, description="of a hub model: a branch, tag or commit")
    role: Role = Field("other", description="what it is in this study; figures are ordered by it")
    base: Text | None = Field(
        None,
        description="name of the model that it was tuned from or is a control of: percents are "
        "over that one, and layers are compared with its layers",
    )
    group: Text | None = Field(
        None,
        description="models of one group, such as those tuned on one subject each, have a mean "
        "with its standard error in the figure of probes; by itself if none",
    )
    tuned_on: Names | None = Field(
        None,
        description="subjects that it was tuned on, for the transfer matrix; a model of "
        "`braindash tune` says it itself",
    )
    encode: bool = Field(True, description="false: it predicts no responses here")
    probe: bool = Field(True, description="false: it is not probed here")


# ---- models that are tuned -------------------------------------------------------------------

_Hours = Literal["all"] | Annotated[float, Field(strict=False, gt=0, allow_inf_nan=False)]
_Rank = Literal["full"] | Annotated[int, Field(ge=1)]
_LIST: dict[str, Any] = {"strict": False, "min_length": 1}
# Fields of requests that the table has in words of its own, or that are said when it is run.
_OWN = {"model", "revision", "data", "subjects", "control", "train", "settings", "left_out"}
_OWN |= {"device", "threads", "adapter", "head", "loss", "steps"}
_OF_ADAPTERS = ("alpha", "adapter_dropout", "layers")
# Which controls take what: others would be refused with it.
_OF_CONTROLS: Mapping[str, frozenset[TuningControl]] = {
    "words": OF_WORDS,
    "teacher": frozenset({"speech-model"}),
    "teacher_layer": LAYERED,
}


def tune_settings() -> tuple[str, ...]:
    """Name the settings that ``settings`` of a table takes."""
    every = (*TuneRequest.model_fields, *TuningSettings.model_fields, *_OF_ADAPTERS)
    return tuple(name for name in every if name not in _OWN)


class Variant(NamedTuple):
    """One model that a table tunes.

    Attributes
    ----------
    table : str
        Name of the table.
    base : str
        Name of the model that is tuned.
    subjects : tuple of str
        Whose responses it learns from; of a control without responses, whose stories.
    control, head, loss : str
        As of ``braindash tune``.
    rank : int or "full"
        Of its adapters; "full": all weights.
    hours : float or "all"
        Of responses of each subject.
    steps : int or None
        Exactly so many; None: epochs.
    """

    table: str
    base: str
    subjects: tuple[str, ...]
    control: TuningControl
    head: TuningHead
    loss: TuningLoss
    rank: int | Literal["full"]
    hours: float | Literal["all"]
    steps: int | None

    @property
    def has_subjects(self) -> bool:
        """Whether it learns from responses at all."""
        return self.control not in STAND_INS

    def words(self) -> dict[str, str]:
        """Say in a few words what each of its settings is."""
        return {
            "base": self.base,
            "control": "brain" if self.control == BRAIN else self.control,
            "subjects": "+".join(self.subjects) if self.has_subjects else "",
            "head": f"head {self.head}",
            "loss": self.loss,
            "rank": "all weights" if self.rank == "full" else f"rank {self.rank}",
            "hours": "all hours" if self.hours == "all" else f"{self.hours:g} h",
            "steps": f"{self.steps} steps",
        }


class TuneTable(Table):
    """``[[tune]]``: models that are tuned for the study, one of every combination of its lists."""

    name: Text = Field(
        description="what figures and tables call them; behind it stands what differs among them, "
        'such as "tuned: shuffled, S1, rank 8, 0.5 h"'
    )
    subjects: Names = Field(
        description="subjects of the manifest whose responses are learnt from: a model for each"
    )
    together: bool = Field(False, description="true: one model for all of these subjects")
    models: Names | None = Field(
        None, description="names of the models that are tuned; those with the role base if none"
    )
    controls: Annotated[tuple[TuningControl, ...], Field(**_LIST)] = Field(
        (BRAIN,),
        description="as of `braindash tune --control`; none: real responses. Those without any "
        "responses are tuned once for all subjects",
    )
    heads: Annotated[tuple[TuningHead, ...], Field(**_LIST)] = Field(
        ("subject",), description="as of `--head`"
    )
    losses: Annotated[tuple[TuningLoss, ...], Field(**_LIST)] = Field(
        ("mse",), description="as of `--loss`"
    )
    ranks: Annotated[tuple[_Rank, ...], Field(**_LIST)] = Field(
        ("full",), description='of adapters; "full": all weights behind the front end'
    )
    hours: Annotated[tuple[_Hours, ...], Field(**_LIST)] = Field(
        ("all",),
        description="of training responses of each subject: the first whole stories of an order "
        'that is drawn, so that fewer hours lie in more; or "all"',
    )
    draw: int = Field(0, ge=0, description="which order of the stories the hours are taken from")
    steps: Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(**_LIST)] | None = Field(
        None, description="exactly so many steps, the same for controls; epochs if none"
    )
    settings: dict[str, Any] = Field(
        default_factory=dict,
        description="further settings of these tunings, as of `braindash.tune`; `words`, `teacher` "
        "and `teacher_layer` go to the controls that take them",
    )
    encode: bool = Field(True, description="false: the tuned models predict no responses here")
    probe: bool = Field(True, description="false: they are not probed here")

    def variants(self, models: Sequence[ModelTable]) -> dict[str, Variant]:
        """Return every model that the table tunes, by its name, in the order of its lists.

        Parameters
        ----------
        models : sequence of ModelTable
            Those of the study that are there.
        """
        bases = self.models or tuple(one.name for one in models if one.role == "base")
        every = [
            Variant(self.name, base, people, control, head, loss, rank, hours, steps)
            for base, control, head, loss, rank, hours, steps in product(
                bases,
                self.controls,
                self.heads,
                self.losses,
                self.ranks,
                self.hours,
                self.steps or (None,),
            )
            for people in self._people(control)
        ]
        differ = _differing(every)
        return {self._named(one, differ): one for one in dict.fromkeys(every)}

    def _people(self, control: TuningControl) -> Iterable[tuple[str, ...]]:
        every = tuple(dict.fromkeys(self.subjects))
        if self.together or control in STAND_INS:
            return (every,)
        return tuple((name,) for name in every)

    def _named(self, one: Variant, differ: Iterable[str], *, leave_out: str = "") -> str:
        told = [one.words()[name] for name in differ if name not in ("subjects", leave_out)]
        if "subjects" in differ and not leave_out:
            told.append(one.words()["subjects"])
        return f"{self.name}: {', '.join(filter(None, told))}" if any(told) else self.name

    def lines(self, variants: Mapping[str, Variant], axis: str) -> dict[str, str]:
        """Name the line of a figure against ``axis`` that each model is a point of.

        Models that differ in their subject alone are of one point.
        """
        differ = _differing(variants.values())
        return {
            name: self._named(one, differ, leave_out=axis or "subjects")
            for name, one in variants.items()
        }

    def varied(self) -> tuple[str, ...]:
        """Name the settings that take several values, of those that curves are drawn against."""
        lists = (self.hours, self.ranks, self.losses, self.heads, self.steps or ())
        found = zip(AXES, lists, strict=True)
        return tuple(axis for axis, values in found if len(set(values)) > 1)

    def fields(self, one: Variant) -> dict[str, Any]:
        """Return the fields of a model's request, but for the base, the data and the stories."""
        own = {
            name: value
            for name, value in self.settings.items()
            if one.control in _OF_CONTROLS.get(name, {one.control})
        }
        if one.rank == "full":
            own = {name: value for name, value in own.items() if name not in _OF_ADAPTERS}
        adapter = {} if one.rank == "full" else {"rank": one.rank}
        return (
            own
            | adapter
            | {
                "subjects": one.subjects,
                "control": one.control,
                "head": one.head,
                "loss": one.loss,
                "steps": one.steps,
                "method": "full" if one.rank == "full" else "lora",
            }
        )

    def model(self, name: str, one: Variant, groups: Mapping[str, str]) -> ModelTable:
        """Return what the study shows of a model that is tuned."""
        return ModelTable(
            name=name,
            model=name,
            revision=None,
            role="tuned" if one.control == BRAIN else "control",
            base=one.base,
            group=groups[name],
            tuned_on=one.subjects if one.has_subjects else None,
            encode=self.encode,
            probe=self.probe,
        )


def _differing(variants: Iterable[Variant]) -> tuple[str, ...]:
    """Name what is not the same in all variants, in the order of names."""
    every = [one.words() for one in variants]
    fields = every[0] if every else {}
    return tuple(name for name in fields if len({one[name] for one in every}) > 1)
