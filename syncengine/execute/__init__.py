"""Carries a plan out; decides nothing but when to try again."""
