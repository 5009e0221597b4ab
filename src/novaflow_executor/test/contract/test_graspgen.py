"""The backend `graspgen` in front of a fake server on loopback that speaks its wire format."""

from __future__ import annotations

import threading

import msgpack
import numpy as np
import pytest
import zmq

from novaflow_core import se3
from novaflow_core.errors import Code, GraspError, PlatformError
from novaflow_core.registry import load_backend
from novaflow_executor.core.grasp_settings import GraspSettings
from novaflow_executor.core.grasps import GraspRequest
from novaflow_executor.core.planner import MotionPlanner

DEPTH_M = 0.1053


def array(values, kind=b""):
    """An array as the server writes it."""
    return {
        b"nd": True, b"type": values.dtype.str, b"kind": kind, b"shape": values.shape,
        b"data": values.tobytes(),
    }  # fmt: skip


class FakeGraspGen:
    """Answers each question with a function of it; keeps what it was asked."""

    def __init__(self, answer):
        self.asked = []
        self._answer = answer
        self._socket = zmq.Context.instance().socket(zmq.REP)
        self.url = f"tcp://127.0.0.1:{self._socket.bind_to_random_port('tcp://127.0.0.1')}"
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self):
        while not self._ends.is_set():
            if not self._socket.poll(20):
                continue
            question = msgpack.unpackb(self._socket.recv(), raw=False, strict_map_key=False)
            self.asked.append(question)
            answer = self._answer(question)
            if answer is None:  # it hangs
                continue
            body = answer if isinstance(answer, bytes) else msgpack.packb(answer)
            self._socket.send(body)

    def close(self):
        self._ends.set()
        self._thread.join()
        self._socket.close(0)


@pytest.fixture
def serve():
    running = []

    def start(answer):
        running.append(FakeGraspGen(answer))
        return running[-1]

    yield start
    for server in running:
        server.close()


def cloud_of(question):
    sent = question["point_cloud"]
    return np.frombuffer(sent[b"data"], sent[b"type"]).reshape(sent[b"shape"])


def from_above(cloud, depth_m=0.02, count=12):
    """Gripper bases above the cloud's middle, turned in steps, +z down."""
    low, high = cloud.min(axis=0), cloud.max(axis=0)
    poses = []
    for turn in np.linspace(0, np.pi, count, endpoint=False):
        rotation = se3.exp_so3([0, 0, turn]) @ np.diag([1.0, -1.0, -1.0])
        place = [*(0.5 * (low + high))[:2], high[2] - depth_m + DEPTH_M]
        poses.append(se3.from_rt(rotation, place))
    return np.array(poses, np.float32)


def grasps(question):
    poses = from_above(cloud_of(question))
    return {
        "grasps": array(poses),
        "confidences": array(np.linspace(0.9, 0.5, len(poses)).astype(np.float32)),
        "num_grasps": len(poses),
        "timing": {"infer_ms": 1.0},
    }


def propose(url, points, scene, settings, **parameters):
    backend = load_backend("grasps", "graspgen")(GraspSettings(graspgen_url=url, **parameters))
    return backend.propose(GraspRequest(points, scene, settings.gripper))


def refusal(*arguments, **keywords):
    with pytest.raises(GraspError) as error:
        propose(*arguments, **keywords)
    return error.value


def test_grasps_are_fitted_to_the_gripper(serve, block_cloud, make_scene, settings):
    server = serve(grasps)
    found = propose(server.url, block_cloud(), make_scene(), settings)
    assert 1 <= len(found) <= 12
    scores = [g.score for g in found]
    assert scores == sorted(scores, reverse=True)
    for grasp in found:
        assert 0.04 < grasp.width_m <= settings.gripper.max_opening
        rotation = grasp.T_planning_tcp[:3, :3]
        np.testing.assert_allclose(rotation.T @ rotation, np.eye(3), atol=1e-9)
        tip = se3.apply(grasp.T_planning_tcp, np.array([0, 0, settings.gripper.reach(0.0)]))
        assert tip[2] == pytest.approx(0.05, abs=0.006)  # 20 mm below the block's top
        np.testing.assert_allclose(tip[:2], [0.5, -0.15], atol=0.012)
    told = server.asked[0]
    assert told["action"] == "infer"
    np.testing.assert_allclose(cloud_of(told).mean(axis=0), 0.0, atol=1e-4)
    assert cloud_of(told).dtype == np.float32


def test_they_plan_a_whole_motion(
    serve, urdf_text, settings_path, block_cloud, make_scene, make_candidate
):
    planner = MotionPlanner.from_files(
        urdf_text, settings_path, grasps="graspgen",
        grasp_settings=GraspSettings(graspgen_url=serve(grasps).url),
    )  # fmt: skip
    cloud = block_cloud()
    plan = planner.plan(cloud, make_scene(), make_candidate(cloud, (0.0, 0.2, 0.0)), planner.home)
    assert plan.segments


def test_what_does_not_fit_is_refused_with_reasons(serve, make_scene, settings):
    rng = np.random.default_rng(0)
    slab = np.c_[rng.uniform(-0.15, 0.15, (6000, 2)) + np.array([0.5, 0.0]), np.full(6000, 0.05)]
    error = refusal(serve(grasps).url, slab, make_scene(), settings)
    assert error.code == Code.NO_GRASP
    assert "12 too wide" in error.reason


def test_no_grasps_are_no_grasps(serve, block_cloud, make_scene, settings):
    nothing = {"grasps": array(np.zeros((0, 4, 4), np.float32)), "confidences": array(np.zeros(0))}
    error = refusal(serve(lambda _: nothing).url, block_cloud(), make_scene(), settings)
    assert error.code == Code.NO_GRASP
    assert "it gave none" in error.reason


@pytest.mark.parametrize(
    ("answer", "code", "words"),
    [
        ({"error": "CUDA out of memory"}, Code.GRASP_SERVICE_FAILED, "CUDA out of memory"),
        ({"status": "ok"}, Code.GRASP_SERVICE_NONSENSE, "status"),
        (b"\xc1", Code.GRASP_SERVICE_NONSENSE, "no message"),
        (b"\x01", Code.GRASP_SERVICE_NONSENSE, "int"),
        (
            {"grasps": array(np.zeros((2, 4, 4))), "confidences": array(np.zeros(3))},
            Code.GRASP_SERVICE_NONSENSE,
            "(M, 4, 4)",
        ),
        (
            {"grasps": array(np.full((1, 4, 4), np.nan)), "confidences": array(np.zeros(1))},
            Code.GRASP_SERVICE_NONSENSE,
            "(M, 4, 4)",
        ),
        (
            {"grasps": array(np.zeros((1, 4, 4)), kind=b"O"), "confidences": array(np.zeros(1))},
            Code.GRASP_SERVICE_NONSENSE,
            "array of objects",
        ),
    ],
)
def test_bad_answers_have_codes(serve, block_cloud, make_scene, settings, answer, code, words):
    error = refusal(serve(lambda _: answer).url, block_cloud(), make_scene(), settings)
    assert error.code == code
    assert words in error.reason


def test_a_server_that_hangs_or_is_not_there_times_out(serve, block_cloud, make_scene, settings):
    for url in (serve(lambda _: None).url, "tcp://127.0.0.1:9"):
        error = refusal(url, block_cloud(), make_scene(), settings, graspgen_timeout_s=0.2)
        assert error.code == Code.GRASP_SERVICE_TIMEOUT
        assert url in error.reason


def test_an_address_that_is_none_is_refused():
    with pytest.raises(PlatformError) as error:
        load_backend("grasps", "graspgen")(GraspSettings(graspgen_url="localhost:5556"))
    assert error.value.code == Code.INVALID_SETTING
