"""What to train on, how, the adapters that come of it, and the gate that lets them in."""
