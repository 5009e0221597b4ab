"""What `./novaflow test` checks."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from workspace import environment, install
from workspace.layout import PYTHON, ROOT, VENV

CODE = ["src", "launch", "workspace", "benchmarks"]
WHOLE = [  # for mypy, besides every core/
    "src/novaflow_core/novaflow_core",
    "src/novaflow_trajopt/novaflow_trajopt",
    "src/novaflow_lifting/novaflow_lifting",
    "src/novaflow_flowgen/novaflow_flowgen/serving",
]
LOOPBACK_ONLY = ROOT / "workspace" / "loopback_only"  # its sitecustomize refuses other machines
PROSE = ["README.md", "docs", "src", "launch", "workspace", "benchmarks", "requirements"]


def run_all(options: Sequence[str]) -> int:
    """Run the linters, then all tests; pytest's summary comes last.

    Args:
        options: `--fast`, and options for pytest.

    Returns:
        0 if everything passed.
    """
    fast = "--fast" in options
    rest = [option for option in options if option != "--fast"]
    variables = {**environment.runtime(), "ROS_PYTHON_CHECK_FIELDS": "1"}
    with tempfile.TemporaryDirectory() as folder:
        return _run_all(fast, rest, variables, Path(folder) / "network.log")


def _run_all(fast: bool, rest: Sequence[str], variables: Mapping[str, str], network: Path) -> int:
    failed = [name for name, command in _linters() if not _passes(name, command, variables)]
    if failed:
        print(f"\nfailed: {', '.join(failed)}", flush=True)
    marks = ["-m", "not slow and not graph"] if fast else []
    plugin = ["-p", "workspace.retry_graph_tests"]
    path = f"{LOOPBACK_ONLY}{os.pathsep}{variables['PYTHONPATH']}"
    tests = subprocess.run(
        [str(PYTHON), "-m", "pytest", *plugin, *marks, *rest],
        cwd=ROOT,
        env={**variables, "PYTHONPATH": path, "NOVAFLOW_NETWORK_LOG": str(network)},
        check=False,
    )
    left = network.read_text().splitlines() if network.exists() else []
    if left:
        print("\nfailed: tests tried to reach other machines:", *left[:20], sep="\n  ", flush=True)
    return 1 if failed or left else tests.returncode


def _linters() -> list[tuple[str, list[str]]]:
    tool = str(VENV / "bin") + "/"
    code = [name for name in CODE if (ROOT / name).exists()]
    compiled = [
        str(p.relative_to(ROOT))
        for name in install.COMPILED_FILES
        for p in sorted(ROOT.glob(f"src/novaflow_*/**/{name}"))
    ]
    prose = [name for name in PROSE if (ROOT / name).exists()]
    cores = [str(p.relative_to(ROOT)) for p in sorted(ROOT.glob("src/*/novaflow_*/core"))]
    return [
        ("ruff check", [f"{tool}ruff", "check", "--quiet", "--output-format", "concise", *code]),
        ("ruff format", [f"{tool}ruff", "format", "--check", "--output-format", "concise", *code]),
        ("mypy, strict", [f"{tool}mypy", *WHOLE, "workspace", *cores]),
        ("import-linter", [f"{tool}lint-imports"]),
        ("clang-format", [f"{tool}clang-format", "--dry-run", "--Werror", *compiled]),
        ("codespell", [f"{tool}codespell", *prose]),
    ]


def _passes(name: str, command: Sequence[str], variables: Mapping[str, str]) -> bool:
    sources = ":".join(str(p) for p in sorted(ROOT.glob("src/novaflow_*")) if p.is_dir())
    began = time.monotonic()
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**variables, "PYTHONPATH": f"{sources}{os.pathsep}{variables['PYTHONPATH']}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    passed = done.returncode == 0
    verdict = "passed" if passed else "FAILED"
    print(f"{name:<14} {verdict} ({time.monotonic() - began:.0f} s)", flush=True)
    if not passed:
        print(done.stdout, flush=True)
    return passed
