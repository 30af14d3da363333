"""What signing in to a dashboard needs, checked before it starts: package, file, addresses.

The file is the one of Streamlit's secrets, with a table ``[auth]`` for OpenID Connect::

    [auth]
    redirect_uri = "https://lab.example/brain/oauth2callback"
    cookie_secret = "..."
    client_id = "..."
    client_secret = "..."
    server_metadata_url = "https://accounts.example/.well-known/openid-configuration"
"""

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from braindash.errors import InputError
from braindash.files import parse_toml
from braindash.names import given_path
from braindash.sharing.place import Place, is_secure

SECRETS = "secrets.toml"
CALLBACK = "/oauth2callback"
EXTRA = "pip install 'braindash[sign-in]'"
_PACKAGES = ("authlib", "httpx")
_SHARED = ("redirect_uri", "cookie_secret")
_OF_PROVIDER = ("client_id", "client_secret", "server_metadata_url")
_SHORTEST_SECRET = 32
_NEW_SECRET = "python -c 'import secrets; print(secrets.token_hex(32))' makes one."


@dataclass(frozen=True)
class SignIn:
    """How visitors sign in.

    Attributes
    ----------
    redirect : str
        Where the provider sends them back to.
    providers : mapping of str to str
        Address of each provider's metadata by its name; "" names the only one.
    """

    redirect: str
    providers: Mapping[str, str]

    @property
    def origin(self) -> str:
        """Where visitors have to open the dashboard, to be known again: scheme and host."""
        parts = urlsplit(self.redirect)
        return f"{parts.scheme}://{parts.netloc}"


def require_packages() -> None:
    """Refuse to go on without what signing in needs; InputError says how to install it."""
    lacking = [name for name in _PACKAGES if importlib.util.find_spec(name) is None]
    if lacking:
        raise InputError(
            f"signing in needs packages that are not installed: {', '.join(lacking)}", hint=EXTRA
        )


def find_secrets(given: Path | None) -> Path:
    """Find the file with the table ``[auth]``: the given one, or where Streamlit looks for it."""
    if given is not None:
        return given_path(given).resolve()
    usual = [folder / ".streamlit" / SECRETS for folder in (Path.cwd(), Path.home())]
    for path in usual:
        if path.is_file():
            return path
    raise InputError(
        "signing in needs a file with the table [auth], and there is none: "
        + ", ".join(map(str, usual)),
        hint="Write one as the page 'A shared server' of the documents shows, and give it with "
        "--secrets FILE.",
    )


def read_sign_in(path: Path, port: int) -> SignIn:
    """Read and check the file of secrets; no secret is in any message.

    Raises
    ------
    InputError
        When it cannot be read, or lacks what signing in needs.
    """
    try:
        content = parse_toml(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise InputError(
            f"the file of secrets {path} cannot be read as TOML: {reason}",
            hint="It holds a table [auth]; every value stands in quotes.",
        ) from error
    return sign_in_of(content.get("auth"), f"[auth] of {path}", port)


def sign_in_of(auth: Any, where: str, port: int) -> SignIn:
    """Check the table ``[auth]``.

    Parameters
    ----------
    auth : mapping
        The table.
    where : str
        Names it in messages.
    port : int
        Of the server: Streamlit puts it in the place of ``{port}`` of the address.

    Raises
    ------
    InputError
        When it lacks what signing in needs.
    """
    if not isinstance(auth, Mapping):
        raise InputError(
            f"there is no {where}", hint="Signing in needs it: see 'A shared server' of the docs."
        )
    _require(auth, _SHARED, where)
    if len(auth["cookie_secret"]) < _SHORTEST_SECRET:
        raise InputError(
            f"cookie_secret in {where} is shorter than {_SHORTEST_SECRET} characters: who guesses "
            "it signs in as anybody",
            hint=f"Take a random one: {_NEW_SECRET}",
        )
    named = {name: one for name, one in auth.items() if isinstance(one, Mapping)}
    named.pop("client_kwargs", None)
    providers = named or {"": auth}
    for name, one in providers.items():
        _require(one, _OF_PROVIDER, f"{where}, provider {name}" if name else where)
        if "_" in name:
            raise InputError(
                f"{name!r} in {where} has an underscore, which no provider's name may have",
                hint=f"Call it {name.replace('_', '-')!r}.",
            )
    redirect = auth["redirect_uri"].replace("{port}", str(port))
    if not is_secure(redirect) or not redirect.endswith(CALLBACK):
        raise InputError(
            f"redirect_uri in {where} is {redirect}, where nobody can sign in",
            hint="It is the dashboard's address as visitors type it, with https:// (http:// only "
            f"on localhost), and {CALLBACK} behind it.",
        )
    return SignIn(
        redirect, {name: str(one["server_metadata_url"]) for name, one in providers.items()}
    )


def _require(table: Mapping[str, Any], names: tuple[str, ...], where: str) -> None:
    lacking = [name for name in names if not isinstance(table.get(name), str) or not table[name]]
    if lacking:
        raise InputError(
            f"{where} lacks {', '.join(lacking)}",
            hint="Each is a text in quotes; the provider gives those of its client.",
        )


def require_same_place(sign_in: SignIn, place: Place) -> None:
    """Refuse an address of return that does not lead back to this dashboard.

    Raises
    ------
    InputError
        When origin or path differ from those of the dashboard.
    """
    path = urlsplit(sign_in.redirect).path
    wanted = f"{place.path}{CALLBACK}"
    if path != wanted or (place.url and place.origin != sign_in.origin):
        raise InputError(
            f"redirect_uri leads to {sign_in.redirect}, and the dashboard is at "
            f"{place.url or place.path or 'the root of its address'}",
            hint=f"Start with --url {sign_in.redirect.removesuffix(CALLBACK)}, or let redirect_uri "
            f"end with {wanted}.",
        )
