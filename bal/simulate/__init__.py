"""Data servers and PMUs that send what a checker can recompute: every value is a function of seed, number and time."""
