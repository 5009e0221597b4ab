"""Grasp backend `graspgen`: proposals of a GraspGen server, fitted to the gripper that is there.

The server (ZMQ REQ/REP, msgpack) is asked {"action": "infer", "point_cloud": (N, 3) float32, ...}
and answers {"grasps": (M, 4, 4), "confidences": (M,)}, or {"error": words}. A grasp's frame is the
base of the gripper that its checkpoint was trained for: +z along the approach, +x along the closing
direction. It says nothing of the opening, which is measured on the cloud here. Object arrays, which
its array format would pickle, are refused.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from novaflow_core import se3
from novaflow_core.errors import Code, GraspError, PlatformError
from novaflow_core.grasp import Grasp
from novaflow_executor.core.grasp_settings import GraspSettings
from novaflow_executor.core.grasps import GraspRequest, object_shape
from novaflow_executor.core.robot_settings import GripperSpec

Array = NDArray[np.float64]

KEPT = 50
SIDE_CLEARANCE_M = 0.008  # between an open pad and the object
_BESIDE_PAD_M = 0.003
_SLACK_M = 0.004  # that an open gripper must have beside the object, both sides together
_OVER_SUPPORT_M = 0.003  # of the tips
_MOST_BYTES = 64 << 20


class GraspGen:
    """Asks one server; see `GraspProposer`.

    Raises:
        PlatformError: UNAVAILABLE without the client libraries, naming the command that installs
            them; INVALID_SETTING without an address.
    """

    def __init__(self, settings: GraspSettings) -> None:
        """Load the libraries; nothing is sent."""
        try:
            import msgpack
            import zmq
        except ImportError as error:
            raise PlatformError(
                Code.UNAVAILABLE,
                f"grasp backend 'graspgen' needs pyzmq and msgpack ({error}); install them with "
                "`./novaflow setup --with cloud`",
            ) from error
        if not settings.graspgen_url.startswith("tcp://"):
            raise PlatformError(
                Code.INVALID_SETTING,
                f"graspgen_url '{settings.graspgen_url}' is no address like tcp://localhost:5556",
            )
        self._settings, self._zmq, self._msgpack = settings, zmq, msgpack
        self._context = zmq.Context.instance()

    def propose(self, request: GraspRequest) -> tuple[Grasp, ...]:
        """Return at most 50 grasps, best first.

        Raises:
            GraspError: GRASP_SERVICE_TIMEOUT, GRASP_SERVICE_FAILED or GRASP_SERVICE_NONSENSE; or
                NO_GRASP, with the reasons why none of the server's fits.
        """
        shape = object_shape(request.points, request.scene.support)
        frame = shape.T_planning_support
        # Below a handle there is air, not more of the thing.
        solid = se3.apply(frame, shape.surface if request.on_joint else shape.solid)
        cloud = se3.apply(frame, shape.surface)
        middle = cloud.mean(axis=0)
        poses, confidences = self._infer((cloud - middle).astype(np.float32))
        reasons: dict[str, int] = {}
        found: list[Grasp] = []
        for index in np.argsort(-confidences):
            T_planning_base = se3.from_rt(_proper(poses[index, :3, :3]), poses[index, :3, 3])
            T_planning_base[:3, 3] += middle
            grasp = self._fitted(
                T_planning_base, float(confidences[index]), solid, request, reasons
            )
            if grasp is not None:
                found.append(grasp)
            if len(found) == KEPT:
                break
        if not found:
            why = ", ".join(f"{count} {words}" for words, count in reasons.items())
            raise GraspError(
                Code.NO_GRASP,
                f"none of the server's {len(poses)} grasps fits the gripper "
                f"({request.gripper.max_opening * 1e3:.0f} mm): {why or 'it gave none'}",
            )
        return tuple(found)

    def _fitted(
        self,
        T_planning_base: Array,
        confidence: float,
        solid: Array,
        request: GraspRequest,
        reasons: dict[str, int],
    ) -> Grasp | None:
        gripper, support = request.gripper, request.scene.support
        # The tips of the trained gripper come to lie where those of the real one do.
        forward = self._settings.graspgen_depth_m - float(gripper.reach(0.0))
        T_planning_tcp = T_planning_base @ se3.from_rt(np.eye(3), [0.0, 0.0, forward])
        span = _between(se3.apply(se3.inverse(T_planning_tcp), solid), gripper)
        tip = se3.apply(T_planning_tcp, np.array([0.0, 0.0, float(gripper.reach(0.0))]))
        if span is None:
            reason = "with nothing between the pads"
        elif span[1] - span[0] + _SLACK_M > gripper.max_opening:
            reason = "too wide"
        elif float(support.height(tip)) < _OVER_SUPPORT_M:
            reason = "below the support"
        else:
            shift = se3.from_rt(np.eye(3), [0.5 * (span[0] + span[1]), 0.0, 0.0])
            opening = min(span[1] - span[0] + 2 * SIDE_CLEARANCE_M, gripper.max_opening)
            return Grasp(T_planning_tcp @ shift, opening, float(np.clip(confidence, 1e-3, 1.0)))
        reasons[reason] = reasons.get(reason, 0) + 1
        return None

    def _infer(self, cloud: NDArray[np.float32]) -> tuple[Array, Array]:
        """Poses (M, 4, 4) about the cloud's middle and confidences (M,)."""
        answer = self._ask(
            {
                "action": "infer",
                "point_cloud": cloud,
                "num_grasps": self._settings.graspgen_grasps,
                "topk_num_grasps": self._settings.graspgen_grasps,
            }
        )
        poses, confidences = answer.get("grasps"), answer.get("confidences")
        right = (
            isinstance(poses, np.ndarray)
            and isinstance(confidences, np.ndarray)
            and poses.ndim == 3
            and poses.shape == (len(confidences), 4, 4)
            and np.isfinite(poses).all()
            and np.isfinite(confidences).all()
        )
        if not right:
            raise GraspError(
                Code.GRASP_SERVICE_NONSENSE,
                f"{self._settings.graspgen_url} answers without grasps (M, 4, 4) and confidences "
                f"(M,): {sorted(map(str, answer))}",
            )
        return np.asarray(poses, float), np.asarray(confidences, float)

    def _ask(self, question: dict[str, Any]) -> dict[str, Any]:
        zmq, url = self._zmq, self._settings.graspgen_url
        socket = self._context.socket(zmq.REQ)
        limit_ms = round(1e3 * self._settings.graspgen_timeout_s)
        try:
            # A socket of its own for each question: one that waits in vain cannot be used again.
            for name, value in (
                (zmq.LINGER, 0), (zmq.SNDTIMEO, limit_ms), (zmq.RCVTIMEO, limit_ms),
                (zmq.MAXMSGSIZE, _MOST_BYTES),
            ):  # fmt: skip
                socket.setsockopt(name, value)
            socket.connect(url)
            socket.send(self._msgpack.packb(question, default=_encode, use_bin_type=True))
            body = socket.recv()
        except zmq.Again:
            raise GraspError(
                Code.GRASP_SERVICE_TIMEOUT,
                f"{url} did not answer in {self._settings.graspgen_timeout_s:.1f} s",
            ) from None
        except zmq.ZMQError as error:
            raise GraspError(Code.GRASP_SERVICE_FAILED, f"{url}: {error}") from error
        finally:
            socket.close()
        try:
            answer = self._msgpack.unpackb(
                body, raw=False, object_hook=_decode, strict_map_key=False
            )
        except (ValueError, TypeError, KeyError, self._msgpack.exceptions.UnpackException) as error:
            raise GraspError(
                Code.GRASP_SERVICE_NONSENSE, f"{url} answers what is no message: {error}"
            ) from error
        if not isinstance(answer, dict):
            raise GraspError(Code.GRASP_SERVICE_NONSENSE, f"{url} answers {type(answer).__name__}")
        if "error" in answer:
            words = " ".join(str(answer["error"]).split())[:300]
            raise GraspError(Code.GRASP_SERVICE_FAILED, f"{url} says: {words}")
        return answer


def _between(points: Array, gripper: GripperSpec) -> tuple[float, float] | None:
    """Extent along x [m] of what stands between the pads; points (N, 3) in the TCP's frame."""
    tip = float(gripper.reach(0.0))
    inside = (np.abs(points[:, 1]) < gripper.pad_half_width + _BESIDE_PAD_M) & (
        (points[:, 2] < tip) & (points[:, 2] > tip - gripper.pad_length)
    )
    x = points[inside, 0]
    if len(x) < 3:
        return None
    return float(x.min()), float(x.max())


def _proper(rotation: Array) -> Array:
    """The nearest rotation: the server computes in single precision."""
    return np.asarray(Rotation.from_matrix(rotation).as_matrix())


def _encode(value: Any) -> Any:
    """An array as GraspGen's side writes it: a map with byte keys."""
    if isinstance(value, np.ndarray) and not value.dtype.hasobject:
        return {
            b"nd": True,
            b"type": value.dtype.str,
            b"kind": b"",
            b"shape": value.shape,
            b"data": value.tobytes(),
        }
    raise TypeError(f"{type(value).__name__} cannot be sent")


def _decode(item: dict[Any, Any]) -> Any:
    """An array from such a map; anything that would have to be unpickled is refused."""
    known = {key.decode() if isinstance(key, bytes) else key: value for key, value in item.items()}
    if known.get("nd") is not True:
        return item
    kind = np.dtype(known["type"])
    if kind.hasobject or known.get("kind") in (b"O", "O"):
        raise ValueError("an array of objects")
    return np.frombuffer(known["data"], kind).reshape(known["shape"])


def make_graspgen(settings: GraspSettings) -> GraspGen:
    """Entry point of the `graspgen` backend."""
    return GraspGen(settings)
