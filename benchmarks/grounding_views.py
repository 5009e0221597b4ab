"""Grounding on annotated RGB-D views: which object is meant, and how exactly its pixels are found.

    python benchmarks/grounding_views.py [--views DIR] [--gain 0.75] [--depth-noise-mm 3]
    [--white-balance 1.05]

DIR holds one folder per view (color.png, depth_mm.png, camera.json, label.png where annotated) and
instructions.json.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from novaflow_core.camera import CameraModel
from novaflow_core.errors import Code, NovaflowError
from novaflow_core.scene import RgbdView, Scene
from novaflow_perception.backends.tabletop import Inventory, TabletopGrounder
from novaflow_perception.core.instruction import parse

DEFAULT_VIEWS = Path(__file__).resolve().parents[2] / "shared/data/real_rgbd"


@dataclass(frozen=True)
class Stress:
    """Changes to the images: gain, white balance (red up, blue down), depth noise [m at 1 m]."""

    gain: float = 1.0
    white_balance: float = 1.0
    depth_noise_m: float = 0.0


@dataclass(frozen=True)
class Row:
    """Result of one instruction; `inside` and `iou` are NaN where there is nothing to compare."""

    view: str
    instruction: str
    present: bool
    hard: bool
    code: Code
    inside: float
    iou: float
    seconds: float
    reason: str

    @property
    def good(self) -> bool:
        """Whether the right thing was found, or an absent one refused."""
        return self.inside >= 0.9 if self.present else self.code is not Code.OK


def load_view(folder: Path, stress: Stress | None = None) -> Scene:
    """Read one view; the planning frame is the camera's."""
    stress = stress or Stress()
    color = cv2.cvtColor(cv2.imread(str(folder / "color.png")), cv2.COLOR_BGR2RGB)
    raw = cv2.imread(str(folder / "depth_mm.png"), cv2.IMREAD_UNCHANGED)
    depth = np.where(raw > 0, raw.astype(np.float32) / 1000.0, np.nan).astype(np.float32)
    if stress.gain != 1.0 or stress.white_balance != 1.0:
        factors = stress.gain * np.array([stress.white_balance, 1.0, 1.0 / stress.white_balance])
        color = np.clip(color * factors, 0, 255).astype(np.uint8)
    if stress.depth_noise_m:
        noise = np.random.default_rng(0).normal(0, stress.depth_noise_m, depth.shape)
        depth = (depth + noise * np.nan_to_num(depth) ** 2).astype(np.float32)
    camera = json.loads((folder / "camera.json").read_text())
    model = CameraModel(*(camera[k] for k in ("width", "height", "fx", "fy", "cx", "cy")))
    view = RgbdView("camera", "camera_color_optical_frame", 0, color, depth, model, np.eye(4))
    return Scene(folder.name, view.frame_id, (view,))


def truth_mask(folder: Path, entry: dict[str, object]) -> NDArray[np.bool_] | None:
    """Annotated pixels of an entry's object, or the inside of its box."""
    if "label" in entry:
        label = cv2.imread(str(folder / "label.png"), cv2.IMREAD_UNCHANGED)
        return np.asarray(label == entry["label"])
    if "box_px" in entry:
        u0, v0, u1, v1 = (int(v) for v in entry["box_px"])  # type: ignore[attr-defined]
        mask = np.zeros(cv2.imread(str(folder / "color.png")).shape[:2], bool)
        mask[v0 : v1 + 1, u0 : u1 + 1] = True
        return mask
    return None


class _OncePerView(TabletopGrounder):
    """Reuses what was seen in a view for all of its instructions."""

    def __init__(self) -> None:
        super().__init__()
        self._kept: tuple[int, Inventory] | None = None

    def inventory(self, view: RgbdView) -> Inventory:
        if self._kept is None or self._kept[0] != id(view):
            self._kept = (id(view), super().inventory(view))
        return self._kept[1]


def evaluate(views: Path, stress: Stress | None = None) -> list[Row]:
    """Ground every instruction of a folder of views."""
    entries = json.loads((views / "instructions.json").read_text())
    rows: list[Row] = []
    for name in dict.fromkeys(entry["view"] for entry in entries):
        grounder, scene = _OncePerView(), load_view(views / name, stress)
        for entry in (e for e in entries if e["view"] == name):
            begin = time.process_time()
            code, inside, iou, reason = Code.OK, float("nan"), float("nan"), ""
            try:
                grounding = grounder.ground(scene, parse(entry["instruction"]))
                mask = grounding.mask(grounding.target)
                truth = truth_mask(views / name, entry)
                if truth is not None:
                    inside = float((mask & truth).sum() / mask.sum())
                    if "label" in entry:
                        iou = float((mask & truth).sum() / (mask | truth).sum())
                reason = grounding.target.description
            except NovaflowError as error:
                code, reason = error.code, error.reason
            seconds = time.process_time() - begin
            rows.append(
                Row(
                    name,
                    entry["instruction"],
                    entry["present"],
                    bool(entry.get("hard")),
                    code,
                    inside,
                    iou,
                    seconds,
                    reason,
                )
            )
    return rows


def summary(rows: list[Row]) -> str:
    """The three numbers that count, and the mean IoU."""
    present = [r for r in rows if r.present]
    plain = [r for r in rows if not r.present and not r.hard]
    hard = [r for r in rows if not r.present and r.hard]
    iou = np.array([r.iou for r in present if np.isfinite(r.iou) and r.good])
    return (
        f"present {sum(r.good for r in present)}/{len(present)}, "
        f"plain absent accepted {sum(not r.good for r in plain)}/{len(plain)}, "
        f"hard absent accepted {sum(not r.good for r in hard)}/{len(hard)}, "
        f"mean IoU {iou.mean() if len(iou) else float('nan'):.3f}, "
        f"slowest view {max(r.seconds for r in rows):.2f} s CPU"
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    default = Path(os.environ.get("NOVAFLOW_REAL_RGBD", DEFAULT_VIEWS))
    parser.add_argument("--views", type=Path, default=default)
    parser.add_argument("--gain", type=float, default=1.0)
    parser.add_argument("--white-balance", type=float, default=1.0)
    parser.add_argument("--depth-noise-mm", type=float, default=0.0)
    parser.add_argument("--quiet", action="store_true", help="only what went wrong")
    args = parser.parse_args()
    rows = evaluate(args.views, Stress(args.gain, args.white_balance, args.depth_noise_mm / 1000.0))
    for r in rows:
        if r.good and args.quiet:
            continue
        sort = "present" if r.present else "hard" if r.hard else "absent"
        verdict = "ok   " if r.good else "WRONG"
        numbers = f"inside {r.inside:.2f} IoU {r.iou:.2f}" if r.code is Code.OK else r.code.name
        print(f"{verdict} {sort:8s}{r.view:12s}{r.instruction:44s}{numbers:28s}{r.reason[:90]}")
    print(summary(rows))


if __name__ == "__main__":
    main()
