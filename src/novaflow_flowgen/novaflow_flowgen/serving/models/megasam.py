r"""MegaSaM as the model `megasam`: depth and camera of a whole video.

    git clone --recursive https://github.com/mega-sam/mega-sam   # its README: environment, weights
    PYTHONPATH=src/novaflow_flowgen python -m novaflow_flowgen.serving.server \
        --model megasam=novaflow_flowgen.serving.models.megasam:make_megasam \
        --option megasam.checkout=mega-sam

MegaSaM is a row of scripts that hand files on, so each request runs them in a folder of its own,
which is cleared away whatever happens; each loads its weights anew. The angle of view that UniDepth
guesses is replaced by the camera's. The copy in TAPIP3D (`third_party/megasam`) runs as well: it
keeps that angle, where the original may refine it, and does not crop. Depth and camera come in a
unit of MegaSaM's own.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import signal
import subprocess
import sys
import tempfile
import time
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from novaflow_flowgen.serving import caller
from novaflow_flowgen.serving.errors import CallerLeftError, InputError, SetupError
from novaflow_flowgen.serving.models.inputs import (
    horizontal_view_deg,
    take_colors,
    take_intrinsics,
)
from novaflow_flowgen.serving.models.upstream import (
    find_checkout,
    load_torch,
    load_upstream,
    need_file,
)

_HOME = "https://github.com/mega-sam/mega-sam"
_WEIGHTS = {
    "checkpoints/megasam_final.pth": "the checkout itself",
    "Depth-Anything/checkpoints/depth_anything_vitl14.pth": f"where the README of {_HOME} says",
    "cvd_opt/raft-things.pth": f"where the README of {_HOME} says",
}
_MODULES = ("kornia", "torch_scatter", "lietorch", "droid_backends")
_SCENE = "view"
_PIXELS = 384 * 512  # to which MegaSaM shrinks every image
_NEAR, _FAR = 1.1e-3, 99.0  # where MegaSaM clips its depth: no number beyond
_MIN_FRAMES = 8  # its tracker starts with as many
_POLL_S = 0.2
_TAIL_LINES = 40  # of a failed script's words in the server's log


@dataclass(frozen=True)
class Step:
    """One script of MegaSaM.

    Attributes:
        script: Its path in the checkout.
        arguments: Of its command line.
        modules: Folders of the checkout that it imports from.
    """

    script: str
    arguments: tuple[str, ...]
    modules: tuple[str, ...] = ()


def depth_steps(checkout: Path) -> tuple[Step, ...]:
    """The scripts that look at single images."""
    weights = str(checkout / "Depth-Anything/checkpoints/depth_anything_vitl14.pth")
    return (
        Step(
            "Depth-Anything/run_videos.py",
            ("--encoder", "vitl", "--load-from", weights, "--img-path", "images",
             "--outdir", f"relative/{_SCENE}"),
            ("Depth-Anything",),
        ),
        Step(
            "UniDepth/scripts/demo_mega-sam.py",
            ("--scene-name", _SCENE, "--img-path", "images", "--outdir", "metric"),
            ("UniDepth",),
        ),
    )  # fmt: skip


def video_steps(checkout: Path, view_deg: float, is_copy: bool) -> tuple[Step, ...]:
    """The scripts that look at the whole video."""
    known_view = (f"--fov_x={view_deg!r}",) if is_copy else ()
    return (
        Step(
            "camera_tracking_scripts/test_demo.py",
            ("--datapath", "images", "--weights", str(checkout / "checkpoints/megasam_final.pth"),
             "--scene_name", _SCENE, "--mono_depth_path", "relative",
             "--metric_depth_path", "metric", "--disable_vis", *known_view),
            (".", "base/droid_slam"),
        ),
        Step(
            "cvd_opt/preprocess_flow.py",
            ("--datapath", "images", "--model", str(checkout / "cvd_opt/raft-things.pth"),
             "--scene_name", _SCENE, "--mixed_precision"),
            (".", "cvd_opt", "cvd_opt/core"),
        ),
        Step(
            "cvd_opt/cvd_opt.py",
            ("--scene_name", _SCENE, "--w_grad", "2.0", "--w_normal", "5.0"),
            (".", "cvd_opt"),
        ),
    )  # fmt: skip


class Megasam:
    """MegaSaM's scripts, one request after the other."""

    def __init__(self, checkout: Path, cv2: Any, limit_s: float) -> None:
        """Keep the checkout, which was looked at already."""
        self._checkout, self._cv2, self._limit_s = checkout, cv2, limit_s
        self._is_copy = (checkout / "inference.py").is_file()

    def __call__(self, arrays: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Depth (T, H, W) float32 along optical +z, NaN where unknown, and T_world_camera.

        Raises:
            InputError: If `frames` or `intrinsics` are of another form, or frames are too few.
            RuntimeError: If a script fails, takes too long, or leaves something else.
            CallerLeftError: If nobody waits for the answer any more.
        """
        frames = take_colors(arrays, "frames", None, None, None)
        if len(frames) < _MIN_FRAMES:
            raise InputError(f"{len(frames)} frames; MegaSaM needs {_MIN_FRAMES}")
        view_deg = horizontal_view_deg(take_intrinsics(arrays), frames.shape[2])
        deadline = time.monotonic() + self._limit_s
        with tempfile.TemporaryDirectory(prefix="megasam_") as name:
            folder = Path(name)
            self._write(frames, folder / "images")
            for step in depth_steps(self._checkout):
                self._run(step, folder, deadline)
            set_view(folder / "metric" / _SCENE, view_deg, len(frames))
            for step in video_steps(self._checkout, view_deg, self._is_copy):
                self._run(step, folder, deadline)
            return self._read(folder / "outputs_cvd" / f"{_SCENE}_sgd_cvd_hr.npz", frames.shape)

    def _write(self, frames: NDArray[np.uint8], folder: Path) -> None:
        folder.mkdir()
        for step, frame in enumerate(frames):
            path = folder / f"{step:05d}.png"
            if not self._cv2.imwrite(str(path), frame[..., ::-1]):
                raise RuntimeError(f"{path} cannot be written")

    def _run(self, step: Step, folder: Path, deadline: float) -> None:
        paths = [str(self._checkout / module) for module in step.modules]
        known = os.environ.get("PYTHONPATH", "")
        variables = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([*paths, *([known] * bool(known))]),
        }
        command = [sys.executable, str(self._checkout / step.script), *step.arguments]
        log = folder / "words.log"
        status = _finish(command, folder, variables, log, deadline, step.script)
        if status != 0:
            lines = log.read_text(errors="replace").splitlines()
            print(*lines[-_TAIL_LINES:], sep="\n", file=sys.stderr, flush=True)
            last = next((line for line in reversed(lines) if line.strip()), "no word")
            raise RuntimeError(f"MegaSaM's {step.script} ended with {status}: {last.strip()}")

    def _read(self, path: Path, shape: tuple[int, ...]) -> dict[str, NDArray[Any]]:
        steps, height, width = shape[:3]
        if not path.is_file():
            raise RuntimeError(f"MegaSaM left no {path.name}")
        with np.load(path, allow_pickle=False) as left:
            depth, poses = left["depths"].astype(np.float32), left["cam_c2w"].astype(float)
        if len(depth) != steps or poses.shape != (steps, 4, 4):
            raise RuntimeError(f"MegaSaM left depth {depth.shape} and poses {poses.shape}")
        depth[(depth < _NEAR) | (depth > _FAR)] = np.nan
        scale = (depth.shape[1] / height, depth.shape[2] / width)
        if not self._is_copy:  # shrunk to a number of pixels, then cut at the right and below
            ratio = np.sqrt(_PIXELS / (height * width))
            scale = (int(height * ratio) / height, int(width * ratio) / width)
        full = [enlarge(image, scale, (height, width)) for image in depth]
        return {"depth": np.stack(full), "T_world_camera": poses}


def _finish(
    command: Sequence[str],
    folder: Path,
    variables: Mapping[str, str],
    log: Path,
    deadline: float,
    what: str,
) -> int:
    """Run a command to its end; it and its children end with this call, or with this process."""
    with log.open("wb") as words:
        process = subprocess.Popen(
            command, cwd=folder, env=variables, stdin=subprocess.DEVNULL, stdout=words,
            stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
    end = weakref.finalize(process, _kill, process.pid)
    try:
        while True:
            with contextlib.suppress(subprocess.TimeoutExpired):
                return process.wait(_POLL_S)
            if caller.has_left():
                raise CallerLeftError
            if time.monotonic() > deadline:
                raise RuntimeError(f"MegaSaM's {what} was not done in time (megasam.limit_s)")
    finally:
        end()
        process.wait()


def _kill(group: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)


def set_view(folder: Path, view_deg: float, count: int) -> None:
    """Put the camera's angle of view where UniDepth left its guess.

    Raises:
        RuntimeError: If there are not as many files as frames.
    """
    paths = sorted(folder.glob("*.npz"))
    if len(paths) != count:
        raise RuntimeError(f"UniDepth left {len(paths)} files for {count} frames")
    for path in paths:
        with np.load(path, allow_pickle=False) as left:
            depth = left["depth"]
        np.savez(path, depth=depth, fov=np.float64(view_deg))


def enlarge(
    image: NDArray[np.float32], scale: tuple[float, float], size: tuple[int, int]
) -> NDArray[np.float32]:
    """Sample an image that was shrunk by `scale` (v, u) at the pixels of the original.

    Returns:
        Values (height, width); NaN where the image does not reach, or one of four neighbours is.
    """
    out = np.full(size, np.nan, np.float32)
    sides = []
    for count, factor, many in zip(image.shape, scale, size, strict=True):
        at = (np.arange(many) + 0.5) * factor - 0.5
        inside = np.flatnonzero((at > -0.5 - 1e-9) & (at < count - 0.5 + 1e-9))
        at = np.clip(at[inside], 0, count - 1)
        low = np.minimum(at.astype(int), max(count - 2, 0))
        sides.append((inside, low, np.minimum(low + 1, count - 1), (at - low).astype(np.float32)))
    (rows, v0, v1, dv), (columns, u0, u1, du) = sides
    above, below = image[v0], image[v1]
    between = above + dv[:, None] * (below - above)
    left, right = between[:, u0], between[:, u1]
    out[np.ix_(rows, columns)] = left + du * (right - left)
    return out


def make_megasam(*, checkout: str, limit_s: float = 3600.0) -> Megasam:
    """Look whether MegaSaM can run here.

    Args:
        checkout: Folder with MegaSaM's code and weights, or TAPIP3D's `third_party/megasam`.
        limit_s: Longest time for one video [s].

    Raises:
        SetupError: If code, weights, a package, an extension or a GPU are missing.
    """
    folder = find_checkout(checkout, "camera_tracking_scripts/test_demo.py", _HOME)
    for step in (*depth_steps(folder), *video_steps(folder, 0.0, is_copy=False)):
        need_file(folder / step.script, _HOME)
    need_file(
        folder / "base/droid_slam/droid.py", "git submodule update --init --recursive, run there"
    )
    for path, where in _WEIGHTS.items():
        need_file(folder / path, where)
    cv2 = load_upstream("cv2", "OpenCV (opencv-python)")
    load_torch("cuda")
    missing = [name for name in _MODULES if importlib.util.find_spec(name) is None]
    if missing:
        raise SetupError(
            f"{', '.join(missing)} missing in the environment of {sys.executable}; "
            f"see the README of {_HOME} (python setup.py install in base/ builds the extensions)"
        )
    return Megasam(folder, cv2, limit_s)
