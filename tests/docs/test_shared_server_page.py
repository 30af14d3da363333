"""What the page about shared servers tells a reader to write and to type fits together."""

import re
import shlex
import tomllib

import typer
from kit.documents import ROOT, blocks, commands

from braindash.cli import app
from braindash.sharing.asking import ROLES
from braindash.sharing.place import Place, read_url
from braindash.sharing.roles import read_roles
from braindash.sharing.settings import FOLDERS, READ_ONLY
from braindash.sharing.sign_in import read_sign_in, require_same_place

PAGE = ROOT / "docs" / "shared-server.md"
TEXT = PAGE.read_text()
FILES = {one.title: one.text for one in blocks(PAGE) if one.title}
TYPED = [line for one in blocks(PAGE) if one.language in ("sh", "text") and not one.title
         for line in commands(one.text)]  # fmt: skip
APP = typer.main.get_command(app).commands["app"]
OPTIONS = {name for parameter in APP.params for name in parameter.opts}


def options(line: str) -> dict[str, str]:
    """Options of a command of braindash, with what stands behind each."""
    words = shlex.split(line)
    words = words[words.index("app") :]
    return {
        word: value for word, value in zip(words, [*words[1:], ""], strict=True)
        if word.startswith("--")
    }  # fmt: skip


def place() -> Place:
    (url,) = {given["--url"] for line in TYPED if " app" in line
              if "--url" in (given := options(line))}  # fmt: skip
    return Place(url=read_url(url))


def test_commands_have_the_options_of_the_program_and_all_of_them_are_told():
    told = {name for line in TYPED if " app" in line for name in options(line)}
    assert told <= OPTIONS and "--roles" in told
    assert {
        name for name in OPTIONS - {"--reload", "--store", "--port"} if name not in TEXT
    } == set()
    assert READ_ONLY in TEXT and FOLDERS in TEXT


def test_the_two_files_are_valid_and_lead_back_to_the_address(tmp_path):
    for name in ("secrets.toml", "roles.toml"):
        (tmp_path / name).write_text(FILES[name])
    sign_in = read_sign_in(tmp_path / "secrets.toml", 8501)
    require_same_place(sign_in, place())
    roles = read_roles(tmp_path / "roles.toml")
    assert roles.of("ada@lab.example") == "runner" and roles.of("eve@lab.example") == "viewer"
    for role in ROLES:
        assert f"| `{role}` |" in TEXT


def test_the_proxy_passes_on_path_host_and_websocket():
    config, path = FILES["nginx.conf"], place().path
    assert f"location {path}/ {{" in config and f"server_name {place().hosts[-1]};" in config
    (to,) = re.findall(r"proxy_pass (\S+);", config)
    port = tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text())["server"]["port"]
    assert to == f"http://{Place().address}:{port}", "a path behind the port would replace it"
    for line in ("Host $http_host", "Upgrade $http_upgrade", 'Connection "upgrade"'):
        assert f"proxy_set_header {line};" in config
    assert config.count("{") == config.count("}")


def test_the_extra_is_one_of_the_package():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]
    (named,) = set(re.findall(r"braindash\[([\w-]+)\]", TEXT))
    assert named in extras
