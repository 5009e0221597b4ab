"""Parameters of flowgen_node."""

from __future__ import annotations

from dataclasses import dataclass

from novaflow_core.settings import setting
from novaflow_flowgen.core.lift import ALL_VISIBLE, MIN_SUPPORT


@dataclass(frozen=True)
class FlowgenSettings:
    """See each field's description."""

    video: str = setting("storyboard", "backend that imagines the videos")
    tracks: str = setting("klt", "backend that lifts the videos")
    track_filter: str = setting(
        MIN_SUPPORT,
        "which points a flow keeps: seen in every step, or in at least half of them",
        choices=(ALL_VISIBLE, MIN_SUPPORT),
    )
    video_path: str = setting("", "for video:=file: a video, or a folder with one per candidate")
    candidates: int = setting(8, "how many to imagine when a goal asks for 0", low=1, high=64)
    workers: int = setting(2, "candidates made at the same time", low=1, high=16)
    timeout_s: float = setting(300.0, "longest time for one goal", unit="s", low=1.0, high=7200.0)
    marker_tracks: int = setting(24, "line strips per candidate in the markers", low=0, high=200)
    truth_dir: str = setting(
        "", "for harnesses only: folder that gets what each storyboard shows, named by video hash"
    )
