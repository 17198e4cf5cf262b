"""The nouns: frozen values without IO, shared by every room."""
