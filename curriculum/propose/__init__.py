"""Proposers: which new tasks to draft."""
