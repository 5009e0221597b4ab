"""The watchdog, with a clock that only moves when told."""

import pytest

from novaflow_core.errors import Code, PlatformError
from novaflow_executor.core.guard import GuardLimits, Watchdog

LIMITS = GuardLimits(heartbeat_s=0.5, joint_state_s=0.3, own_gap_s=0.4)


class World:
    """Beats every 0.1 s, joint states and checks every 0.02 s, unless told otherwise."""

    def __init__(self, watch=("tracker_node", "executor_node")):
        self.dog = Watchdog("guard_node (pid 1)", watch, LIMITS)
        self.now = 100.0
        self.pids = {name: 10 + i for i, name in enumerate(watch)}
        self.active = dict.fromkeys(watch, True)
        self.joints = True

    def run(self, seconds, check_every=1):
        trips = []
        for tick in range(round(seconds / 0.02)):
            self.now += 0.02
            if tick % 5 == 0:
                for name, pid in self.pids.items():
                    self.dog.heartbeat(name, pid, self.active[name], self.now)
            if self.joints:
                self.dog.joint_state(self.now)
            if tick % check_every == 0 and (trip := self.dog.check(self.now)):
                trips.append((self.now, trip))
        return trips


def test_nothing_happens_while_everything_lives():
    world = World()
    world.run(1.0)
    world.dog.arm(world.now)
    assert world.run(60.0) == []


def test_arming_names_everything_that_is_missing():
    world = World(("a_node", "b_node", "c_node"))
    del world.pids["a_node"]
    world.active["c_node"] = False
    world.run(1.0)
    with pytest.raises(PlatformError) as failure:
        world.dog.arm(world.now)
    assert failure.value.code == Code.PROCESS_LOST
    assert "a_node was never heard" in failure.value.reason
    assert "c_node (pid 12) is not active" in failure.value.reason
    assert "b_node" not in failure.value.reason
    assert not world.dog.armed


def test_arming_needs_the_robot():
    world = World()
    world.joints = False
    world.run(1.0)
    with pytest.raises(PlatformError) as failure:
        world.dog.arm(world.now)
    assert failure.value.code == Code.NO_ROBOT_STATE


def test_silent_process_trips_once_with_name_and_pid():
    world = World()
    world.run(1.0)
    world.dog.arm(world.now)
    world.run(1.0)
    lost_at = world.now
    del world.pids["tracker_node"]
    trips = world.run(2.0)
    assert len(trips) == 1
    when, trip = trips[0]
    assert 0.4 < when - lost_at < 0.55
    assert (trip.code, trip.culprit) == (Code.PROCESS_LOST, "tracker_node (pid 10)")


def test_process_that_was_replaced_trips():
    world = World()
    world.run(1.0)
    world.dog.arm(world.now)
    world.pids["tracker_node"] = 99
    [(_, trip)] = world.run(0.5)
    assert trip.culprit == "tracker_node (pid 10)"
    assert "99" in trip.reason


def test_process_that_is_deactivated_trips():
    world = World()
    world.run(1.0)
    world.dog.arm(world.now)
    world.active["executor_node"] = False
    [(_, trip)] = world.run(0.5)
    assert trip.culprit.startswith("executor_node")


def test_silent_robot_trips():
    world = World()
    world.run(1.0)
    world.dog.arm(world.now)
    world.joints = False
    [(_, trip)] = world.run(1.0)
    assert (trip.code, trip.culprit) == (Code.NO_ROBOT_STATE, "/joint_states")


def test_guard_that_stood_still_says_so_even_when_all_others_live():
    world = World()
    world.run(1.0)
    world.dog.arm(world.now)
    trips = world.run(1.0, check_every=25)
    assert trips[0][1].culprit == "guard_node (pid 1)"


def test_trip_stays_until_the_next_arming():
    world = World()
    world.run(1.0)
    world.dog.arm(world.now)
    world.joints = False
    world.run(1.0)
    world.joints = True
    world.run(1.0)
    world.dog.disarm()
    assert world.dog.trip is not None
    world.dog.arm(world.now)
    assert world.dog.trip is None
    assert world.run(1.0) == []


def test_disarmed_guard_lets_processes_go():
    world = World()
    world.run(1.0)
    world.dog.arm(world.now)
    world.dog.disarm()
    world.pids.clear()
    assert world.run(2.0) == []


def test_it_remembers_how_near_the_limits_came():
    world = World()
    world.run(1.0)
    world.dog.arm(world.now)
    world.run(1.0)
    world.joints = False
    world.run(0.2)
    world.joints = True
    world.run(1.0)
    assert world.dog.trip is None
    assert 0.19 < world.dog.longest_s["joint states"] < 0.23
    assert world.dog.silences().startswith("joint states 0.2")


def test_only_what_was_heard_once_can_hang():
    world = World(("a_node", "b_node"))
    world.run(1.0)
    del world.pids["a_node"]
    world.run(3.0)
    assert world.dog.frozen(2.0, world.now) == [("a_node", 10)]
    assert Watchdog("guard_node (pid 1)", ("c_node",), LIMITS).frozen(2.0, world.now) == []
