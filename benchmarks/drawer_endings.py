"""The verdict on drawers against the scorer's, at endings that are made and not executed.

    python benchmarks/drawer_endings.py 1000:1010

For every seed: the drawer left shut, half open, just short of and just beyond what counts as open,
well open; and the whole chest dragged along instead, or turned. Prints each ending where the two
disagree, and counts.
"""

from __future__ import annotations

import argparse
import math
import sys
import tempfile
from pathlib import Path

import cv2
import mujoco
import numpy as np
from offline_cell import OfflineCell

from novaflow_core.errors import NovaflowError
from novaflow_flowgen.core.lift import make_klt
from novaflow_flowgen.core.pool import CandidatePool, PoolRequest
from novaflow_flowgen.core.settings import FlowgenSettings
from novaflow_flowgen.core.storyboard import Storyboard
from novaflow_perception.backends.tabletop import TabletopGrounder
from novaflow_perception.core.instruction import parse
from novaflow_perception.core.outcome import observe
from novaflow_sim.core import objects
from novaflow_sim.core.scoring import score

# Drawer open [m], chest dragged along its axis [m], chest turned [deg].
ENDINGS = {
    "shut": (0.0, 0.0, 0.0),
    "a little": (0.030, 0.0, 0.0),
    "half": (0.060, 0.0, 0.0),
    "short": (0.072, 0.0, 0.0),
    "just": (0.088, 0.0, 0.0),
    "open": (0.112, 0.0, 0.0),
    "wide": (0.135, 0.0, 0.0),
    "open and dragged": (0.112, 0.030, 0.0),
    "dragged": (0.0, 0.110, 0.0),
    "dragged half": (0.05, 0.06, 0.0),
    "open and turned": (0.112, 0.0, 10.0),
}


def place(cell: OfflineCell, opened_m: float, dragged_m: float, turned_deg: float) -> None:
    """Put drawer and chest where an ending has them."""
    model, data = cell.cell.model, cell.cell.data
    data.qpos[model.joint(objects.DRAWER).qposadr[0]] = opened_m
    at = int(model.joint(f"{objects.CHEST.name}_free").qposadr[0])
    out = data.body(objects.CHEST.name).xmat.reshape(3, 3)[:, 0]
    data.qpos[at : at + 3] += dragged_m * out
    half = math.radians(turned_deg) / 2
    turn, before = np.array([math.cos(half), 0, 0, math.sin(half)]), data.qpos[at + 3 : at + 7]
    mujoco.mju_mulQuat(data.qpos[at + 3 : at + 7], turn, before.copy())
    mujoco.mj_forward(model, data)


def main() -> int:
    """Run and print."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("seeds", help="half-open range A:B")
    first, last = (int(part) for part in options.parse_args().seeds.split(":"))
    cv2.setNumThreads(1)
    agree = count = false = 0
    for seed in range(first, last):
        cell = OfflineCell("drawer", seed)
        cell.advance(0.2)
        before = cell.capture("before")
        grounding = TabletopGrounder().ground(before, parse(objects.TASKS["drawer"].instruction))
        pool = CandidatePool(Storyboard(), make_klt(FlowgenSettings()), workers=1)
        with tempfile.TemporaryDirectory() as folder:
            request = PoolRequest(before, grounding, 1, seed, 0, Path(folder))
            (candidate,) = pool.make(request, lambda *_: None, lambda: False).candidates
        if candidate.flow is None:
            raise NovaflowError(candidate.code, candidate.reason)
        start = cell.cell.data.qpos.copy()
        for name, ending in ENDINGS.items():
            cell.cell.data.qpos[:] = start
            place(cell, *ending)
            outcome = observe(before, grounding, candidate.flow, cell.capture("after"))
            said, true = outcome.code.name == "OK", score("drawer", cell.cell.truth()).success
            count, agree, false = count + 1, agree + (said == true), false + (said and not true)
            if said != true:
                print(f"{seed} {name}: {outcome.code.name}, scored {true}: {outcome.reason}")
        cell.close()
        print(f"{seed}: {agree} of {count} agree, {false} said done and were not", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
