"""Which topics go into a bag, and under which names."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

OWN = "/novaflow/"
GOAL = "/novaflow/goal"
TRANSFORMS_KEPT = 10  # several nodes may publish /tf_static
HIDDEN = "/_"  # an action's own topics: their types have no definition that a bag could carry
STREAMS = ("color", "aligned_depth_to_color")
ENDINGS = {"color": "compressed", "aligned_depth_to_color": "compressedDepth"}


@dataclass(frozen=True)
class TopicRules:
    """What to record.

    Attributes:
        topics: Named topics.
        cameras: Name spaces of cameras, as realsense2_camera uses them.
    """

    topics: Sequence[str]
    cameras: Sequence[str]

    def wanted(self, topic: str) -> bool:
        """Whether a topic is recorded."""
        own = topic.startswith(OWN) and HIDDEN not in topic
        return topic in self.topics or own or self.of_camera(topic)

    def of_camera(self, topic: str) -> bool:
        """Whether a topic is an image or a camera_info."""
        infos = {f"{c}/{s}/camera_info" for c in self.cameras for s in STREAMS}
        return topic in infos or topic in self.compressed

    @property
    def compressed(self) -> dict[str, str]:
        """Name of the compressed image in the bag by topic of the raw one."""
        raw = {f"{c}/{s}/image_raw": ENDINGS[s] for c in self.cameras for s in STREAMS}
        return {topic: f"{topic}/{ending}" for topic, ending in raw.items()}


class Past:
    """What a bag begins with: the last seconds of the cameras, and what was latched.

    Of the graph's own latched topics only the goal is kept: the others tell of the goal before.
    """

    def __init__(self, seconds: float) -> None:
        """Remember cameras for so long [s]."""
        self._length_ns = int(seconds * 1e9)
        self._cameras: deque[tuple[str, int, bytes]] = deque()
        self._latched: dict[str, deque[bytes]] = {}

    def keep(self, topic: str, camera: bool, now_ns: int, data: bytes) -> None:
        """Remember one serialised message."""
        if camera:
            self._cameras.append((topic, now_ns, data))
            while self._cameras[0][1] < now_ns - self._length_ns:
                self._cameras.popleft()
        elif topic == GOAL or not topic.startswith(OWN):
            depth = TRANSFORMS_KEPT if topic == "/tf_static" else 1
            self._latched.setdefault(topic, deque(maxlen=depth)).append(data)

    def tell(self, now_ns: int) -> Iterator[tuple[str, int, bytes]]:
        """Yield topic, time [ns] and message of all that is remembered; cameras are forgotten."""
        while self._cameras:
            yield self._cameras.popleft()
        for topic, kept in self._latched.items():
            for data in kept:
                yield topic, now_ns, data
