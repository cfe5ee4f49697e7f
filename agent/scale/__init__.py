"""Test-time strategies: more than one attempt at a task, one answer."""
