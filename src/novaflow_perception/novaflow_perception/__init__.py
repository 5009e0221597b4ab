"""Capture, instruction parsing, grounding, live tracking and scene geometry."""
