"""Every source of labels by its name, for requests and the command line."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from braindash.errors import InputError, near_match
from braindash.io.labels.aligned import read_gentle, read_librispeech, read_textgrids
from braindash.io.labels.corpora import read_cremad, read_slurp, read_speech_commands, read_timit
from braindash.io.labels.own import read_label_table
from braindash.io.labels.table import Labels

# Options of the readers that are folders.
LABEL_FOLDERS = ("audio", "alignments")

LABEL_SOURCES: Mapping[str, Callable[..., Labels]] = MappingProxyType(
    {
        "textgrid": read_textgrids,
        "gentle": read_gentle,
        "librispeech": read_librispeech,
        "timit": read_timit,
        "speech-commands": read_speech_commands,
        "slurp": read_slurp,
        "crema-d": read_cremad,
        "table": read_label_table,
    }
)


def _options_that_are(kind: type) -> frozenset[str]:
    """Name the options of the readers whose default is exactly of a type."""
    return frozenset(
        parameter.name
        for reader in LABEL_SOURCES.values()
        for parameter in inspect.signature(reader).parameters.values()
        if type(parameter.default) is kind
    )


# Options of the readers that are yes or no, and those that are whole numbers.
LABEL_FLAGS = _options_that_are(bool)
LABEL_NUMBERS = _options_that_are(int)


def read_labels(source: str, path: Path | str, **options: Any) -> Labels:
    """Read labels of any source.

    Parameters
    ----------
    source : str
        Key of :data:`LABEL_SOURCES`.
    path : path
        Folder or file of the labels.
    **options
        Keyword arguments of the source's reader.

    Returns
    -------
    Labels
        Recordings that cannot be used are its ``faults``; ``labels.without(())`` refuses them.

    Raises
    ------
    InputError
        The source or an option is unknown, an option is missing, or what the reader refuses.
    """
    if source not in LABEL_SOURCES:
        raise InputError(f"there are no labels {source!r}", hint=near_match(source, LABEL_SOURCES))
    reader = LABEL_SOURCES[source]
    _, *parameters = inspect.signature(reader).parameters.values()
    allowed = [parameter.name for parameter in parameters]
    check_options(f"labels of {source}", options, allowed)
    for parameter in parameters:
        if parameter.default is parameter.empty and parameter.name not in options:
            raise InputError(
                f"labels of {source} need the option {parameter.name!r}",
                hint=f"Its options are {', '.join(allowed)}.",
            )
    return reader(path, **options)


def check_options(title: str, options: Mapping[str, Any], allowed: Sequence[str]) -> None:
    """Refuse options that a reader does not have, and values of another kind than theirs."""
    for name, value in options.items():
        if name not in allowed:
            raise InputError(f"{title} have no option {name!r}", hint=near_match(name, allowed))
        if name in LABEL_FLAGS and value not in (True, False):
            raise InputError(
                f"{title}: {name} = {value!r} is neither yes nor no",
                hint="Allowed are yes, true, on, 1 and no, false, off, 0.",
            )
        if name in LABEL_NUMBERS and type(value) is not int:
            raise InputError(
                f"{title}: {name} = {value!r} is no whole number", hint="Write it in digits."
            )
