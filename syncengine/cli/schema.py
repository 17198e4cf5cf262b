"""syncengine schema"""

from __future__ import annotations

import click


@click.command("schema")
def command() -> int:
    """Print the JSON Schema of spec files; editors complete and explain keys with it."""
    import json

    from syncengine.spec.schema import json_schema

    click.echo(json.dumps(json_schema(), indent=2, ensure_ascii=False))
    return 0
