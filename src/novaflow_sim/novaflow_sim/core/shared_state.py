"""The simulator's state in shared memory, from the physics process to the camera process.

One writer; a counter that is odd during a write lets readers notice a torn copy and read again.
"""

from __future__ import annotations

import mmap
import os
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

_HEADER = 4


class Snapshot(NamedTuple):
    """State at a time: time [s], seed of the layout, positions (nq,), mocap poses (M, 7)."""

    time_s: float
    seed: int
    qpos: NDArray[np.float64]
    mocap: NDArray[np.float64]


class SharedState:
    """Float64 cells: counter, time, seed, unused, qpos, mocap poses."""

    def __init__(self, fd: int, nq: int, mocap_count: int) -> None:
        """Map the file behind `fd`, growing it where needed."""
        self.fd = fd
        self._nq, self._mocap_count = nq, mocap_count
        size = 8 * (_HEADER + nq + 7 * mocap_count)
        if os.fstat(fd).st_size < size:
            os.ftruncate(fd, size)
        self._map = mmap.mmap(fd, size)
        self._cells = np.frombuffer(self._map, np.float64)

    @classmethod
    def create(cls, nq: int, mocap_count: int) -> SharedState:
        """Make a new one without a name: it goes when its last process does."""
        return cls(os.memfd_create("novaflow_cell"), nq, mocap_count)

    def write(self, snapshot: Snapshot) -> None:
        """Publish a state."""
        cells = self._cells
        cells[0] += 1.0
        cells[1], cells[2] = snapshot.time_s, snapshot.seed
        cells[_HEADER : _HEADER + self._nq] = snapshot.qpos
        cells[_HEADER + self._nq :] = snapshot.mocap.ravel()
        cells[0] += 1.0

    @property
    def time_s(self) -> float:
        """Time of the last state [s]; 0 before the first."""
        return float(self._cells[1])

    def read(self) -> Snapshot:
        """Copy the last state."""
        while True:
            before = self._cells[0]
            copy = self._cells.copy()
            if before == self._cells[0] and before % 2 == 0:
                break
        return Snapshot(
            float(copy[1]),
            int(copy[2]),
            copy[_HEADER : _HEADER + self._nq],
            copy[_HEADER + self._nq :].reshape(-1, 7),
        )
