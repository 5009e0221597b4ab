from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2]


def run(*command: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


def has_sanitizers(folder: Path, compiler: str) -> bool:
    source = folder / "probe.cpp"
    source.write_text("int main() { return 0; }\n")
    flags = ("-fsanitize=address,undefined", "-o", "probe")
    if run(compiler, *flags, source.name, cwd=folder).returncode:
        return False
    return run("./probe", cwd=folder).returncode == 0


@pytest.mark.slow
def test_whole_interface_is_clean_under_sanitizers(tmp_path):
    compiler = os.environ.get("CXX") or shutil.which("c++")
    if compiler is None or not has_sanitizers(tmp_path, compiler):
        pytest.skip("no C++ compiler with address and undefined-behaviour sanitizers here")
    if shutil.which("cmake") is None:
        pytest.skip("no cmake here")
    configured = run(
        "cmake", "-S", str(PACKAGE), "-B", "build", "-DNOVAFLOW_LIFTING_SANITIZE=ON", cwd=tmp_path
    )
    assert configured.returncode == 0, configured.stdout + configured.stderr
    built = run("cmake", "--build", "build", cwd=tmp_path)
    assert built.returncode == 0, built.stdout + built.stderr
    done = run("build/exercise", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "done" in done.stdout
