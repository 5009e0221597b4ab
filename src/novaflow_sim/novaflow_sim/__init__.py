"""MuJoCo cells that speak what real drivers speak, and the scorer."""
