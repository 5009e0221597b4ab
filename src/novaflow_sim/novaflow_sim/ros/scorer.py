"""The scorer: simulator's truth, served in a DDS domain of its own that no product node joins.

Node `scorer`:
  - parameter `seed` (int): what `/scorer/reset` places; set it through `/scorer/set_parameters`.
  - `/scorer/reset` (Trigger): homes the arm, opens the gripper, places the objects of `seed`.
  - `/scorer/score` (Trigger): JSON {task, seed, success, failed: [why], numbers: {...},
    disturbed, obstacle_contact_s}; `success` of the response says that the call worked, not that
    the task did.
  - `/scorer/truth` (Trigger): JSON of poses, contacts, TCP, joint velocities and pace.
"""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import numpy as np
import rclpy
import rclpy.executors
from rcl_interfaces.msg import IntegerRange, ParameterDescriptor
from rclpy.context import Context
from rclpy.parameter import Parameter
from rclpy.signals import SignalHandlerOptions
from std_srvs.srv import Trigger

from novaflow_core.errors import NovaflowError
from novaflow_sim.backends.cell import Cell
from novaflow_sim.backends.layout import true_camera_pose
from novaflow_sim.core.pacing import Pacer
from novaflow_sim.core.scoring import score


class Scorer:
    """Runs in its own context and thread."""

    def __init__(self, cell: Cell, pacer: Pacer, period_s: float, domain: int) -> None:
        """Join `domain` and serve."""
        self._cell, self._pacer, self._period_s = cell, pacer, period_s
        self._context = Context()
        # Signals stay with the product's context.
        rclpy.init(
            context=self._context,
            domain_id=domain,
            signal_handler_options=SignalHandlerOptions.NO,
        )
        self._node = rclpy.create_node("scorer", context=self._context)
        seeds = ParameterDescriptor(
            description="What the next reset places.",
            integer_range=[IntegerRange(from_value=0, to_value=2**31 - 1)],
        )
        self._node.declare_parameter("seed", cell.seed, seeds)
        for name, answer in (
            ("score", self._score),
            ("reset", self._reset),
            ("truth", self._truth),
        ):
            self._node.create_service(Trigger, f"/scorer/{name}", _served(answer))
        self._executor = rclpy.executors.SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self._node)
        self._thread = threading.Thread(target=self._spin, name="scorer", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Leave the domain."""
        self._executor.shutdown(timeout_sec=1.0)
        rclpy.shutdown(context=self._context)
        self._thread.join(timeout=2.0)

    def _spin(self) -> None:
        with contextlib.suppress(rclpy.executors.ExternalShutdownException):
            self._executor.spin()

    def _score(self) -> dict[str, Any]:
        verdict = score(self._cell.task, self._cell.truth())
        return {
            "task": self._cell.task,
            "seed": self._cell.seed,
            "disturbed": self._cell.disturbance.done,
            "obstacle_contact_s": self._cell.obstacle_contact_s,
            **asdict(verdict),
        }

    def _reset(self) -> dict[str, Any]:
        parameter: Parameter = self._node.get_parameter("seed")
        self._cell.reset(int(parameter.value))
        self._pacer.forgive()
        return {"task": self._cell.task, "seed": self._cell.seed}

    def _truth(self) -> dict[str, Any]:
        truth = self._cell.truth()
        report = self._pacer.report
        return {
            "task": self._cell.task,
            "seed": self._cell.seed,
            "time_s": self._cell.time_s,
            "poses": {name: pose.tolist() for name, pose in truth.poses.items()},
            "speeds_m_s": dict(truth.speeds),
            "contacts": sorted(sorted(pair) for pair in truth.contacts),
            "T_base_camera": true_camera_pose(self._cell.model).tolist(),
            "T_base_tcp": self._cell.tcp().tolist(),
            "arm_velocity_rad_s": self._cell.arm_velocity().tolist(),
            "gripper_position_rad": float(self._cell.gripper.position),
            "real_time_factor": report.factor(self._period_s),
            "worst_tick_gap_s": report.worst_gap_s,
            "late_ticks": report.late_ticks,
            "lost_s": report.lost_s,
        }


def _served(
    answer: Callable[[], dict[str, Any]],
) -> Callable[[Trigger.Request, Trigger.Response], Trigger.Response]:
    def callback(_request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        try:
            response.message = json.dumps(answer(), default=_plain)
            response.success = True
        except NovaflowError as error:
            response.message, response.success = str(error), False
        return response

    return callback


def _plain(value: object) -> object:
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{type(value).__name__} does not go into JSON")
