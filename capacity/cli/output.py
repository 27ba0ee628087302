"""Where results go: stdout or a file, as a table or as one document; and how far it is with them."""

from __future__ import annotations

import errno
import os
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, TextIO

import click

from capacity.errors import InvalidInput, Problem
from capacity.units import shown

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

__all__ = [
    "check_writable",
    "format_of",
    "format_option",
    "language_option",
    "output_option",
    "progress",
    "render_table",
    "standard_output",
    "tell",
    "write",
]

# A piped table must not depend on the terminal it came from.
_PIPED_WIDTH = 116
_LEAST_WIDTH = 80

_BY_SUFFIX: Final = {
    ".json": "json",
    ".conf": "conf",
    ".html": "html",
    ".md": "markdown",
    ".diff": "diff",
    ".patch": "diff",
    ".sh": "shell",
}

output_option = click.option(
    "-o", "--output", default=None, metavar="FILE", help="Write to this file instead of standard output."
)
language_option = click.option(
    "--lang",
    "language",
    type=click.Choice(["en", "es"]),
    default=None,
    help="Language of a report or page.  [default: en]",
)


def format_option(*formats: str, by_suffix: bool = False) -> Callable[..., Callable[..., object]]:
    """Option --format with these choices, the first being the default, unless FILE has the suffix of another."""
    text, default = "How to write the result.", None if by_suffix else formats[0]
    if by_suffix:
        known = " ".join(suffix for suffix, kind in _BY_SUFFIX.items() if kind in formats)
        text = f"How to write it; by default after the suffix of FILE ({known}), else a {formats[0]}."
    return click.option("--format", "output_format", type=click.Choice(formats), default=default, help=text)


def format_of(output: str | None, *formats: str) -> str:
    """Which of these formats the suffix of a file asks for; by default the first."""
    kind = _BY_SUFFIX.get(Path(output or "").suffix, formats[0])
    return kind if kind in formats else formats[0]


def tell(text: str) -> None:
    """Say something about the data on standard error; where nobody can read it, the data comes all the same."""
    with suppress(OSError):
        click.echo(text, err=True)


def write(text: str, output: str | None, *, replaces: str | None = None) -> None:
    """Write a document with a final newline; a file is there as a whole or as it was before.

    ``replaces`` is how the file that may be written over begins: any other, unless it is empty, is left alone.
    """
    text = text if text.endswith("\n") else text + "\n"
    if output in (None, "-"):
        click.echo(text, nl=False, file=standard_output())
        return
    path = Path(str(output))
    if path.exists() and not path.is_file():
        path.write_text(text, encoding="utf-8")  # a pipe or a device
        return
    _keep_inputs(path)
    path = path.resolve()  # what a link points to is written, not the link
    if replaces is not None:
        _keep_others(path, str(output), replaces.encode())
    if os.access(path.parent, os.W_OK):
        _write_whole(path, text)
    else:  # a file that may be written in a directory that may not
        path.write_text(text, encoding="utf-8")


def _keep_inputs(path: Path) -> None:
    """Refuse to write over what the command reads: a pool file holds more than a recommendation does."""
    context = click.get_current_context(silent=True)
    given = {} if context is None else {**context.params, "output": None}
    names = [name for value in given.values() for name in (value if isinstance(value, tuple) else (value,))]
    if any(isinstance(name, str) and _is(path, name) for name in names):
        rule, hint = "must be another file than those that are read", "give another name"
        raise InvalidInput([Problem("--output", rule, shown(str(path), longest=200), hint)])


def _is(path: Path, name: str) -> bool:
    try:
        return path.samefile(name)
    except (OSError, ValueError):  # no file has this name, or can have it
        return False


def _keep_others(path: Path, output: str, beginning: bytes) -> None:
    """Refuse to write over a file that does not begin like this."""
    if not path.is_file():
        return
    with path.open("rb") as file:
        found = file.read(len(beginning))
    if found not in (b"", beginning):
        rule = "names a file that capacity did not write, and it is left as it is"
        raise InvalidInput([Problem("--output", rule, shown(output, longest=200), "give another name, or remove it")])


def _write_whole(path: Path, text: str) -> None:
    """Write beside the file and put it in its place, with the mode and, where that is allowed, the owner it had."""
    draft = path.with_name(f".{path.name[:200]}.{os.getpid()}")
    try:
        with draft.open("x", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        if path.exists():
            before = path.stat()
            draft.chmod(stat.S_IMODE(before.st_mode))
            with suppress(PermissionError):
                os.chown(draft, before.st_uid, before.st_gid)
        draft.replace(path)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from None  # the draft's name says nothing to anybody
    finally:
        draft.unlink(missing_ok=True)


def standard_output() -> TextIO:
    """Where data goes without a file; closed, it is an error like any other place that cannot be written to."""
    if sys.stdout is None:
        raise OSError(errno.EBADF, os.strerror(errno.EBADF), "standard output")
    return sys.stdout


def check_writable(output: str | None) -> None:
    """Refuse a place that cannot be written to before long work is done for it."""
    if output is None or output == "-":
        return
    path = Path(output)
    if path.is_dir() or not path.parent.is_dir():
        rule = "must be a file in a directory that exists"
        raise InvalidInput([Problem("--output", rule, shown(output, longest=200))])
    existed = os.path.lexists(path)
    if existed and not path.is_file():
        return  # a pipe's reader would take the trial for all of it, and a link to nothing would lose itself
    _keep_inputs(path)
    with path.open("a", encoding="utf-8"):  # raises what writing would raise
        pass
    if not existed:
        path.unlink()  # an empty file would be taken for a result, should there be none


def render_table(build: Callable[[Console], RenderableType], output: str | None, *, err: bool = False) -> None:
    """Print a rich table in colour to a terminal, plain to a pipe or a file; `err` is for words about the data."""
    from io import StringIO

    from rich.console import Console

    stream = sys.stderr if err else sys.stdout
    if output in (None, "-") and stream is not None and stream.isatty():
        # of NO_COLOR rich itself would keep bold
        console = Console(stderr=err, highlight=False, color_system=None if os.environ.get("NO_COLOR") else "auto")
        console.width = max(console.width, _LEAST_WIDTH)
        console.print(build(console))
        return
    buffer = StringIO()
    console = Console(file=buffer, width=_PIPED_WIDTH, highlight=False, color_system=None, force_terminal=False)
    console.print(build(console))
    text = "\n".join(line.rstrip() for line in buffer.getvalue().splitlines())
    if err:
        tell(text)
    else:
        write(text, output)


@contextmanager
def progress(what: str) -> Iterator[Callable[[float, float], None]]:
    """Show how far it is, on standard error, where that is a terminal."""
    if sys.stderr is None or not sys.stderr.isatty():
        yield lambda done, total: None
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(escape(shown(what, longest=80).strip("'")), total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
