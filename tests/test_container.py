"""What can be known of the container definitions without building them."""

import fnmatch
import json
import re
import shlex
import tomllib
from pathlib import Path

import pytest
import typer

import braindash
from braindash.cli import app

ROOT = Path(__file__).resolve().parents[1]
DOCKERFILE = (ROOT / "container" / "Dockerfile").read_text()
APPTAINER = (ROOT / "container" / "braindash.def").read_text()
WHEEL = f"dist/braindash-{braindash.__version__}-py3-none-any.whl"


def instructions() -> list[tuple[str, str]]:
    """The Dockerfile's instructions, each on one line."""
    lines = [line for line in DOCKERFILE.splitlines() if not line.startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    return [
        (word, rest.strip())
        for word, _, rest in (line.partition(" ") for line in joined.splitlines() if line.strip())
    ]


def values(word: str) -> list[str]:
    return [rest for name, rest in instructions() if name == word]


def sections() -> dict[str, str]:
    """The parts of the Apptainer definition, without comments."""
    lines = [line for line in APPTAINER.splitlines() if not line.startswith("#")]
    parts = re.split(r"^%(\w+)$", "\n".join(lines), flags=re.MULTILINE)
    return {"head": parts[0], **dict(zip(parts[1::2], parts[2::2], strict=True))}


def require_command(words: list[str]) -> None:
    """Fail unless the command line has this command and its options."""
    command = typer.main.get_command(app).commands[words[0]]
    options = {name for parameter in command.params for name in parameter.opts}
    assert {word for word in words if word.startswith("--")} <= options


def test_only_known_instructions_stand_in_the_dockerfile():
    known = {"ARG", "FROM", "COPY", "RUN", "USER", "WORKDIR", "ENV", "VOLUME", "EXPOSE"}
    assert {name for name, _ in instructions()} == known | {"ENTRYPOINT", "CMD"}


def test_what_is_copied_is_the_wheel_that_make_dist_builds():
    (copied,) = values("COPY")
    (apptainer,) = sections()["files"].strip().splitlines()
    for line in (copied, apptainer):
        source, _ = line.split()
        assert fnmatch.fnmatch(WHEEL, source), f"{source} is not {WHEEL}"
    assert "--outdir dist" in (ROOT / "Makefile").read_text()
    kept = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line[0] != "#"]
    assert kept == ["*", "!dist"], "nothing else of the folder is sent to the builder"


def test_the_base_image_has_a_python_that_braindash_takes():
    defaults = dict(line.split("=") for line in values("ARG"))
    (image,) = values("FROM")
    image = re.sub(r"\$\{(\w+)\}", lambda found: defaults[found[1]], image)
    (apptainer,) = re.findall(r"^From: (.+)$", sections()["head"], re.MULTILINE)
    assert image == apptainer == f"python:{defaults['PYTHON']}-slim"
    required = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"]
    lowest = tuple(map(int, required.removeprefix(">=").split(".")))
    assert tuple(map(int, defaults["PYTHON"].split("."))) >= lowest


def test_torch_is_the_cpu_build_unless_asked_otherwise():
    assert "TORCH_BACKEND=cpu" in values("ARG")
    assert sections()["arguments"].split() == ["TORCH_BACKEND=cpu"]
    assert '--torch-backend "${TORCH_BACKEND}"' in values("RUN")[0]
    assert '--torch-backend "{{ TORCH_BACKEND }}"' in sections()["post"]


def test_it_runs_as_nobody_special_with_the_store_as_a_volume():
    names = [name for name, _ in instructions()]
    (user,) = values("USER")
    assert user not in ("root", "0") and f" {user} " in f"{values('RUN')[0]} "
    assert max(i for i, name in enumerate(names) if name in ("RUN", "COPY")) < names.index("USER")
    (volume,) = values("VOLUME")
    assert values("ENV") == [f"BRAINDASH_STORE={volume}"]
    assert f"install --directory --owner {user} --group {user} {volume}" in values("RUN")[0]
    assert f"export BRAINDASH_STORE={volume}" in sections()["environment"]


def test_the_port_and_the_commands_are_braindashs():
    config = tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text())
    assert values("EXPOSE") == [str(config["server"]["port"])]
    assert json.loads(values("ENTRYPOINT")[0]) == ["braindash"]
    require_command(json.loads(values("CMD")[0]))
    assert sections()["runscript"].strip() == 'exec braindash "$@"'


@pytest.mark.parametrize("text", [DOCKERFILE, APPTAINER], ids=["Dockerfile", "Apptainer"])
def test_the_commands_in_the_comments_name_files_that_exist(text):
    comments = [line.lstrip("# ") for line in text.splitlines() if line.startswith("#")]
    words = [word for line in comments if "make dist &&" in line for word in shlex.split(line)]
    files = [word for word in words if word.startswith("container/")]
    assert files and all((ROOT / word).is_file() for word in files)
