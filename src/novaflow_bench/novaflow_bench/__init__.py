"""Harnesses that measure the product from outside; no part of the product imports them."""
