"""A server of MCP over a workspace: memory for any client that speaks the protocol."""
