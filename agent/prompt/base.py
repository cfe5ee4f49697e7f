"""What a prompt evolver must do: rewrite the agent's standing instructions, and say what it tried.

What it finds is a candidate; the gate decides, as over memory and adapters.
"""

from instar.contracts import PromptEvolver as Contract

__all__ = ["Contract"]
