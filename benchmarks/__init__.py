"""Worlds with verifiers, the batch runner, leakage checks and reports."""
