"""Distillers: trajectories to changes of the bank."""
