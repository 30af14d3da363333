"""The program of a wheel, where no checkout is known, computes the demo and shows it."""

import urllib.error
import urllib.request

import pytest
from kit.browser import free_port

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def test_the_demo_of_the_wheel_is_computed_where_the_command_was_given(installed, demo):
    store, document = demo
    keys = {path.parent.name for path in store.glob("encoding/*/checksums.json")}
    assert {result["key"] for result in document["results"]} == keys
    listed = installed.run(installed.command, "list", "--json")
    assert all(key in listed for key in keys)


def test_the_app_of_the_wheel_shows_the_result_and_ends_when_asked(installed, demo, page):
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    app = installed.start("app", "--port", str(port))
    try:
        assert app.stderr is not None
        assert url in next(line for line in app.stderr if "Dashboard" in line)
        page.goto(url)
        page.get_by_role("heading", name="braindash", exact=True).wait_for()
        page.get_by_role("heading", name="Results (6)").wait_for()
        assert page.get_by_test_id("stException").count() == 0
    finally:
        app.terminate()
        told = app.communicate(timeout=60)[1]
    assert app.returncode == 0 and "The dashboard is stopped" in told
    with pytest.raises(urllib.error.URLError, match="refused"):
        urllib.request.urlopen(url, timeout=5)
