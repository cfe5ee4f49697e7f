"""Verifiers for where no program can judge."""
