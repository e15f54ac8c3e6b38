"""A command group that imports a command when it is called, and puts every error into words."""

from __future__ import annotations

import errno
from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

import click

from zoo_core.errors import ZooError, did_you_mean

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

INTERRUPTED = 130


class Failure(click.ClickException):
    """One sentence on stderr, and the exit code."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code  # type: ignore[misc]

    def show(self, file: Any = None) -> None:
        click.echo(f"zoo: {self.format_message()}", file=file, err=file is None)


class LazyGroup(click.Group):
    """Commands by name as ``(target, short help)``, the target a ``module:attribute`` string.

    Help, completion and misspelled names need only the table; nothing is imported for them.
    """

    def __init__(
        self, *args: Any, lazy: Mapping[str, tuple[str, str]] | None = None, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.lazy = dict(lazy or {})

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.lazy)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.lazy:
            return None
        module, _, attribute = self.lazy[cmd_name][0].partition(":")
        command = getattr(import_module(module), attribute)
        assert isinstance(command, click.Command), f"{module}:{attribute} is no command"
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if name not in self.lazy and name[:1].isalnum() and not ctx.resilient_parsing:
            hint = did_you_mean(name, self.lazy) or f"Commands: {', '.join(self.lazy)}."
            ctx.fail(f"No command is called '{name}'. {hint}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in self.lazy.items()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        from click.shell_completion import CompletionItem

        commands = [
            CompletionItem(name, help=text)
            for name, (_, text) in self.lazy.items()
            if name.startswith(incomplete)
        ]
        return commands + click.Command.shell_complete(self, ctx, incomplete)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command. What goes wrong ends as one sentence; ``--debug`` adds the traceback."""
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.Abort, click.exceptions.Exit):
            raise
        except KeyboardInterrupt:
            raise Failure("interrupted.", INTERRUPTED) from None
        except OSError as error:
            if error.errno == errno.EPIPE:  # the reader of our output has gone; click ends quietly
                raise
            _fail(ctx, error, _os_sentence(error), 1)
        except ZooError as error:
            _fail(ctx, error, str(error), error.exit_code)
        except Exception as error:
            text = str(error).strip() or "no message"
            _fail(
                ctx,
                error,
                f"unexpected {type(error).__name__}: {text}. This is a fault of the zoo or of a "
                "plugin; run again with 'zoo --debug ...' for the traceback.",
                1,
            )


def _fail(ctx: click.Context, error: Exception, sentence: str, exit_code: int) -> None:
    if ctx.params.get("debug"):
        import traceback

        click.echo("".join(traceback.format_exception(error)), err=True, nl=False)
    raise Failure(sentence, exit_code) from None


def _os_sentence(error: OSError) -> str:
    what = error.strerror.lower() if error.strerror else type(error).__name__
    return f"{error.filename}: {what}." if error.filename else f"{what}."
