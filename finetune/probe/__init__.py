"""Temptations that a candidate must not give in to more often than what it would replace."""
