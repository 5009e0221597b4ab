"""DDS domains that nobody on this machine uses, so that runs beside each other do not mix."""

from __future__ import annotations

import fcntl
import os
import random
import socket
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from novaflow_core.errors import Code, PlatformError

# Ports of a domain (DDSI-RTPS 9.6.1.1): 7400 + 250 * domain, multicast discovery first, then two
# unicast ports a participant. Above domain 101 they reach into the ephemeral ports of Linux.
BASE_PORT, DOMAIN_GAIN, PARTICIPANT_GAIN, UNICAST_OFFSET = 7400, 250, 2, 10
LOWEST, HIGHEST = 10, 100
LOOKED_AT = 8  # participants


@contextmanager
def free_domains(count: int) -> Iterator[tuple[int, ...]]:
    """Reserve domains for as long as the context lasts.

    A domain is free when no process listens on its ports and no other caller of this function
    reserved it: a graph that has just been told to start does not listen yet.

    Raises:
        PlatformError: UNAVAILABLE when there are not enough.
    """
    numbers = list(range(LOWEST, HIGHEST + 1))
    random.SystemRandom().shuffle(numbers)
    found: list[int] = []
    with ExitStack() as locks:
        for number in numbers:
            if len(found) == count:
                break
            if _is_silent(number) and _reserve(number, locks):
                found.append(number)
        if len(found) < count:
            raise PlatformError(
                Code.UNAVAILABLE, f"only {len(found)} of {count} DDS domains are free here"
            )
        yield tuple(found)


def _is_silent(domain: int) -> bool:
    first = BASE_PORT + DOMAIN_GAIN * domain + UNICAST_OFFSET
    for port in range(first, first + PARTICIPANT_GAIN * LOOKED_AT):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            try:
                probe.bind(("0.0.0.0", port))
            except OSError:
                return False
    return True


def _reserve(domain: int, locks: ExitStack) -> bool:
    path = Path(tempfile.gettempdir()) / f"novaflow_domain_{domain}_{os.getuid()}.lock"
    stream = locks.enter_context(path.open("w"))
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
