"""The agent: one LangGraph graph, its nodes and prompts, and the verifiers that judge it."""
