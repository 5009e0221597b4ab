"""Sizes of the small chest with one drawer [m].

Its frame: origin in the middle of its foot, z up, +x out of the front: the way that the drawer
opens.
"""

from __future__ import annotations

import math

WIDTH_M, DEPTH_M, HEIGHT_M = 0.200, 0.160, 0.112
BOARD_M = 0.010
FRONT_M = 0.012  # thickness of the drawer's front, which covers the whole chest
FRONT_GAP_M = 0.006  # under it
BAR_RADIUS_M = 0.006
BAR_HALF_LENGTH_M = 0.060
BAR_HEIGHT_M = 0.084
BAR_REACH_M = 0.042  # from the front's face to the bar's middle
POST_RADIUS_M = 0.004
POST_AT_M = 0.048  # from the middle of the bar
TRAVEL_M = 0.140
SLIDE_FRICTION_N = 1.5
SLIDE_DAMPING_N_S_M = 8.0
CHEST_KG, DRAWER_KG = 2.6, 0.45

BAR_X_M = DEPTH_M / 2 + FRONT_M + BAR_REACH_M
RADIUS_M = math.hypot(BAR_X_M + BAR_RADIUS_M, WIDTH_M / 2)
OPENED_M = BAR_X_M + BAR_RADIUS_M + TRAVEL_M  # how far the handle can come from the middle
MAX_YAW_RAD = math.radians(50.0)
REACH_M = (0.31, 0.41)  # where it stands: the handle must be reached, shut and open
HANDLE_REACH_M = 0.70  # how far from the arm's base the handle may come
MAX_TURNED_RAD = math.radians(55.0)  # of the front away from the camera
