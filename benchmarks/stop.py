"""How fast, gently and reliably the arm stops, measured through the whole simulated graph.

Two parts, on one launched cell in DDS domains of its own:

1. A client cancels its task at random instants of reaching, grasping and carrying. Measured from
   the call to all joints below 0.01 rad/s, in wall and in simulated time, together with the joints'
   deceleration and whether the object stayed in the fingers (the scorer's truth).
2. SIGKILL and SIGSTOP of every product process while the arm moves: the time until it stands still,
   the code and the words that the goal ended with, and whether the next goal works.

    python benchmarks/stop.py --cancels 20 --faults --json stop.json
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sys
import tempfile
import threading
import time
from collections import deque
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import rclpy
import rclpy.executors
from rclpy.context import Context
from rclpy.node import Node
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import JointState
from std_srvs.srv import Trigger

from novaflow_bringup.commands.launching import LaunchedGraph
from novaflow_bringup.core.domains import free_domains
from novaflow_bringup.core.run_record import Goal, RunRecord
from novaflow_bringup.ros.task_client import TaskClient
from novaflow_core.errors import Code, NovaflowError

INSTRUCTION = "put the cup on the saucer"
TARGET = "cup"
CANDIDATES = 3  # few, because imagining them is not what is measured here
REST_RAD_S = 0.01
MOVING_RAD_S = 0.1
STILL_S = 0.2  # so long must the joints stay below it
DECELERATION_LIMIT = 10.0  # [rad/s^2] of the FR3, which the controller's ramp keeps
DECELERATION_WINDOW_S = 0.05
SPANS_S = {"approach": 2.5, "grasp": 0.5, "carry": 2.5}  # within a phase, from its first motion
PHASES = tuple(SPANS_S)
PROCESSES = (
    "perception_node",
    "tracker_node",
    "flowgen_node",
    "selector_node",
    "executor_node",
    "guard_node",
    "task_node",
)


@dataclass(frozen=True)
class Sample:
    """One joint state: when it arrived, its stamp [s], and the arm's velocities (7,) [rad/s]."""

    wall_s: float
    sim_s: float
    qd: np.ndarray


class Observer:
    """Hears the joint states of the product's domain and asks the scorer in the other one."""

    def __init__(self, domain: int, scorer_domain: int) -> None:
        """Join both domains."""
        self.samples: deque[Sample] = deque(maxlen=20000)
        self._contexts, self._executors, nodes = [], [], []
        for number in (domain, scorer_domain):
            context = Context()
            rclpy.init(context=context, domain_id=number)
            node = Node("stop_benchmark", context=context, use_global_arguments=False)
            executor = rclpy.executors.SingleThreadedExecutor(context=context)
            executor.add_node(node)
            threading.Thread(target=executor.spin, daemon=True).start()
            nodes.append(node)
            self._contexts.append(context)
            self._executors.append(executor)
        self._subscription = nodes[0].create_subscription(
            JointState, "/joint_states", self._on_state, qos_profile_sensor_data
        )
        self._clients = {
            name: nodes[1].create_client(Trigger, f"/scorer/{name}") for name in ("truth", "reset")
        }

    def _on_state(self, message: JointState) -> None:
        arm = [i for i, name in enumerate(message.name) if name.startswith("fr3_joint")]
        stamp = message.header.stamp.sec + message.header.stamp.nanosec * 1e-9
        velocity = np.array([message.velocity[i] for i in arm])
        self.samples.append(Sample(time.monotonic(), stamp, velocity))

    def ask(self, name: str) -> dict[str, Any]:
        """Call one of the scorer's services."""
        client = self._clients[name]
        if not client.wait_for_service(timeout_sec=10.0):
            raise SystemExit(f"/scorer/{name} is not there")
        done = threading.Event()
        future = client.call_async(Trigger.Request())
        future.add_done_callback(lambda _: done.set())
        if not done.wait(10.0):
            raise SystemExit(f"/scorer/{name} did not answer")
        return dict(json.loads(future.result().message))

    def speed(self) -> float:
        """Fastest joint now [rad/s]."""
        return float(np.abs(self.samples[-1].qd).max()) if self.samples else 0.0

    def since(self, wall_s: float) -> list[Sample]:
        """Samples that arrived after an instant."""
        return [sample for sample in list(self.samples) if sample.wall_s >= wall_s]

    def close(self) -> None:
        """Leave both domains."""
        for executor, context in zip(self._executors, self._contexts, strict=True):
            executor.shutdown(timeout_sec=1.0)
            rclpy.try_shutdown(context=context)


@dataclass
class Stop:
    """One cancel.

    Attributes:
        phase: In which the arm was.
        speed_rad_s: Fastest joint at the cancel.
        wall_s: From the call to rest.
        sim_s: The same in simulated time.
        deceleration: Largest, averaged over 50 ms [rad/s^2].
        slipped_m: How far the object moved in the fingers; NaN when it was not held.
        real_time_factor: Over the stop and the second before.
        code: That the goal ended with.
    """

    phase: str
    speed_rad_s: float
    wall_s: float
    sim_s: float
    deceleration: float
    slipped_m: float
    real_time_factor: float
    code: str


@dataclass
class Fault:
    """One lost process."""

    process: str
    signal: str
    wall_s: float
    code: str
    reason: str
    named: bool
    next_goal: str


@dataclass
class Trial:
    """One goal that runs in a thread of its own."""

    client: TaskClient
    goal: Goal
    phase: str = ""
    cancel_at: float = float("inf")
    cancelled_s: float = float("nan")
    record: RunRecord | None = None
    stages: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Send the goal."""
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        try:
            self.record = self.client.perform(
                self.goal, on_stage=self._on_stage, should_cancel=self._should_cancel
            )
        except NovaflowError as error:
            self.record = RunRecord(self.goal)
            self.record.fail(error)

    def _on_stage(self, stage: Any) -> None:
        if stage.stage == "execute" and ":" in stage.text:
            self.phase = stage.text.split(":")[0]

    def _should_cancel(self) -> bool:
        now = time.monotonic()
        if now < self.cancel_at:
            return False
        if np.isnan(self.cancelled_s):
            self.cancelled_s = now  # the client sends the cancel right after this
        return True

    @property
    def ended(self) -> bool:
        """Whether the goal has its result."""
        return self.record is not None

    def join(self, timeout_s: float) -> RunRecord | None:
        """Wait for the result."""
        self._thread.join(timeout_s)
        return self.record


def run_into(trial: Trial, phase: str, timeout_s: float = 120.0) -> bool:
    """Wait until a goal is in a phase; False when it ended before."""
    end = time.monotonic() + timeout_s
    while trial.phase != phase and time.monotonic() < end and not trial.ended:
        time.sleep(0.005)
    return trial.phase == phase


def wait_moving(trial: Trial, observer: Observer) -> None:
    """Wait until the arm moves."""
    end = time.monotonic() + 10.0
    while observer.speed() < MOVING_RAD_S and time.monotonic() < end and not trial.ended:
        time.sleep(0.002)


def rest_after(observer: Observer, begin_s: float, timeout_s: float = 5.0) -> Sample | None:
    """Return the first sample after which every joint stays below the limit."""
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        samples = observer.since(begin_s)
        moving = [i for i, s in enumerate(samples) if np.abs(s.qd).max() >= REST_RAD_S]
        first = moving[-1] + 1 if moving else 0
        if first < len(samples) and samples[-1].sim_s - samples[first].sim_s >= STILL_S:
            return samples[first]
        time.sleep(0.02)
    return None


def deceleration(samples: list[Sample]) -> float:
    """Largest slowing down of any joint [rad/s^2], averaged over a short window."""
    if len(samples) < 8:
        return float("nan")
    t = np.array([s.sim_s for s in samples])
    speed = np.abs(np.stack([s.qd for s in samples]))
    last = np.searchsorted(t, t + DECELERATION_WINDOW_S)
    rows = np.flatnonzero(last < len(t))
    change = (speed[rows] - speed[last[rows]]) / (t[last[rows]] - t[rows])[:, None]
    return float(change.max()) if len(rows) else float("nan")


def in_fingers(truth: dict[str, Any]) -> np.ndarray:
    """T_tcp_object (4, 4) of the target."""
    tcp, pose = np.array(truth["T_base_tcp"]), np.array(truth["poses"][TARGET])
    return np.asarray(np.linalg.solve(tcp, pose))


def cancel_once(client: TaskClient, observer: Observer, phase: str, delay_s: float) -> Stop | str:
    """Cancel one goal somewhere in a phase; a sentence when that was not possible."""
    observer.ask("reset")
    trial = Trial(client, Goal(INSTRUCTION, candidates=CANDIDATES, seed=1000))
    if not run_into(trial, phase):
        record = trial.join(60.0)
        return f"never came to {phase}: {record.reason if record else 'no answer'}"
    if phase != "grasp":
        wait_moving(trial, observer)
    due_s = observer.samples[-1].sim_s + delay_s  # simulated: it may run slower than the wall clock
    while observer.samples[-1].sim_s < due_s and trial.phase == phase and not trial.ended:
        time.sleep(0.002)
    trial.cancel_at = 0.0
    while np.isnan(trial.cancelled_s) and not trial.ended:
        time.sleep(0.002)
    begin_s, was = trial.cancelled_s, trial.phase
    speed = observer.speed()
    held = in_fingers(observer.ask("truth")) if was == "carry" else None
    record = trial.join(30.0)
    rest = rest_after(observer, begin_s)
    if record is None or np.isnan(begin_s) or rest is None:
        return f"{was}: no result, no cancel or no rest"
    time.sleep(1.0)
    slipped = float("nan")
    if held is not None:
        slipped = float(np.linalg.norm((in_fingers(observer.ask("truth")) - held)[:3, 3]))
    window = observer.since(begin_s - 1.0)
    pace = (window[-1].sim_s - window[0].sim_s) / (window[-1].wall_s - window[0].wall_s)
    at = min(window, key=lambda s: abs(s.wall_s - begin_s))
    return Stop(
        phase=was,
        speed_rad_s=speed,
        wall_s=max(0.0, rest.wall_s - begin_s),
        sim_s=max(0.0, rest.sim_s - at.sim_s),
        deceleration=deceleration([s for s in window if s.wall_s >= begin_s - 0.02]),
        slipped_m=slipped,
        real_time_factor=pace,
        code=record.code.name,
    )


def lose_once(
    client: TaskClient, observer: Observer, process: str, number: signal.Signals
) -> Fault:
    """Lose one process while the arm reaches, then bring it back and run the next goal."""
    observer.ask("reset")
    client.wait_ready(60.0, plan_only=False)
    trial = Trial(client, Goal(INSTRUCTION, candidates=CANDIDATES, seed=1000))
    fault = Fault(process, number.name, float("nan"), "", "", False, "")
    if run_into(trial, "approach"):
        wait_moving(trial, observer)
    if trial.ended or observer.speed() < MOVING_RAD_S:
        record = trial.join(60.0)
        fault.reason = f"the arm never moved: {record.reason if record else 'no answer'}"
        return fault
    pid = client.liveness.pid(process)
    assert pid is not None
    begin_s = time.monotonic()
    os.kill(pid, number)
    rest = rest_after(observer, begin_s, 10.0)
    fault.wall_s = rest.wall_s - begin_s if rest else float("inf")
    record = trial.join(60.0)
    fault.code = record.code.name if record else "no answer"
    fault.reason = record.reason if record else ""
    fault.named = process in fault.reason
    # What hangs is ended by the guard or the task node; the launcher starts it again.
    end = time.monotonic() + 30.0
    while client.liveness.pid(process) == pid and time.monotonic() < end:
        time.sleep(0.05)
    try:
        client.wait_ready(60.0, plan_only=False)
        following = client.perform(Goal(INSTRUCTION, candidates=CANDIDATES, seed=1000))
        fault.next_goal = following.code.name
    except NovaflowError as error:
        fault.next_goal = error.code.name
    return fault


def percentile(values: list[float], share: float) -> float:
    """Percentile of the finite values; NaN when there are none."""
    finite = [v for v in values if np.isfinite(v)]
    return float(np.percentile(finite, share)) if finite else float("nan")


def summary(stops: list[Stop]) -> dict[str, float]:
    """Numbers that the requirement speaks of."""
    return {
        "count": len(stops),
        "wall_p50_s": percentile([s.wall_s for s in stops], 50),
        "wall_p95_s": percentile([s.wall_s for s in stops], 95),
        "sim_p95_s": percentile([s.sim_s for s in stops], 95),
        "speed_max_rad_s": max((s.speed_rad_s for s in stops), default=float("nan")),
        "deceleration_max": max((s.deceleration for s in stops), default=float("nan")),
        "slipped_max_m": percentile([s.slipped_m for s in stops], 100),
        "real_time_factor_min": min((s.real_time_factor for s in stops), default=float("nan")),
        "real_time_factor_max": max((s.real_time_factor for s in stops), default=float("nan")),
    }


def report(numbers: dict[str, float], faults: list[Fault], skipped: list[str]) -> None:
    """Print what was measured."""
    if numbers["count"]:
        print(
            f"\n{numbers['count']} cancels: wall p50 {numbers['wall_p50_s']:.3f} s, "
            f"p95 {numbers['wall_p95_s']:.3f} s; simulated p95 {numbers['sim_p95_s']:.3f} s; "
            f"fastest joint {numbers['speed_max_rad_s']:.2f} rad/s; deceleration at most "
            f"{numbers['deceleration_max']:.1f} of {DECELERATION_LIMIT} rad/s^2; object moved in "
            f"the fingers by at most {numbers['slipped_max_m'] * 1e3:.1f} mm; real-time factor "
            f"{numbers['real_time_factor_min']:.3f} to {numbers['real_time_factor_max']:.3f}"
        )
    for reason in skipped:
        print(f"not counted: {reason}")
    if faults:
        print("\n| process | signal | stopped after | code | named | next goal |")
    for f in faults:
        named = "yes" if f.named else f"no: {f.reason}"
        print(
            f"| {f.process} | {f.signal} | {f.wall_s:.2f} s | {f.code} | {named} | {f.next_goal} |"
        )


def main() -> int:
    """Run both parts."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cancels", type=int, default=20, help="random instants (default 20)")
    parser.add_argument("--faults", action="store_true", help="also lose every process")
    parser.add_argument("--only", default="", help="comma-separated processes for --faults")
    parser.add_argument("--seed", type=int, default=1000, help="of the cell and of the instants")
    parser.add_argument("--json", type=Path, help="write everything here")
    parser.add_argument("arguments", nargs="*", help="launch arguments, name:=value")
    options = parser.parse_args()
    instants = random.Random(options.seed)
    stops: list[Stop] = []
    faults: list[Fault] = []
    skipped: list[str] = []
    log = Path(tempfile.mkdtemp(prefix="novaflow_stop_")) / "graph.log"
    arguments = {"task": "cup", "seed": options.seed, "record": False, "approve": False}
    arguments |= dict(word.split(":=", 1) for word in options.arguments)
    print(f"log of the graph: {log}", flush=True)
    with free_domains(2) as (domain, scorer):
        environment = {
            "ROS_DOMAIN_ID": str(domain),
            "NOVAFLOW_SCORER_DOMAIN": str(scorer),
            "NOVAFLOW_RUNS": str(log.parent / "runs"),
        }
        graph = LaunchedGraph("franka", arguments, environment, log)
        with graph, TaskClient(domain) as client:
            client.wait_ready(90.0, plan_only=False, camera=True)
            observer = Observer(domain, scorer)
            for index in range(options.cancels):
                phase = PHASES[index % len(PHASES)]
                stop = cancel_once(client, observer, phase, instants.uniform(0.0, SPANS_S[phase]))
                print(stop, flush=True)
                (skipped if isinstance(stop, str) else stops).append(stop)  # type: ignore[arg-type]
            if options.faults:
                wanted = options.only.split(",") if options.only else PROCESSES
                for process in wanted:
                    for number in (signal.SIGKILL, signal.SIGSTOP):
                        fault = lose_once(client, observer, process, number)
                        print(fault, flush=True)
                        faults.append(fault)
            observer.close()
    numbers = summary(stops)
    report(numbers, faults, skipped)
    if options.json:
        everything = {
            "summary": numbers,
            "stops": [asdict(s) for s in stops],
            "faults": [asdict(f) for f in faults],
            "skipped": skipped,
        }
        options.json.write_text(json.dumps(everything, indent=1))
    lost = [f for f in faults if not (f.named and f.wall_s <= 1.0 and f.next_goal == Code.OK.name)]
    slow = bool(stops) and max(numbers["wall_p95_s"], numbers["sim_p95_s"]) > 0.5
    return 1 if slow or lost or skipped else 0


if __name__ == "__main__":
    sys.exit(main())
