"""Video backend `wan`: Wan's image-to-video models on this machine, through diffusers.

Without a goal image the view is the first frame (I2V); with one, view and goal are the first and
the last (FLF2V), which is another model. One of the two is kept in memory, and one clip is made at
a time, however many candidates are asked for at once.
"""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from novaflow_core.errors import Code, PlatformError, VideoError
from novaflow_core.video import Video
from novaflow_flowgen.backends.client_setup import missing_library
from novaflow_flowgen.backends.hub import model_folder
from novaflow_flowgen.core.letterbox import Letterbox, letterbox
from novaflow_flowgen.core.model_memory import ClipSize, need_of, refuse_beyond
from novaflow_flowgen.core.protocols import (
    DEFAULT_FPS,
    OnProgress,
    ShouldStop,
    Spoil,
    VideoRequest,
    check_stop,
)
from novaflow_flowgen.core.remote import tidy
from novaflow_flowgen.core.seeds import seed_of
from novaflow_flowgen.core.settings import FlowgenSettings

_MULTIPLE = 16  # of both sides: 8 by the autoencoder, 2 by the transformer's patches
_EVERY = 4  # frames in a latent one, beside the first
_DENOISING_SHARE = 0.9  # of the time; only for the progress bar
_TURN_S = 0.2
_FLOAT32_PARTS = ("vae", "image_encoder")  # as the model's makers run it


class Wan:
    """Generates videos from the view, the prompt and, if there is one, the goal image.

    Raises:
        PlatformError: UNAVAILABLE when torch or diffusers is not installed, naming the command that
            installs them, or when torch does not see the device; INVALID_SETTING.
    """

    reads_prompt = True

    def __init__(self, settings: FlowgenSettings) -> None:
        """Import torch and diffusers and look at the device; models are loaded when asked for."""
        try:
            import diffusers
            import torch
            import transformers
        except ImportError as error:
            raise missing_library("wan", error, "torch") from error
        self._torch, self._diffusers, self._transformers = torch, diffusers, transformers
        self._settings = settings
        self._device = _device(torch, settings)
        self._turn = threading.Lock()
        self._held: tuple[Path, Any] | None = None

    def generate(
        self, request: VideoRequest, on_progress: OnProgress, should_stop: ShouldStop
    ) -> Video:
        """Generate one candidate's video; see `VideoGenerator`.

        Raises:
            VideoError: VIDEO_OUT_OF_MEMORY, before or while it runs, or VIDEO_MODEL_FAILED.
            PlatformError: CANCELLED, between two steps; UNAVAILABLE when there is no such model.
        """
        model = request.scene.main.model
        wide, tall = self._settings.wan_width, self._settings.wan_height
        if (model.width < model.height) != (wide < tall):
            wide, tall = tall, wide
        frames = -(-(request.steps - 1) // _EVERY) * _EVERY + 1
        clip = ClipSize(frames, wide, tall)
        box = letterbox(model.width, model.height, wide / tall)
        with self._my_turn(should_stop):
            made = self._run(request, box, clip, on_progress, should_stop)
        video = _of_view(made, box, request.steps)
        on_progress(1.0)
        return video

    def spoils(self, request: VideoRequest) -> tuple[Spoil, ...]:
        """None: it hallucinates without being told."""
        return ()

    def _run(
        self,
        request: VideoRequest,
        box: Letterbox,
        clip: ClipSize,
        on_progress: OnProgress,
        should_stop: ShouldStop,
    ) -> NDArray[np.float32]:
        """Frames (T, H, W, 3) of the model's size, 0..1."""
        from PIL import Image

        def picture(image: NDArray[np.uint8]) -> Image.Image:
            return Image.fromarray(_scaled(box.place(image), clip.width, clip.height))

        def after_step(_: Any, step: int, __: Any, tensors: dict[str, Any]) -> dict[str, Any]:
            check_stop(should_stop)
            on_progress(_DENOISING_SHARE * (step + 1) / self._settings.wan_steps)
            return tensors

        goal = request.goal_image
        try:
            pipeline = self._pipeline(goal is not None, clip)
            check_stop(should_stop)
            made = pipeline(
                image=picture(request.scene.main.color),
                last_image=None if goal is None else picture(goal),
                prompt=request.prompt or request.grounding.task.instruction,
                height=clip.height,
                width=clip.width,
                num_frames=clip.frames,
                num_inference_steps=self._settings.wan_steps,
                guidance_scale=self._settings.wan_guidance,
                # On the CPU, so that a seed means the same noise on every device.
                generator=self._torch.Generator("cpu").manual_seed(
                    seed_of(request.seed, request.candidate)
                ),
                callback_on_step_end=after_step,
                output_type="np",
            ).frames[0]
        except (self._torch.OutOfMemoryError, MemoryError) as error:
            self._forget()
            raise VideoError(
                Code.VIDEO_OUT_OF_MEMORY,
                f"{self._device} ran out of memory at {clip.width}x{clip.height}, {clip.frames} "
                f"frames, although the estimate had fitted: {tidy(error, limit=200)}",
            ) from None
        except (RuntimeError, ValueError, OSError, TypeError, IndexError) as error:
            self._forget()
            raise VideoError(
                Code.VIDEO_MODEL_FAILED,
                f"wan failed with {type(error).__name__}: {tidy(error, limit=300)}",
            ) from error
        if not np.isfinite(made).all():
            raise VideoError(
                Code.VIDEO_MODEL_FAILED, "wan's frames hold numbers that are not finite"
            )
        return np.asarray(made, np.float32)

    def _pipeline(self, with_goal: bool, clip: ClipSize) -> Any:
        """Return the pipeline of the model that is needed, after asking whether its clip fits."""
        s = self._settings
        name, parameter = (
            (s.wan_flf2v_model, "wan_flf2v_model") if with_goal else (s.wan_model, "wan_model")
        )
        folder = model_folder(name, parameter)
        if self._held is not None and self._held[0] == folder:
            return self._held[1]
        self._forget()
        self._refuse_beyond_memory(folder, clip)
        pipeline = self._load(folder)
        self._held = (folder, pipeline)
        return pipeline

    def _refuse_beyond_memory(self, folder: Path, clip: ClipSize) -> None:
        import psutil

        each = dict.fromkeys(_FLOAT32_PARTS, 4)
        each["transformer"] = 4 if self._settings.wan_dtype == "float32" else 2
        need = need_of(folder, clip, each, self._settings.wan_offload)
        free_host = psutil.virtual_memory().available
        free = free_host
        if self._device.type == "cuda":
            free = self._torch.cuda.mem_get_info(self._device)[0]
        refuse_beyond(need, str(self._device), free, free_host)

    def _load(self, folder: Path) -> Any:
        s, torch, diffusers = self._settings, self._torch, self._diffusers
        given: dict[str, Any] = {}
        if (folder / "image_processor").is_dir():
            # The processor of that name needs torchvision; this one does not.
            given["image_processor"] = self._transformers.CLIPImageProcessorPil.from_pretrained(
                folder / "image_processor"
            )
        dtype = {"default": getattr(torch, s.wan_dtype)}
        dtype.update(dict.fromkeys(_FLOAT32_PARTS, torch.float32))
        pipeline = diffusers.WanImageToVideoPipeline.from_pretrained(
            folder, dtype=dtype, local_files_only=True, **given
        )
        pipeline.scheduler = diffusers.UniPCMultistepScheduler.from_config(
            pipeline.scheduler.config,
            prediction_type="flow_prediction",
            use_flow_sigmas=True,
            flow_shift=s.wan_shift,
        )
        pipeline.set_progress_bar_config(disable=True)
        for part in pipeline.components.values():
            if isinstance(part, torch.nn.Module):
                part.eval()
        if s.wan_offload == "model":
            pipeline.enable_model_cpu_offload(device=self._device)
        elif s.wan_offload == "sequential":
            pipeline.enable_sequential_cpu_offload(device=self._device)
        else:
            pipeline.to(self._device)
        return pipeline

    def _forget(self) -> None:
        """Free the model that is held."""
        self._held = None
        gc.collect()
        if self._device.type == "cuda":
            self._torch.cuda.empty_cache()

    @contextmanager
    def _my_turn(self, should_stop: ShouldStop) -> Iterator[None]:
        """Wait until no other candidate uses the model."""
        while not self._turn.acquire(timeout=_TURN_S):
            check_stop(should_stop)
        try:
            check_stop(should_stop)
            yield
        finally:
            self._turn.release()


def make_wan(settings: FlowgenSettings) -> Wan:
    """Entry point of the `wan` backend."""
    return Wan(settings)


def _device(torch: Any, settings: FlowgenSettings) -> Any:
    """The device that computes.

    Raises:
        PlatformError: INVALID_SETTING or UNAVAILABLE.
    """
    for name, size in (("wan_width", settings.wan_width), ("wan_height", settings.wan_height)):
        if size % _MULTIPLE:
            raise PlatformError(
                Code.INVALID_SETTING, f"{name} is {size} px; it must be a multiple of {_MULTIPLE}"
            )
    try:
        device = torch.device(settings.wan_device)
    except RuntimeError:
        device = None
    if device is None or device.type not in ("cuda", "cpu"):
        raise PlatformError(
            Code.INVALID_SETTING,
            f"wan_device is '{settings.wan_device}'; allowed: cuda, cuda:N, cpu",
        )
    if device.type == "cpu":
        if settings.wan_offload != "none":
            raise PlatformError(
                Code.INVALID_SETTING,
                "wan_offload is for GPUs; with wan_device:=cpu it must be none",
            )
        return device
    found = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if (device.index or 0) >= found:
        raise PlatformError(
            Code.UNAVAILABLE,
            f"wan_device is '{settings.wan_device}', but torch {torch.__version__} sees {found} "
            "CUDA devices; wan_device:=cpu needs none, and hours",
        )
    return device


def _scaled(image: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    if image.shape[1::-1] == (width, height):
        return image
    how = cv2.INTER_AREA if image.shape[1] > width else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(image, (width, height), interpolation=how), np.uint8)


def _of_view(made: NDArray[np.float32], box: Letterbox, steps: int) -> Video:
    """Pick T frames, scale them back and cut out the view."""
    pick = np.rint(np.linspace(0, len(made) - 1, steps)).astype(int)
    size = box.whole
    whole = np.empty((steps, size.height, size.width, 3), np.uint8)
    for frame, index in zip(whole, pick, strict=True):
        frame[:] = _scaled(
            np.rint(255 * np.clip(made[index], 0, 1)).astype(np.uint8), size.width, size.height
        )
    return Video(box.cut(whole), DEFAULT_FPS * (steps - 1) / max(len(made) - 1, 1))
