"""Runs `python -m novaflow_bringup.standin_launch PACKAGE FILE [name:=value ...]`."""

import sys

from novaflow_bringup.standin_launch.launcher import main

sys.exit(main(sys.argv[1:]))
