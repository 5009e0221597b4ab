"""Nodes, and the only code here that speaks messages."""
