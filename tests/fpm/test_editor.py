from __future__ import annotations

from collections.abc import Mapping

import pytest

from capacity.errors import InvalidInput
from capacity.fpm.editor import set_directives
from capacity.fpm.pool_file import read_pools

POOL = b"[www]\nlisten = /run/www.sock\npm = static\npm.max_children = 5\n"


def put(data: bytes, value: str | int | None = 40, name: str = "pm.max_children", pool: str = "www") -> bytes:
    return set_directives(data, pool, {name: value})


# -- a line that is there ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "edited"),
    [
        (b"pm.max_children = 5", b"pm.max_children = 40"),
        (b"\t PM.Max_Children\t=5 ; was 4\r", b"\t PM.Max_Children\t=40 ; was 4\r"),
        (b'pm.max_children = "5" ; a', b'pm.max_children = "40" ; a'),
        (b"pm.max_children='5';a", b"pm.max_children='40';a"),
        (b'pm.max_children = "1"5', b"pm.max_children = 40"),
        (b"pm.max_children = '1''5'", b"pm.max_children = 40"),
        (b"pm.max_children =   5   ", b"pm.max_children =   40   "),
        (b"pm.max_children =", b"pm.max_children = 40"),
        (b"pm.max_children=", b"pm.max_children=40"),
        (b"pm.max_children = ; none", b"pm.max_children = 40; none"),
        (b'pm.max_children = ""', b'pm.max_children = "40"'),
        (b"pm.max_children = 5 ; caf\xe9", b"pm.max_children = 40 ; caf\xe9"),
    ],
)
def test_only_the_value_of_the_line_changes(line: bytes, edited: bytes) -> None:
    head, tail = b"[www]\n; pm.max_children = 7\n", b"\npm = static\n"
    assert put(head + line + tail) == head + edited + tail


def test_the_last_of_several_is_changed_also_where_the_pool_was_opened_again() -> None:
    data = (
        b"[www]\npm.max_children = 1\npm.max_children = 2\n[b]\npm.max_children = 3\n[WWW]\nPM.MAX_CHILDREN = 4\n[c]\n"
    )
    assert put(data, pool="Www") == data.replace(b"= 4", b"= 40")
    assert put(data, pool="B") == data.replace(b"= 3", b"= 40")


def test_a_directive_on_the_line_of_its_header_and_below_a_bom() -> None:
    assert put(b"\xef\xbb\xbf[www] pm.max_children=5 ; x") == b"\xef\xbb\xbf[www] pm.max_children=40 ; x"


@pytest.mark.parametrize("value", ["5", 5])
def test_the_value_it_already_has_is_the_identity(value: str | int) -> None:
    for text in (b"5", b"'5'", b'"5" ; x'):
        data = b"[www]\npm.max_children =" + text + b"\r\n"
        assert put(data, value) == data


def test_seconds_are_written_with_their_letter_and_left_alone_without() -> None:
    data = b"[www]\nrequest_terminate_timeout = 60\n"
    assert put(data, 60, "request_terminate_timeout") == data
    assert put(data, 30, "request_terminate_timeout") == b"[www]\nrequest_terminate_timeout = 30s\n"
    assert put(data, "1m", "request_terminate_timeout") == b"[www]\nrequest_terminate_timeout = 1m\n"


def test_several_directives_at_once() -> None:
    values: Mapping[str, str | int] = {
        "pm": "dynamic",
        "pm.max_children": 9,
        "pm.min_spare_servers": 1,
        "pm.max_spare_servers": 3,
    }
    assert set_directives(POOL, "www", values) == (
        b"[www]\nlisten = /run/www.sock\npm = dynamic\npm.max_children = 9\n"
        b"pm.min_spare_servers = 1\npm.max_spare_servers = 3\n"
    )  # fmt: skip


# -- a line that is not --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "edited"),
    [
        (b"[www]\n  pm=static\n\n; end\n[b]\n", b"[www]\n  pm=static\n  pm.max_children=40\n\n; end\n[b]\n"),
        (b"[www]\r\npm\t= static\r\n", b"[www]\r\npm\t= static\r\npm.max_children\t= 40\r\n"),
        (b"[www]\npm = static", b"[www]\npm = static\npm.max_children = 40"),
        (b"[www]\r\npm = static", b"[www]\r\npm = static\r\npm.max_children = 40"),
        (b"[www]", b"[www]\npm.max_children = 40"),
        (b"[www]\n[b]\npm=static\n", b"[www]\npm.max_children = 40\n[b]\npm=static\n"),
        (b"[www] pm=static\n", b"[www] pm=static\npm.max_children=40\n"),
        (b"[www]\n[b]\nuser=u\n[WWW]\nuser = w\n", b"[www]\n[b]\nuser=u\n[WWW]\nuser = w\npm.max_children = 40\n"),
        (b"[www]\nslowlog =\n", b"[www]\nslowlog =\npm.max_children = 40\n"),
        (b"[www]\nphp_value[a] =b\n", b"[www]\nphp_value[a] =b\npm.max_children =40\n"),
        (b"[www]\rpm = static\r", b"[www]\rpm = static\rpm.max_children = 40\r"),
    ],
)  # fmt: skip
def test_a_missing_directive_is_added_below_the_last_one_and_like_it(data: bytes, edited: bytes) -> None:
    assert put(data) == edited
    assert read_pools(edited).pools["www"]["pm.max_children"] == "40"


def test_global_directives() -> None:
    data = b"[global]\npid = /run/p\ninclude = /etc/*.conf\n"
    edited = set_directives(data, "GLOBAL", {"process_control_timeout": 10, "process.max": 50})
    assert edited == (
        b"[global]\npid = /run/p\nprocess_control_timeout = 10s\nprocess.max = 50\ninclude = /etc/*.conf\n"
    )
    assert (
        set_directives(b"daemonize=no\n[www]\n", "global", {"process.max": 5})
        == b"daemonize=no\nprocess.max=5\n[www]\n"
    )


# -- a directive turned off ----------------------------------------------------------------------------------------


def test_none_makes_a_comment_of_every_line_that_sets_it() -> None:
    data = b"[www]\n pm.max_requests = 5 ; a\n[b]\npm.max_requests = 7\n[www] pm.max_requests=6\n"
    edited = put(data, None, "pm.max_requests")
    assert edited == b"[www]\n ;pm.max_requests = 5 ; a\n[b]\npm.max_requests = 7\n[www] ;pm.max_requests=6\n"
    assert "pm.max_requests" not in read_pools(edited).pools["www"]
    assert put(edited, None, "pm.max_requests") == edited


def test_what_fpm_cannot_do_without_is_not_turned_off() -> None:
    with pytest.raises(InvalidInput, match=r"pm\.max_children must have a value"):
        put(POOL, None)


# -- includes and the environment ----------------------------------------------------------------------------------


def test_what_an_included_file_sets_is_edited_there() -> None:
    data = b"[www]\npm = static\npm.max_children = 5\ninclude = /x\n"
    files = {"/x": b"pm.max_children = 6\n[other]\npm = static\n"}
    with pytest.raises(InvalidInput, match=r"pm.max_children of \[www\] must be set in this file; got line 1 of /x"):
        set_directives(data, "www", {"pm.max_children": 7}, include=lambda _: files)
    with pytest.raises(InvalidInput, match=r"must be in the file itself; got 'other' .it is in /x"):
        set_directives(data, "other", {"pm.max_children": 7}, include=lambda _: files)
    edited = set_directives(data, "www", {"pm": "ondemand", "pm.max_requests": 3}, include=lambda _: files)
    assert edited == b"[www]\npm = ondemand\npm.max_children = 5\npm.max_requests = 3\ninclude = /x\n"


def test_a_line_below_the_include_is_in_effect() -> None:
    data = b"[www]\ninclude = /x\npm.max_children = 5\n"
    assert set_directives(data, "www", {"pm.max_children": 7}, include=lambda _: {"/x": b"pm.max_children=1"}) == (
        data.replace(b"5", b"7")
    )
    assert set_directives(data, "www", {"pm.max_children": 7}) == data.replace(b"5", b"7")


def test_an_include_nobody_resolved_may_hide_the_directive_in_effect() -> None:
    with pytest.raises(InvalidInput, match="must not depend on an include nobody resolved; got '/x'"):
        put(b"[www]\npm.max_children = 5\ninclude = /x\n")


def test_a_value_from_the_environment_is_given_up_only_when_asked() -> None:
    data = b'[www]\npm.max_children = "${N}" ; n\n'
    with pytest.raises(InvalidInput, match="must not come from FPM's environment"):
        put(data)
    edited = set_directives(data, "www", {"pm.max_children": 7}, replace_variables=True)
    assert edited == b'[www]\npm.max_children = "7" ; n\n'


# -- what is refused -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pool", ["app", "", "www\n", "www]\nuser=root", "w" * 10_000])
def test_an_unknown_pool_is_refused(pool: str) -> None:
    with pytest.raises(InvalidInput, match="pool must be in the file"):
        put(POOL, pool=pool)


def test_directives_without_a_header_belong_to_no_section() -> None:
    for pool in ("global", "www"):
        with pytest.raises(InvalidInput, match="must"):
            set_directives(
                b"pm = static\npm.max_children = 5\n",
                pool,
                {"process.max" if pool == "global" else "pm.max_children": 5},
            )


@pytest.mark.parametrize(
    "name",
    ["user", "listen", "php_admin_value[auto_prepend_file]", "include", "", "pm\n", "pm = x\npm", "process.max",
     "env[A]", "pm.status_path", "pm.max_children ", ";pm", "[www", "pm.max_childreN\u017f"],
)  # fmt: skip
def test_directives_are_a_closed_list(name: str) -> None:
    with pytest.raises(InvalidInput, match="directive must be one that may be set"):
        put(POOL, "5", name)


@pytest.mark.parametrize(
    "value",
    ["", " 5", "5 ", "5\n", "5\r", "5\0", "5;", "5 ; x", "'5'", '"5"', "$(id)", "${N}", "$pool", "]", "5]\n[x", "5M",
     "5.0", "+5", "0x5", "5_0", "\u0665", "4294967301", "99999999999", 4294967301, "-", "5\u2028", "`id`", "on", True],
)  # fmt: skip
def test_values_are_whole_texts_of_their_form(value: str | int) -> None:
    with pytest.raises(InvalidInput):
        put(POOL, value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("request_terminate_timeout", "500ms"), ("request_terminate_timeout", "1.5s"),
        ("request_terminate_timeout", "s"), ("request_terminate_timeout", -5), ("request_terminate_timeout", "99999d"),
        ("pm", "fast"), ("pm", 5), ("pm", "\u017ftatic"), ("pm", "static\n"), ("listen.backlog", "511 "),
    ],
)  # fmt: skip
def test_values_that_fpm_would_read_as_something_else_are_refused(name: str, value: str | int) -> None:
    with pytest.raises(InvalidInput, match="must"):
        put(POOL, value, name)


def test_every_refusal_is_named_at_once() -> None:
    with pytest.raises(InvalidInput) as refused:
        set_directives(POOL, "www", {"user": "root", "pm": "x", "PM": "static", "pm.max_children": "$"})
    assert len(refused.value.problems) == 3


def test_templates_and_xml_are_refused() -> None:
    for data in (b"[www]\npm = <tmpl_var name='pm'>\n", b"<?xml version='1.0'?>"):
        with pytest.raises(InvalidInput):
            put(data)
