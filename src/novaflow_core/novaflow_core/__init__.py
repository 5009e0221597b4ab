"""The vocabulary of NovaFlow: records and geometry that every package shares; NumPy, no ROS."""
