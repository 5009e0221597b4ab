"""Executor and guard as processes, over controllers that finish whatever nobody cancels."""

import os
import signal

import pytest
from action_msgs.msg import GoalStatus
from block_task import candidate, execute_goal, score_goal
from conftest import eventually
from fake_controllers import CLOSED, FakeControllers
from fr3_description import urdf
from rclpy.action import ActionClient
from rclpy.node import Node

from novaflow_core.errors import Code
from novaflow_msgs.action import ExecuteFlow, ScoreFlows
from novaflow_msgs.msg import GuardState, Heartbeat

pytestmark = [pytest.mark.graph, pytest.mark.slow]
STOP_S = 3.0  # generous: machines that run tests are noisy
OBJECT_POSITION = 0.35  # of the knuckle, with 5 cm between the pads
Phase = ExecuteFlow.Feedback


class Run:
    """One goal of /novaflow/execute_flow on its way."""

    def __init__(self, client, goal):
        self.feedback = []
        sending = client.send_goal_async(goal, lambda m: self.feedback.append(m.feedback))
        eventually(sending.done)
        self.handle = sending.result()
        self._result = self.handle.get_result_async()

    @property
    def phases(self):
        return [item.phase for item in self.feedback if item.stage.text[:1].islower()]

    def done(self):
        return self._result.done()

    def end(self, timeout_s=40.0):
        eventually(self._result.done, timeout_s)
        return self._result.result()


class Bench:
    def __init__(self, graph):
        self.graph = graph
        self.arm = graph.node(FakeControllers, urdf=urdf())
        self.arm.object_position = OBJECT_POSITION
        self.node = graph.node(Node, "observer")
        self.guard = []
        self.alive = {}
        self.scenes = 0
        self.node.create_subscription(GuardState, "/novaflow/guard_state", self.guard.append, 10)
        self.node.create_subscription(
            Heartbeat, "/novaflow/heartbeat", lambda m: self.alive.update({m.node: m}), 50
        )
        self.execute = ActionClient(self.node, ExecuteFlow, "/novaflow/execute_flow")
        self.score = ActionClient(self.node, ScoreFlows, "/novaflow/score_flows")
        self.start("guard_node")
        self.start("tracker_node")
        self.start("executor_node")

    def start(self, name):
        self.alive.pop(name, None)
        if name == "tracker_node":
            self.graph.start_bystander(name)
        elif name == "guard_node":
            self.graph.start(name, watch="[tracker_node, executor_node]")
        else:
            self.graph.start(name, speed=1.0)

        def ready():
            beat = self.alive.get(name)
            return beat is not None and beat.active and beat.pid == self.graph.pid(name)

        eventually(ready, 30.0)
        if name == "executor_node":
            assert self.execute.wait_for_server(20.0)

    def run(self, **keywords):
        self.scenes += 1
        self.arm.received.clear()
        return Run(self.execute, execute_goal(f"scene_{self.scenes}", **keywords))

    def run_into(self, phase, **keywords):
        """Start a goal and wait until the arm moves in a phase."""
        run = self.run(**keywords)
        eventually(lambda: run.done() or (phase in run.phases and self.arm.speed > 0.05), 40.0)
        assert not run.done(), run.end().result.reason
        return run

    def make_good(self, name):
        """Replace a lost process; the next goal moves the arm from where it stands."""
        os.kill(self.graph.pid(name), signal.SIGKILL)
        self.start(name)
        run = self.run_into(Phase.APPROACH)
        run.handle.cancel_goal_async()
        assert run.end().result.code == Code.CANCELLED


@pytest.fixture(scope="module")
def bench(shared_graph):
    return Bench(shared_graph)


def test_a_goal_runs_through_all_phases_under_the_guard(bench):
    run = bench.run()
    eventually(lambda: bench.guard[-1].armed or run.done(), 30.0)
    ended = run.end()
    assert ended.result.code == Code.OK, ended.result.reason
    assert ended.status == GoalStatus.STATUS_SUCCEEDED
    assert sorted(set(run.phases)) == [0, 1, 2, 3, 4]
    assert run.phases == sorted(run.phases)
    assert 0.04 < ended.result.held < 0.06
    assert len(ended.result.plan_hash) == 64
    eventually(lambda: not bench.guard[-1].armed)
    assert bench.arm.speed < 0.01


def test_scores_say_which_flows_can_be_done(bench):
    sending = bench.score.send_goal_async(
        score_goal([candidate(name="near"), candidate(name="far", sideways_m=2.5)])
    )
    eventually(sending.done)
    result = sending.result().get_result_async()
    eventually(result.done, 30.0)
    near, far = result.result().result.feasibility
    assert near.feasible
    assert near.score > 0
    assert not far.feasible
    assert far.code != Code.OK
    assert far.reason


def test_preview_moves_nothing_and_its_hash_is_what_runs(bench):
    preview = bench.run(preview=True).end().result
    assert preview.code == Code.OK, preview.reason
    assert bench.arm.received == []
    bench.scenes -= 1  # the same scene again: its plan is kept
    other = bench.run(plan_hash="0" * 64).end().result
    assert other.code == Code.PLAN_EXPIRED
    assert bench.arm.received == []
    bench.scenes -= 1
    run = bench.run(plan_hash=preview.plan_hash)
    eventually(lambda: bench.arm.speed > 0.05 or run.done(), 20.0)
    assert not run.done()
    run.handle.cancel_goal_async()
    assert run.end().result.code == Code.CANCELLED


@pytest.mark.parametrize("phase", [Phase.APPROACH, Phase.CARRY])
def test_cancel_stops_the_arm_at_once(bench, phase):
    run = bench.run_into(phase)
    run.handle.cancel_goal_async()
    took_s = eventually(lambda: bench.arm.speed < 0.01, STOP_S)
    ended = run.end()
    print(f"stopped {took_s:.2f} s after the cancel")
    assert (ended.status, ended.result.code) == (GoalStatus.STATUS_CANCELED, Code.CANCELLED)
    assert ended.result.phase == phase
    assert bench.arm.knuckle_goal > 0 or phase != Phase.CARRY  # still holding
    bench.arm.knuckle_goal = 0.0


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("tracker_node", signal.SIGKILL),
        ("guard_node", signal.SIGKILL),
        ("guard_node", signal.SIGSTOP),
    ],
)
def test_lost_process_ends_the_goal_with_its_name(bench, name, number):
    run = bench.run_into(Phase.APPROACH)
    os.kill(bench.graph.pid(name), number)
    eventually(lambda: bench.arm.speed < 0.01, STOP_S)
    result = run.end().result
    assert result.code == Code.PROCESS_LOST
    assert name in result.reason
    bench.make_good(name)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_lost_executor_does_not_leave_the_arm_moving(bench, number):
    bench.run_into(Phase.APPROACH)
    pid = bench.graph.pid("executor_node")
    os.kill(pid, number)
    eventually(lambda: bench.arm.speed < 0.01, STOP_S)
    eventually(lambda: bench.guard[-1].tripped)
    assert bench.guard[-1].culprit == f"executor_node (pid {pid})"
    bench.make_good("executor_node")


def test_executor_that_is_told_to_end_stops_the_arm_first(bench):
    bench.run_into(Phase.APPROACH)
    os.kill(bench.graph.pid("executor_node"), signal.SIGTERM)
    eventually(lambda: bench.arm.speed < 0.01, STOP_S)
    bench.graph.wait("executor_node")
    bench.start("executor_node")


def test_missed_grasp_is_said(bench):
    bench.arm.object_position = CLOSED
    result = bench.run().end().result
    bench.arm.object_position = OBJECT_POSITION
    assert (result.code, result.phase) == (Code.GRASP_MISSED, Phase.GRASP)
    bench.arm.knuckle_goal = 0.0


def test_refusal_and_failure_of_the_controller_are_said(bench):
    bench.arm.refuse = True
    result = bench.run().end().result
    bench.arm.refuse = False
    assert result.code == Code.CONTROLLER_REJECTED
    run = bench.run_into(Phase.APPROACH)
    bench.arm.fail_with = -4
    result = run.end().result
    assert result.code == Code.CONTROLLER_FAILED
    assert "-4" in result.reason
    assert "as the test wished" in result.reason


def test_robot_that_falls_silent_is_said(bench):
    run = bench.run_into(Phase.APPROACH)
    bench.arm.silent = True
    eventually(lambda: bench.arm.speed < 0.01, STOP_S)
    # Silent in mid-motion, or at its end, where the next segment does not fit the last state heard:
    # either way nothing more is sent, and the code says why.
    assert run.end().result.code in (Code.NO_ROBOT_STATE, Code.PLAN_START_STATE)
    result = bench.run().end().result
    # The executor refuses, or the guard before it: the words name what is missing.
    assert result.code != Code.OK
    assert "joint" in result.reason
    bench.arm.silent = False
