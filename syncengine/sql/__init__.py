"""The only place where names and values become SQL text; `staging` before the target is met, `statements` after."""
