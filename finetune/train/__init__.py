"""Trainers: how a dataset becomes an adapter."""
