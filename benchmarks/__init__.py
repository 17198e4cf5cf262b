"""Whole processes that do the same job, side by side on one server; every table is checked afterwards."""
