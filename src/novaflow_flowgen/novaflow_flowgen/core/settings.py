"""Parameters of flowgen_node."""

from __future__ import annotations

from dataclasses import dataclass

from novaflow_core.settings import setting
from novaflow_flowgen.core.depth_video import SCALE_IMAGE, SCALE_OBJECT
from novaflow_flowgen.core.language_model import KeySettings
from novaflow_flowgen.core.lift import ALL_VISIBLE, MIN_SUPPORT
from novaflow_flowgen.core.video_masks import NO_MASKS
from novaflow_flowgen.serving.client import ModelServerSettings

ON_THREADS = "process"
ON_RAY = "ray"


@dataclass(frozen=True)
class PromptSettings(KeySettings):
    """Of the stage `prompt`; see each field's description."""

    prompt: str = setting("template", "backend that writes what a video model is told")
    prompt_language: str = setting(
        "en", "of the prompt: English, or Chinese, which Wan knows best", choices=("en", "zh")
    )
    prompt_model: str = setting("", "model id of the backend; empty: its default, if any")
    prompt_base_url: str = setting("", "of the model's service; empty: the public one")
    prompt_timeout_s: float = setting(
        60.0, "longest time for one answer of the model", unit="s", low=0.1, high=600.0
    )
    prompt_retries: int = setting(
        2, "further attempts after a timeout, a quota or an outage", low=0, high=10
    )
    prompt_backoff_s: float = setting(
        2.0, "wait before the first of them; it doubles each time", unit="s", low=0.0, high=60.0
    )


@dataclass(frozen=True)
class VeoSettings:
    """Of the video backend `veo`; see each field's description."""

    veo_model: str = setting("veo-3.1-generate-001", "model id on Vertex")
    veo_project: str = setting("", "Google Cloud project; empty: the one of the credentials")
    veo_location: str = setting("us-central1", "region of the service")
    veo_credentials_variable: str = setting(
        "GOOGLE_APPLICATION_CREDENTIALS", "environment variable that names the credentials' file"
    )
    veo_base_url: str = setting("", "of the service; empty: the public one of the region")
    veo_resolution: str = setting("720p", "of the videos", choices=("720p", "1080p"))
    veo_request_timeout_s: float = setting(
        60.0, "longest time for one request", unit="s", low=0.1, high=600.0
    )
    veo_timeout_s: float = setting(
        600.0, "longest time for one video", unit="s", low=1.0, high=7200.0
    )
    veo_poll_s: float = setting(
        10.0, "time between looks at whether it is done", unit="s", low=0.0, high=60.0
    )
    veo_retries: int = setting(
        4, "further attempts of a request after a quota or an outage", low=0, high=20
    )
    veo_backoff_s: float = setting(
        5.0, "wait before the first of them; it doubles each time", unit="s", low=0.0, high=60.0
    )


@dataclass(frozen=True)
class WanSettings:
    """Of the video backend `wan`; see each field's description."""

    wan_model: str = setting(
        "Wan-AI/Wan2.1-I2V-14B-720P-Diffusers", "id on the Hugging Face hub, or a folder"
    )
    wan_flf2v_model: str = setting(
        "Wan-AI/Wan2.1-FLF2V-14B-720P-diffusers", "the same, for goals that carry a goal image"
    )
    wan_device: str = setting("cuda", "where it runs: cuda, cuda:1, ... or cpu")
    wan_dtype: str = setting(
        "bfloat16",
        "of transformer and text encoder",
        choices=("bfloat16", "float16", "float32"),
    )
    wan_offload: str = setting(
        "none",
        "what waits in the host's memory: nothing, all but one part, all but one layer",
        choices=("none", "model", "sequential"),
    )
    wan_steps: int = setting(40, "denoising steps", low=1, high=200)
    wan_guidance: float = setting(5.0, "guidance scale", low=0.0, high=30.0)
    wan_shift: float = setting(5.0, "flow shift of the scheduler", low=0.1, high=30.0)
    wan_width: int = setting(1280, "of its frames, a multiple of 16", unit="px", low=64, high=2048)
    wan_height: int = setting(720, "of its frames, a multiple of 16", unit="px", low=64, high=2048)


@dataclass(frozen=True)
class ModelLifterSettings(ModelServerSettings):
    """Of lifting by models on servers; see each field's description."""

    depth: str = setting("megasam", "for tracks:=tapip3d: backend of the stage depth")
    depth_url: str = setting("http://localhost:8470", "server of the depth model")
    depth_scale: str = setting(
        SCALE_IMAGE,
        "what the depth is scaled by: all pixels, or factor and shift on the object alone",
        choices=(SCALE_IMAGE, SCALE_OBJECT),
    )
    tracks_url: str = setting("http://localhost:8471", "server of the model that tracks points")
    tapip3d_iterations: int = setting(6, "refinements of the tracks", low=1, high=32)


@dataclass(frozen=True)
class MaskSettings:
    """Of following the target's pixels through a video; see each field's description."""

    masks: str = setting(
        NO_MASKS,
        "for tracks:=tapip3d: backend of the stage masks, which says in each frame which tracks "
        "are on the object; none: the tracker's word alone",
    )
    sam2_model: str = setting(
        "facebook/sam2.1-hiera-large", "for masks:=sam2: id of SAM 2 on the hub, or a folder"
    )
    sam2_device: str = setting("cuda", "where it runs: cuda, cuda:1, ... or cpu")


@dataclass(frozen=True)
class RaySettings:
    """Of where candidates are made; see each field's description."""

    candidates_on: str = setting(
        ON_THREADS,
        "threads of this process, or a task of Ray for each candidate",
        choices=(ON_THREADS, ON_RAY),
    )
    ray_address: str = setting("", "of a running Ray cluster; empty: start one on this machine")
    ray_gpus_per_candidate: float = setting(
        0.0, "GPUs that a candidate's task has to itself", low=0.0, high=16.0
    )
    ray_retries: int = setting(
        2, "further attempts at a candidate whose worker was lost", low=0, high=10
    )


@dataclass(frozen=True)
class FlowgenSettings(
    PromptSettings, VeoSettings, WanSettings, ModelLifterSettings, MaskSettings, RaySettings
):
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
    screen: bool = setting(
        True, "for storyboards lifted by klt or dis: look at every fourth frame before drawing all"
    )
    keep_rejected_videos: bool = setting(False, "draw to its end and save what the screen rejects")
    timeout_s: float = setting(300.0, "longest time for one goal", unit="s", low=1.0, high=7200.0)
    marker_tracks: int = setting(24, "line strips per candidate in the markers", low=0, high=200)
    truth_dir: str = setting(
        "", "for harnesses only: folder that gets what each storyboard shows, named by video hash"
    )
