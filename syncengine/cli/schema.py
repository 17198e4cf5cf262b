"""syncengine schema"""

from __future__ import annotations

import click


@click.command("schema")
@click.option("--project", is_flag=True, help="That of syncengine.yaml instead.")
def command(project: bool) -> int:
    """Print the JSON Schema of spec files; editors complete and explain keys with it.

    VS Code with its YAML extension does so for a file whose first line names the schema, by the path from there:
    # yaml-language-server: $schema=spec.schema.json
    """
    from syncengine.spec.editor import project_schema_for_editors, spec_schema_for_editors, text

    click.echo(text(project_schema_for_editors() if project else spec_schema_for_editors()), nl=False)
    return 0
