"""Densities with their gradients in numba, and as C functions for nutpie."""
