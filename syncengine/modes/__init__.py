"""What must hold at the end, as statements over the staged relation; one file a mode."""
