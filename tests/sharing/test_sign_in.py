"""What signing in needs is checked before a server starts, and no secret is in any message."""

from pathlib import Path

import pytest

from braindash.errors import InputError
from braindash.sharing import sign_in
from braindash.sharing.place import Place
from braindash.sharing.sign_in import (
    find_secrets,
    read_sign_in,
    require_packages,
    require_same_place,
)

SECRET = "s3cret" * 6
LINES = {
    "redirect_uri": '"https://lab.example/brain/oauth2callback"',
    "cookie_secret": f'"{SECRET}"',
    "client_id": '"braindash"',
    "client_secret": f'"{SECRET}"',
    "server_metadata_url": '"https://accounts.example/.well-known/openid-configuration"',
}


def written(path: Path, **changed: str | None) -> Path:
    lines = {name: text for name, text in (LINES | changed).items() if text is not None}
    path.write_text("[auth]\n" + "".join(f"{name} = {text}\n" for name, text in lines.items()))
    return path


@pytest.fixture
def file(tmp_path):
    return tmp_path / "secrets.toml"


def test_one_provider_or_several_are_read(file):
    found = read_sign_in(written(file), 8501)
    assert found.origin == "https://lab.example" and list(found.providers) == [""]
    one = "\n".join(f"{name} = {LINES[name]}" for name in list(LINES)[2:])
    file.write_text(
        '[auth]\nredirect_uri = "http://localhost:{port}/oauth2callback"\n'
        f'cookie_secret = "{SECRET}"\n[auth.lab]\n{one}\n[auth.elsewhere]\n{one}\n'
    )
    found = read_sign_in(file, 8600)
    assert found.redirect == "http://localhost:8600/oauth2callback"
    assert list(found.providers) == ["lab", "elsewhere"]


@pytest.mark.parametrize(
    ("changed", "what"),
    [
        ({"cookie_secret": None}, "lacks cookie_secret"),
        ({"cookie_secret": '"short"'}, "shorter than 32 characters"),
        ({"client_id": None, "client_secret": '""'}, "lacks client_id, client_secret"),
        ({"server_metadata_url": "7"}, "lacks server_metadata_url"),
        ({"redirect_uri": '"http://lab.example/oauth2callback"'}, "where nobody can sign in"),
        ({"redirect_uri": '"https://lab.example/brain"'}, "where nobody can sign in"),
        ({"client_id": f'"{SECRET}'}, "cannot be read as TOML"),
    ],
)
def test_what_is_lacking_is_named(file, changed, what):
    with pytest.raises(InputError) as caught:
        read_sign_in(written(file, **changed), 8501)
    assert what in caught.value.message and str(file) in caught.value.message
    assert SECRET not in str(caught.value) and 'short"' not in str(caught.value)


def test_a_provider_of_a_name_that_streamlit_refuses_is_named(file):
    written(file)
    file.write_text(file.read_text().replace("client_id", "[auth.my_lab]\nclient_id"))
    with pytest.raises(InputError, match="underscore") as caught:
        read_sign_in(file, 8501)
    assert "'my-lab'" in caught.value.hint


def test_without_the_file_or_its_table_it_is_said_where_it_was_looked_for(
    file, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    with pytest.raises(InputError, match="there is none") as caught:
        find_secrets(None)
    assert str(tmp_path / ".streamlit" / "secrets.toml") in caught.value.message
    (tmp_path / ".streamlit").mkdir()
    usual = written(tmp_path / ".streamlit" / "secrets.toml")
    assert find_secrets(None) == usual and find_secrets(file) == file
    file.write_text("[other]\n")
    with pytest.raises(InputError, match=r"there is no \[auth\] of"):
        read_sign_in(file, 8501)
    with pytest.raises(InputError, match="No such file"):
        read_sign_in(tmp_path / "gone.toml", 8501)


def test_a_way_back_that_leads_elsewhere_is_refused(file):
    found = read_sign_in(written(file), 8501)
    require_same_place(found, Place(url="https://lab.example/brain"))
    for url in ("", "https://lab.example", "https://other.example/brain"):
        with pytest.raises(InputError, match="redirect_uri leads to") as caught:
            require_same_place(found, Place(url=url))
        assert "--url https://lab.example/brain," in caught.value.hint
    local = '"http://localhost:8501/oauth2callback"'
    require_same_place(read_sign_in(written(file, redirect_uri=local), 8501), Place())


def test_packages_that_are_not_there_are_named_with_how_to_get_them(monkeypatch):
    monkeypatch.setattr(sign_in, "_PACKAGES", ("sys", "no_such_package_of_anybody"))
    with pytest.raises(InputError, match="installed: no_such_package_of_anybody") as caught:
        require_packages()
    assert caught.value.hint == "pip install 'braindash[sign-in]'"
