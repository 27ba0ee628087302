from __future__ import annotations

import pytest

from capacity.fpm.pool_file import read_pools
from capacity.fpm.rules import Finding, check, refusal

QUIET = {
    "user": "www-data",
    "listen": "/run/www.sock",
    "pm": "static",
    "pm.max_children": "5",
    "pm.status_listen": "127.0.0.1:9001",
}
GLOBAL = {"process_control_timeout": "10s"}
DYNAMIC = {"pm": "dynamic", "pm.max_children": "20", "pm.min_spare_servers": "2", "pm.max_spare_servers": "6"}


def of_pool(**changes: str | None) -> tuple[Finding, ...]:
    names = {name.replace(".", "_"): name for name in [*QUIET, *DYNAMIC]}
    names |= {"request_terminate_timeout": "request_terminate_timeout", "listen_backlog": "listen.backlog"}
    names |= {
        "max_requests": "pm.max_requests",
        "start_servers": "pm.start_servers",
        "pm_status_path": "pm.status_path",
    }
    pool = {**QUIET, **{names.get(key, key): text for key, text in changes.items()}}
    return check({"www": {key: text for key, text in pool.items() if text is not None}}, GLOBAL)


def codes(findings: tuple[Finding, ...]) -> list[str]:
    return [finding.code for finding in findings]


def test_nothing_is_said_of_a_sound_configuration() -> None:
    assert check({"www": QUIET}, GLOBAL) == ()
    assert check({"www": {**QUIET, **DYNAMIC, "pm.start_servers": "3"}}, GLOBAL) == ()


# -- errors --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "code", "said"),
    [
        ({"user": None}, "user-missing", "[pool www] user has not been defined"),
        ({"listen": None}, "listen-missing", "[pool www] no listen address have been defined!"),
        ({"pm": None}, "pm-missing", "[pool www] the process manager is missing (static, dynamic or ondemand)"),
        ({"pm_max_children": "0"}, "least", "[pool www] pm.max_children must be a positive value"),
        ({"pm_max_children": "5M"}, "unreadable-value", "is not a valid number"),
        ({"pm_max_childern": "5"}, "unknown-directive", "unknown entry 'pm_max_childern'"),
        ({"slowlog": "", "request_slowlog_timeout": "5"}, "slowlog-missing", "'slowlog' must be specified"),
        ({"pm_status_path": "status"}, "status-path", "the status path 'status' must start with a '/'"),
        ({"pm_status_listen": "/run/www.sock"}, "listen-shared", "[pool www_status] unable to set listen address"),
    ],
)
def test_an_error_names_the_rule_and_fpms_words(change: dict[str, str | None], code: str, said: str) -> None:
    found = refusal(of_pool(**change))
    assert found is not None
    assert (found.code, found.pool) == (code, "www")
    assert said in found.said
    assert found.message.startswith(found.directive)


def test_every_error_is_given_and_the_first_is_where_fpm_stops() -> None:
    pools = {"a": {"pm": "dynamic", "pm.max_children": "3", "pm.min_spare_servers": "5"}, "b": {"pm": "fast"}}
    errors = [(finding.pool, finding.code) for finding in check(pools, {}) if finding.severity == "error"]
    assert errors == [
        ("b", "unreadable-value"), ("a", "user-missing"), ("a", "listen-missing"), ("a", "least"),
        ("b", "user-missing"), ("b", "listen-missing"), ("b", "least"),
    ]  # fmt: skip


def test_without_root_no_user_is_needed() -> None:
    pool = {key: text for key, text in QUIET.items() if key != "user"}
    assert refusal(check({"www": pool}, GLOBAL, root=False)) is None


def test_a_text_that_is_overridden_still_has_to_be_readable() -> None:
    lines = b"[www]\nuser = u\nlisten = /a\npm = static\npm.max_children = 5M\nPM.MAX_CHILDREN = 5\n"
    file = read_pools(lines)
    assert file.overridden == (("www", "pm.max_children", "5M"),)
    assert refusal(check(file.pools)) is None
    assert codes(check(file.pools, overridden=file.overridden))[0] == "unreadable-value"


def test_names_are_compared_without_case() -> None:
    assert check({"www": {key.upper(): text for key, text in QUIET.items()}}, {"PROCESS_CONTROL_TIMEOUT": "9"}) == ()


def test_what_depends_on_the_environment_breaks_no_rule() -> None:
    pool = {
        **QUIET,
        "pm": "dynamic",
        "pm.max_children": "${N}",
        "pm.min_spare_servers": "2",
        "pm.max_spare_servers": "6",
    }
    findings = check({"www": pool}, GLOBAL | {"process.max": "3"})
    assert codes(findings) == ["environment", "start-default"]
    assert refusal(check({"www": {**pool, "pm.max_spare_servers": "1"}}, GLOBAL)) is not None


# -- lints ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        ({"request_terminate_timeout": "50ms"}, "time-letter", "is read by FPM as 50 s"),
        ({"pm_max_children": "4294967301"}, "wrap", "does not fit 32 bits: FPM takes it for 5"),
        ({"pm_status_listen": None}, "static-without-status-listen", "never counts"),
        ({"request_terminate_timeout": "61"}, "terminate-above-web-server", "gives up after 60 s"),
        ({"request_terminate_timeout": "-5"}, "negative-timeout", "kill every request"),
        ({"listen_backlog": "4097"}, "backlog-above-somaxconn", "net.core.somaxconn = 4096"),
        ({**{k.replace(".", "_"): v for k, v in DYNAMIC.items()}, "start_servers": "0"}, "start-not-set", "takes 4"),
    ],
)  # fmt: skip
def test_a_lint_has_its_reason(change: dict[str, str | None], code: str, words: str) -> None:
    (found,) = of_pool(**change)
    assert (found.code, found.severity, found.pool, found.said) == (code, "warning", "www", "")
    assert found.directive in found.message
    assert words in found.message


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"start_servers": "900"}, "ignored"),
        ({"max_requests": "-5"}, "negative"),
        ({"listen_backlog": "-7"}, "negative"),
    ],
)  # fmt: skip
def test_what_is_merely_odd_is_an_info(change: dict[str, str | None], code: str) -> None:
    (found,) = of_pool(**change)
    assert (found.code, found.severity) == (code, "info")


def test_limits_themselves_are_fine() -> None:
    assert of_pool(request_terminate_timeout="60", listen_backlog="4096") == ()
    findings = check(
        {"www": {**QUIET, "listen.backlog": "9999", "request_terminate_timeout": "90"}}, read_timeout=90, somaxconn=None
    )
    assert findings == ()


def test_a_reload_kills_what_is_in_flight_unless_told_to_wait() -> None:
    assert codes(check({"www": QUIET}, {})) == ["requests-die-at-reload"]
    assert codes(check({"www": QUIET}, {"process_control_timeout": "0s"})) == ["requests-die-at-reload"]
    assert check({"www": QUIET}) == ()  # [global] is not known


def test_process_max_must_cover_all_pools_and_their_status_pools() -> None:
    pools = {"a": QUIET, "b": {**QUIET, "listen": "/b", "pm.status_listen": "/c", "pm.max_children": "7"}}
    assert codes(check(pools, GLOBAL | {"process.max": "15"})) == ["process-max-below-pools"]
    (found,) = check(pools, GLOBAL | {"process.max": "11"})
    assert "process.max = 11 is below the 12 workers" in found.message
    assert check(pools, GLOBAL | {"process.max": "16"}) == ()
    assert check(pools, GLOBAL | {"process.max": "0"}) == ()


def test_errors_come_before_warnings_and_infos() -> None:
    pool = {**QUIET, "pm": "static", "pm.start_servers": "5", "pm.status_listen": "", "request_terminate_timeout": "90"}
    ranks = [("error", "warning", "info").index(finding.severity) for finding in check({"www": pool}, {})]
    assert ranks == sorted(ranks)
    assert set(ranks) == {0, 1, 2}


def test_any_text_is_judged() -> None:
    for text in ("", "\0", "\u0665", "9" * 10_000, "-" * 100, "%{" * 10_000, "${", "$pool", "\udcff"):
        pool = dict.fromkeys(
            [*QUIET, "access.log", "access.format", "request_slowlog_timeout", "ping.path", text], text
        )
        assert (
            refusal(check({text or "x": pool}, {"process.max": text, "events.mechanism": text})) is not None
            or text == "${"
        )


@pytest.mark.parametrize(("start", "least", "found"), [("6", "1", True), ("11", "1", False), ("4", "2", False)])
def test_a_dynamic_pool_that_takes_half_a_minute_to_grow_is_told(start: str, least: str, found: bool) -> None:
    sizes = {"pm.max_children": "40", "pm.start_servers": start, "pm.min_spare_servers": least}
    pool = {**QUIET, **DYNAMIC, **sizes, "pm.max_spare_servers": "12"}
    findings = check({"www": pool}, GLOBAL)
    assert codes(findings) == (["slow-growth"] if found else [])
    if found:
        assert "from 6 to the 40 of pm.max_children takes 34 s" in findings[0].message
