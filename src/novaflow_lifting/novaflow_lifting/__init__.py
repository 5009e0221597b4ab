"""Kernels of lifting; the work is done in C++, in this package's `src/`."""

from novaflow_lifting import library
from novaflow_lifting.tracks import LEAST, Strain, fit, strain

__all__ = ["LEAST", "Strain", "fit", "library", "strain"]
