"""Curators: what to train on."""
