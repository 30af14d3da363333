"""Who looks at a page sees and does what they may, whatever address or button they have."""

import threading
from contextlib import contextmanager, suppress
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from kit.results.made_up import put_result
from kit.site.pages import ROOT, run, texts

from braindash.errors import BraindashError
from braindash.io.store import Store
from braindash.jobs.queue import JobQueue
from braindash.sharing.settings import READ_ONLY, ROLES_FILE
from braindash.ui import widgets
from braindash.ui.texts import plain
from braindash.ui.visitors import sign_in
from braindash.work.housekeeping import remove

EXPLORE = ("overview", "compare", "probes", "story", "studies", "data")
COMPUTE = {"run": {"work": "Probe"}, "tuning": {}, "jobs": {}}
ROLES = """
default = "none"
[roles]
"run@lab.example" = "runner"
"look@lab.example" = "viewer"
"""
VISITORS = {
    "a runner": ({"is_logged_in": True, "email": "Run@lab.example"}, "runner"),
    "a viewer": ({"is_logged_in": True, "email": "look@lab.example"}, "viewer"),
    "somebody": ({"is_logged_in": True, "email": "eve@lab.example"}, "none"),
    "not verified": (
        {"is_logged_in": True, "email": "run@lab.example", "email_verified": False},
        "none",
    ),
    "without an e-mail": ({"is_logged_in": True, "sub": "17"}, "none"),
    "not signed in": ({"is_logged_in": False}, "none"),
    # What a header of a proxy, or of a visitor who invents one, can say.
    "by a header": ({"email": "run@lab.example"}, "none"),
    "by a word": ({"is_logged_in": "yes", "email": "run@lab.example"}, "none"),
}


@pytest.fixture
def nobody_works(monkeypatch):
    monkeypatch.setattr(JobQueue, "ensure_worker", lambda self: False)


@pytest.fixture
def read_only(monkeypatch):
    monkeypatch.setenv(READ_ONLY, "1")


@pytest.fixture
def roles(tmp_path, monkeypatch):
    path = tmp_path / "roles.toml"
    path.write_text(ROLES)
    monkeypatch.setenv(ROLES_FILE, str(path))
    return path


def keys(app):
    return {button.key for button in app.button} - {"present_button", "sign_out"}


def content(root):
    return {path: path.stat().st_mtime_ns for path in root.rglob("*")}


@pytest.mark.parametrize("page", EXPLORE)
def test_a_read_only_dashboard_shows_results_and_offers_no_work(filled_root, read_only, page):
    before = content(filled_root)
    app = run(f"explore/{page}", compare="toy-tuned", subject="S1")
    assert not app.exception and not app.error, app.error
    assert not keys(app) & {"start_demo", "check", "index_again", "sign_in_head_"}
    assert not [box for box in app.text_input if box.key != "filter"], "no file is named"
    assert content(filled_root) == before


def test_what_a_page_would_make_in_passing_is_not_made_and_that_is_said(
    filled_root, read_only, monkeypatch
):
    def queue_difference(pair, store):
        return JobQueue(store.root).submit("difference", "a" * 32, {}, "T")

    monkeypatch.setattr(widgets, "queue_difference", queue_difference)
    app = run("explore/compare", model="toy-model", subject="S1", compare="toy-tuned")
    app.toggle(key="tested").set_value(True).run()
    assert not app.exception and not app.error
    assert "not tested: somebody who may compute makes the tests" in texts(app)
    assert JobQueue(filled_root).list() == ()


@pytest.mark.parametrize("page", COMPUTE)
def test_addresses_of_work_refuse_whom_they_are_not_for(filled_root, monkeypatch, roles, page):
    def refused(**who):
        app = run(f"compute/{page}", **COMPUTE[page], **who)
        assert not app.exception
        assert not keys(app) and not app.selectbox and not app.text_input
        return texts(app)

    viewer = refused(user=VISITORS["a viewer"][0])
    assert "which you may not do here: your role is viewer" in viewer
    monkeypatch.setenv(READ_ONLY, "1")
    assert "this dashboard is read-only" in refused(user=VISITORS["a runner"][0])


@pytest.mark.parametrize("who", VISITORS)
def test_only_what_the_sign_in_verified_says_who_somebody_is(filled_root, roles, nobody_works, who):
    user, role = VISITORS[who]
    JobQueue(filled_root).table.add("encode", "a" * 32, "{}", "Toy job", redo=bool)
    page = {"runner": "compute/jobs", "viewer": "explore/layers"}.get(role, "explore/layers")
    app = run(page, user=user)
    assert not app.exception
    shown = texts(app)
    if role == "none":
        assert not app.dataframe and not app.selectbox and "key" not in shown
        assert bool([one for one in app.button if one.key == "sign_out"]) == (
            user.get("is_logged_in") is True
        )
    elif role == "viewer":
        assert app.dataframe and "Your" not in shown
    else:
        assert f"cancel_{'a' * 32}" in keys(app)


def test_who_signs_in_may_do_no_less_than_who_does_not(filled_root, roles):
    roles.write_text(f'not_signed_in = "viewer"\n{ROLES}')
    for who in ("not signed in", "somebody", "not verified"):
        app = run("explore/layers", user=VISITORS[who][0])
        assert not app.exception and app.dataframe
        # There is no file of secrets here, which is said where one would sign in.
        assert ("Nobody can sign in now" in texts(app)) == (who == "not signed in")
        assert "Role: runner" not in texts(app)


def test_a_button_that_is_kept_starts_nothing_when_its_visitor_may_no_longer(
    empty_root, roles, nobody_works
):
    user = VISITORS["a runner"][0]
    app = run("explore/overview", user=user)
    button = app.button(key="start_demo")
    roles.write_text(ROLES.replace('"runner"', '"viewer"'))
    button.click()
    app.run()
    assert not app.exception and "start_demo" not in keys(app)
    assert "Run@lab.example may not start work here: your role is viewer" in texts(app)
    assert JobQueue(empty_root).list() == ()


def test_a_job_says_who_asked_for_it_whatever_signs_the_name_has(empty_root, roles, nobody_works):
    name = "![x](http://evil.example/x.png)@lab.example"
    roles.write_text('default = "runner"')
    app = run("explore/overview", user={"is_logged_in": True, "email": name})
    app.button(key="start_demo").click()
    app.run()
    assert [job.asked_by for job in JobQueue(empty_root).list()] == [name]
    shown = texts(run("compute/jobs", user=VISITORS["a runner"][0]))
    assert f"Asked for by {plain(name)}" in shown and name not in shown


def test_settings_that_cannot_be_read_let_nobody_in(filled_root, roles, monkeypatch, caplog):
    roles.write_text("roles = 5")
    app = run("explore/overview", user=VISITORS["a runner"][0])
    assert not app.exception and "its log says why" in texts(app) and not app.dataframe
    assert str(roles) not in texts(app) and str(roles) in caplog.text
    monkeypatch.setenv(READ_ONLY, "perhaps")
    app = run("compute/run")
    assert not app.exception and not keys(app)
    assert "Nothing is shown: what this dashboard is told about its visitors" in texts(app)


def test_other_threads_of_a_shared_server_start_nothing(tmp_path, read_only):
    """A thread that no page runs in has the fewest rights, not those of the server's account."""
    from braindash.errors import AccessError

    with pytest.raises(AccessError, match="may not start work here: this dashboard is"):
        JobQueue(tmp_path).submit("encode", "a" * 32, {}, "T", start=False)
    with pytest.raises(AccessError, match="may not remove results here"):
        remove(Store(tmp_path), [])


def test_names_with_markup_are_shown_as_they_are(empty_root):
    name = "**m** ![p](http://evil.example/p.png) $a$ :red[x] <b>"
    put_result(Store(empty_root), model=name, subject="S1")
    picture, names = "![p](http://evil.example/p.png)", list[str]()
    for file in sorted((ROOT / "pages").glob("*/*.py")):
        page = f"{file.parent.name}/{file.stem}"
        # What a link says is shown too, where it is refused.
        app = run(page, set=picture, compare=picture, model=picture, task=picture)
        assert not app.exception and "![p](" not in texts(app), page
        names.append(texts(app))
    assert any("evil.example" in shown for shown in names)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("![x](http://a/b.png)", r"\![x\](http://a/b.png)"),
        ("[x](http://a)", r"[x\](http://a)"),
        ("**x** ~~y~~ $z$", r"\*\*x\*\* \~\~y\~\~ \$z\$"),
        (":red[x] :material/lock: :smile:", r"\:red[x] :material/lock: \:smile:"),
        ("test: story, 12:30, [.13, .19]", "test: story, 12:30, [.13, .19]"),
        ("hubert_base_ls960 _x_", r"hubert_base_ls960 \_x\_"),
        ("`braindash show KEY_*`: a*", r"`braindash show KEY_*`: a\*"),
        ("# x\n> y", "\\# x\n\\> y"),
    ],
)
def test_signs_of_markup_are_shown_as_signs(text, shown):
    assert plain(text) == shown


ENDPOINT = b'"https://lab.example/x"'


class _Says(BaseHTTPRequestHandler):
    """Answers whatever is asked alike."""

    def __init__(self, answer, *given):
        self.answer = answer
        super().__init__(*given)

    def log_message(self, *_):
        """Say nothing."""

    def do_GET(self):
        status, body = self.answer
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        with suppress(OSError):  # whoever asked has read enough
            self.wfile.write(body)


@contextmanager
def saying(status, body):
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Says, (status, body)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/metadata"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    ("status", "body", "told"),
    [
        (500, b"", "500 Internal Server Error"),
        (200, b"", "is no JSON"),
        (200, b"<html>in repair</html>", "is no JSON"),
        (200, b"[" * 100_000, "is no JSON"),
        (200, b"null", "is none of a provider"),
        (200, b'["authorization_endpoint"]', "is none of a provider"),
        (200, b'{"authorization_endpoint": 5}', "no address of its authorization_endpoint"),
        (200, b'{"authorization_endpoint": %s}' % ENDPOINT, "no address of its token_endpoint"),
        (200, b" " * 1_500_000, "more than 1000 KB"),
    ],
)
def test_a_provider_that_answers_nonsense_is_said_and_nobody_is_led_to_it(status, body, told):
    pytest.importorskip("httpx", reason="the extra sign-in is not installed")
    with saying(status, body) as address, pytest.raises(BraindashError) as caught:
        sign_in._require_answer(address)
    assert "where you would sign in, does not answer as it should" in caught.value.message
    assert told in caught.value.message


def test_a_provider_that_is_down_is_said_and_one_that_answers_is_taken():
    pytest.importorskip("httpx", reason="the extra sign-in is not installed")
    names = (b"authorization_endpoint", b"token_endpoint", b"jwks_uri")
    body = b"{%s}" % b", ".join(b'"%s": %s' % (name, ENDPOINT) for name in names)
    with saying(200, body) as address:
        sign_in._require_answer(address)
    with pytest.raises(BraindashError, match=r"127\.0\.0\.1:\d+, where you would sign in"):
        sign_in._require_answer(address)
