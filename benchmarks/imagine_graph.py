"""The graph as imagine_views.py drives it: launched once, one view after the other."""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rcl_interfaces.srv import SetParameters
from rclpy.parameter import Parameter

from novaflow_bringup.commands.launching import LaunchedGraph
from novaflow_bringup.core.domains import free_domains
from novaflow_bringup.core.run_record import Goal
from novaflow_bringup.ros.task_client import TaskClient
from novaflow_core.errors import Code, PlatformError
from novaflow_core.scene import Scene
from novaflow_ros.actions import call_service

_READY_S = 90.0
_SETTLE_S = 0.6  # images of the last view may still be under way


@dataclass(frozen=True)
class Imagined:
    """What came of one instruction.

    Attributes:
        code: OK when a flow was chosen.
        reason: Why, or why not.
        points: (T, K, 3) [m] of the chosen flow, or None.
        visible: (T, K), or None.
        video_sha256: Of the chosen candidate's video.
    """

    code: Code
    reason: str
    points: NDArray[np.float32] | None
    visible: NDArray[np.bool_] | None
    video_sha256: str


class GraphImaginer:
    """Sends plan-only goals and reads the run folders."""

    def __init__(self, truth_dir: Path, candidates: int, seed: int) -> None:
        """Remember what to ask for; the graph starts with the first view."""
        self._runs = Path(tempfile.mkdtemp(prefix="imagine_"))
        self._truth, self._candidates, self._seed = truth_dir, candidates, seed
        self._domains = free_domains(1)
        (self._domain,) = self._domains.__enter__()
        self._graph: LaunchedGraph | None = None
        self._view, self._number = "", 0

    def __call__(self, scene: Scene, folder: Path, instruction: str) -> Imagined:
        """Show the view, send the goal, read what was chosen."""
        if self._graph is None:
            self._start(folder)
        elif folder.name != self._view:
            self._show(folder)
        self._view = folder.name
        self._number += 1
        run = self._runs / f"{self._number:03d}"
        goal = Goal(instruction, self._candidates, self._seed, 0, True)
        record = self._client.perform(goal, folder=run, timeout_s=300.0)
        flow = run / "chosen_flow.npz"
        if not flow.exists():
            code = record.code if record.code != Code.OK else Code.INTERNAL
            return Imagined(Code(code), record.reason, None, None, "")
        with np.load(flow) as stored:
            return Imagined(
                Code.OK, "", stored["points"], stored["visible"], str(stored["video_sha256"])
            )

    def close(self) -> None:
        """End the graph."""
        if self._graph is not None:
            self._client.close()
            self._graph.close()
        self._domains.__exit__(None, None, None)

    def _start(self, folder: Path) -> None:
        config = self._runs / "imagine.yaml"
        config.write_text(
            "/**:\n  ros__parameters:\n    autostart: true\n"
            f"flowgen_node:\n  ros__parameters:\n    truth_dir: '{self._truth}'\n"
        )
        self._graph = LaunchedGraph(
            "imagine",
            {"rgbd": folder.resolve(), "config": config, "candidates": self._candidates},
            {"ROS_DOMAIN_ID": str(self._domain)},
            self._runs / "graph.log",
        ).__enter__()
        self._client = TaskClient(self._domain)
        self._client.wait_ready(_READY_S, plan_only=True, camera=True)
        self._camera = self._client.node.create_client(
            SetParameters, "/file_camera_node/set_parameters"
        )

    def _show(self, folder: Path) -> None:
        value = Parameter("directory", value=str(folder.resolve())).to_parameter_msg()
        answer = call_service(self._camera, SetParameters.Request(parameters=[value]), 20.0)
        if not answer.results[0].successful:
            raise PlatformError(Code.INVALID_SETTING, answer.results[0].reason)
        time.sleep(_SETTLE_S)
