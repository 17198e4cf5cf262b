"""YAML text -> Spec: read, expand, validate, collect every problem."""
