"""Helpers of the HW1 notebook; see README.md for who lives where."""
