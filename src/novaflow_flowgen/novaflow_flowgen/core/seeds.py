"""Seeds of video models."""

from __future__ import annotations

import numpy as np


def seed_of(seed: int, candidate: int) -> int:
    """Return one of 2^32 seeds for a candidate of a goal; the same two numbers give the same."""
    return int(np.random.SeedSequence([seed % 2**63, candidate]).generate_state(1)[0])
