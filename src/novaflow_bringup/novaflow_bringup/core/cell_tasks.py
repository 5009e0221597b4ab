"""What is asked for in the simulated cell, by the name of what stands on its table."""

from __future__ import annotations

INSTRUCTIONS = {
    "cup": "put the cup on the saucer",
    "insert": "insert the yellow block into the socket",
    "mug": "hang the mug on the tree",
    "drawer": "open the drawer",
    "plant": "water the plant",
}
