"""Selectors: which tasks to practise."""
