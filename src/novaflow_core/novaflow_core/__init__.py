"""The vocabulary of NovaFlow: records and geometry that every package shares. NumPy only, no ROS."""
