"""The file of roles: what it says, and what is said of a file that says something else."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from braindash.errors import AccessError, InputError
from braindash.io.store import Store
from braindash.sharing import asking
from braindash.sharing.asking import Visitor, account, ask_by, present, require_runner
from braindash.sharing.roles import Roles, read_roles
from braindash.sharing.settings import READ_ONLY, Sharing, sharing
from braindash.studies import record
from braindash.work.brought import keep_sound

GOOD = """
default = "viewer"
not_signed_in = "none"

[roles]
"Ada@Lab.example" = "runner"
"*@other.example" = "none"
"bob@other.example" = "viewer"
"""


@pytest.fixture
def file(tmp_path):
    def write(text, encoding="utf-8"):
        path = tmp_path / "roles.toml"
        path.write_text(text, encoding=encoding)
        return path

    return write


def test_a_person_comes_before_a_domain_and_a_domain_before_the_default(file):
    roles = read_roles(file(GOOD))
    assert roles.of("ada@lab.example") == roles.of(" ADA@LAB.EXAMPLE ") == "runner"
    assert roles.of("bob@other.example") == "viewer"
    assert roles.of("eve@other.example") == "none"
    assert roles.of("somebody@else.example") == "viewer" == roles.default
    assert roles.not_signed_in == "none" and roles.count("runner") == 1
    # As a domain's end, in a name, or with a second sign, it is another address.
    for name in ("ada@lab.example.evil", "x@ada@lab.example", "ada@lab", "*@other.example.evil"):
        assert roles.of(name) == "viewer"


@given(st.emails(), st.sampled_from(["none", "viewer", "runner"]))
def test_capital_letters_change_no_role(email, role):
    roles = Roles({email.lower(): role}, default="viewer" if role == "none" else "none")
    assert roles.of(email) == roles.of(email.lower()) == (role if role != "none" else "none")


def test_it_is_read_again_when_somebody_changed_it(file):
    path = file('[roles]\n"a@b.c" = "runner"\n')
    assert read_roles(path).of("a@b.c") == "runner"
    path.write_text('[roles]\n"a@b.c" = "viewer"\n')
    os.utime(path, ns=(1, 1))
    assert read_roles(path).of("a@b.c") == "viewer"


@pytest.mark.parametrize(
    ("text", "what", "advice"),
    [
        ('ada@lab.example = "runner"', "is no TOML file", "stand in quotes"),
        ('[roles]\nada.b = "runner"', "neither an e-mail", "stand in quotes"),
        ('[roles]\n"ada" = "runner"', "neither an e-mail", "stand in quotes"),
        ('[roles]\n"*@*" = "runner"', "neither an e-mail", "stand in quotes"),
        ('[roles]\n"a@b.c" = "admin"', "'admin' is no role, of 'a@b.c'", "'runner'"),
        ('[roles]\n"a@b.c" = "Runner"', "'Runner' is no role", "Did you mean 'runner'"),
        ('[roles]\n"a@b.c" = true', "True is no role", "'viewer'"),
        ('[roles]\n"a@b.c" = "runner"\n"A@B.C" = "viewer"', "stands twice", "leave one"),
        ('default = "veiwer"', "is no role, of default", "Did you mean 'viewer'"),
        ('defualt = "viewer"', "unknown entry 'defualt'", "Did you mean 'default'"),
        ('not_signed_in = "runner"\ndefault = "runner"', "who does not even sign in", "without"),
        ('roles = "runner"', "is no table", "[roles]"),
        ("", "lets nobody sign in", "another default"),
    ],
)
def test_what_no_file_of_roles_says_is_refused_with_its_place(file, text, what, advice):
    path = file(text)
    with pytest.raises(InputError) as caught:
        read_roles(path)
    assert what in caught.value.message and str(path) in caught.value.message
    assert advice in caught.value.hint


def test_a_file_that_is_not_there_or_no_text_is_refused(file, tmp_path):
    with pytest.raises(InputError, match="No such file") as caught:
        read_roles(tmp_path / "none.toml")
    assert "[roles]" in caught.value.hint
    with pytest.raises(InputError, match="no TOML file"):
        read_roles(file(GOOD, "utf-16"))


def test_a_server_is_told_how_it_is_shared_and_a_slip_is_no_yes_and_no_no(tmp_path):
    roles = tmp_path / "roles.toml"
    for shared in (Sharing(), Sharing(True), Sharing(False, roles), Sharing(True, roles)):
        assert sharing(shared.environment()) == shared
    assert Sharing().open_to_all and not Sharing(True).open_to_all
    assert sharing({READ_ONLY: "1"}).read_only and not sharing({READ_ONLY: "0"}).read_only
    with pytest.raises(InputError, match="neither yes nor no") as caught:
        sharing({READ_ONLY: "yes"})
    assert f"{READ_ONLY}=1" in caught.value.hint


def test_who_asks_is_the_account_until_a_dashboard_says_otherwise(monkeypatch):
    monkeypatch.setattr(asking, "_source", asking._nobody_else)
    assert present() == require_runner("start work") == Visitor(account(), "runner")
    ask_by(lambda: Visitor("eve@lab.example", "viewer", "your role is viewer"))
    with pytest.raises(AccessError, match=r"eve@lab\.example may not start work here: your role"):
        require_runner("start work")
    assert present().may_see and not present().may_compute
    assert not Visitor("", "none").may_see


def test_an_account_without_a_name_has_its_number(monkeypatch):
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("pwd.getpwuid", lambda uid: (_ for _ in ()).throw(KeyError(uid)))
    assert account() == f"uid {os.getuid()}"


def test_a_viewer_writes_nothing_beside_the_store_either(tmp_path, monkeypatch):
    """A sound that is brought and the record of a study are files of their own."""
    store = Store(tmp_path / "store")
    monkeypatch.setattr(asking, "_source", lambda: Visitor("", "viewer", "you may look"))
    for write in (
        lambda: keep_sound(b"RIFF", "a.wav", store),
        lambda: record._write({}, "study", store),
    ):
        with pytest.raises(AccessError, match="may not"):
            write()
    assert not store.root.exists()
