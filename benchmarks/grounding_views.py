"""Grounding on annotated RGB-D views: which object is meant, and how exactly its pixels are found.

    python benchmarks/grounding_views.py [--views DIR] [--list FILE] [--part tuned|held_out]
    [--change NAME] [--all-changes] [--quiet]

DIR holds one folder per view (color.png, depth_mm.png, camera.json, label.png where annotated) and
instructions.json. `--list` takes another list about the same views; `grounding_wordings.json`
beside this file is one, which also says what motion, relation and reference are meant and with
which code an absent thing is refused. `--all-changes` prints a table over changed views.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parent))
from view_changes import CHANGES, Change

from novaflow_core.camera import CameraModel
from novaflow_core.errors import Code, NovaflowError
from novaflow_core.grounding import Grounding
from novaflow_core.scene import RgbdView, Scene
from novaflow_core.task import TaskSpec
from novaflow_perception.backends.tabletop import Inventory, TabletopGrounder
from novaflow_perception.core.instruction import parse

DEFAULT_VIEWS = Path(__file__).resolve().parents[2] / "shared/data/real_rgbd"
WORDINGS = Path(__file__).with_name("grounding_wordings.json")
INSIDE_SHARE = 0.9

Entry = dict[str, Any]
Mask = NDArray[np.bool_]


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
    misread: str = ""
    expected_code: str = ""

    @property
    def good(self) -> bool:
        """Whether the right thing was found and the motion understood, or an absent one refused."""
        if not self.present:
            return self.code is not Code.OK
        return self.inside >= INSIDE_SHARE and not self.misread

    @property
    def right_code(self) -> bool:
        """Whether an absent one was refused for the right reason."""
        return not self.expected_code or self.code.name == self.expected_code


def load_view(folder: Path) -> Scene:
    """Read one view; the planning frame is the camera's."""
    color = cv2.cvtColor(cv2.imread(str(folder / "color.png")), cv2.COLOR_BGR2RGB)
    raw = cv2.imread(str(folder / "depth_mm.png"), cv2.IMREAD_UNCHANGED)
    depth = np.where(raw > 0, raw.astype(np.float32) / 1000.0, np.nan).astype(np.float32)
    camera = json.loads((folder / "camera.json").read_text())
    model = CameraModel(*(camera[k] for k in ("width", "height", "fx", "fy", "cx", "cy")))
    view = RgbdView("camera", "camera_color_optical_frame", 0, color, depth, model, np.eye(4))
    return Scene(folder.name, view.frame_id, (view,))


def truth_mask(folder: Path, entry: Entry, key: str = "label") -> Mask | None:
    """Annotated pixels of an entry's object, or the inside of its box."""
    if key in entry:
        label = cv2.imread(str(folder / "label.png"), cv2.IMREAD_UNCHANGED)
        return np.asarray(label == entry[key])
    if key == "label" and "box_px" in entry:
        u0, v0, u1, v1 = (int(v) for v in entry["box_px"])
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


class _View:
    """One view under one change, with its truth."""

    def __init__(self, folder: Path, entries: list[Entry], change: Change) -> None:
        self._folder, self._change = folder, change
        original = load_view(folder)
        self._model = original.main.model
        masks = [truth_mask(folder, entry) for entry in entries]
        self._annotated = np.any([mask for mask in masks if mask is not None], axis=0)
        if not np.any(self._annotated):
            self._annotated = np.ones(original.main.depth.shape, bool)
        view = change.view(original.main, self._annotated)
        self.scene = Scene(original.scene_id, original.planning_frame, (view,))

    def truth(self, entry: Entry, key: str = "label") -> Mask | None:
        mask = truth_mask(self._folder, entry, key)
        if mask is None:
            return None
        return self._change.mask(mask, self._annotated, self._model)


def evaluate(
    views: Path, change: Change | None = None, entries: list[Entry] | None = None
) -> list[Row]:
    """Ground every instruction of a list, by default of the folder's own one."""
    change = change or Change()
    entries = entries or json.loads((views / "instructions.json").read_text())
    rows: list[Row] = []
    for name in dict.fromkeys(entry["view"] for entry in entries):
        chosen = [e for e in entries if e["view"] == name]
        grounder, view = _OncePerView(), _View(views / name, chosen, change)
        rows.extend(_row(entry, grounder, view, change) for entry in chosen)
    return rows


def _row(entry: Entry, grounder: TabletopGrounder, view: _View, change: Change) -> Row:
    begin = time.process_time()
    code, inside, iou, reason, misread = Code.OK, float("nan"), float("nan"), "", ""
    try:
        task = parse(change.words(entry["instruction"]))
        misread = _misread(entry, task, change)
        grounding = grounder.ground(view.scene, task)
        mask = grounding.mask(grounding.target)
        truth = view.truth(entry)
        if truth is not None:
            inside = float((mask & truth).sum() / mask.sum())
            if "label" in entry:
                iou = float((mask & truth).sum() / (mask | truth).sum())
        misread = misread or _wrong_reference(entry, grounding, view)
        reason = grounding.target.description
    except NovaflowError as error:
        code, reason = error.code, error.reason
    return Row(
        entry["view"],
        entry["instruction"],
        entry["present"],
        bool(entry.get("hard")),
        code,
        inside,
        iou,
        time.process_time() - begin,
        reason,
        misread if entry["present"] else "",
        entry.get("code", ""),
    )


def _misread(entry: Entry, task: TaskSpec, change: Change) -> str:
    """What the parser understood otherwise, of what the list says; lists may say less."""
    if "motion" not in entry:
        return ""
    for key in ("motion", "relation", "direction"):
        found, wanted = str(getattr(task, key) or ""), change.words(entry.get(key, ""))
        named = key != "direction" or wanted
        if named and found != wanted:
            return f"{key} is {found or 'none'}, not {wanted or 'none'}"
    if "distance_m" in entry and abs((task.distance_m or 0) - entry["distance_m"]) > 1e-6:
        return f"distance is {task.distance_m}"
    return ""


def _wrong_reference(entry: Entry, grounding: Grounding, view: _View) -> str:
    truth = view.truth(entry, "reference_label")
    if truth is None or not grounding.references:
        return ""
    mask = grounding.mask(grounding.references[0])
    return "" if (mask & truth).sum() >= INSIDE_SHARE * mask.sum() else "wrong reference"


def mean_iou(rows: list[Row]) -> float:
    """Mean over the labelled present entries; what was refused or mistaken counts as it overlaps.

    The IoU is NaN for a refusal, which counts 0, and for what has no label, which does not count.
    """
    labelled = [r for r in rows if r.present and (np.isfinite(r.iou) or r.code is not Code.OK)]
    return float(np.mean([np.nan_to_num(r.iou) for r in labelled])) if labelled else float("nan")


def summary(rows: list[Row]) -> str:
    """The numbers that count."""
    present = [r for r in rows if r.present]
    plain = [r for r in rows if not r.present and not r.hard]
    hard = [r for r in rows if not r.present and r.hard]
    absent = [*plain, *hard]
    text = (
        f"present {sum(r.good for r in present)}/{len(present)}, "
        f"plain absent accepted {sum(not r.good for r in plain)}/{len(plain)}, "
        f"hard absent accepted {sum(not r.good for r in hard)}/{len(hard)}, "
    )
    if any(r.expected_code for r in absent):
        text += f"refused with the right code {sum(r.right_code for r in absent)}/{len(absent)}, "
    return (
        f"{text}mean IoU {mean_iou(rows):.3f} (a refusal counts 0), "
        f"slowest view {max(r.seconds for r in rows):.2f} s CPU"
    )


def read_list(path: Path, part: str = "") -> list[Entry]:
    """Entries of a list; `part` is "", "tuned" or "held_out"."""
    entries = json.loads(path.read_text())
    if part:
        entries = [e for e in entries if bool(e.get("held_out")) == (part == "held_out")]
    return entries


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    default = Path(os.environ.get("NOVAFLOW_REAL_RGBD", DEFAULT_VIEWS))
    parser.add_argument("--views", type=Path, default=default)
    parser.add_argument("--list", type=Path, help="instructions; by default the folder's own")
    parser.add_argument("--part", default="", choices=["", "tuned", "held_out"])
    names = [change.name for change in CHANGES]
    parser.add_argument("--change", default=names[0], choices=names)
    parser.add_argument("--all-changes", action="store_true", help="one line for each")
    parser.add_argument("--quiet", action="store_true", help="only what went wrong")
    args = parser.parse_args()
    cv2.setNumThreads(1)
    entries = read_list(args.list or args.views / "instructions.json", args.part)
    if args.all_changes:
        for change in CHANGES:
            print(f"{change.name:24s}{summary(evaluate(args.views, change, entries))}", flush=True)
        return
    rows = evaluate(args.views, CHANGES[names.index(args.change)], entries)
    for r in rows:
        if not (args.quiet and r.good and r.right_code):
            print(_line(r))
    print(summary(rows))


def _line(r: Row) -> str:
    sort = "present" if r.present else "hard" if r.hard else "absent"
    verdict = "WRONG" if not r.good else "ok   " if r.right_code else "code "
    numbers = f"inside {r.inside:.2f} IoU {r.iou:.2f}" if r.code is Code.OK else r.code.name
    why = r.misread or r.reason
    return f"{verdict} {sort:8s}{r.view:12s}{r.instruction:56s} {numbers:22s} {why[:140]}"


if __name__ == "__main__":
    main()
