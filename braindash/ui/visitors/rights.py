"""Who looks at the page that runs, and what they may do: what pages, queue and store go by.

Only what the sign-in of Streamlit verified says who somebody is: its cookie is signed, and read
when a visit begins. Headers that a proxy or a visitor sets say nothing here.
"""

import logging
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from braindash.errors import InputError
from braindash.sharing.asking import Role, Visitor, account, ask_by
from braindash.sharing.roles import Roles, read_roles
from braindash.sharing.settings import Sharing, sharing

logger = logging.getLogger(__name__)

READ_ONLY = "this dashboard is read-only"
NOT_SIGNED_IN = "you are not signed in"
_NO_EMAIL = "the provider of the sign-in tells no e-mail of yours"
_NOT_VERIFIED = "the provider of the sign-in has not verified your e-mail"
_BROKEN = "what this dashboard is told about its visitors cannot be read (its log says why)"


def visitor() -> Visitor:
    """Return who looks at the page that runs; of other threads, somebody of the fewest rights.

    Never fails: where the settings cannot be read, nobody sees anything.
    """
    try:
        shared = sharing()
        roles = None if shared.roles is None else read_roles(shared.roles)
    except InputError as error:
        _log_once(str(error))
        return Visitor(role="none", reason=_BROKEN)
    found = _found(shared, roles)
    if shared.read_only and found.may_compute:
        return replace(found, role="viewer", reason=READ_ONLY)
    return found


@lru_cache(maxsize=16)
def _log_once(text: str) -> None:
    """Log what every run of every page meets."""
    logger.error("%s", text)


def _found(shared: Sharing, roles: Roles | None) -> Visitor:
    at_a_page = get_script_run_ctx(suppress_warning=True) is not None
    if roles is None:
        return Visitor() if at_a_page else Visitor(account())
    return _signed_in(roles) if at_a_page else _not_signed_in(roles)


def _not_signed_in(roles: Roles) -> Visitor:
    return Visitor("", roles.not_signed_in, NOT_SIGNED_IN)


def is_signed_in() -> bool:
    """Say whether Streamlit's sign-in verified who looks at the page that runs."""
    return st.user.get("is_logged_in") is True


def _signed_in(roles: Roles) -> Visitor:
    if not is_signed_in():
        return _not_signed_in(roles)
    name, role, reason = _role_of(roles)
    if role == "none":  # who signs in may do no less than who does not
        role = roles.not_signed_in
    return Visitor(name, role, reason)


def _role_of(roles: Roles) -> tuple[str, Role, str]:
    """Return who signed in, their role, and why it is none higher."""
    email = str(st.user.get("email") or "").strip()
    if not email:
        return str(st.user.get("sub") or ""), "none", _NO_EMAIL
    if str(st.user.get("email_verified", True)).lower() == "false":
        return email, "none", _NOT_VERIFIED
    role = roles.of(email)
    reasons = {"none": "that e-mail has no role here", "viewer": "your role is viewer"}
    return email, role, reasons.get(role, "")


def signs_in() -> Path | None:
    """Return the file of roles where visitors sign in; None where nobody does."""
    try:
        return sharing().roles
    except InputError:
        return None  # visitor() has said so, and lets nobody in


# Whatever pages call is asked for by the visitor of the page that runs.
ask_by(visitor)
