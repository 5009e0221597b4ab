"""`python -m novaflow_bench.judge`: how well the judge tells believable candidates from others.

Videos are made of simulated and real views, right and wrong, and go through the product's lifter
and judge with nothing but images, depth and the instruction. Labels stay here.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import sys
import tempfile
import time
import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from novaflow_bench.backends.cell_stage import TASKS, cell_stage
from novaflow_bench.backends.examined import Examiner
from novaflow_bench.backends.view_stage import annotated, view_stage
from novaflow_bench.core import verdicts
from novaflow_bench.core.casting import Role, roles
from novaflow_bench.core.film import shoot
from novaflow_bench.core.pool_file import read_pool, write_pool
from novaflow_bench.core.sets import CandidateSet, Labelled, SetCounts, draw_sets
from novaflow_bench.core.stage import Stage
from novaflow_bench.core.wrongs import KINDS
from novaflow_core.candidate import CandidateScore, Gate
from novaflow_core.errors import NovaflowError
from novaflow_flowgen.core.critic import Critic, Judgement

SIM, REAL = "sim", "real"
CUT_OUT = "cut_out"


@dataclass(frozen=True)
class Case:
    """One stage to make: a task and a seed, or an annotated instruction."""

    source: str
    name: str
    seed: int
    task: str = ""
    folder: Path = Path()
    entry: dict[str, Any] | None = None

    def stage(self) -> Stage:
        """Make it."""
        if self.entry is not None:
            return view_stage(self.folder, self.entry)
        return cell_stage(self.task, self.seed)


def main() -> int:
    """Make and judge what is missing, then count; 0 if all was judged."""
    chosen = _options().parse_args()
    cases = list(_cases(chosen))
    pools = chosen.out / "pools"
    began = time.monotonic()
    missing = [case for case in cases if not _path(pools, case).is_file()]
    print(f"{len(cases)} pools of videos, {len(missing)} to make; kept in {pools}", flush=True)
    for number, (case, error) in enumerate(_made(missing, pools, chosen.workers), start=1):
        told = error or _line(read_pool(_path(pools, case)))
        spent = time.monotonic() - began
        print(f"  [{number}/{len(missing)}] {case.name}: {told} ({spent:.0f} s)", flush=True)
    done = [(case, read_pool(path)) for case in cases if (path := _path(pools, case)).is_file()]
    values = counted(done)
    print(f"\n{verdicts.table(values)}", flush=True)
    if chosen.json is not None:
        chosen.json.parent.mkdir(parents=True, exist_ok=True)
        chosen.json.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
    return 0 if len(done) == len(cases) else 1


def _options() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(prog="novaflow_bench.judge", description=__doc__)
    options.add_argument("--tasks", nargs="*", choices=TASKS, default=list(TASKS))
    options.add_argument("--seeds", default="1000:1006", help="half-open range A:B")
    options.add_argument("--views", type=Path, help="folder of annotated RGB-D views")
    options.add_argument("--instructions", type=int, default=1, help="of each view, at most")
    options.add_argument("--workers", type=int, default=2)
    options.add_argument("--out", type=Path, required=True, help="keeps what was judged")
    options.add_argument("--json", type=Path)
    return options


def _cases(chosen: argparse.Namespace) -> Iterator[Case]:
    first, _, last = chosen.seeds.partition(":")
    for seed in range(int(first), int(last or int(first) + 1)):
        for task in chosen.tasks:
            yield Case(SIM, f"{task}_{seed}", seed, task=task)
    if chosen.views is not None:
        for number, entry in enumerate(annotated(chosen.views)):
            if entry["turn"] < chosen.instructions:
                name = f"{entry['view']}_{entry['turn']}"
                yield Case(REAL, name, 1000 + number, folder=chosen.views, entry=entry)


def _made(missing: list[Case], pools: Path, workers: int) -> Iterator[tuple[Case, str]]:
    """Make pools in processes of their own; yields each with what went wrong, or ""."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context) as processes:
        running: dict[Future[None], Case] = {
            processes.submit(make_pool, case, _path(pools, case)): case for case in missing
        }
        while running:
            ended, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in ended:
                error = future.exception()
                if error is not None and not isinstance(error, NovaflowError):
                    raise error
                yield running.pop(future), "" if error is None else str(error)


def make_pool(case: Case, path: Path) -> None:
    """Make, lift and judge all videos of a case."""
    cv2.setNumThreads(1)
    stage = case.stage()
    salt = zlib.crc32(case.name.encode())
    cast = roles(stage, case.seed)
    with tempfile.TemporaryDirectory() as folder:
        try:
            examiner = Examiner(stage, Path(folder))
        except NovaflowError as error:
            # A goal that the product refuses has no video that it could choose.
            gate = Gate("grounded", float(error.code), 0.0, False, str(error))
            write_pool(
                path,
                [_labelled(r, Judgement(CandidateScore("", 0.0, (gate,)), None)) for r in cast],
            )
            return
        lifted = []
        for role in cast:
            noise = np.random.default_rng([salt, 2, role.number])
            video = shoot(stage, role.film(stage, salt), noise)
            lifted.append(examiner.lift(f"video_{role.number}", video))
        judged = examiner.judge(lifted)
    write_pool(path, [_labelled(*pair) for pair in zip(cast, judged, strict=True)])


def _labelled(role: Role, judged: Judgement) -> Labelled:
    end = judged.end
    place = None if end is None else (float(end[0]), float(end[1]), float(end[2]))
    held_out = bool(role.kind) and KINDS[role.kind].held_out
    return Labelled(role.kind, role.severity, held_out, role.like, CUT_OUT, judged.score, place)


def counted(done: Sequence[tuple[Case, list[Labelled]]]) -> dict[str, Any]:
    """Everything that the JSON holds."""
    sets: dict[tuple[str, bool], list[CandidateSet]] = {}
    for case, pool in done:
        random = np.random.default_rng([zlib.crc32(case.name.encode()), 3])
        for item in draw_sets(pool, SetCounts(), random):
            sets.setdefault((case.source, item.held_out), []).append(item)
    videos = [item for _, pool in done for item in pool]
    decide = Critic().decide
    found = {
        (source, held): verdicts.of_sets(sets.get((source, held), []), decide)
        for source in (SIM, REAL)
        for held in (False, True)
    }
    both = verdicts.of_sets([*sets.get((SIM, False), []), *sets.get((REAL, False), [])], decide)
    return {
        "top1_valid_sim": found[SIM, False]["top1_valid"]["share"],
        "top1_valid_real": found[REAL, False]["top1_valid"]["share"],
        "none_detected": both["none_detected"]["share"],
        "refused_with_valid": both["refused_with_valid"]["share"],
        SIM: found[SIM, False],
        REAL: found[REAL, False],
        "held_out": {
            "kinds": [name for name, kind in KINDS.items() if kind.held_out],
            SIM: found[SIM, True],
            REAL: found[REAL, True],
        },
        "kinds": verdicts.of_kinds(videos),
        "kinds_real": verdicts.of_kinds(
            [item for case, pool in done if case.source == REAL for item in pool]
        ),
        "gates": verdicts.of_gates(videos),
        "pools": [case.name for case, _ in done],
    }


def _path(pools: Path, case: Case) -> Path:
    return pools / f"{case.name}.json"


def _line(pool: list[Labelled]) -> str:
    right = [item.score.valid for item in pool if item.valid]
    wrong = [item for item in pool if not item.valid]
    passed = [f"{item.kind} {item.severity}" for item in wrong if item.score.valid]
    told = f"{sum(right)} of {len(right)} right ones pass, {len(passed)} of {len(wrong)} wrong ones"
    return told + (f": {', '.join(passed)}" if passed else "")


if __name__ == "__main__":
    sys.exit(main())
