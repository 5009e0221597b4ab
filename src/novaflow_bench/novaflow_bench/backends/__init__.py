"""Where labelled scenes come from, and the product under test."""
