"""A shared server in a real browser: read-only below a path of a proxy, and with sign-in."""

import http
import http.client
import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urljoin

import pytest
from kit.results.made_up import put_result
from kit.running.job_tools import wait_for
from kit.site.browser import free_port
from kit.site.proxy import Proxy
from kit.site.visits import Visit

from braindash.io.store import Store

pytestmark = [pytest.mark.browser, pytest.mark.slow]
ROOT = Path(__file__).resolve().parents[2]
ROLES = '[roles]\n"ada@lab.example" = "viewer"\n"*@runs.example" = "runner"\n'


def filled(root: Path, **options) -> Path:
    for seed, subject in enumerate(("S1", "S2")):
        put_result(Store(root), model="toy", subject=subject, seed=seed, **options)
    return root


@contextmanager
def shared(store: Path, folder: Path, *options: object, keeps_host: bool = True):
    """Serve a store as `braindash app` does, behind a proxy; gives the proxy and what was told."""
    proxy, port = Proxy("/lab/brain", keeps_host=keeps_host), free_port()
    proxy.to = port
    command = [sys.executable, "-m", "braindash", "app", "--store", store, "--port", port]
    command += ["--url", proxy.url, *[one(proxy) if callable(one) else one for one in options]]
    told = folder / "told.txt"
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    with told.open("w") as output:
        process = subprocess.Popen(
            list(map(str, command)),
            cwd=folder,
            env=os.environ | {"PYTHONPATH": path},
            stdout=output,
            stderr=output,
        )
    try:
        wait_for(lambda: "Dashboard:" in told.read_text() or process.poll(), "the server", 120)
        assert process.poll() is None, told.read_text()
        yield proxy, told
    finally:
        process.terminate()
        process.wait(60)
        proxy.stop()


def menu(page) -> list[str]:
    return page.get_by_test_id("stTopNavLink").all_inner_texts()


def content(root: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in root.rglob("*")}


def test_a_read_only_dashboard_below_a_path_shows_all_and_computes_nothing(tmp_path, page):
    store = filled(tmp_path / "store")
    before = content(store)
    # The proxy does not pass on the name that it was asked by, the more difficult case.
    with shared(store, tmp_path, "--read-only", keeps_host=False) as (proxy, told):
        assert f"through a proxy on this machine: sees all 2 results in {store}" in told.read_text()
        page.goto(f"{proxy.url}/cortex?subject=S1&layer=1")
        page.wait_for_selector(".braindash-viewer[data-ready]")
        assert "Cortex" in " ".join(menu(page)) and "Run" not in " ".join(menu(page))
        page.get_by_text("explore only").first.wait_for()
        page.get_by_role("button", name="Take away").first.click()
        with page.expect_download() as taken:
            page.get_by_role("button", name="GIFTI", exact=True).first.click()
        assert taken.value.path().stat().st_size > 100
        link = page.url
        assert link.startswith(f"{proxy.url}/cortex?") and "subject=S1" in link
        page.goto(f"{proxy.url}/run?work=Probe")
        page.get_by_text("you may not do here: this dashboard is read-only").wait_for()
        assert page.get_by_test_id("stSelectbox").count() == 0
        back = page.get_by_role("link", name="To the results").get_attribute("href")
        assert urljoin(page.url, back).startswith(proxy.url)
        assert _upload(proxy) == http.HTTPStatus.REQUEST_ENTITY_TOO_LARGE
        assert proxy.refused == [], "every address stays below the path"
        assert page.traffic.hosts == {"127.0.0.1"} and not page.traffic.errors
    assert content(store) == before and not (store / "jobs").exists()


def _upload(proxy: Proxy) -> int:
    """Send a file as a page's control for uploads would; gives the answer's status."""
    visit = Visit(proxy.url)
    visit.ask("layers")
    assert "Run" not in visit.pages.values() and "Layers" in visit.pages.values()
    connection = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=10)
    connection.request("GET", f"{proxy.path}/_stcore/health")
    answer = connection.getresponse()
    token = answer.getheader("Set-Cookie").partition("=")[2].partition(";")[0]
    connection.close()
    body = b'--x\r\nContent-Disposition: form-data; name="f"; filename="f"\r\n\r\nabc\r\n--x--\r\n'
    fields = {
        "Content-Type": "multipart/form-data; boundary=x",
        "Cookie": f"_streamlit_xsrf={token}",
        "X-Xsrftoken": token,
    }
    place = f"{proxy.path}/_stcore/upload_file/{visit.session}/some-file"
    connection.request("PUT", place, body=body, headers=fields)
    status = connection.getresponse().status
    visit.close()
    return status


@pytest.fixture
def provider():
    pytest.importorskip("authlib", reason="the extra sign-in is not installed")
    pytest.importorskip("httpx", reason="the extra sign-in is not installed")
    from kit.site.provider import Provider

    made = Provider()
    yield made
    made.stop()


def test_who_signs_in_has_the_role_of_the_file_and_who_cannot_is_told(
    tmp_path, page, provider, chromium
):
    from kit.site.provider import CLIENT, SECRET

    store = filled(tmp_path / "store", space="roi")
    roles, secrets = tmp_path / "roles.toml", tmp_path / "secrets.toml"
    roles.write_text(ROLES)

    def write(proxy):
        secrets.write_text(
            f'[auth]\nredirect_uri = "{proxy.url}/oauth2callback"\ncookie_secret = "{"c" * 40}"\n'
            f'client_id = "{CLIENT}"\nclient_secret = "{SECRET}"\n'
            f'server_metadata_url = "{provider.metadata}"\n'
        )
        return "--secrets"

    with shared(store, tmp_path, "--roles", roles, write, secrets) as (proxy, told):
        assert "sees a page to sign in" in told.read_text()
        assert "Runners (1 named): each starts jobs" in told.read_text()
        # Headers that name somebody are nobody's proof.
        page.set_extra_http_headers({"X-Forwarded-Email": "a@runs.example", "X-User": "a"})
        page.goto(f"{proxy.url}/layers")
        page.get_by_text("Sign in to see the results").wait_for()
        assert menu(page) == [] and page.get_by_test_id("stSelectbox").count() == 0

        provider.refuses_tokens = True
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url(f"{proxy.url}/")
        page.get_by_text("Sign in to see the results").wait_for()
        provider.refuses_tokens = False

        page.get_by_role("button", name="Sign in").click()
        page.get_by_role("heading", name="Results (2)").wait_for()
        assert page.url.startswith(proxy.url) and "Run" not in " ".join(menu(page))
        page.goto(f"{proxy.url}/jobs")
        page.get_by_text("you may not do here: your role is viewer").wait_for()
        page.get_by_role("button", name="ada@lab.example").click()
        page.get_by_role("button", name="Sign out").click()
        page.get_by_text("Sign in to see the results").wait_for()

        provider.person = {"email": "Bob@runs.example"}
        page.get_by_role("button", name="Sign in").click()
        page.get_by_role("heading", name="Results (2)").wait_for()
        assert "Run" in " ".join(menu(page))

        provider.stop()
        other = chromium.new_context(viewport={"width": 1440, "height": 1000}).new_page()
        other.goto(proxy.url)
        other.get_by_role("button", name="Sign in").click()
        other.get_by_text("where you would sign in, does not answer").wait_for()
        assert other.get_by_test_id("stException").count() == 0
        assert other.url.startswith(proxy.url), "not led to a page that is not there"
        other.context.close()
        page.goto(f"{proxy.url}/jobs")
        page.get_by_text("No jobs yet").wait_for()
        last = told.read_text().partition("does not answer at")[2]
        assert provider.metadata in last and "Traceback" not in last
        assert not page.traffic.errors and SECRET not in told.read_text()
