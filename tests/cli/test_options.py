"""Every field of a request can be set from the command line, and every hint names what exists."""

import ast
import re
import shlex
from functools import cache
from pathlib import Path

import pytest
import typer
from rich.text import Text
from typer.testing import CliRunner

from braindash.cli import app, encode, probe, tune
from braindash.requests import EncodeRequest, ProbeRequest, TuneRequest
from braindash.specs import AdapterSettings, TuningSettings

ROOT = Path(__file__).resolve().parents[2]
RUN = CliRunner()

ENCODE = ["encode", "--data", "m.toml", "--model", "base", "--subject", "S1"]
PROBE = ["probe", "--data", "m.toml", "--model", "base"]
TUNE = ["tune", "--data", "m.toml", "--model", "base", "--subjects", "S1"]
# Of every request: the field, how it is set, and what it then is; no value is a default.
SHARED = {
    "model": (["--model", "other"], "other"),
    "revision": (["--revision", "v2"], "v2"),
    "device": (["--device", "cpu"], "cpu"),
    "threads": (["--threads", "3"], 3),
    "leave_out_bad": (["--leave-out-bad"], True),
}
# Filled when recordings are found bad.
FILLED_LATER = {"left_out"}
ENCODE_FIELDS = SHARED | {
    "data": (["--data", "o.toml"], Path("o.toml")),
    "subject": (["--subject", "S2"], "S2"),
    "strategy": (["--strategy", "chunk"], "chunk"),
    "precision": (["--precision", "bf16"], "bf16"),
    "alphas": (["--alphas", "1, 10,"], (1.0, 10.0)),
    "delays": (["--delays", "2,3"], (2, 3)),
    "metric": (["--metric", "r"], "r"),
    "intercept": (["--no-intercept"], False),
    "n_permutations": (["--permutations", "7"], 7),
    "n_bootstraps": (["--bootstraps", "8"], 8),
    "block_rows": (["--block-rows", "5"], 5),
    "scheme": (["--scheme", "shift"], "shift"),
    "seed": (["--seed", "9"], 9),
    "high_pass": (["--high-pass", "100"], 100.0),
    "low_level": (["--low-level", "banded"], "banded"),
    "low_level_space": (["--low-level-space", "acoustic:mfcc"], "acoustic:mfcc"),
    "context_seconds": (["--context", "4"], 4.0),
    "train_share": (["--train-share", "0.5"], 0.5),
    "train_draw": (["--train-draw", "2"], 2),
    "penalty": (["--penalty", "shared"], "shared"),
    "history": (["--history", "full"], "full"),
    "null_panel": (["--null-panel"], True),
    "preset": (["--preset", "moussa2025-b"], "moussa2025-b"),
    "score_from_row": (["--score-from-row", "12"], 12),
    "ceiling_threshold": (["--ceiling-threshold", "0.3"], 0.3),
    "ceiling_selection": (["--ceiling-selection", "halves"], "halves"),
    "keep_frames": (["--keep-frames"], True),
    "keep_weights": (["--keep-weights", "2"], 2),
}
FOLDER = ["--labels", "textgrid", "--labels-path", "grids"]
PROBE_FIELDS = SHARED | {
    "data": (["--data", "o.toml"], Path("o.toml")),
    "labels": (FOLDER, "textgrid"),
    "labels_path": (FOLDER, Path("grids")),
    "labels_options": (["--labels-option", "tiers=a:phone,b:word,"],
                       {"tiers": {"a": "phone", "b": "word"}}),
    "recordings": (["--recordings", "a,b*, ,"], ("a", "b*")),
    "tasks": (["--tasks", "phone,word"], ("phone", "word")),
    "categories": (["--categories", "c.csv"], Path("c.csv")),
    "word_vectors": (["--word-vectors", "v.npz"], Path("v.npz")),
    "strategy": (["--strategy", "exact"], "exact"),
    "precision": (["--precision", "fp16"], "fp16"),
    "preset": (["--preset", "moussa2025-a"], "moussa2025-a"),
    "metric": (["--metric", "macro_f1"], "macro_f1"),
    "method": (["--method", "logistic"], "logistic"),
    "split": (["--split", "given"], "given"),
    "max_units": (["--max-units", "500"], 500),
    "n_shuffles": (["--shuffles", "2"], 2),
    "n_bootstraps": (["--bootstraps", "8"], 8),
    "seed": (["--seed", "9"], 9),
}  # fmt: skip
TUNE_FIELDS = SHARED | {
    "data": (["--data", "o.toml"], Path("o.toml")),
    "subjects": (["--subjects", "S2, S3,"], ("S2", "S3")),
    "train": (["--setting", "train=a,b"], ("a", "b")),
    "validation": (["--validation", "c,d"], ("c", "d")),
    "targets": (["--targets", "all"], "all"),
    "threshold": (["--threshold", "0.2"], 0.2),
    "regions": (["--regions", "V1,A1"], ("V1", "A1")),
    "region_set": (["--region-set", "hcp-mmp1"], "hcp-mmp1"),
    "limit": (["--setting", "limit=50"], 50),
    "control": (["--control", "shuffled"], "shuffled"),
    "words": (["--words", "w.npz"], Path("w.npz")),
    "teacher": (["--teacher", "large"], "large"),
    "teacher_layer": (["--teacher-layer", "3"], 3),
    "n_at_once": (["--at-once", "4"], 4),
}
SETTINGS = {
    "adapter": (["--method", "lora"], AdapterSettings()),
    "loss": (["--loss", "correlation"], "correlation"),
    "head": (["--head", "shared"], "shared"),
    "bottleneck": (["--bottleneck", "7", "--head", "bottleneck"], 7),
    "steps": (["--steps", "40"], 40),
    "window_trs": (["--setting", "window_trs=4"], 4),
    "segment_trs": (["--segment-trs", "31"], 31),
    "attention_trs": (["--attention-trs", "3"], 3),
    "front": (["--setting", "front=window"], "window"),
    "start": (["--setting", "start=random"], "random"),
    "encoder_rate": (["--encoder-rate", "1e-3"], 1e-3),
    "head_rate": (["--setting", "head-rate=1e-2"], 1e-2),
    "weight_decay": (["--setting", "weight_decay=0.5"], 0.5),
    "warm_up": (["--setting", "warm_up=0.2"], 0.2),
    "clip_norm": (["--setting", "clip_norm=2"], 2.0),
    "batch_rows": (["--setting", "batch_rows=64"], 64),
    "epochs": (["--epochs", "2"], 2),
    "patience": (["--patience", "0"], None),
    "keep": (["--setting", "keep=last"], "last"),
    "dropout": (["--setting", "dropout=0.3"], 0.3),
    "mask_share": (["--setting", "mask_share=0.05"], 0.05),
    "seed": (["--seed", "9"], 9),
    "precision": (["--setting", "precision=bf16"], "bf16"),
}
ADAPTER = {
    "rank": (["--setting", "rank=4"], 4),
    "alpha": (["--setting", "alpha=4"], 4),
    "dropout": (["--setting", "adapter_dropout=0.2"], 0.2),
    "layers": (["--setting", "layers=q_proj,v_proj"], ("q_proj", "v_proj")),
}


@pytest.fixture
def asked(monkeypatch):
    """Run a command up to its request, and give that."""
    caught = []
    for module in (encode, probe, tune):
        monkeypatch.setattr(module, "carry_out", lambda request, *_, **__: caught.append(request))
    # It reads the manifest; here there is none.
    monkeypatch.setattr(encode, "_check_regions", lambda *_: None)

    def run(arguments, *more):
        done = RUN.invoke(app, [*arguments, *more])  # of an option given twice the last counts
        assert done.exit_code == 0, (done.output, done.exception)
        return caught.pop()

    return run


def test_no_field_of_a_request_is_forgotten():
    assert set(ENCODE_FIELDS) == set(EncodeRequest.model_fields) - FILLED_LATER
    assert set(PROBE_FIELDS) == set(ProbeRequest.model_fields) - FILLED_LATER
    assert set(TUNE_FIELDS) == set(TuneRequest.model_fields) - FILLED_LATER - {"settings"}
    assert set(SETTINGS) == set(TuningSettings.model_fields)
    assert set(ADAPTER) == set(AdapterSettings.model_fields)


def without(arguments: list[str], option: str) -> list[str]:
    at = arguments.index(option) if option in arguments else len(arguments)
    return arguments[:at] + arguments[at + 2 :]


@pytest.mark.parametrize(
    ("command", "field"),
    [(command, field)
     for command, fields in (("encode", ENCODE_FIELDS), ("probe", PROBE_FIELDS),
                             ("tune", TUNE_FIELDS))
     for field in fields],
)  # fmt: skip
def test_every_field_of_a_request_is_set_from_the_command_line(asked, command, field):
    arguments, fields = {
        "encode": (ENCODE, ENCODE_FIELDS),
        "probe": (PROBE, PROBE_FIELDS),
        "tune": (TUNE, TUNE_FIELDS),
    }[command]
    options, value = fields[field]
    if options == FOLDER:
        arguments = without(arguments, "--data")
    assert getattr(asked(arguments, *options), field) == value
    if options != FOLDER:
        assert getattr(asked(arguments), field) != value, "the value is the default"


@pytest.mark.parametrize("field", SETTINGS)
def test_every_setting_of_tuning_is_set_from_the_command_line(asked, field):
    options, value = SETTINGS[field]
    assert getattr(asked(TUNE, *options).settings, field) == value
    assert getattr(TuningSettings(), field) != value


@pytest.mark.parametrize("field", ADAPTER)
def test_every_setting_of_an_adapter_is_set_from_the_command_line(asked, field):
    options, value = ADAPTER[field]
    assert getattr(asked(TUNE, "--method", "lora", *options).settings.adapter, field) == value


def test_options_that_may_be_repeated_add_up():
    read = probe._options
    assert read(["tiers=Wort:word", "tiers=Laut:phone", "pauses=yes", "pauses=on"]) == {
        "tiers": {"Wort": "word", "Laut": "phone"},
        "pauses": True,
    }
    for given in (["pauses=yes", "pauses=no"], ["tiers=a:word", "tiers=a:phone"]):
        with pytest.raises(typer.BadParameter, match="is given twice"):
            read(given)
    twice = [*TUNE, "--setting", "train=lora", "--setting", "train=all"]
    done = RUN.invoke(app, twice)
    assert done.exit_code == 2 and "is given twice" in " ".join(done.output.split())


@pytest.mark.parametrize(
    "options",
    [
        [*ENCODE, "--delays", ","],
        [*ENCODE, "--alphas", ""],
        [*ENCODE, "--delays", "1,two"],
        [*PROBE, "--tasks", " , "],
        [*PROBE, "--recordings", ""],
        [*PROBE, "--labels-option", "tiers=a:phone,b"],
        [*PROBE, "--labels-option", "=yes"],
        [*TUNE, "--subjects", ","],
        [*TUNE, "--validation", ""],
        [*TUNE, "--regions", ","],
        [*TUNE, "--setting", "train="],
        [*TUNE, "--setting", "rank"],
    ],
)
def test_a_list_of_nothing_is_a_usage_error_that_names_the_option(options):
    done = RUN.invoke(app, options)
    assert done.exit_code == 2
    assert options[-2] in done.output


# ---- what texts tell to type --------------------------------------------------------------------


def texts(path: Path):
    """Every text of a file; what an f-string puts in is a word."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            parts = [one.value if isinstance(one, ast.Constant) else "X" for one in node.values]
            yield "".join(map(str, parts))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


@cache
def named_commands():
    files = [ROOT / "app.py", *(ROOT / "pages").rglob("*.py"), *(ROOT / "braindash").rglob("*.py")]
    files = [path for path in files if "`braindash" in path.read_text(encoding="utf-8")]
    found = {
        (" ".join(match.split()), path.relative_to(ROOT).as_posix())
        for path in files
        for text in texts(path)
        for match in re.findall(r"`(braindash(?:\s[^`]*)?)`", text)
    }
    return sorted(found)


def unknown_words(line: str) -> list[str]:
    """Give the command words and options of a line that the command line does not know."""
    command = typer.main.get_command(app)
    words = shlex.split(line)[1:]
    if {"X", "COMMAND"} & set(words[:1]):  # any command
        words = ["encode", *words[1:]]
    while words and hasattr(command, "commands"):
        if words[0] in command.commands:
            command = command.commands[words.pop(0)]
        elif words[0] in ("--help", "--verbose"):
            words.pop(0)
        else:
            return words[:1]
    if hasattr(command, "commands") and "--help" not in line and command.name == "jobs":
        return [command.name]  # a group alone prints its help and does nothing
    known = {name for one in command.params for name in (*one.opts, *one.secondary_opts)}
    known |= {"--help", "-h"}
    return [word for word in words if word.startswith("-") and word.split("=")[0] not in known]


def test_texts_that_name_commands_are_found():
    found = dict(named_commands())
    assert {"braindash list", "braindash export KEY", "braindash jobs list"} <= set(found)


@pytest.mark.parametrize(("line", "place"), named_commands())
def test_every_command_that_a_text_names_exists(line, place):
    assert unknown_words(line) == [], f"{place} names `{line}`"


def test_a_command_that_does_not_exist_would_be_seen():
    assert unknown_words("braindash jobs") == ["jobs"]
    assert unknown_words("braindash enkode --data m.toml") == ["enkode"]
    assert unknown_words("braindash encode --date m.toml") == ["--date"]
    assert unknown_words("braindash jobs list --json") == []


def test_help_is_shown_as_it_is_written():
    def texts(command):
        yield command.help or ""
        yield from (getattr(parameter, "help", None) or "" for parameter in command.params)
        for one in getattr(command, "commands", {}).values():
            yield from texts(one)

    for text in texts(typer.main.get_command(app)):
        assert Text.from_markup(text).plain == text  # [auth] would be taken for a style
