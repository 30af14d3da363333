"""What a press of a button came to stays to be read, however often its page is drawn anew."""

import pytest
from streamlit.testing.v1 import AppTest

from braindash.ui import answers


def page() -> None:
    """Two buttons, of which one fails, and a place for what they say."""
    import streamlit as st

    from braindash.errors import InputError
    from braindash.ui import answers

    def fail() -> None:
        with answers.answering("here"):
            raise InputError("no *such* folder", hint="Name another.")

    def succeed() -> None:
        with answers.answering("here"):
            answers.say("here", "Jobs queued: 3.")

    def keep_quiet() -> None:
        with answers.answering("here"):
            pass

    st.button("fail", on_click=fail, key="fail")
    st.button("succeed", on_click=succeed, key="succeed")
    st.button("quiet", on_click=keep_quiet, key="quiet")
    answers.show("here")
    answers.show("elsewhere")


@pytest.fixture
def app():
    return AppTest.from_function(page).run()


def test_an_answer_is_shown_in_its_place_however_often_the_page_is_drawn(app):
    app.button(key="succeed").click().run()
    for _ in range(3):
        assert [one.value for one in app.success] == ["Jobs queued: 3."]
        app.run()
    assert not app.error


def test_the_next_press_takes_the_place_of_the_last_answer(app):
    app.button(key="fail").click().run()
    (error,) = app.error
    assert "Name another." in error.value and "\\*such\\*" in error.value
    app.button(key="succeed").click().run()
    assert not app.error and len(app.success) == 1
    app.button(key="fail").click().run()
    assert len(app.error) == 1 and not app.success
    app.button(key="quiet").click().run()
    assert not app.error and not app.success


def test_an_answer_goes_after_a_while(app, monkeypatch):
    app.button(key="succeed").click().run()
    monkeypatch.setattr(answers, "_SHOWN_SECONDS", -1.0)
    assert not app.run().success
    monkeypatch.undo()
    assert not app.run().success
