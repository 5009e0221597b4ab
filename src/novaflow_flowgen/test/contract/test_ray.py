"""Candidates on a local Ray: the same as in this process, whatever happens to a worker."""

import os
import signal
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ray_scene import Item, make_scene

from novaflow_core.errors import Code, PlatformError
from novaflow_flowgen.backends import ray_candidates
from novaflow_flowgen.core.lift import make_klt
from novaflow_flowgen.core.pool import CandidatePool, PoolRequest
from novaflow_flowgen.core.settings import FlowgenSettings
from novaflow_flowgen.core.storyboard import Storyboard

SETTINGS = FlowgenSettings(candidates_on="ray", workers=1)
TASK = b"ray::novaflow_candidate"


def children():
    """Processes of Ray that descend from this one, with what they call themselves."""
    parents, names = {}, {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(entry.name)] = int(
                (entry / "stat").read_text().rsplit(")", 1)[1].split()[1]
            )
            names[int(entry.name)] = (entry / "cmdline").read_bytes()
        except OSError:
            continue

    def ours(pid):
        while pid in parents:
            pid = parents[pid]
            if pid == os.getpid():
                return True
        return False

    return {pid: name for pid, name in names.items() if ours(pid) and b"ray" in name}


@pytest.fixture(scope="module")
def scene():
    items = [
        Item((0.03, 0.04, 0.05), (0, 0), yaw=0.5, seed=1),
        Item((0.03, 0.03, 0.03), (-0.1, 0.12), seed=2),
    ]
    return make_scene(items, depth_noise=0.001)


@pytest.fixture(scope="module")
def on_ray():
    pytest.importorskip("ray", reason="Ray is not installed: ./novaflow setup --with ray")
    made = ray_candidates.RayCandidates(SETTINGS)
    yield made
    made.close()
    end = time.monotonic() + 20
    while children() and time.monotonic() < end:
        time.sleep(0.1)
    assert not children(), "Ray left processes behind"


def request(scene, folder, **options):
    return PoolRequest(*scene, 4, 3, 2, folder, truth_dir=folder / "truth", **options)


def in_process(scene, folder):
    pool = CandidatePool(Storyboard(), make_klt(SETTINGS), workers=1)
    return pool.make(request(scene, folder), lambda *_: None, lambda: False).candidates


def assert_same(some, others):
    assert [(c.candidate_id, c.code, c.reason, c.video_sha256) for c in some] == [
        (c.candidate_id, c.code, c.reason, c.video_sha256) for c in others
    ]
    for a, b in zip(some, others, strict=True):
        assert (a.flow is None) == (b.flow is None)
        if a.flow is not None:
            np.testing.assert_array_equal(a.flow.points, b.flow.points)
            assert Path(a.video_uri.removeprefix("file://")).is_file()


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_same_request_gives_the_same_candidates(scene, on_ray, tmp_path):
    told = []
    ours = on_ray.make(
        request(scene, tmp_path / "a"), lambda *said: told.append(said), lambda: False
    )
    assert_same(ours.candidates, in_process(scene, tmp_path / "b"))
    names = [sorted(p.name for p in (tmp_path / n).rglob("*.*")) for n in "ab"]
    assert names[0] == names[1]
    assert told[-1] == ("4 of 4 candidates", 1.0)
    assert ours.seconds["lift"] > 0


def kill_once(done):
    """SIGKILL the first worker that makes a candidate."""
    end = time.monotonic() + 60
    while time.monotonic() < end and not done:
        for pid, name in children().items():
            if name.startswith(TASK):
                os.kill(pid, signal.SIGKILL)
                done.append(pid)
                return
        time.sleep(0.01)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_killed_worker_costs_time_and_no_candidate(scene, on_ray, tmp_path):
    killed = []
    killer = threading.Thread(target=kill_once, args=(killed,))
    killer.start()
    ours = on_ray.make(request(scene, tmp_path / "a"), lambda *_: None, lambda: False).candidates
    killer.join()
    assert killed
    assert_same(ours, in_process(scene, tmp_path / "b"))
    assert sum(c.stats.get("workers_lost", 0.0) for c in ours) == 1.0


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_cancelled_goal_ends_its_tasks_and_the_next_goal_works(scene, on_ray, tmp_path):
    def running():
        return any(name.startswith(TASK) for name in children().values())

    with pytest.raises(PlatformError) as error:
        on_ray.make(request(scene, tmp_path / "a"), lambda *_: None, running)
    assert error.value.code is Code.CANCELLED
    end = time.monotonic() + 20
    while running() and time.monotonic() < end:
        time.sleep(0.05)
    assert not running()
    one = replace(request(scene, tmp_path / "b"), candidates=1, spoiled=0)
    (candidate,) = on_ray.make(one, lambda *_: None, lambda: False).candidates
    assert candidate.code == Code.OK


def test_without_ray_the_error_names_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    with pytest.raises(PlatformError) as error:
        ray_candidates.RayCandidates(SETTINGS)
    assert error.value.code is Code.UNAVAILABLE
    assert "./novaflow setup --with ray" in error.value.reason
