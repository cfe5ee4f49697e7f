"""Which task comes next, which new tasks are proposed, and the checks that a draft must pass."""
