"""`python -m novaflow_sim.render_videos`: videos of a task that no storyboard had a hand in."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from novaflow_core.errors import NovaflowError
from novaflow_sim.backends.rendered_videos import render_videos
from novaflow_sim.core import objects
from novaflow_sim.core.disturbance import KINDS, NONE


def main() -> int:
    """Render; exit status 1 with a sentence where that cannot be done."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--task", choices=list(objects.TASKS), default="cup")
    options.add_argument("--seed", type=int, default=1000)
    options.add_argument("--candidates", type=int, default=8)
    options.add_argument("--spoiled", type=int, default=0)
    options.add_argument("--disturb", choices=KINDS, default=NONE)
    options.add_argument("--out", type=Path, required=True, help="folder for the videos")
    chosen = options.parse_args()
    disturb = chosen.disturb
    try:
        labels = render_videos(
            chosen.task, chosen.seed, chosen.candidates, chosen.spoiled, chosen.out, disturb
        )
    except NovaflowError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"{len(labels)} videos in {chosen.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
