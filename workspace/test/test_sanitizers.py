"""The C++ kernels, built with address and undefined-behaviour sanitizers."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

SOURCES = Path(__file__).parents[2] / "src"
KERNELS = {"novaflow_trajopt": "portable: done;", "novaflow_lifting": "done"}  # what they say


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
@pytest.mark.parametrize("package", list(KERNELS))
def test_whole_interface_is_clean_under_sanitizers(package: str, tmp_path: Path) -> None:
    compiler = os.environ.get("CXX") or shutil.which("c++")
    if compiler is None or not has_sanitizers(tmp_path, compiler):
        pytest.skip("no C++ compiler with address and undefined-behaviour sanitizers here")
    if shutil.which("cmake") is None:
        pytest.skip("no cmake here")
    configured = run(
        "cmake",
        "-S",
        str(SOURCES / package),
        "-B",
        "build",
        f"-D{package.upper()}_SANITIZE=ON",
        cwd=tmp_path,
    )
    assert configured.returncode == 0, configured.stdout + configured.stderr
    built = run("cmake", "--build", "build", cwd=tmp_path)
    assert built.returncode == 0, built.stdout + built.stderr
    done = run("build/exercise", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert KERNELS[package] in done.stdout
