"""Signing in and out, who is signed in, and what is said to whom a page is not for."""

import logging
import time
from typing import Any
from urllib.parse import urlsplit

import streamlit as st

from braindash.errors import BraindashError, InputError
from braindash.files import parse_json
from braindash.sharing.asking import Visitor
from braindash.sharing.sign_in import SignIn, require_packages, sign_in_of
from braindash.ui.answers import answering
from braindash.ui.texts import plain
from braindash.ui.visitors.rights import NOT_SIGNED_IN, READ_ONLY, is_signed_in, signs_in, visitor

logger = logging.getLogger(__name__)

PLACE = "sign-in"
"""Where a page shows what pressing a button of the sign-in came to."""
_WAIT_SECONDS = 5.0
_LARGEST_BYTES = 1_000_000
_ENDPOINTS = ("authorization_endpoint", "token_endpoint", "jwks_uri")
_ROLE_HELP = (
    "viewer: sees every result and takes it away. runner: also starts, stops and continues work. "
    "Whoever runs this dashboard gives roles."
)
_EXPLORE = "explore only"
_EXPLORE_HELP = "Results are looked at and taken away here; nothing is computed or changed."


def identity() -> None:
    """Say in a page's head who looks, where that matters, with what signs in and out."""
    who = visitor()
    if signs_in() is None:
        if who.reason == READ_ONLY:
            st.badge(_EXPLORE, color="gray", help=_EXPLORE_HELP)
        return
    if not is_signed_in():
        st.badge(_EXPLORE, color="gray", help=_EXPLORE_HELP)
        _buttons("head", kind="tertiary")
        return
    with st.popover(plain(who.name), type="tertiary", icon=":material/person:"):
        limit = f" ({READ_ONLY})" if who.reason == READ_ONLY else ""
        st.caption(f"Role: {who.role}{limit}", help=_ROLE_HELP)
        st.button("Sign out", key="sign_out", on_click=st.logout)


def welcome(who: Visitor) -> None:
    """Draw all that is seen by whom nothing is shown to: how to sign in, or why that was no use."""
    st.title("braindash", anchor=False)
    if who.reason == NOT_SIGNED_IN:
        st.markdown("Sign in to see the results of this dashboard.")
        _buttons("welcome", kind="primary")
        return
    if not is_signed_in():
        st.markdown(f"Nothing is shown: {plain(who.reason)}.")
        return
    name = f" as **{plain(who.name)}**" if who.name else ""
    st.markdown(f"You are signed in{name}, but {plain(who.reason)}.")
    st.markdown("Ask whoever runs this dashboard, or sign in as somebody else.")
    st.button("Sign out", key="sign_out", on_click=st.logout)


def refuse(who: Visitor) -> None:
    """Say on a page that starts work that this visitor may not, and where to go on."""
    st.info(
        f"This page starts and stops work, which you may not do here: {plain(who.reason)}.",
        icon=":material/lock:",
    )
    st.page_link("pages/explore/overview.py", label="To the results", icon=":material/dashboard:")


def _buttons(place: str, kind: Any) -> None:
    """Draw a button for each provider."""
    try:
        found = _sign_in()
    except BraindashError as error:
        logger.error("%s", error)
        st.caption("Nobody can sign in now: the dashboard's log says why.")
        return
    for name in found.providers:
        label = f"Sign in with {plain(name)}" if name else "Sign in"
        key = f"sign_in_{place}_{name}"
        st.button(label, key=key, type=kind, on_click=_start, args=(name, found.providers[name]))


def _sign_in() -> SignIn:
    require_packages()
    try:
        secrets = st.secrets.to_dict()
    except FileNotFoundError as error:
        raise InputError(
            "there is no file of secrets with a table [auth]",
            hint="`braindash app --roles FILE --secrets FILE` starts with one.",
        ) from error
    return sign_in_of(secrets.get("auth"), "[auth] of the secrets", st.get_option("server.port"))


def _start(name: str, metadata: str) -> None:
    """Lead to the provider, if it answers; else say that it does not."""
    with answering(PLACE):
        _require_answer(metadata)
        st.login(name or None)


def _require_answer(metadata: str) -> None:
    host = urlsplit(metadata).netloc
    try:
        _require_endpoints(_answer(metadata))
        return
    except ValueError as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    logger.error("the provider of the sign-in does not answer at %s: %s", metadata, reason)
    raise BraindashError(
        f"{host}, where you would sign in, does not answer as it should: {reason}",
        hint="Try again in some minutes, or ask whoever runs this dashboard.",
    )


def _answer(metadata: str) -> bytes:
    """Fetch what a provider says of itself: no more of it, and no longer, than a provider needs."""
    import httpx  # comes with what signs in, and only then

    content, end = b"", time.monotonic() + _WAIT_SECONDS
    try:
        with httpx.stream("GET", metadata, timeout=_WAIT_SECONDS, follow_redirects=True) as answer:
            answer.raise_for_status()
            for piece in answer.iter_bytes():
                content += piece
                if len(content) > _LARGEST_BYTES:
                    raise ValueError(f"its answer has more than {_LARGEST_BYTES // 1000} KB")
                if time.monotonic() > end:
                    raise ValueError(f"its answer was not whole after {_WAIT_SECONDS:g} s")
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise ValueError(str(error) or type(error).__name__) from error
    return content


def _require_endpoints(content: bytes) -> None:
    """Refuse, as a ValueError, what nobody could be led to or signed in by."""
    try:
        told = parse_json(content)
    except ValueError as error:
        raise ValueError("its answer is no JSON") from error
    if not isinstance(told, dict):
        raise ValueError("its answer is none of a provider")
    for name in _ENDPOINTS:
        address = told.get(name)
        if not isinstance(address, str) or urlsplit(address).scheme not in ("http", "https"):
            raise ValueError(f"its answer has no address of its {name}")
