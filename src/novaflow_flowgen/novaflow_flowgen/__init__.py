"""Video generation, lifting to object flow, and selection of a believable candidate."""
