"""The command line: a module a command.

Data goes to stdout, words to stderr. Exit codes: 0 done, 1 could not finish, 2 usage or invalid or unreadable
input, 3 infeasible or out of reach, 4 stale plan, 5 reality is beyond the prediction's band, 130 interrupted. No
traceback ever reaches a user.
"""

from __future__ import annotations

import atexit
import gc
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

import click

from capacity.cli.fleet import fleet as fleet_command
from capacity.cli.forecast import forecast as forecast_command
from capacity.cli.levers import levers as levers_command
from capacity.cli.measure import measure as measure_command
from capacity.cli.output import tell
from capacity.cli.page import page as page_command
from capacity.cli.plan import plan as plan_command
from capacity.cli.recommend import recommend as recommend_command
from capacity.cli.replay import replay as replay_command
from capacity.cli.schema import schema as schema_command
from capacity.cli.sensitivity import sensitivity as sensitivity_command
from capacity.cli.sweep import sweep as sweep_command
from capacity.errors import CapacityError, InvalidInput, UnreadableFile
from capacity.units import shortened

__all__ = ["capacity", "main"]


class _InOrder(click.Group):
    """A group whose help has its commands as they are needed, not by the alphabet."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)


@click.group(cls=_InOrder, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="fpm-capacity", prog_name="capacity")
def capacity() -> None:
    """Plan the capacity of a PHP-FPM pool: how many workers, and how many users they can take.

    Sizes and times carry their unit (4GiB, 64MiB, 250ms, 1s). Without a scenario file every command starts
    from the built-in case study, says so, and lets options override it.
    """


for command in (
    recommend_command,
    forecast_command,
    measure_command,
    plan_command,
    replay_command,
    levers_command,
    sensitivity_command,
    fleet_command,
    sweep_command,
    page_command,
    schema_command,
):
    capacity.add_command(command)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit with its code."""
    atexit.register(gc.freeze)  # the process ends: looking for cycles in all it has loaded takes a tenth of a start
    sys.exit(_run(arguments))


def _run(arguments: Sequence[str] | None) -> int:
    try:
        return capacity.main(args=arguments, prog_name="capacity", standalone_mode=False) or 0
    except click.ClickException as error:
        if max(map(len, error.message.splitlines()), default=0) > 300:  # a value that click quotes whole
            error.message = shortened(error.message, 300)  # type: ignore[misc]
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        tell("interrupted")
        return 130
    except (InvalidInput, UnreadableFile) as error:
        tell(f"Error: {error}")
        return 2
    except CapacityError as error:
        tell(f"Error: {error}")
        return 1
    except BrokenPipeError:
        # the reader has left; keep the interpreter from complaining about it at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        tell(f"Error: {error.filename or 'output'}: {error.strerror or error}")
        return 1
    except Exception as error:
        tell(f"Error: internal: {type(error).__name__}: {error} (please report this)")
        return 1
