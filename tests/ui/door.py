"""A door in front of a server, as a proxy is: its address stays when the server has another one, and it can be shut."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

_REFUSAL = b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class Door:
    """Passes connections on to where it leads to. Shut, it ends those there are, and `refuses` new ones with 502 or drops them."""

    def __init__(self, url: str) -> None:
        self._inner = urlsplit(url).netloc
        self._shut, self._refuses = False, False
        self._open: set[socket.socket] = set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._listen, daemon=True).start()

    def leads_to(self, url: str) -> None:
        """From now on."""
        self._inner = urlsplit(url).netloc

    @contextmanager
    def shut(self, *, refuses: bool) -> Iterator[None]:
        """Nobody comes through while the block runs."""
        self._refuses, self._shut = refuses, True
        for each in list(self._open):
            _end(each)
        try:
            yield
        finally:
            self._shut = False

    def close(self) -> None:
        """For good."""
        _end(self._listener)
        self._listener.close()

    def _is_shut(self) -> bool:
        return self._shut

    def _listen(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                outer, _ = self._listener.accept()
                threading.Thread(target=self._let_in, args=(outer,), daemon=True).start()

    def _let_in(self, outer: socket.socket) -> None:
        with outer, contextlib.suppress(OSError):
            if self._is_shut():
                if self._refuses:
                    outer.recv(65_536)
                    outer.sendall(_REFUSAL)
                return
            host, _, port = self._inner.partition(":")
            with socket.create_connection((host, int(port))) as inner:
                self._open |= {outer, inner}
                if self._is_shut():  # meanwhile: it was not among those that were ended
                    return
                back = threading.Thread(target=_passed, args=(inner, outer), daemon=True)
                back.start()
                _passed(outer, inner)
                back.join()
                self._open -= {outer, inner}


def _passed(source: socket.socket, target: socket.socket) -> None:
    """All bytes of one to the other; both are at their end after that."""
    with contextlib.suppress(OSError):
        while part := source.recv(65_536):
            target.sendall(part)
    _end(source)
    _end(target)


def _end(each: socket.socket) -> None:
    with contextlib.suppress(OSError):
        each.shutdown(socket.SHUT_RDWR)
