import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from capacity.errors import InvalidInput
from capacity.fpm import pool_settings, read_pools, surprises


def values(text: str, **options: object) -> dict[str, str]:
    return dict(read_pools(f"[www]\n{text}\n".encode(), **options).pools["www"])  # type: ignore[arg-type]


# -- what FPM reads; tests/live compares thousands of such lines with php-fpm8.2 -tt -----------------------------


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("x", "x"),
        ("  x y \t", "x y"),
        ('"x"', "x"),
        ("'x'", "x"),
        ('a "b" c', "abc"),
        ("'a' 'b'", "a b"),
        ("x ; comment", "x"),
        ("x;comment", "x"),
        ('"x;y" ; z', "x;y"),
        ("'x;y'", "x;y"),
        ("x # remark", "x # remark"),
        (r'"say \"hi\" \\ \$"', r'say "hi" \ $'),
        ('"C:\\dir\\"', "C:\\dir\\"),
        ("on", "1"),
        ("Off ; c", ""),
        ("'on'", "on"),
        ("none", ""),
        ("", ""),
        ('""', ""),
        ("a$b", "a$b"),
        ("$pool.$pool", "www.www"),
        ("E_ALL & ~E_NOTICE ; x", "E_ALL & ~E_NOTICE"),
        ("a{b}[c]<d>", "a{b}[c]<d>"),
        ("caf\u00e9", "caf\u00e9"),
    ],
)
def test_a_value_is_what_fpm_makes_of_the_text(text: str, value: str) -> None:
    assert values(f"slowlog = {text}")["slowlog"] == value


def test_an_unclosed_single_quote_cuts_the_value_as_in_fpm_and_is_noted() -> None:
    file = read_pools(b"[www]\nslowlog = don't\n")
    assert file.pools["www"]["slowlog"] == "don"
    assert file.notes == ("line 2: a single quote is never closed: FPM drops it and the rest of the line",)


def test_the_last_duplicate_wins_whatever_its_case() -> None:
    assert values("pm.max_children = 5\nPM.Max_Children = 7") == {"pm.max_children": "7"}


def test_of_equal_php_values_the_first_takes_effect() -> None:
    text = "php_admin_value[memory_limit] = 256M\nphp_admin_value[memory_limit] = 100M\nenv[A] = 1\nenv[A] = 2"
    assert values(text) == {"php_admin_value[memory_limit]": "256M", "env[A]": "1"}


def test_several_pools_and_a_pool_opened_again() -> None:
    file = read_pools(b"[a]\nuser = x\n[global]\npid = p\n[b]\n[A]\ngroup = y\n[GLOBAL]\ndaemonize = no\n")
    assert {name: dict(pool) for name, pool in file.pools.items()} == {"a": {"user": "x", "group": "y"}, "b": {}}
    assert dict(file.global_settings) == {"pid": "p", "daemonize": ""}


def test_directives_before_any_section_are_global() -> None:
    assert dict(read_pools(b"pid = x\n[www]\n").global_settings) == {"pid": "x"}


def test_a_section_and_a_directive_may_share_a_line() -> None:
    file = read_pools(b"[www] pm = static ; so it is\n")
    assert dict(file.pools["www"]) == {"pm": "static"}
    assert len(file.lines[0].statements) == 2


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_any_line_end_will_do_and_none_at_the_end_of_the_file(end: str) -> None:
    file = read_pools(end.join(["\ufeff[www]", "pm = static", "pm.max_children = 5"]).encode())
    assert pool_settings(file.pools["www"]).max_children == 5


def test_latin_1_bytes_are_read_and_kept() -> None:
    data = b"[www]\n; caf\xe9\nslowlog = /caf\xe9 ; \xff\n"
    file = read_pools(data)
    assert file.pools["www"]["slowlog"] == "/caf\u00e9"
    assert b"".join(line.raw for line in file.lines) == data


def test_every_directive_knows_where_its_value_stands() -> None:
    raw = b'  pm.max_children\t= "2" 0  ; more\r\n'
    line = read_pools(b"[www]\n" + raw).lines[1]
    (statement,) = line.statements
    assert statement.value == "20"
    assert raw[statement.start : statement.end] == b'"2" 0'


# -- the environment, includes -------------------------------------------------------------------------------------


def test_a_value_from_the_environment_is_unknown_without_it() -> None:
    file = read_pools(b"[${NAME}]\npm = ${PM}\npm.max_children = ${N:-5}\n")
    assert file.environment_variables == ("NAME", "PM", "N")
    assert dict(file.pools["${NAME}"]) == {"pm": "${PM}", "pm.max_children": "${N:-5}"}
    with pytest.raises(InvalidInput, match=r"pm.max_children depends on FPM's environment; got '\$\{N:-5\}'"):
        pool_settings(file.pools["${NAME}"])


def test_an_environment_resolves_values_names_and_defaults() -> None:
    environment = {"NAME": "shop", "PM": "static"}
    data = b'[${NAME}]\npm = ${PM}\npm.max_children = ${N:-1${M:-2}}\nslowlog = "/${NAME}/${NONE}x"\n'
    file = read_pools(data, environment=environment)
    assert dict(file.pools["shop"]) == {"pm": "static", "pm.max_children": "12", "slowlog": "/shop/x"}
    assert file.environment_variables == ()
    assert "needs PHP 8.3" in file.notes[0]


def test_includes_are_listed_and_stay_unresolved_without_a_function() -> None:
    (include,) = read_pools(b"include = /etc/php/*.conf\n").includes
    assert (include.pattern, include.line, include.files) == ("/etc/php/*.conf", 1, None)


def test_an_included_file_starts_and_leaves_off_where_fpm_does() -> None:
    files = {"/x": b"user = u\n[two]\nuser = v\n"}
    file = read_pools(b"[one]\ninclude = /*\ngroup = g\n", include=lambda pattern: files if pattern == "/*" else None)
    assert dict(file.pools["one"]) == {"user": "u"}
    assert dict(file.pools["two"]) == {"user": "v", "group": "g"}
    assert file.includes[0].files == ("/x",)


def test_a_file_that_includes_itself_is_refused() -> None:
    data = b"include = /x\n"
    with pytest.raises(InvalidInput, match="line 1 of /x must not include files more than 5 deep"):
        read_pools(data, include=lambda _: {"/x": data})


def test_includes_cannot_multiply_without_end() -> None:
    wide = {f"/{number}": b";" * 100_000 for number in range(100)}
    with pytest.raises(InvalidInput, match="at most 1 MiB"):
        read_pools(b"include = /*\n", include=lambda _: wide)


# -- what is refused -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("# pm = static", "line 2 must not start with #; .*; starts a comment"),
        ("pm.max_children", "line 2 must read `name = value`"),
        ('slowlog = "open', "line 2 must close the double quote"),
        ("slowlog = ''", "line 2 must not hold an empty pair of single quotes"),
        ("slowlog = a=b", "line 2 must not have = in an unquoted value"),
        ("slowlog = a on b", "line 2 must not use the reserved word 'on'"),
        ("off = 5", "line 2 must not use the reserved word 'off'"),
        ("[www", "line 2 must close a section header with ]"),
        ("= 5", "line 2 must not have '=' here"),
        ("slowlog = ${A", r"line 2 must close \$\{ with }"),
        ("env[] = 2", r"line 2 must have a key in env\[\]"),
        ("pm = <tmpl_var name='pm'>", "line 2 must not be a template"),
        ("<tmpl_if name='x'>", "line 2 must not be a template"),
        ("pm.max_children = @CHILDREN@", "line 2 must not be a template"),
        ("pm.max_children = {{ children }}", "line 2 must not be a template"),
        ("{% if x %}", "line 2 must not be a template"),
        ("[global]\npid = $pool", r"line 3 must not use \$pool outside a pool"),
    ],
)
def test_a_line_fpm_would_not_load_is_refused_by_its_number(line: str, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        read_pools(f"[www]\n{line}\n".encode())


def test_what_is_in_comments_is_never_a_template() -> None:
    assert values("; <tmpl_var name='x'> {{ x }}\npm = static ; @X@") == {"pm": "static"}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b'<?xml version="1.0" ?>\n<configuration>', "must be in INI format; got XML on line 1"),
        (b"\n  <configuration>\n", "must be in INI format"),
        (b"[www]\npm = st\0tic\n", "must be text; got a NUL byte on line 2"),
        ("[www]\n".encode("utf-16"), "must be text"),
        (b";" * (2**20 + 1), "must be at most 1 MiB; got 1048577 bytes"),
    ],
)
def test_what_is_no_pool_file_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        read_pools(data)


def test_unknown_and_stray_directives_are_noted() -> None:
    assert read_pools(b"[www]\npm.max_childern = 5\n").notes == (
        "line 2: pm.max_childern is not a directive of [www] in PHP 8.2, which refuses it",
    )
    stray = read_pools(b"user = a\npm = static\nenv[A] = b\n").notes
    assert stray == (
        "line 1: user and 2 more pool directives stand before any [pool] header: FPM takes that only in a file "
        "that is included below one",
    )


@given(st.one_of(st.binary(max_size=200), st.text("[]=;\"'${}:-\\ \t\r\nab,&on\u00e9", max_size=80).map(str.encode)))
@example(b"[")
@example(b"a=$")
@example(b"a=${${")
@example(b'a="\\')
def test_any_bytes_are_read_or_refused_and_never_lost(data: bytes) -> None:
    try:
        file = read_pools(data)
        read_pools(data, environment={})
    except InvalidInput:
        return
    assert b"".join(line.raw for line in file.lines) == data


# -- directives to settings ----------------------------------------------------------------------------------------


def settings(**directives: str) -> dict[str, object]:
    names = {"listen_backlog": "listen.backlog", "pm": "pm", "terminate": "request_terminate_timeout"}
    return pool_settings({names.get(k, f"pm.{k}"): v for k, v in directives.items()}).model_dump(exclude_none=True)


DYNAMIC = {"pm": "dynamic", "max_children": "20", "min_spare_servers": "2", "max_spare_servers": "7"}


def test_a_dynamic_pool_starts_with_what_is_given_or_with_fpms_own_value() -> None:
    assert settings(**DYNAMIC, start_servers="3")["start_servers"] == 3
    assert settings(**DYNAMIC)["start_servers"] == 4
    assert settings(**DYNAMIC, start_servers="0")["start_servers"] == 4
    assert settings(**DYNAMIC, start_servers="-9")["start_servers"] == 4


def test_spare_settings_are_ignored_unless_dynamic_but_must_still_be_numbers() -> None:
    static = {**DYNAMIC, "pm": "Static", "max_spare_servers": "900"}
    assert settings(**static) == {"pm": "static", "max_children": 20}
    assert "pm.max_spare_servers is ignored: pm is static" in surprises(
        {"pm": "static", "pm.max_children": "2", "pm.max_spare_servers": "900"}
    )
    with pytest.raises(InvalidInput, match=r"pm.min_spare_servers must be a whole number; got '5M'"):
        settings(**{**static, "min_spare_servers": "5M"})


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30", 30),
        ("30s", 30),
        ("2m", 120),
        ("1h", 3600),
        ("1d", 86400),
        ("500ms", 500),
        ("1.5m", 60),
        ("s", 0),
        ("5 s", 5),
    ],
)
def test_times_are_read_as_fpm_reads_them(text: str, seconds: int) -> None:
    assert settings(pm="static", max_children="5", terminate=text)["request_terminate_timeout"] == seconds


def test_a_number_wraps_at_32_bits_and_that_is_noted() -> None:
    assert settings(pm="static", max_children="4294967301")["max_children"] == 5
    assert surprises({"pm": "static", "pm.max_children": "4294967301"}) == (
        "pm.max_children = 4294967301 does not fit 32 bits: FPM takes it for 5",
    )
    assert surprises({"pm": "static", "pm.max_children": "005"}) == ()
    with pytest.raises(InvalidInput, match=r"pm.max_children must be at least 1; got -1"):
        settings(pm="static", max_children="9" * 10_000)
    assert surprises({"pm": "static", "pm.max_children": "5", "request_terminate_timeout": "60000d"})


def test_negative_limits_become_what_they_come_to() -> None:
    directives = {"pm": "static", "pm.max_children": "5", "pm.max_requests": "-5", "listen.backlog": "-7"}
    assert pool_settings(directives).max_requests == 0
    assert pool_settings(directives).listen_backlog == -1
    assert len(surprises(directives)) == 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pm": "fast"}, "pm must be static, dynamic or ondemand; got 'fast'"),
        ({"max_children": "0"}, "pm.max_children must be at least 1; got 0"),
        ({"max_children": "+5"}, "pm.max_children must be a whole number"),
        ({"min_spare_servers": "0"}, "pm.min_spare_servers must be at least 1; got 0"),
        ({"max_spare_servers": "21"}, "pm.max_spare_servers must be at most pm.max_children = 20; got 21"),
        ({"min_spare_servers": "8"}, "pm.max_spare_servers must be at least pm.min_spare_servers = 8; got 7"),
        ({"start_servers": "1"}, "pm.start_servers must be between pm.min_spare_servers = 2 and .* = 7; got 1"),
        ({"max_spawn_rate": "0"}, "pm.max_spawn_rate must be at least 1"),
        ({"pm": "ondemand", "process_idle_timeout": "0"}, "pm.process_idle_timeout must be at least 1"),
        ({"terminate": "-5"}, "request_terminate_timeout must not be negative"),
        ({"terminate": "5x"}, "request_terminate_timeout must be a number and one of s, m, h, d"),
    ],
)
def test_what_fpm_refuses_is_refused_by_fpms_name_for_it(change: dict[str, str], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        settings(**{**DYNAMIC, **change})


def test_every_wrong_directive_is_named_at_once() -> None:
    with pytest.raises(InvalidInput) as refused:
        pool_settings({"pm": "x", "pm.max_children": "y", "listen.backlog": "z"})
    assert [problem.field for problem in refused.value.problems] == ["pm", "pm.max_children", "listen.backlog"]


def test_a_pool_without_pm_or_workers_is_refused() -> None:
    with pytest.raises(InvalidInput, match="pm must be static, dynamic or ondemand; got nothing"):
        pool_settings({})
    with pytest.raises(InvalidInput, match=r"pm\.max_children must be at least 1; got nothing"):
        pool_settings({"pm": "static"})
