"""Worlds: each public module is one, and its name is its id."""
