"""Makes the ROS 2 wheels usable for building: their CMake files name folders of another machine."""

from __future__ import annotations

import re
import subprocess
import sysconfig

from workspace import environment
from workspace.layout import PYTHON, VENV

# Where the machine that built the wheels kept Python and NumPy.
_PYTHON = re.compile(r"/opt/python/cp\d+-cp\d+/include/python3\.\d+")
_NUMPY = re.compile(r"/opt/python/cp\d+-cp\d+/lib/python3\.\d+/site-packages/numpy/_core/include")


def fix_paths() -> None:
    """Rewrite them to this machine's."""
    probe = "import numpy; print(numpy.get_include())"
    numpy = subprocess.run(
        [str(PYTHON), "-c", probe],
        check=True,
        capture_output=True,
        text=True,
        env=environment.base(None),
    ).stdout.strip()
    include = sysconfig.get_paths()["include"]
    for path in VENV.glob("share/**/*.cmake"):
        text = path.read_text()
        fixed = localised(text, include, numpy)
        if fixed != text:
            path.write_text(fixed)


def localised(text: str, include: str, numpy: str) -> str:
    """Replace the foreign folders of Python's and NumPy's headers by this machine's."""
    return _PYTHON.sub(include, _NUMPY.sub(numpy, text))
