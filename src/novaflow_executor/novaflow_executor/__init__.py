"""Grasps, trajectory optimisation, validation, drivers and the guard."""
