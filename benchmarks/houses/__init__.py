"""The engine of House Rules: records, rules, tasks, the two doors and the baseline agents."""
