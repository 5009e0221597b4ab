"""Whether tracker_node keeps up with a camera: images tracked, delay, and how far off.

    python benchmarks/tracker_rate.py [--task cup] [--seed 1000] [--rates 10 15 30] [--seconds 6]
                                      [--json FILE]

The target is carried along an arc. All images are rendered before anything is measured, as a real
camera renders nothing on this machine, and published at each rate in turn, colour and aligned depth
of 1280x720, to a tracker_node of its own process and DDS domain. Delay is from an image's stamp
to the pose that was found in it, as another process receives it.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import mujoco
import numpy as np
import rclpy
import rclpy.executors
from cell_views import INSTRUCTIONS, cell_scene, sensors_of
from numpy.typing import NDArray
from rclpy.context import Context
from sensor_msgs.msg import Image

from novaflow_bringup.core.domains import free_domains
from novaflow_core import se3
from novaflow_core.errors import Code
from novaflow_core.grounding import Grounding
from novaflow_core.scene import Scene
from novaflow_msgs.msg import ObjectTrack
from novaflow_msgs.srv import TrackObject
from novaflow_perception.backends.tabletop import TabletopGrounder
from novaflow_perception.core.instruction import parse
from novaflow_perception.ros.tracker_node import COLOR_TOPIC, DEPTH_TOPIC
from novaflow_ros import conversions
from novaflow_ros.actions import call_service
from novaflow_sim.backends import layout
from novaflow_sim.backends.cell import Cell
from novaflow_sim.backends.rendering import Renderer
from novaflow_sim.core import objects
from novaflow_sim.core.settings import CellSettings

ARC_M = (0.0, 0.12, 0.10)  # aside, and up in the middle, base frame
ARC_S = 2.0  # of the way there; then back
WAIT_S = 60.0

Float = NDArray[np.float64]


@dataclass(frozen=True)
class Row:
    """What one rate gave; `off` is how far the tracked pose is from the true one."""

    rate_hz: float
    published: int
    tracked: int
    visible: int
    delay_median_ms: float
    delay_p95_ms: float
    off_median_mm: float
    off_worst_mm: float

    @property
    def text(self) -> str:
        """For people."""
        return (
            f"{self.rate_hz:4.0f} Hz: {self.tracked} of {self.published} images tracked, "
            f"{self.visible} of them show it; delay {self.delay_median_ms:.0f} ms, 95 % "
            f"{self.delay_p95_ms:.0f} ms; off {self.off_median_mm:.1f} mm, worst "
            f"{self.off_worst_mm:.1f} mm"
        )


@dataclass(frozen=True)
class Film:
    """Images at even steps of the way there and back."""

    colour: list[NDArray[np.uint8]]
    depth_mm: list[NDArray[np.uint16]]
    shift_m: Float  # (N, 3) of the target since the first image, base frame


def film(task: str, seed: int, count: int) -> Film:
    """Render the target on its way there and back in `count` images."""
    settings = CellSettings(task=task, seed=seed)
    width, height = settings.image_width, settings.image_height
    cell = Cell(task, seed)
    layout.apply_looks(cell.model, layout.layout_of(cell.model, task, seed))
    colour_sensor, depth_sensor = sensors_of(settings)
    start = int(cell.model.joint(f"{objects.TASKS[task].target.name}_free").qposadr[0])
    rest = cell.data.qpos[start : start + 3].copy()
    share = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(count) / count)
    shift = np.outer(share, [ARC_M[0], ARC_M[1], 0.0])
    shift[:, 2] = ARC_M[2] * np.sin(np.pi * share)
    out = Film([], [], shift)
    renderer = Renderer(cell.model, width, height)
    try:
        for off in shift:
            cell.data.qpos[start : start + 3] = rest + off
            mujoco.mj_kinematics(cell.model, cell.data)
            mujoco.mj_camlight(cell.model, cell.data)
            colour, depth = renderer.render(cell.data)
            out.colour.append(colour_sensor.measure(colour))
            out.depth_mm.append(depth_sensor.measure(depth))
    finally:
        renderer.close()
    return out


class Camera:
    """Publishes a film, and hears what is tracked."""

    def __init__(self, domain: int) -> None:
        """Join a domain."""
        self._context = Context()
        rclpy.init(context=self._context, domain_id=domain)
        self.node = rclpy.create_node("film", context=self._context)
        self._executor = rclpy.executors.SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self.node)
        self.heard: list[tuple[float, ObjectTrack]] = []
        self.node.create_subscription(ObjectTrack, "/novaflow/object_track", self._hear, 50)
        self._client = self.node.create_client(TrackObject, "/novaflow/track_object")
        self._images = [self.node.create_publisher(Image, t, 2) for t in (COLOR_TOPIC, DEPTH_TOPIC)]
        self._thread = threading.Thread(target=self._spin, daemon=True)
        self._thread.start()

    def _spin(self) -> None:
        with contextlib.suppress(rclpy.executors.ExternalShutdownException):
            self._executor.spin()

    def _hear(self, track: ObjectTrack) -> None:
        self.heard.append((time.time(), track))

    def ask(self, **request: object) -> TrackObject.Response:
        """Start or stop tracking."""
        return call_service(self._client, TrackObject.Request(**request), WAIT_S)

    def show(self, shown: Film, number: int, frame_id: str) -> int:
        """Publish an image; returns its stamp [ns]."""
        stamp_ns = time.time_ns()
        pair = ((shown.colour[number], "rgb8"), (shown.depth_mm[number], "16UC1"))
        for publisher, (image, encoding) in zip(self._images, pair, strict=True):
            publisher.publish(conversions.image_to_msg(image, encoding, frame_id, stamp_ns))
        return stamp_ns

    def is_watched(self) -> bool:
        """Whether somebody takes both kinds of image."""
        return all(p.get_subscription_count() > 0 for p in self._images)

    def close(self) -> None:
        """Leave the domain."""
        self._executor.shutdown(timeout_sec=2.0)
        rclpy.try_shutdown(context=self._context)


@contextlib.contextmanager
def tracker(domain: int) -> Iterator[None]:
    """Run a tracker_node in a domain."""
    start = "from novaflow_perception.ros.tracker_node import main; main()"
    command = [sys.executable, "-c", start]
    node = subprocess.Popen(command, env=os.environ | {"ROS_DOMAIN_ID": str(domain)})
    try:
        yield
    finally:
        node.terminate()
        node.wait(10.0)


def measure(camera: Camera, scene: Scene, grounding: Grounding, shown: Film, rate_hz: float) -> Row:
    """Show a film at a rate to a tracker that is there already."""
    answer = camera.ask(
        track=True,
        scene=conversions.scene_to_msg(scene),
        grounding=conversions.grounding_to_msg(grounding),
    )
    if answer.code != Code.OK:
        raise SystemExit(f"tracker_node refused: {answer.reason}")
    until = time.monotonic() + WAIT_S
    while not camera.is_watched() and time.monotonic() < until:
        time.sleep(0.05)
    middle = grounding.points(scene, grounding.target).mean(axis=0)
    camera.heard.clear()
    numbers: dict[int, int] = {}
    due = time.monotonic()
    for number in range(len(shown.colour)):
        time.sleep(max(due - time.monotonic(), 0.0))
        due += 1.0 / rate_hz
        numbers[camera.show(shown, number, scene.main.frame_id)] = number
    time.sleep(1.0)
    camera.ask(track=False)
    delays, off, visible = [], [], 0
    for received_s, track in camera.heard:
        stamp_ns = conversions.time_to_ns(track.header.stamp)
        delays.append(received_s - stamp_ns * 1e-9)
        visible += track.visible
        if track.visible:
            moved = se3.apply(conversions.pose_to_matrix(track.pose.pose), middle) - middle
            off.append(float(np.linalg.norm(moved - shown.shift_m[numbers[stamp_ns]])))
    nothing = [float("nan")]
    return Row(
        rate_hz,
        len(shown.colour),
        len(delays),
        visible,
        round(1e3 * float(np.median(delays or nothing)), 1),
        round(1e3 * float(np.quantile(delays or nothing, 0.95)), 1),
        round(1e3 * float(np.median(off or nothing)), 1),
        round(1e3 * max(off or nothing), 1),
    )


def main() -> int:
    """Run all rates and print the table."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--task", choices=["cup", "insert", "mug", "plant"], default="cup")
    options.add_argument("--seed", type=int, default=1000)
    options.add_argument("--rates", type=float, nargs="+", default=[10.0, 15.0, 30.0])
    options.add_argument("--seconds", type=float, default=6.0, help="of each rate")
    options.add_argument("--json", type=Path)
    chosen = options.parse_args()
    scene = cell_scene(chosen.task, chosen.seed)
    grounding = TabletopGrounder().ground(scene, parse(INSTRUCTIONS[chosen.task]))
    films = {rate: film(chosen.task, chosen.seed, round(rate * ARC_S)) for rate in chosen.rates}
    times = max(round(chosen.seconds / ARC_S), 1)
    rows: list[Row] = []
    with free_domains(1) as (domain,), tracker(domain):
        camera = Camera(domain)
        try:
            for rate, once in films.items():
                shown = Film(once.colour * times, once.depth_mm * times,
                             np.tile(once.shift_m, (times, 1)))  # fmt: skip
                rows.append(measure(camera, scene, grounding, shown, rate))
                print(rows[-1].text, flush=True)
        finally:
            camera.close()
    if chosen.json is not None:
        chosen.json.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
