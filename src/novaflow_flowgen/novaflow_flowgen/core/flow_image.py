"""The numbered flow image: every candidate drawn over the first frame, for people and for judges.

One panel per candidate: paths of a few points with time as colour, the number at the end of the
motion, and below it the verdict. The chosen one has a green frame, rejected ones a red one.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from novaflow_core import se3
from novaflow_core.candidate import CandidateScore, FlowCandidate
from novaflow_core.errors import Code, PlatformError
from novaflow_core.flow import ObjectFlow
from novaflow_core.scene import RgbdView

Image = NDArray[np.uint8]

_PANEL_WIDTH = 480
_CAPTION = 62
_TRACKS = 26
_CHOSEN, _VALID, _REJECTED = (40, 170, 60), (90, 150, 190), (200, 60, 50)
_FONT = cv2.FONT_HERSHEY_SIMPLEX


def draw_flow_image(
    view: RgbdView,
    instruction: str,
    candidates: Sequence[FlowCandidate],
    scores: Sequence[CandidateScore],
    chosen: str | None,
) -> Image:
    """Draw all candidates; returns (H, W, 3) RGB."""
    by_id = {score.candidate_id: score for score in scores}
    columns = min(4, max(1, len(candidates)))
    window = _window(view, candidates)
    panels = [
        _panel(view, window, number, c, by_id.get(c.candidate_id), c.candidate_id == chosen)
        for number, c in enumerate(candidates, start=1)
    ]
    blank = (
        np.full_like(panels[0], 255) if panels else np.full((200, _PANEL_WIDTH, 3), 255, np.uint8)
    )
    panels += [blank] * (-len(panels) % columns or (0 if panels else 1))
    rows = [np.hstack(panels[i : i + columns]) for i in range(0, len(panels), columns)]
    body = np.vstack(rows)
    return np.vstack([_header(body.shape[1], instruction, candidates, scores, chosen), body])


def encode_png(image: Image) -> bytes:
    """PNG file of an RGB image (H, W, 3)."""
    return bytes(cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))[1].tobytes())


def write_png(image: Image, path: Path) -> None:
    """Write an RGB image.

    Raises:
        PlatformError: UNAVAILABLE when the folder cannot be written to.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode_png(image))
    except OSError as error:
        raise PlatformError(Code.UNAVAILABLE, f"cannot write {path}: {error.strerror}") from error


def _window(view: RgbdView, candidates: Sequence[FlowCandidate]) -> tuple[slice, slice]:
    """Part of the image that all motions fit into, in the image's own shape."""
    height, width = view.color.shape[:2]
    parts = [_project(c.flow, view).reshape(-1, 2) for c in candidates if c.flow is not None]
    seen = np.concatenate(parts) if parts else np.zeros((0, 2))
    seen = seen[np.isfinite(seen).all(axis=1)]
    seen = np.clip(seen, 0, [width - 1, height - 1])
    if len(seen) < 3:
        return slice(0, height), slice(0, width)
    low, high = seen.min(axis=0), seen.max(axis=0)
    middle, span = (low + high) / 2, (high - low) * 1.15 + 0.16 * width
    scale = min(1.0, max(span[0] / width, span[1] / height))
    size = np.floor([width * scale, height * scale]).astype(int)
    corner = np.clip(middle - size / 2, 0, [width - size[0], height - size[1]]).astype(int)
    return slice(corner[1], corner[1] + size[1]), slice(corner[0], corner[0] + size[0])


def _project(flow: ObjectFlow, view: RgbdView) -> NDArray[np.float64]:
    """Pixels (T, n, 2) of a few of the flow's points."""
    pick = np.unique(np.linspace(0, flow.point_count - 1, _TRACKS).astype(int))
    local = se3.apply(se3.inverse(view.T_planning_camera), flow.points[:, pick])
    return view.model.project(local)


def _panel(
    view: RgbdView,
    window: tuple[slice, slice],
    number: int,
    candidate: FlowCandidate,
    score: CandidateScore | None,
    chosen: bool,
) -> Image:
    part = view.color[window]
    scale = _PANEL_WIDTH / part.shape[1]
    size = (_PANEL_WIDTH, max(1, round(part.shape[0] * scale)))
    grey = cv2.cvtColor(cv2.resize(part, size, interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY)
    # A pale picture behind the lines, so that time's colours are the only strong ones.
    out = np.repeat((grey * 0.55 + 105).astype(np.uint8)[..., None], 3, axis=2)
    label_at = np.array([28.0, 44.0])
    if candidate.flow is not None:
        corner = np.array([window[1].start, window[0].start], float)
        tracks = (_project(candidate.flow, view) - corner) * scale
        _draw_tracks(out, tracks)
        last = tracks[-1][np.isfinite(tracks[-1]).all(axis=1)]
        if len(last):
            label_at = np.clip(np.median(last, axis=0), 26, [size[0] - 26.0, size[1] - 26.0])
    colour = _CHOSEN if chosen else _VALID if score is not None and score.valid else _REJECTED
    _draw_number(out, number, label_at, colour)
    cv2.rectangle(out, (0, 0), (size[0] - 1, size[1] - 1), colour, 6 if chosen else 2)
    caption = np.full((_CAPTION, _PANEL_WIDTH, 3), 255, np.uint8)
    _write_caption(caption, number, candidate, score, chosen, colour)
    return np.vstack([out, caption])


def _draw_tracks(out: Image, tracks: NDArray[np.float64]) -> None:
    steps = len(tracks)
    ramp = _time_colours(steps)
    with np.errstate(invalid="ignore"):
        known = np.asarray((abs(tracks) < 1e4).all(axis=2))
    fine = np.rint(np.where(known[..., None], tracks, 0.0) * 8).astype(np.int32)
    for step in range(1, steps):
        both = known[step - 1] & known[step]
        lines = np.stack([fine[step - 1, both], fine[step, both]], axis=1)
        colour = tuple(int(c) for c in ramp[step])
        cv2.polylines(out, list(lines), False, colour, 2, cv2.LINE_AA, shift=3)
    for points, colour in ((tracks[0], ramp[0]), (tracks[-1], ramp[-1])):
        for p in points[np.isfinite(points).all(axis=1)]:
            if abs(p).max() < 1e4:
                centre = tuple(int(v) for v in np.rint(p))
                cv2.circle(out, centre, 3, tuple(int(c) for c in colour), -1, cv2.LINE_AA)


def _time_colours(steps: int) -> Image:
    """(steps, 3) RGB from the beginning (blue) to the end (yellow)."""
    ramp = np.linspace(20, 255, steps).astype(np.uint8)[None]
    table = cv2.applyColorMap(ramp, cv2.COLORMAP_PLASMA)[0]
    return np.ascontiguousarray(table[:, ::-1])


def _draw_number(
    out: Image, number: int, at: NDArray[np.float64], colour: tuple[int, int, int]
) -> None:
    centre = (round(float(at[0])), round(float(at[1])))
    cv2.circle(out, centre, 20, (255, 255, 255), -1, cv2.LINE_AA)
    cv2.circle(out, centre, 20, colour, 3, cv2.LINE_AA)
    (width, height), _ = cv2.getTextSize(str(number), _FONT, 0.8, 2)
    origin = (centre[0] - width // 2, centre[1] + height // 2)
    cv2.putText(out, str(number), origin, _FONT, 0.8, (20, 20, 20), 2, cv2.LINE_AA)


def _write_caption(
    caption: Image,
    number: int,
    candidate: FlowCandidate,
    score: CandidateScore | None,
    chosen: bool,
    colour: tuple[int, int, int],
) -> None:
    if score is None:
        head, body = "not judged", candidate.reason
    elif score.valid:
        head, body = (f"{'CHOSEN' if chosen else 'valid'}  score {score.score:.2f}", "")
        said = [g.reason for g in score.gates if g.name in ("relation_m", "motion_m")]
        body = said[0] if said else ""
    else:
        gate = next(g for g in score.gates if not g.passed)
        head, body = f"rejected: {gate.name}", gate.reason
    cv2.putText(caption, f"{number}  {head}", (8, 20), _FONT, 0.56, colour, 2, cv2.LINE_AA)
    for line, text in enumerate(_wrap(body, 68, 2)):
        at = (8, 38 + 16 * line)
        cv2.putText(caption, text, at, _FONT, 0.4, (60, 60, 60), 1, cv2.LINE_AA)


def _header(
    width: int,
    instruction: str,
    candidates: Sequence[FlowCandidate],
    scores: Sequence[CandidateScore],
    chosen: str | None,
) -> Image:
    out = np.full((58, width, 3), 255, np.uint8)
    ids = [c.candidate_id for c in candidates]
    verdict = f"chosen: {ids.index(chosen) + 1}" if chosen in ids else "none chosen"
    valid = sum(score.valid for score in scores)
    text = f'"{_ascii(instruction)}"   {verdict}   {valid} of {len(candidates)} valid'
    cv2.putText(out, text, (8, 24), _FONT, 0.62, (20, 20, 20), 2, cv2.LINE_AA)
    bar = np.repeat(_time_colours(180)[None], 10, axis=0)
    out[38:48, 60:240] = bar[:, : max(0, min(180, width - 60))]
    cv2.putText(out, "start", (8, 48), _FONT, 0.45, (60, 60, 60), 1, cv2.LINE_AA)
    cv2.putText(out, "end", (248, 48), _FONT, 0.45, (60, 60, 60), 1, cv2.LINE_AA)
    for index, (name, colour) in enumerate(
        (("chosen", _CHOSEN), ("valid", _VALID), ("rejected", _REJECTED))
    ):
        x = 310 + 100 * index
        cv2.rectangle(out, (x, 38), (x + 14, 48), colour, -1)
        cv2.putText(out, name, (x + 20, 48), _FONT, 0.45, (60, 60, 60), 1, cv2.LINE_AA)
    return out


def _wrap(text: str, columns: int, lines: int) -> list[str]:
    out = [""]
    for word in _ascii(text).split():
        if len(out[-1]) + len(word) + 1 > columns:
            out.append("")
        out[-1] = f"{out[-1]} {word}".strip()
    if len(out) > lines:
        out = out[:lines]
        out[-1] = out[-1][: columns - 3] + "..."
    return out


def _ascii(text: str) -> str:
    """What the image's font can show."""
    return text.encode("ascii", "replace").decode()
