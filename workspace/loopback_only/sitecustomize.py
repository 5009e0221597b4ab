"""Keeps every Python process of the tests on this machine; what would leave it is refused.

Python imports this by itself where the folder is on PYTHONPATH: `./novaflow test` puts it there,
and fails if anything was written to the file that NOVAFLOW_NETWORK_LOG names.
"""

from __future__ import annotations

import ipaddress
import os
import socket
import sys
from typing import Any


def _is_here(address: Any) -> bool:
    if not isinstance(address, tuple):  # a Unix socket
        return True
    host = address[0]
    host = host.decode() if isinstance(host, bytes) else host
    if host in (None, "", "localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False  # a name would have to be asked for


def _check(address: Any) -> None:
    if _is_here(address):
        return
    path = os.environ.get("NOVAFLOW_NETWORK_LOG", "")
    if path:
        with open(path, "a", encoding="utf-8") as log:
            log.write(f"{address!r} by {' '.join(sys.argv)[:200]}\n")
    raise OSError(f"a test tried to reach {address!r}; tests stay on this machine")


class _Socket(socket.socket):
    def connect(self, address: Any) -> None:
        _check(address)
        super().connect(address)

    def connect_ex(self, address: Any) -> int:
        _check(address)
        return super().connect_ex(address)


def _install() -> None:
    resolve = socket.getaddrinfo

    def getaddrinfo(host: Any, *more: Any, **options: Any) -> Any:
        _check((host,))
        return resolve(host, *more, **options)

    socket.socket = _Socket  # type: ignore[misc]
    socket.getaddrinfo = getaddrinfo


_install()
