"""Nodes and parameters."""
