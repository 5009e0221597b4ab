"""State in shared memory, and the pace of the clock."""

import os
import threading
import time

import numpy as np

from novaflow_sim.core.pacing import Pacer
from novaflow_sim.core.shared_state import SharedState, Snapshot


def test_a_second_mapping_reads_what_was_written() -> None:
    writer = SharedState.create(5, 1)
    reader = SharedState(os.dup(writer.fd), 5, 1)
    assert reader.time_s == 0.0
    writer.write(Snapshot(1.5, 1003, np.arange(5.0), np.ones((1, 7))))
    got = reader.read()
    assert (got.time_s, got.seed) == (1.5, 1003)
    np.testing.assert_array_equal(got.qpos, np.arange(5.0))
    np.testing.assert_array_equal(got.mocap, np.ones((1, 7)))


def test_a_reader_never_sees_half_a_write() -> None:
    count = 4000
    writer = SharedState.create(count, 0)
    reader = SharedState(os.dup(writer.fd), count, 0)
    done = threading.Event()

    def write() -> None:
        k = 0.0
        while not done.is_set():
            k += 1.0
            writer.write(Snapshot(k, 0, np.full(count, k), np.zeros((0, 7))))

    thread = threading.Thread(target=write)
    thread.start()
    try:
        for _ in range(300):
            got = reader.read()
            assert (got.qpos == got.time_s).all()
    finally:
        done.set()
        thread.join()


def test_the_pacer_catches_up_within_its_bound_and_counts_what_it_lost() -> None:
    stalled = threading.Event()

    def tick() -> None:
        if not stalled.is_set():
            stalled.set()
            time.sleep(0.6)

    pacer = Pacer(tick, 0.01, lambda error: None)
    pacer.start()
    time.sleep(1.0)
    pacer.stop()
    assert pacer.report.late_ticks >= 1
    assert pacer.report.worst_gap_s >= 0.6
    assert 0.2 < pacer.report.lost_s < 0.6
    # 1 s has 100 ticks; what exceeds the backlog of 0.2 s is given up.
    assert 40 <= pacer.report.ticks <= 75


def test_a_failing_tick_is_reported() -> None:
    seen: list[BaseException] = []

    def tick() -> None:
        raise ValueError("broken")

    pacer = Pacer(tick, 0.01, seen.append)
    pacer.start()
    time.sleep(0.1)
    pacer.stop()
    assert [str(e) for e in seen] == ["broken"]
