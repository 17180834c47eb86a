"""Photosynth: operate nodes, mine on surplus renewable energy, keep the books and prove them."""
