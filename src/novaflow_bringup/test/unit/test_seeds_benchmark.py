"""The statistics of benchmarks/seeds.py."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).resolve().parents[4] / "benchmarks" / "seeds.py"


@pytest.fixture(scope="module")
def seeds() -> ModuleType:
    spec = importlib.util.spec_from_file_location("seeds", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_wilson_agrees_with_published_values(seeds: ModuleType) -> None:
    # Newcombe (1998), Statistics in Medicine 17, table I: 81 of 263, 15 of 148, 0 of 20.
    for successes, runs, low, high in (
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
    ):
        assert seeds.wilson(successes, runs) == pytest.approx((low, high), abs=5e-5)


def test_disagreement_is_no_success(seeds: ModuleType) -> None:
    row = {
        "task": "cup",
        "seed": 1000,
        "outcome": True,
        "scored": False,
        "agree": False,
        "code": "OK",
        "cause": "",
        "reason": "",
        "total_s": 30.0,
    }
    text = seeds.table([row])
    assert "cup: 0 of 1" in text and "disagree at seeds: [1000]" in text


def test_runs_that_are_there_are_not_repeated(
    seeds: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = tmp_path / "demo.py"
    made.write_text(
        "import json, sys\n"
        "out = sys.argv[sys.argv.index('--json') + 1]\n"
        "values = {'outcome': True, 'scored': True, 'agree': True, 'code': 'OK', 'cause': ''}\n"
        "open(out, 'w').write(json.dumps(values))\n"
    )
    out = tmp_path / "out.jsonl"
    for last, lines in ((1001, 1), (1002, 2), (1002, 2)):
        words = ["x", f"1000:{last}", "--tasks", "cup", "--out", str(out)]
        monkeypatch.setattr(sys, "argv", [*words, "--command", sys.executable, str(made)])
        assert seeds.main() == 0
        assert len(out.read_text().splitlines()) == lines
