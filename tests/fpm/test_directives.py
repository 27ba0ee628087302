import pytest
from hypothesis import given
from hypothesis import strategies as st

from capacity.errors import InvalidInput
from capacity.fpm import pool_settings, read_pools, render, surprises
from capacity.fpm.directives import POOL_DIRECTIVES, SIZING
from capacity.pool import PoolSettings


def test_every_setting_has_exactly_one_directive_and_fpm_knows_it() -> None:
    assert [directive.field for directive in SIZING] == list(dict.fromkeys(d.field for d in SIZING))
    assert {directive.field for directive in SIZING} == set(PoolSettings.model_fields)
    assert {directive.name for directive in SIZING} <= POOL_DIRECTIVES


def test_a_dynamic_pool_is_written_with_its_spares() -> None:
    settings = PoolSettings(
        pm="dynamic", max_children=40, start_servers=8, min_spare_servers=4, max_spare_servers=16, max_requests=1000
    )
    assert render(settings, pool="www", comments=["by hand; no"]) == (
        "; by hand; no\n[www]\npm = dynamic\npm.max_children = 40\npm.start_servers = 8\n"
        "pm.min_spare_servers = 4\npm.max_spare_servers = 16\npm.max_requests = 1000\n"
    )


def test_times_are_written_in_whole_seconds_with_one_letter() -> None:
    settings = PoolSettings(pm="ondemand", max_children=4, process_idle_timeout=90, request_terminate_timeout=3600)
    text = render(settings, pool="www")
    assert "pm.process_idle_timeout = 90s\n" in text
    assert "request_terminate_timeout = 3600s\n" in text


def test_only_an_ondemand_pool_has_an_idle_timeout() -> None:
    settings = PoolSettings(pm="static", max_children=4, process_idle_timeout=90, max_spawn_rate=3)
    assert render(settings, pool="www") == "[www]\npm = static\npm.max_children = 4\n"


@pytest.mark.parametrize(
    "pool",
    ["", "a]\nuser=root", "www\n", "a]b", "a b", "$(id)", "a;b", "global", "GLOBAL", "x" * 65, "\u00e9", "../x/"],
)
def test_a_pool_name_that_could_change_the_file_is_refused(pool: str) -> None:
    with pytest.raises(InvalidInput, match="pool must be 1 to 64 letters"):
        render(PoolSettings(pm="static", max_children=1), pool=pool)


@pytest.mark.parametrize("comment", ["a\nuser = root", "a\ruser = root", "a\0", "a\u2028b", "a\x0bb", "a\x85b"])
def test_a_comment_that_could_end_its_line_is_refused(comment: str) -> None:
    with pytest.raises(InvalidInput, match="comments must each be one printable line"):
        render(PoolSettings(pm="static", max_children=1), pool="www", comments=["fine", comment])


@st.composite
def pools(draw: st.DrawFn) -> PoolSettings:
    children = draw(st.integers(1, 2000))
    values: dict[str, object] = {"pm": draw(st.sampled_from(["static", "dynamic", "ondemand"]))}
    values["max_children"] = children
    if values["pm"] == "dynamic":
        least, start, most = sorted(draw(st.lists(st.integers(1, children), min_size=3, max_size=3)))
        values |= {"min_spare_servers": least, "start_servers": start, "max_spare_servers": most}
        values["max_spawn_rate"] = draw(st.none() | st.integers(1, 100))
    if values["pm"] == "ondemand":
        values["process_idle_timeout"] = draw(st.none() | st.integers(1, 3600))
    values["max_requests"] = draw(st.none() | st.integers(0, 100_000))
    values["listen_backlog"] = draw(st.none() | st.integers(-1, 65535))
    values["request_terminate_timeout"] = draw(st.none() | st.integers(0, 86400))
    return PoolSettings.model_validate(values)


@given(pools(), st.text(st.characters(codec="utf-8"), max_size=30).filter(str.isprintable))
def test_what_is_written_reads_back_equal_and_without_surprise(settings: PoolSettings, comment: str) -> None:
    file = read_pools(render(settings, pool="app-1.x_Y", comments=[comment]).encode())
    assert list(file.pools) == ["app-1.x_Y"]
    assert file.notes == ()
    assert pool_settings(file.pools["app-1.x_Y"]) == settings
    assert surprises(file.pools["app-1.x_Y"]) == ()
