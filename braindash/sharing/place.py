"""Where a dashboard is found: the address it listens on, and the one that visitors type."""

import ipaddress
from dataclasses import dataclass
from urllib.parse import urlsplit

from braindash.errors import InputError

LOOPBACK = "127.0.0.1"
PORT = 8501
_OWN_NAMES = ("localhost", LOOPBACK, "::1")


@dataclass(frozen=True)
class Place:
    """Where a dashboard is found.

    Attributes
    ----------
    address : str
        What it listens on.
    port : int
        TCP port.
    url : str
        What visitors type where that is another address, behind a proxy; empty without one.
    """

    address: str = LOOPBACK
    port: int = PORT
    url: str = ""

    @property
    def path(self) -> str:
        """Path that all addresses of the dashboard begin with, such as ``/brain``; or empty."""
        return urlsplit(self.url).path.rstrip("/")

    @property
    def origin(self) -> str:
        """Scheme and host of what visitors type behind a proxy; empty without one."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc}" if self.url else ""

    @property
    def is_own(self) -> bool:
        """Whether it listens to this machine only."""
        return _is_loopback(self.address)

    @property
    def hosts(self) -> tuple[str, ...]:
        """Names that a request may have come by; none where they cannot be known.

        A page of another site that has a name of its own lead to this machine is not among them.
        """
        behind = (urlsplit(self.url).hostname or "",) if self.url else ()
        return (*_OWN_NAMES, *behind) if self.is_own or behind else ()

    @property
    def local_url(self) -> str:
        """Where a browser on this machine finds it, whatever stands before it."""
        own = self.reachable
        host = f"[{own}]" if ":" in own else own
        return f"http://{host}:{self.port}{self.path}"

    @property
    def reachable(self) -> str:
        """An address of this machine that the server answers at."""
        return {"0.0.0.0": LOOPBACK, "::": "::1"}.get(self.address, self.address)

    @property
    def secure(self) -> bool:
        """Whether visitors' browsers give microphones, and keep cookies from being read."""
        return is_secure(self.url or f"http://{self.address}")


def is_secure(url: str) -> bool:
    """Say whether browsers take an address for a secure one: HTTPS, or this machine itself."""
    parts = urlsplit(url)
    return parts.scheme == "https" or (
        parts.scheme == "http" and _is_loopback(parts.hostname or "")
    )


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def read_url(text: str | None) -> str:
    """Check the address that visitors type; empty without one.

    Raises
    ------
    InputError
        When it is no address of a web page, or has more than scheme, host and path.
    """
    given = (text or "").strip().rstrip("/")
    if not given:
        return ""
    hint = "Give it as a browser shows it, such as https://lab.example/brain."
    try:
        parts = urlsplit(given)
        whole = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError as error:
        raise InputError(f"{given!r} is no address of a web page: {error}", hint=hint) from error
    if not whole or parts.query or parts.fragment or "@" in parts.netloc:
        raise InputError(f"{given!r} is no address of a dashboard", hint=hint)
    if "//" in parts.path or any(one in (".", "..") for one in parts.path.split("/")):
        raise InputError(f"{given!r} has a path that proxies rewrite", hint=hint)
    return given
