"""What must hold for every pool file and every directive that may be set."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from capacity.fpm.directives import SIZING
from capacity.fpm.editor import set_directives
from capacity.fpm.pool_file import read_pools

steady = settings(
    derandomize=True, deadline=None, max_examples=200, suppress_health_check=[HealthCheck.too_slow], database=None
)

VALUES = {
    "pm": st.sampled_from(["static", "dynamic", "OnDemand"]),
    "integer": st.integers(-(2**31), 2**31 - 1).map(str) | st.integers(0, 99),
    "time": st.integers(0, 20_000).map(str) | st.integers(0, 20_000) | st.sampled_from(["5s", "10m", "2h", "1d"]),
}
OTHERS = ["listen", "php_admin_value[memory_limit]", "env[PATH]", "access.format", "access.suppress_path[]"]
TEXTS = [
    "5",
    '"5"',
    "'5'",
    '"4" 2',
    "",
    '"a;b"',
    "a b",
    '"${X}" x',
    "on",
    "E_ALL & ~E_NOTICE",
    "$pool",
    "caf\u00e9",
    '"C:\\x\\"',
]


def cased(name):
    return st.sampled_from([name, name, name.upper(), name.title()])


@st.composite
def lines(draw):
    kind = draw(st.sampled_from(["sizing", "sizing", "sizing", "other", "comment", "blank", "header", "both"]))
    blank = st.sampled_from(["", " ", "\t", "  "])
    header = "[" + draw(st.sampled_from(["www", "WWW", "b", "B", "global"])) + "]"
    if kind == "blank":
        return draw(blank)
    if kind == "comment":
        return draw(blank) + draw(st.sampled_from([";pm.max_children = 5", "; [www]", ";;", '; "']))
    if kind == "header":
        return draw(blank) + header + draw(st.sampled_from(["", " ; x"]))
    name = draw(cased(draw(st.sampled_from([d.name for d in SIZING]))) if kind != "other" else st.sampled_from(OTHERS))
    value = draw(st.sampled_from(TEXTS))
    comment = "" if value.endswith('\\"') else draw(st.sampled_from(["", "", ";", " ; was 'x' \"y", "\t; = 5"]))
    equals = draw(st.sampled_from(["=", " = ", "\t=\t", " ="]))
    before = "[www] " if kind == "both" else draw(blank)
    return before + name + equals + value + comment


@st.composite
def files(draw):
    end = draw(st.sampled_from(["\n", "\n", "\r\n"]))
    text = end.join(["[www]", *draw(st.lists(lines(), max_size=14))])
    head = draw(st.sampled_from(["", "", "\ufeff"]))
    encoding = draw(st.sampled_from(["utf-8", "latin-1"]))
    return head.encode() + text.encode(encoding) + draw(st.sampled_from(["", end])).encode()


@st.composite
def changes(draw):
    names = draw(st.lists(st.sampled_from(SIZING), min_size=1, max_size=4, unique=True))
    return {draw(cased(directive.name)): draw(VALUES[directive.kind]) for directive in names}


def written(name, value):
    seconds = name.lower() in ("request_terminate_timeout", "pm.process_idle_timeout")
    return {str(value), f"{value}s"} if seconds and isinstance(value, int) else {str(value)}


def acceptable(data):
    # `$pool` and unknown names in [global] are the reader's matter, not the editor's.
    try:
        read_pools(data)
    except ValueError:
        return False
    return True


@steady
@given(files().filter(acceptable), changes())
def test_edit_then_read_gives_the_value_and_every_other_line_is_the_same(data, change):
    edited = set_directives(data, "www", change, replace_variables=True)
    before, after = read_pools(data), read_pools(edited)
    for name, value in change.items():
        assert after.pools["www"][name.lower()] in written(name, value)
    untouched = {name: text for name, text in before.pools["www"].items() if name not in map(str.lower, change)}
    assert {n: t for n, t in after.pools["www"].items() if n not in map(str.lower, change)} == untouched
    assert {n: p for n, p in after.pools.items() if n != "www"} == {n: p for n, p in before.pools.items() if n != "www"}
    assert after.global_settings == before.global_settings
    old, new = data.splitlines(keepends=True), edited.splitlines(keepends=True)
    touched = {places[-1].line for name in change if (places := before.places.get(("www", name.lower())))}
    added = len(change) - sum(("www", name.lower()) in before.places for name in change)
    assert len(new) == len(old) + added
    at = 0
    for number, line in enumerate(old, start=1):
        if number in touched:
            assert _shape(new[at]) == _shape(line)
            at += 1
            continue
        while new[at].rstrip(b"\r\n") != line.rstrip(b"\r\n"):
            at, added = at + 1, added - 1
        assert new[at] == line or (number == len(old) and new[at].rstrip(b"\r\n") == line)
        at += 1
    assert added == len(new) - at


def _shape(line):
    """The line without its value: what must not change in a line that is edited."""
    (file_line,) = read_pools(b"[www]\n" + line).lines[1:]
    statement = file_line.statements[-1]
    return line[: statement.start].rstrip(), line[statement.end :].rstrip(b"\r\n")


@steady
@given(files().filter(acceptable), changes())
def test_setting_again_changes_nothing(data, change):
    edited = set_directives(data, "www", change, replace_variables=True)
    assert set_directives(edited, "WWW", change) == edited


@steady
@given(files().filter(acceptable))
def test_setting_what_is_there_is_the_identity(data):
    for name, text in read_pools(data).pools["www"].items():
        kind = next((directive.kind for directive in SIZING if directive.name == name), None)
        if kind and text in {"integer": ["5", "42"], "time": ["5", "42"], "pm": []}[kind]:
            assert set_directives(data, "www", {name: text}) == data


@steady
@given(files().filter(acceptable), changes())
def test_turning_off_takes_the_directive_away_and_only_adds_semicolons(data, change):
    names = {name: None for name in change if name.lower() not in ("pm", "pm.max_children")}
    edited = set_directives(data, "www", names)
    assert not {name.lower() for name in names} & set(read_pools(edited).pools["www"])
    added = len(edited) - len(data)
    places = read_pools(data).places
    assert added == sum(len(places.get(("www", name.lower()), ())) for name in names)
    assert edited.replace(b";", b"") == data.replace(b";", b"")
