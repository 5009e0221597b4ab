"""Which topics go into a bag, and under which names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

OWN = "/novaflow/"
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
