"""Candidates on Ray: one task each, on this machine or on a cluster that runs already.

What a task sends back is the candidate and its video's bytes, so that no file system is shared. Ray
carries both with its own serialiser between its own processes: a local one is bound to loopback, a
cluster must be as trusted as this process.
"""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from novaflow_core.candidate import FlowCandidate
from novaflow_core.errors import Code, PlatformError
from novaflow_core.registry import load_backend
from novaflow_flowgen.core.pool import CandidatePool, Pool, PoolRequest, Report, make_pool
from novaflow_flowgen.core.protocols import ShouldStop, VideoRequest
from novaflow_flowgen.core.settings import FlowgenSettings

_LOOK_S = 0.1  # between looks at whether somebody wants to stop


@dataclass(frozen=True)
class Parcel:
    """What a task sends back.

    Attributes:
        candidate: Its `video_uri` names a file of the worker's.
        seconds: Compute time by part [s].
        files: Names and bytes of what it wrote: its video, and in a harness what that shows.
    """

    candidate: FlowCandidate
    seconds: dict[str, float]
    files: dict[str, bytes]


class RayCandidates:
    """Makes candidates as a `CandidatePool` of the same settings does, in other processes."""

    def __init__(self, settings: FlowgenSettings) -> None:
        """Connect to Ray, or start it on this machine.

        Raises:
            PlatformError: UNAVAILABLE when Ray is missing or cannot be reached; INVALID_SETTING
                when it has fewer GPUs than one candidate is to have.
        """
        self._settings, self._ray = settings, _connected(settings)
        self._pool = _pool_of(settings)
        gpus = settings.ray_gpus_per_candidate
        held = float(self._ray.cluster_resources().get("GPU", 0.0))
        if gpus > held:
            self.close()
            raise PlatformError(
                Code.INVALID_SETTING,
                f"ray_gpus_per_candidate is {gpus:g}, but Ray has {held:g} GPUs",
            )
        task = self._ray.remote(make_parcel)
        self._task = task.options(
            num_cpus=1, num_gpus=gpus, max_retries=0, name="novaflow_candidate"
        )

    def make(self, request: PoolRequest, report: Report, should_stop: ShouldStop) -> Pool:
        """As `CandidatePool.make`; a lost worker's candidate is made again, a few times."""
        jobs, prompt, seconds = self._pool.plan(request, report, should_stop)
        bare = replace(request, artifacts=Path(), truth_dir=None)
        shared = self._ray.put((self._settings, bare, request.truth_dir is not None))
        running = {self._task.remote(shared, job_of(job)): job for job in jobs}
        lost: dict[int, int] = {}
        done: dict[int, FlowCandidate] = {}
        try:
            while running:
                if should_stop():
                    raise PlatformError(Code.CANCELLED, "cancelled while imagining candidates")
                ready, _ = self._ray.wait(list(running), timeout=_LOOK_S)
                for ref in ready:
                    job = running.pop(ref)
                    index = job.candidate
                    parcel = self._received(ref)
                    if parcel is None:
                        lost[index] = lost.get(index, 0) + 1
                        report(
                            f"candidate_{index + 1} lost its worker, {lost[index]} so far",
                            len(done) / len(jobs),
                        )
                        if lost[index] <= self._settings.ray_retries:
                            running[self._task.remote(shared, job_of(job))] = job
                            continue
                        done[index] = _given_up(request, index, lost[index])
                    else:
                        done[index] = _unpacked(parcel, request, lost.get(index, 0))
                        for name, spent in parcel.seconds.items():
                            seconds[name] = seconds.get(name, 0.0) + spent
                    report(f"{len(done)} of {len(jobs)} candidates", len(done) / len(jobs))
        finally:
            for ref in running:
                self._ray.cancel(ref, force=True)
        return Pool(tuple(done[i] for i in sorted(done)), seconds, prompt)

    def close(self) -> None:
        """Leave Ray; one that was started here ends."""
        self._ray.shutdown()

    def _received(self, ref: Any) -> Parcel | None:
        """A task's parcel; None when its process is gone.

        Raises:
            NovaflowError: As the task raised it.
        """
        lost = self._ray.exceptions
        try:
            parcel: Parcel = self._ray.get(ref)
        except lost.RayTaskError as error:
            raise error.cause from None
        except (lost.WorkerCrashedError, lost.NodeDiedError, lost.ObjectLostError,
                lost.OutOfMemoryError):  # fmt: skip
            return None
        return parcel


def job_of(job: VideoRequest) -> dict[str, Any]:
    """What tells one candidate's job from the others' of a goal."""
    return {"candidate": job.candidate, "spoil": job.spoil, "prompt": job.prompt}


def make_parcel(shared: tuple[FlowgenSettings, PoolRequest, bool], job: dict[str, Any]) -> Parcel:
    """Make one candidate, in a worker's process."""
    import cv2

    cv2.setNumThreads(1)
    settings, request, with_truth = shared
    with tempfile.TemporaryDirectory(prefix="novaflow_") as name:
        folder = Path(name)
        here = replace(
            request, artifacts=folder, truth_dir=folder / "truth" if with_truth else None
        )
        video = VideoRequest(here.scene, here.grounding, here.goal_image, seed=here.seed, **job)
        made = _pool_of(settings).carry_out(here, [video], lambda *_: None, lambda: False)
        files = {
            str(path.relative_to(folder)): path.read_bytes()
            for path in folder.rglob("*")
            if path.is_file()
        }
        return Parcel(made.candidates[0], made.seconds, files)


_POOLS: dict[FlowgenSettings, CandidatePool] = {}


def _pool_of(settings: FlowgenSettings) -> CandidatePool:
    """The backends of these settings; a worker keeps them, as models take minutes to load."""
    if settings not in _POOLS:
        _POOLS.clear()
        _POOLS[settings] = make_pool(
            settings,
            load_backend("video", settings.video)(settings),
            load_backend("tracks", settings.tracks)(settings),
            load_backend("prompt", settings.prompt)(settings),
        )
    return _POOLS[settings]


def _connected(settings: FlowgenSettings) -> Any:
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    try:
        import ray
    except ImportError as error:
        raise PlatformError(
            Code.UNAVAILABLE, "candidates_on:=ray needs Ray: ./novaflow setup --with ray"
        ) from error
    options: dict[str, Any] = {"log_to_driver": False, "ignore_reinit_error": False}
    if settings.ray_address:
        options["address"] = settings.ray_address
    else:
        options |= {
            "address": "local",
            "num_cpus": settings.workers,
            "include_dashboard": False,
            "_node_ip_address": "127.0.0.1",
        }
        _keep_to_loopback()
    try:
        ray.init(**options)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise PlatformError(
            Code.UNAVAILABLE, f"Ray cannot be used: {str(error).splitlines()[0]}"
        ) from error
    return ray


def _keep_to_loopback() -> None:
    """A local Ray serves this process alone: it listens on loopback, and asks nobody else.

    Given 127.0.0.1, Ray takes this machine's own address in its network instead, unless clusters
    are off. Without a dashboard and with statistics off it still starts their server, which asks
    the metadata services of three clouds where it runs; there is no setting for that. Both are
    private to Ray, whose version is pinned; that nothing leaves the machine is tested.
    """
    from ray._private import node, ray_constants

    ray_constants.ENABLE_RAY_CLUSTER = False
    os.environ[ray_constants.ENABLE_RAY_CLUSTERS_ENV_VAR] = "0"  # for the processes that it starts
    node.Node.start_api_server = lambda *_args, **_options: None


def _unpacked(parcel: Parcel, request: PoolRequest, lost: int) -> FlowCandidate:
    """Write a parcel's files where the goal wants them."""
    candidate = parcel.candidate
    for name, content in parcel.files.items():
        inside = Path(name)
        folder = request.artifacts
        if inside.parts[0] == "truth" and request.truth_dir is not None:
            folder = request.truth_dir
        _write(folder / inside.name, content)
    if candidate.video_uri:
        path = request.artifacts / f"{candidate.candidate_id}.mp4"
        candidate = replace(candidate, video_uri=path.resolve().as_uri())
    if lost:
        candidate = replace(candidate, stats={**candidate.stats, "workers_lost": float(lost)})
    return candidate


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    part.write_bytes(content)
    os.replace(part, path)


def _given_up(request: PoolRequest, index: int, lost: int) -> FlowCandidate:
    return FlowCandidate(
        f"candidate_{index + 1}", request.scene.scene_id, Code.PROCESS_LOST,
        f"its worker was lost {lost} times", None, "", "", {"workers_lost": float(lost)},
    )  # fmt: skip
