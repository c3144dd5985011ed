"""Nopython code only: compiled by numba, callable from other compiled code."""
