"""Visits to a dashboard without a browser: what its server does, and nothing of what is drawn."""

import threading
import time
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.sync.client import connect

_MOST_BYTES = 1 << 28


class Visit:
    """One visitor's connection: asks for pages and waits until the server has sent them.

    Parameters
    ----------
    url : str
        Of the dashboard, such as ``http://127.0.0.1:8501``.
    """

    def __init__(self, url: str, seconds: float = 60.0):
        parts = urlsplit(url)
        place = f"ws://{parts.netloc}{parts.path.rstrip('/')}/_stcore/stream"
        self._socket = connect(place, subprotocols=["streamlit"], max_size=_MOST_BYTES)
        self._seconds = seconds
        self._known: set[str] = set()
        self._page = ""
        self.pages: dict[str, str] = {}
        """Titles of the pages in the menu, by path."""
        self.session = ""
        self.n_bytes = 0
        self._hashes: dict[str, str] = {}

    def close(self) -> None:
        self._socket.close()

    def ask(self, page: str, query: str = "") -> float:
        """Open a page, or change what it shows; gives the seconds until all of it was sent."""
        asked = BackMsg()
        state = asked.rerun_script
        state.query_string = query
        state.cached_message_hashes.extend(sorted(self._known))
        if page in self._hashes:
            state.page_script_hash = self._hashes[page]
        else:
            state.page_name = page
        began = time.perf_counter()
        self._socket.send(asked.SerializeToString())
        while not self._is_last(self._received()):
            pass
        return time.perf_counter() - began

    def _received(self) -> ForwardMsg:
        content = self._socket.recv(timeout=self._seconds)
        self.n_bytes += len(content)
        return ForwardMsg.FromString(content)

    def _is_last(self, message: ForwardMsg) -> bool:
        if message.hash and message.metadata.cacheable:
            self._known.add(message.hash)
        kind = message.WhichOneof("type")
        if kind == "new_session":
            self.session = message.new_session.initialize.session_id or self.session
        elif kind == "navigation":
            pages = message.navigation.app_pages
            self._hashes = {one.url_pathname: one.page_script_hash for one in pages}
            self.pages = {one.url_pathname: one.page_name for one in pages if not one.is_hidden}
        elif kind == "script_finished":
            return message.script_finished == ForwardMsg.FINISHED_SUCCESSFULLY
        elif kind == "delta" and message.delta.new_element.WhichOneof("type") == "exception":
            raise AssertionError(message.delta.new_element.exception.message)
        return False


@dataclass
class Load:
    """What many visitors waited for."""

    seconds: list[tuple[str, float]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def visit_together(
    url: str, clicks: list[tuple[str, str]], n_visitors: int, minutes: float, pause: float
) -> Load:
    """Have visitors click for some minutes, each with a pause behind what was sent.

    Parameters
    ----------
    url : str
        Of the dashboard.
    clicks : list of (str, str)
        Pages and queries, one after the other; each visitor begins at another one.
    n_visitors : int
        At once; they come one after the other within the first pause.
    minutes : float
        How long they go on.
    pause : float
        Seconds between what was sent and the next click.
    """
    found, end = Load(), time.monotonic() + 60 * minutes

    def go(number: int) -> None:
        time.sleep(pause * number / n_visitors)
        try:
            visit = Visit(url)
            place = number
            while time.monotonic() < end:
                page, query = clicks[place % len(clicks)]
                found.seconds.append((page, visit.ask(page, query)))
                place += 1
                time.sleep(pause)
            visit.close()
        except Exception as error:  # noqa: BLE001 - of one visitor; the others go on
            found.problems.append(f"visitor {number}: {type(error).__name__}: {error}")

    threads = [threading.Thread(target=go, args=(number,)) for number in range(n_visitors)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found
