"""Algorithms and records; no ROS."""
