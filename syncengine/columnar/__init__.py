"""Arrow data: what its types are to PostgreSQL, its values in Python, and its columns as fields of a binary COPY.

Only this package and the sources that hand Arrow over know pyarrow and numpy; nobody imports them before they are
needed.
"""
