"""`rialto apply`: agreements as a file says they shall be."""

from __future__ import annotations

from pathlib import Path

import click
from rich.progress import Progress

from rialto.cli import agreed, frame, show


@click.command(
    epilog=frame.examples("rialto apply agreements.toml --plan", "rialto apply agreements.toml --yes")
)
@frame.instance_options
@agreed.actor_option
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--plan", "plan_only", is_flag=True, help="Show the plan, and do nothing.")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def apply(
    config_path: Path, data_dir: Path | None, actor: str, yes: bool, plan_only: bool, file: Path
) -> None:
    """Bring agreements to what a file says, after showing how.

    It adds and changes; what the file does not speak of stays as it is. Applied again, it does nothing.
    Where a step fails, those before it are done, and the file can be applied again.
    """
    from rialto.clearing.agreements import declared

    said = declared.read(file.read_text(encoding="utf-8"))
    with agreed.registry(config_path, data_dir) as registry:
        steps = declared.plan(said, registry)
        if not steps:
            click.echo("nothing to do")
            return
        for step in steps:
            click.echo(show.plain(f"  {step.text}"))
        if plan_only:
            return
        if not yes:
            click.confirm(f"Do these {len(steps)}?", abort=True, err=True)
        with Progress(console=frame.console(stderr=True), transient=True) as progress:
            task = progress.add_task("applying", total=sum(step.size for step in steps))
            for step in steps:
                for done in step.do(actor):
                    progress.advance(task, done)
        click.echo(f"done: {len(steps)}")
