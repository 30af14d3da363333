"""Where a dashboard is found, and what is said of that before it opens."""

from pathlib import Path

import pytest

from braindash.errors import InputError
from braindash.sharing.exposure import Exposed, exposure
from braindash.sharing.place import Place, is_secure, read_url
from braindash.sharing.roles import Roles
from braindash.sharing.settings import FOLDERS, Sharing, folders_to_name

EXPOSED = Exposed(Path("/store"), 14, [Path("/home/ada"), Path("/data")])
ROLES = Roles({"a@b.c": "runner", "d@b.c": "viewer"})


def test_a_path_behind_a_proxy_begins_every_address():
    place = Place("127.0.0.1", 8600, read_url(" https://Lab.example/lab/brain/ "))
    assert place.path == "/lab/brain" and place.origin == "https://Lab.example"
    assert place.local_url == "http://127.0.0.1:8600/lab/brain"
    assert place.hosts == ("localhost", "127.0.0.1", "::1", "lab.example")
    assert place.is_own and place.secure


def test_names_that_lead_to_this_machine_are_known_only_where_it_is_its_own():
    assert Place().hosts == ("localhost", "127.0.0.1", "::1") and Place().secure
    assert Place("0.0.0.0").hosts == () and Place("0.0.0.0").reachable == "127.0.0.1"
    assert Place("::").local_url == "http://[::1]:8501" and not Place("::").is_own
    assert not Place("0.0.0.0").secure and not Place("192.168.1.4").secure
    assert Place("0.0.0.0", url="https://lab.example").hosts[-1] == "lab.example"


@pytest.mark.parametrize(
    ("url", "secure"),
    [
        ("https://lab.example", True),
        ("http://localhost:8501", True),
        ("http://127.0.0.7/x", True),
        ("http://[::1]:80", True),
        ("http://lab.example", False),
        ("http://localhost.evil.example", False),
        ("ftp://localhost", False),
    ],
)
def test_browsers_take_https_and_this_machine_for_secure(url, secure):
    assert is_secure(url) == secure


@pytest.mark.parametrize(
    "url",
    [
        "lab.example/brain",
        "https://",
        "ftp://lab.example",
        "https://lab.example/?page=1",
        "https://lab.example/#a",
        "https://me:secret@lab.example",
        "https://lab.example:99999",
        "https://lab.example/a//b",
        "https://lab.example/a/../b",
    ],
)
def test_what_is_no_address_of_a_dashboard_is_refused(url):
    with pytest.raises(InputError) as caught:
        read_url(url)
    assert "https://lab.example/brain" in caught.value.hint
    assert "secret" not in caught.value.hint


def test_nothing_is_said_of_ones_own_machine():
    assert read_url(None) == read_url("") == ""
    for shared in (Sharing(), Sharing(True), Sharing(roles=Path("r"))):
        assert exposure(Place(), shared, None, EXPOSED) == []


def test_an_open_address_says_what_is_seen_what_is_run_and_how_to_restrict_it():
    told = " ".join(exposure(Place("0.0.0.0", 8600), Sharing(), None, EXPOSED))
    assert (
        "listen on 0.0.0.0: whoever reaches port 8600 of this machine sees all 14 results" in told
    )
    assert "WITHOUT SIGN-IN whoever reaches it starts jobs" in told
    assert "below /home/ada, /data (BRAINDASH_ROOTS)" in told
    assert "--read-only" in told and "--roles FILE" in told and "ssh -L 8600:127.0.0.1:8600" in told
    assert "no microphone and no sign-in: both need HTTPS" in told


def test_what_is_restricted_says_so():
    open_ = Place("0.0.0.0", url="https://lab.example/b")
    only_looked_at = " ".join(exposure(open_, Sharing(True), None, EXPOSED))
    assert "past any proxy too" in only_looked_at and "HTTPS" not in only_looked_at
    assert "read-only: nobody starts" in only_looked_at and "WITHOUT" not in only_looked_at
    behind = Place(url="https://lab.example/b")
    with_roles = " ".join(exposure(behind, Sharing(roles=Path("r")), ROLES, EXPOSED))
    assert "through a proxy on this machine: sees a page to sign in" in with_roles
    assert "Runners (1 named): each starts jobs" in with_roles
    everybody = Roles({}, default="runner", not_signed_in="viewer")
    told = " ".join(exposure(behind, Sharing(roles=Path("r")), everybody, EXPOSED))
    assert "sees all 14 results" in told and "and everybody else who signs in" in told


def test_folders_that_may_be_named_are_those_of_the_environment(monkeypatch, tmp_path):
    monkeypatch.delenv(FOLDERS, raising=False)
    assert folders_to_name(tmp_path) == (Path.home().resolve(), Path.cwd(), tmp_path)
    monkeypatch.setenv(FOLDERS, f"{tmp_path}:/data:")
    assert folders_to_name(tmp_path) == (tmp_path, Path("/data"))
