"""How rows get there; one file a strategy."""
