"""What must hold for every ``.env``: python-dotenv, which is not our code, sees the one change and no other."""

from __future__ import annotations

import contextlib
import io
import logging

import pytest
from dotenv import dotenv_values
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from capacity.errors import InvalidInput
from capacity.plan.env_file import env_splice, read_env, set_env

steady = settings(
    derandomize=True, deadline=None, max_examples=400, suppress_health_check=[HealthCheck.too_slow], database=None
)

KEYS = ["SESSION_DRIVER", "CACHE_STORE", "CACHE_DRIVER"]
OTHERS = ["APP_KEY", "A.B", "X_CACHE_STORE", "SESSION_DRIVERS", "a"]
SECRET = "tOpSeCrEt"
PLAIN = ["file", "redis", "a b", "a=b", "it's", 'a"b', "a\\nb", "caf\u00e9", "a#b", "#b", "${A}", "a\u00a0", "", "$A"]
INNER = [*PLAIN, "\\'", '\\"', "\\\\", "\\n", "\\x", "#", " # c", "\n", "\r\n", "\nCACHE_STORE=x\n", "\n# c\n", '=\\"']
COMMENTS = ["", "", " ", " # c", "\t#", " # it's", ' # "x', ' # CACHE_STORE=x="1"', "#c", " c", "\u00a0", '# ="']
ODD = [
    "junk",
    "junk CACHE_STORE",
    "=x",
    "export",
    "export =x",
    "A='x",
    'A="x',
    "\x0c",
    "'CACHE_STORE",
    "\u2028",
    '="',
    "\\",
]
HOSTILE = "ABC_=='\"\\# \t\n\r\x0c\u00a0\ufeff$a"


@st.composite
def assignments(draw: st.DrawFn) -> str:
    key = draw(st.sampled_from([*KEYS, *KEYS, *OTHERS]))
    quote = draw(st.sampled_from(["", "", "'", '"']))
    value = "".join(draw(st.lists(st.sampled_from(INNER), max_size=3))) if quote else draw(st.sampled_from(PLAIN))
    blank = st.sampled_from(["", "", "", " ", "\t", "  "])
    export = draw(st.sampled_from(["", "", "", "export ", "export\t "]))
    key = draw(st.sampled_from([key, key, key, f"'{key}'"]))
    equals = draw(st.sampled_from(["=", "=", "=", ""]))
    written = quote + value + quote if equals else ""
    return f"{draw(blank)}{export}{key}{draw(blank)}{equals}{draw(blank)}{written}{draw(st.sampled_from(COMMENTS))}"


@st.composite
def files(draw: st.DrawFn) -> bytes:
    comment = st.sampled_from(["", "", "# c", "  # CACHE_STORE=x", "# it's", '# A="x"', '# A="x', "\t"])
    line = assignments() | assignments() | comment | st.sampled_from(ODD)
    end = draw(st.sampled_from(["\n", "\n", "\r\n", "\r"]))
    text = end.join(draw(st.lists(line, max_size=8))) + draw(st.sampled_from(["", end]))
    return (draw(st.sampled_from(["", "", "\ufeff"])) + text).encode()


anything = files() | files() | st.text(HOSTILE, max_size=40).map(str.encode)
keys = st.sampled_from(KEYS)
values = st.sampled_from(["redis", "file", "a.b:c/d-e_f", "9"])


@pytest.fixture(autouse=True)
def _quiet_dotenv() -> None:
    logging.getLogger("dotenv.main").setLevel(logging.CRITICAL)


def by_dotenv(data: bytes) -> dict[str, str | None]:
    return dotenv_values(stream=io.StringIO(data.decode(), newline=""), interpolate=False)


def edited(data: bytes, key: str, value: str) -> bytes | None:
    with contextlib.suppress(InvalidInput):
        return set_env(data, key, value)
    return None


@steady
@given(anything, keys)
@example(b"CACHE_STORE=a\x0c", "CACHE_STORE")
@example(b"A=\x0c'x\nCACHE_STORE=a'\n", "CACHE_STORE")
@example(b'export ="\nCACHE_STORE=a"\n', "CACHE_STORE")
def test_a_value_is_what_python_dotenv_reads_or_is_refused(data: bytes, key: str) -> None:
    expected = by_dotenv(data)
    with contextlib.suppress(InvalidInput):
        found = read_env(data, [key])
        assert list(found) == [key] * (key in expected)
        if key in expected:
            assert found[key].value == expected[key]


@steady
@given(anything, keys, values)
def test_python_dotenv_sees_the_new_value_and_every_other_unchanged(data: bytes, key: str, value: str) -> None:
    after = edited(data, key, value)
    if after is not None:
        assert by_dotenv(after) == {**by_dotenv(data), key: value}


@steady
@given(anything, keys, values)
def test_the_change_is_one_range_of_bytes_that_holds_the_value(data: bytes, key: str, value: str) -> None:
    after = edited(data, key, value)
    if after is not None:
        splice = env_splice(data, key, value)
        if splice is None:
            assert after == data
        else:
            assert data[splice.offset : splice.end] == splice.remove
            assert after == data[: splice.offset] + splice.insert + data[splice.end :]
            assert value.encode() in splice.insert
            assert len(splice.insert) <= len(f"\r\n{key}={value}")


@steady
@given(anything, keys, values)
def test_setting_twice_is_setting_once(data: bytes, key: str, value: str) -> None:
    after = edited(data, key, value)
    if after is not None:
        assert env_splice(after, key, value) is None
        found = read_env(after, [key])[key]
        assert value.encode() in after[found.start : found.end]
        assert after[found.start : found.end].decode().strip(found.quote or None) == value


@steady
@given(anything, keys, values)
def test_other_keys_of_the_list_stay_where_they_are(data: bytes, key: str, value: str) -> None:
    with contextlib.suppress(InvalidInput):
        before = read_env(data, KEYS)
        after = edited(data, key, value)
        if after is not None:
            now = read_env(after, KEYS)
            assert [(k, v.value, v.line) for k, v in now.items() if k != key] == [
                (k, v.value, v.line) for k, v in before.items() if k != key
            ]


@steady
@given(files(), st.sampled_from(["", "'", '"']), keys, st.integers(0, 3), st.booleans())
def test_no_other_value_shows(data: bytes, quote: str, key: str, cut: int, above: bool) -> None:
    line = f"APP_KEY={quote}{SECRET}{quote}"
    line = line[: len(line) - cut] if quote else line
    whole = line.encode() + b"\n" + data if above else data + b"\n" + line.encode()
    try:
        shown = repr(env_splice(whole, key, "redis")) + repr(read_env(whole, [key]))
    except InvalidInput as error:
        shown = str(error) + repr(error) + repr(error.__context__)
    assert SECRET[:-3] not in shown


@steady
@given(st.binary(max_size=60) | st.binary(max_size=20).map(lambda junk: b"CACHE_STORE=" + junk))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    with contextlib.suppress(InvalidInput):
        read_env(data, KEYS)
    after = edited(data, "CACHE_STORE", "redis")
    assert after is None or by_dotenv(after)["CACHE_STORE"] == "redis"


def test_the_files_are_not_all_refused() -> None:
    outcomes = {True: 0, False: 0}

    @steady
    @given(files(), keys)
    def count(data: bytes, key: str) -> None:
        outcomes[edited(data, key, "redis") is not None] += 1

    count()
    assert min(outcomes.values()) > 60
