"""Which bytes of a ``.env`` change, what is refused, and that no other key's value ever shows."""

from __future__ import annotations

import contextlib
import io
import time

import pytest
from dotenv import dotenv_values

from capacity.errors import InvalidInput
from capacity.plan.env_file import Assignment, env_splice, read_env, set_env
from capacity.splices import spliced

KEY = "SESSION_DRIVER"
SECRET = "tOpSeCrEt"


def put(data: bytes, value: str = "redis", key: str = KEY) -> bytes:
    return set_env(data, key, value)


def read(data: bytes) -> Assignment:
    return read_env(data, [KEY])[KEY]


def refusal(data: bytes, key: str = KEY) -> str:
    with pytest.raises(InvalidInput) as caught:
        env_splice(data, key, "redis")
    return str(caught.value)


def by_dotenv(data: bytes) -> dict[str, str | None]:
    return dotenv_values(stream=io.StringIO(data.decode(), newline=""), interpolate=False)


# -- a key that is there -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "edited"),
    [
        (b"SESSION_DRIVER=file", b"SESSION_DRIVER=redis"),
        (b"SESSION_DRIVER='file'", b"SESSION_DRIVER='redis'"),
        (b'SESSION_DRIVER="file"', b'SESSION_DRIVER="redis"'),
        (b"export SESSION_DRIVER=file", b"export SESSION_DRIVER=redis"),
        (b"\texport  SESSION_DRIVER = 'file'\t# 'was' \"x\" ", b"\texport  SESSION_DRIVER = 'redis'\t# 'was' \"x\" "),
        (b"  SESSION_DRIVER\t=\tfile  ", b"  SESSION_DRIVER\t=\tredis  "),
        (b"'SESSION_DRIVER'=file", b"'SESSION_DRIVER'=redis"),
        (b"SESSION_DRIVER=file # SESSION_DRIVER=array", b"SESSION_DRIVER=redis # SESSION_DRIVER=array"),
        (b'SESSION_DRIVER="file"#c', b'SESSION_DRIVER="redis"#c'),
        (b"SESSION_DRIVER='a#b'", b"SESSION_DRIVER='redis'"),
        (b"SESSION_DRIVER='${A}'", b"SESSION_DRIVER='redis'"),
        (b'SESSION_DRIVER="a\\"b" # c', b'SESSION_DRIVER="redis" # c'),
        (b"SESSION_DRIVER='it\\'s'", b"SESSION_DRIVER='redis'"),
        (b"SESSION_DRIVER=a b  c # d", b"SESSION_DRIVER=redis # d"),
        (b"SESSION_DRIVER=a=b", b"SESSION_DRIVER=redis"),
        (b"SESSION_DRIVER=it's", b"SESSION_DRIVER=redis"),
        (b"SESSION_DRIVER=caf\xc3\xa9 # caf\xc3\xa9", b"SESSION_DRIVER=redis # caf\xc3\xa9"),
        (b"SESSION_DRIVER=", b"SESSION_DRIVER=redis"),
        (b"SESSION_DRIVER = ", b"SESSION_DRIVER = redis"),
        (b"SESSION_DRIVER= # c", b"SESSION_DRIVER=redis # c"),
        (b"SESSION_DRIVER=\t # c", b"SESSION_DRIVER=redis\t # c"),
        (b'SESSION_DRIVER=""', b'SESSION_DRIVER="redis"'),
        (b"SESSION_DRIVER='' # c", b"SESSION_DRIVER='redis' # c"),
        (b"SESSION_DRIVER", b"SESSION_DRIVER=redis"),
        (b"export SESSION_DRIVER  ", b"export SESSION_DRIVER=redis  "),
        (b"'SESSION_DRIVER' # c", b"'SESSION_DRIVER'=redis # c"),
        (b"SESSION_DRIVER#c", b"SESSION_DRIVER=redis #c"),
    ],
)
@pytest.mark.parametrize("head", [b"", b"\xef\xbb\xbf", b"# SESSION_DRIVER=x\n\n  A.B-c='\xc3\xa9' # it's\r\n"])
@pytest.mark.parametrize(
    "tail", [b"", b"\n", b"\r\nSESSION_DRIVERS=x\r\n", b"\r# SESSION_DRIVER=x", b"\nX_SESSION_DRIVER=x"]
)
def test_only_the_value_of_the_line_changes(line: bytes, edited: bytes, head: bytes, tail: bytes) -> None:
    assert put(head + line + tail) == head + edited + tail
    assert by_dotenv(head + edited + tail)[KEY] == "redis"


@pytest.mark.parametrize(
    "line", [b"SESSION_DRIVER=redis", b"export SESSION_DRIVER = 'redis' # c", b'SESSION_DRIVER="redis"']
)
def test_the_value_it_already_has_is_no_change(line: bytes) -> None:
    assert env_splice(line, KEY, "redis") is None
    assert put(line) == line


def test_the_last_of_several_is_in_effect_and_changes() -> None:
    data = b"SESSION_DRIVER=a\n'SESSION_DRIVER'=b\nA=1\nexport SESSION_DRIVER=c # c\nB=2\n"
    found = read(data)
    assert (found.value, found.line, found.duplicates) == ("c", 4, 2)
    assert put(data) == data.replace(b"=c #", b"=redis #")
    assert read(b"SESSION_DRIVER=a").duplicates == 0


@pytest.mark.parametrize("quote", [b"'", b'"'])
def test_a_line_inside_a_value_of_several_lines_is_no_assignment(quote: bytes) -> None:
    key = b"APP_KEY=" + quote + b"-----BEGIN\nSESSION_DRIVER=x\n\n# no comment\n-----END" + quote + b" # c\n"
    assert read_env(key, [KEY]) == {}
    assert put(key) == key + b"SESSION_DRIVER=redis\n"
    assert put(key + b"SESSION_DRIVER=file\n") == key + b"SESSION_DRIVER=redis\n"
    assert read(key + b"SESSION_DRIVER=file\n").line == 6
    assert read_env(key, ["APP_KEY"])["APP_KEY"].value == by_dotenv(key)["APP_KEY"]


def test_escaped_quotes_do_not_end_a_value() -> None:
    data = b"A=\"x\\\"\nSESSION_DRIVER=a\nz\\\\\"\nB='\\'y\nSESSION_DRIVER=b'\nSESSION_DRIVER=c\n"
    assert put(data) == data.replace(b"=c", b"=redis")


def test_a_backslash_before_a_line_end_does_not_end_a_value() -> None:
    data = b'A="x\\\nSESSION_DRIVER=a"\n'
    assert put(data) == data + b"SESSION_DRIVER=redis\n"


def test_the_change_is_one_splice_that_names_what_stands_there() -> None:
    data = "# é\nA='\u20ac'\nSESSION_DRIVER = 'file' # c\n".encode()
    splice = env_splice(data, KEY, "redis")
    assert splice is not None
    assert (splice.remove, splice.insert) == (b"'file'", b"'redis'")
    assert data[splice.offset : splice.end] == b"'file'"
    assert spliced(data, [splice]) == put(data)


# -- a key that is not there ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "edited"),
    [
        (b"", b"SESSION_DRIVER=redis\n"),
        (b"\xef\xbb\xbf", b"\xef\xbb\xbfSESSION_DRIVER=redis\n"),
        (b"A=1\n", b"A=1\nSESSION_DRIVER=redis\n"),
        (b"A=1\r\n\r\n", b"A=1\r\n\r\nSESSION_DRIVER=redis\r\n"),
        (b"A=1\r", b"A=1\rSESSION_DRIVER=redis\r"),
        (b"A=1", b"A=1\nSESSION_DRIVER=redis"),
        (b"A=1\r\nB=2\n", b"A=1\r\nB=2\nSESSION_DRIVER=redis\n"),
        (b"A=1\r\nB=2 # c", b"A=1\r\nB=2 # c\r\nSESSION_DRIVER=redis"),
        (b"A=1\n  ", b"A=1\n  \nSESSION_DRIVER=redis"),
        (b"# SESSION_DRIVER=file\n", b"# SESSION_DRIVER=file\nSESSION_DRIVER=redis\n"),
        (b"session_driver=file\n", b"session_driver=file\nSESSION_DRIVER=redis\n"),
    ],
)
def test_a_key_that_is_absent_becomes_the_last_line(data: bytes, edited: bytes) -> None:
    assert put(data) == edited
    assert put(edited) == edited
    assert read(edited).value == "redis"


# -- reading -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "value", "quote", "interpolated"),
    [
        (b"a", "a", "", False),
        (b"", "", "", False),
        (b"''", "", "'", False),
        (b"a#b", "a#b", "", False),
        (b"#b", "#b", "", False),
        (b"${A}/x", "${A}/x", "", True),
        (b'"x ${A}"', "x ${A}", '"', True),
        (b"'x ${A}'", "x ${A}", "'", False),
        (b"$A", "$A", "", False),
        (b"'it\\'s \\\\ \\n'", "it's \\ \\n", "'", False),
        (b'"\\a\\b\\f\\n\\r\\t\\v\\"\\\'\\\\\\x\\$"', "\a\b\f\n\r\t\v\"'\\\\x\\$", '"', False),
        (b'"one\r\ntwo"', "one\r\ntwo", '"', False),
        (b'a\\nb"c', 'a\\nb"c', "", False),
    ],
)
def test_a_value_is_what_python_dotenv_reads(written: bytes, value: str, quote: str, interpolated: bool) -> None:
    data = b"# \xc3\xa9\nexport SESSION_DRIVER=" + written + b" # c\n"
    found = read(data)
    assert by_dotenv(data)[KEY] == value
    assert (found.key, found.value, found.line, found.quote) == (KEY, value, 2, quote)
    assert (found.interpolated, found.duplicates) == (interpolated, 0)
    assert data[found.start : found.end] == written


def test_a_bare_key_has_no_value_and_an_empty_place_behind_it() -> None:
    found = read(b"export SESSION_DRIVER # c")
    assert (found.value, found.start, found.end, found.quote) == (None, 21, 21, "")


def test_only_the_keys_asked_for_are_returned() -> None:
    data = b"APP_KEY=x\nCACHE_STORE=file\nSESSION_DRIVER=array\n"
    assert list(read_env(data, ["SESSION_DRIVER", "CACHE_DRIVER"])) == ["SESSION_DRIVER"]
    assert read_env(data, []) == {}


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_lines_are_counted_over_every_kind_of_line_end(end: str) -> None:
    data = end.join(["", "A=1", "B='x", "", "y'", "junk line", "SESSION_DRIVER=a", ""]).encode()
    assert read(data).line == 7
    assert refusal(data.replace(b"=a", b"=${A}")).startswith("line 7 of the .env file ")


# -- what is refused -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "key", ["", "a", "session_driver", "1A", "_A", "A-B", "A.B", "A\n", "A=B", "A" * 65, "É", None, 7]
)
def test_a_key_of_another_form_is_refused(key: str) -> None:
    for act in (lambda: read_env(b"", [key]), lambda: env_splice(b"", key, "x"), lambda: set_env(b"", key, "x")):
        with pytest.raises(InvalidInput, match=r"^key must be of the form .*; got .* \(such as CACHE_STORE\)"):
            act()


@pytest.mark.parametrize(
    "value",
    ["", " ", "a b", "a\n", "a\nB=c", "'a'", '"', "a#", "$A", "${A}", "a\\", "-a", "/a", "é", "a" * 129, None, 5, b"a"],
)
def test_a_value_of_another_form_is_refused(value: str) -> None:
    with pytest.raises(InvalidInput, match=r"(?s)^value must be of the form .*; got .* \(such as redis\)"):
        env_splice(b"SESSION_DRIVER=file", KEY, value)


def test_the_longest_key_and_value_are_taken() -> None:
    key, value = "A" * 64, "a_.:/-" + "9" * 122
    assert put(b"", value, key) == f"{key}={value}\n".encode()


HEAD = f"APP_KEY={SECRET}\n".encode()


@pytest.mark.parametrize(
    ("line", "rule"),
    [
        (b"A='" + SECRET.encode(), "must be a comment or KEY=value"),
        (b'A="' + SECRET.encode() + b"\nSESSION_DRIVER=file", "must be a comment or KEY=value"),
        (b"A='" + SECRET.encode() + b"\\'\nSESSION_DRIVER=file", "must be a comment or KEY=value"),
        (b"A='x' " + SECRET.encode(), "must be a comment or KEY=value"),
        (b'A="x"' + SECRET.encode(), "must be a comment or KEY=value"),
        (b"'SESSION_DRIVER=" + SECRET.encode(), "must be a comment or KEY=value"),
        (b"it's " + SECRET.encode(), "must be a comment or KEY=value"),
        (b'"SESSION_DRIVER"=' + SECRET.encode(), "must be a comment or KEY=value"),
        (b"SESSION_DRIVER " + SECRET.encode(), "must be a comment or KEY=value"),
        (b"SESSION_DRIVER: " + SECRET.encode(), "must be a comment or KEY=value"),
        (b"set SESSION_DRIVER=" + SECRET.encode(), "must be a comment or KEY=value"),
        (b"export =SESSION_DRIVER=" + SECRET.encode(), "must be a comment or KEY=value"),
        ("SESSION_DRIVER\u00a0=file".encode(), "must be a comment or KEY=value"),
        (b"A=\x0c'" + SECRET.encode() + b"\nSESSION_DRIVER=x'", "must be a comment or KEY=value"),
        (b"A=" + SECRET.encode() + b"\0", "must be text without NUL bytes"),
        (b"A=" + SECRET.encode() + b"\xff", "must be UTF-8"),
        ("SESSION_DRIVER=file\u00a0".encode(), "must have no blanks but spaces and tabs"),
        (b"SESSION_DRIVER=a\x0c# c", "must have no blanks but spaces and tabs"),
        (b"SESSION_DRIVER=${A}", "must have a value of one line"),
        (b'SESSION_DRIVER="x-${A}"', "must have a value of one line"),
        (b'SESSION_DRIVER="a\nb"', "must have a value of one line"),
        (b"SESSION_DRIVER='a\r\nb'", "must have a value of one line"),
        (b"SESSION_DRIVER='a\rb'", "must have a value of one line"),
        (b"SESSION_DRIVER=file#c", "must have a value of one line"),
        (b"SESSION_DRIVER=#c", "must have a value of one line"),
        # phpdotenv alone takes these for the start of a value that swallows the assignment, or what stands below it
        (b'# A="' + SECRET.encode() + b"\nSESSION_DRIVER=file", 'must close its ="'),
        (b'A=x="' + SECRET.encode() + b"\nB=2\nSESSION_DRIVER=file\n", 'must close its ="'),
        (b'# A="' + SECRET.encode(), 'must close its ="'),
        (b'# A="\n# B="\nSESSION_DRIVER=file', 'must close its ="'),
        (b'SESSION_DRIVER=a="b', 'must close its ="'),
        (b'SESSION_DRIVER=file # ="', 'must close its ="'),
        (b'SESSION_DRIVER=a" # ="', 'must close its ="'),
        # phpdotenv ends this value with its line, python-dotenv three lines below
        (b"A='C:\\' # c\nSESSION_DRIVER=file\n# x'", "must be a comment or KEY=value"),
        (b"A='C:\\'\nSESSION_DRIVER=file\n# " + SECRET.encode() + b"'", "must be a comment or KEY=value"),
    ],
)
def test_what_may_hide_an_assignment_is_refused_by_its_line(line: bytes, rule: str) -> None:
    message = refusal(HEAD + line)
    assert message.startswith(f"line 2 of the .env file {rule}")
    assert SECRET not in message


@pytest.mark.parametrize(
    "line",
    [
        b"junk without a meaning",
        b"=x",
        b"export =x",
        b"\x0c",
        "\u00a0A=1".encode(),
        b"A=\x0cx",
        b"<<<<<<< HEAD",
        b'# "unbalanced',
        b"# it's",
        b"A=it's",
        b'A=x"y',
        b'# A="1" and B="2"',
        b'# A=""',
        b'A="x" # "y',
        b'A=""',
        b'A="\n"',
        b'A="x\\\\"',
        b"A-B.c/d=x",
        b"export",
        b"A=SESSION_DRIVER",
    ],
)
def test_what_can_hide_nothing_is_stepped_over(line: bytes) -> None:
    data = line + b"\nSESSION_DRIVER=file\n" + line + b"\n"
    assert put(data) == data.replace(b"=file", b"=redis")
    assert put(line + b"\n") == line + b"\nSESSION_DRIVER=redis\n"


def test_what_phpdotenv_swallows_far_from_the_key_does_not_matter() -> None:
    data = b'# A="x\nB=2\nC="3"\nSESSION_DRIVER=file\n# D="y\n'
    assert put(data) == data.replace(b"=file", b"=redis")
    assert put(b'# A="x\n# "\nB=2\n') == b'# A="x\n# "\nB=2\nSESSION_DRIVER=redis\n'
    assert refusal(data, "CACHE_STORE").startswith("line 5 ")


def test_more_than_a_mebibyte_is_refused_before_and_after() -> None:
    line = b"SESSION_DRIVER=file\n"
    full = line + b"#" * (2**20 - len(line))
    assert put(full, "text").startswith(b"SESSION_DRIVER=text\n#")
    assert refusal(full + b"#") == f"the .env file must be at most 1 MiB; got {2**20 + 1} bytes"
    assert refusal(full, "CACHE_STORE").startswith("the .env file must be at most 1 MiB")


# -- secrets -------------------------------------------------------------------------------------------------------


def test_no_repr_shows_a_value() -> None:
    data = HEAD + f"SESSION_DRIVER='{SECRET}'\n".encode()
    found = read(data)
    assert found.value == SECRET
    assert SECRET not in repr(found) + repr(read_env(data, [KEY]))


def test_a_splice_holds_no_other_keys_value() -> None:
    for line in (b"", b"SESSION_DRIVER=file", b"SESSION_DRIVER"):
        assert SECRET not in repr(env_splice(HEAD + line + b"\nDB_PASSWORD=" + SECRET.encode(), KEY, "redis"))


def test_an_error_carries_no_content_along() -> None:
    with pytest.raises(InvalidInput) as caught:
        read_env(HEAD + b"\xff", [KEY])
    # a UnicodeDecodeError holds the whole content
    assert caught.value.__context__ is None
    assert caught.value.__cause__ is None


# -- hostile texts -------------------------------------------------------------------------------------------------

PIECES = [
    b"A=\n", b"\n", b"\r", b'"', b"'", b"\\", b"=", b"#", b" ", b"\t=", b"A=\"", b"A=''\n", b'A=""\n', b"junk x\n",
    b"junk x", b"export ", b"SESSION_DRIVER=\n", b"SESSION_DRIVER=a #\n", b"a ", b"${", b'#="\n', "\u2028".encode(),
]  # fmt: skip
OPENINGS = [b"", b"A='", b'SESSION_DRIVER="', b"SESSION_DRIVER=", b"A='\\'"]


def seconds_for(data: bytes) -> float:
    """Processor time, the best of three."""
    best = float("inf")
    for _ in range(3):
        start = time.process_time()
        with contextlib.suppress(InvalidInput):
            set_env(data, KEY, "redis")
        best = min(best, time.process_time() - start)
    return best


@pytest.mark.parametrize("opening", OPENINGS)
@pytest.mark.parametrize("piece", PIECES)
def test_time_grows_no_faster_than_the_text(opening: bytes, piece: bytes) -> None:
    small, large = (opening + piece * (size // len(piece)) for size in (8_000, 256_000))
    # 32 times the text: a quadratic reader would take 1024 times as long. What takes next to no time is noise.
    assert seconds_for(large) < 120 * max(seconds_for(small), 3e-4)
