"""Makes the ray caster importable from all tests of this package."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
