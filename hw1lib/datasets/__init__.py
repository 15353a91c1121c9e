"""The data HW1 rests on: getting it, verifying it, reading it, standing in for it."""
