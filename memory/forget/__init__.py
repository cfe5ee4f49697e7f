"""Forgetters: which items of the bank are let go."""
