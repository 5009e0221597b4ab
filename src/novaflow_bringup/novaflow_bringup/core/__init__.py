"""Sequencing and reports, without ROS."""
