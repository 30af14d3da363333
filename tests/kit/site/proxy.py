"""A small reverse proxy: one path of an address of its own, whole and unchanged, to a server."""

import socket
import threading
from contextlib import suppress

_CHUNK = 1 << 16
_REFUSED = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class Proxy:
    """Passes on what begins with ``path``; everything else is of another server, and refused.

    Every connection carries one request, as ``Connection: close`` says, or one WebSocket.

    Parameters
    ----------
    path : str
        Such as ``/brain``.
    keeps_host : bool
        Whether the server gets to know by which name it was asked.
    """

    def __init__(self, path: str, *, keeps_host: bool = True):
        self.path, self.keeps_host = path, keeps_host
        self.to: int | None = None
        self.refused: list[str] = []
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}{path}"
        threading.Thread(target=self._listen, daemon=True).start()

    def stop(self) -> None:
        self._listening.close()

    def _listen(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with suppress(OSError), client:
            head = b""
            while b"\r\n\r\n" not in head:
                part = client.recv(_CHUNK)
                if not part:
                    return
                head += part
            asked = head.split(b" ", 2)[1].decode()
            if not (asked == self.path or asked.startswith((f"{self.path}/", f"{self.path}?"))):
                self.refused.append(asked)
                client.sendall(_REFUSED)
                return
            with socket.create_connection(("127.0.0.1", self.to)) as server:
                server.sendall(self._passed(head))
                back = threading.Thread(target=_copy, args=(server, client), daemon=True)
                back.start()
                _copy(client, server)
                back.join()

    def _passed(self, head: bytes) -> bytes:
        """Change what a proxy changes: the end of the connection, and maybe the name."""
        lines, _, body = head.partition(b"\r\n\r\n")
        first, *fields = lines.split(b"\r\n")
        upgrades = any(one.lower().startswith(b"upgrade:") for one in fields)
        kept = [
            one
            for one in fields
            if (upgrades or not one.lower().startswith(b"connection:"))
            and (self.keeps_host or not one.lower().startswith(b"host:"))
        ]
        kept += [] if upgrades else [b"Connection: close"]
        kept += [] if self.keeps_host else [f"Host: 127.0.0.1:{self.to}".encode()]
        return b"\r\n".join([first, *kept]) + b"\r\n\r\n" + body


def _copy(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while part := source.recv(_CHUNK):
            target.sendall(part)
        target.shutdown(socket.SHUT_WR)
