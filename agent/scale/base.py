"""What a test-time strategy must do: make one trajectory of several attempts, and count them all."""

from instar.contracts import Scaler as Contract

__all__ = ["Contract"]
