"""What a plan must look like, and the plans written by hand that must be refused."""

from __future__ import annotations

import copy
import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import ValidationError

import capacity
from capacity.errors import InvalidInput
from capacity.fpm.editor import EDITABLE
from capacity.plan.allowed import DirectiveName
from capacity.plan.model import ChangePlan, canonical_json, plan_id_of, read_plan

from .conftest import Host, resealed, write_host

Document = dict[str, Any]
Change = Callable[[Document], None]


@pytest.fixture(scope="module")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> Document:
    return write_host(tmp_path_factory.mktemp("model") / "host").plan(url="http://127.0.0.1/").to_dict()


@pytest.fixture
def document(made_once: Document) -> Document:
    return copy.deepcopy(made_once)


def step(document: Document, name: str) -> Document:
    found: Document = next(s for s in (*document["steps"], *document["rollback"]) if s["id"] == name)
    return found


def test_what_is_written_is_read_again(host: Host) -> None:
    plan = host.plan(url="http://127.0.0.1/")
    assert read_plan(plan.to_json()) == plan
    assert read_plan(plan.to_json().encode()) == plan


def test_the_plan_id_is_the_hash_of_the_canonical_json_without_it(host: Host) -> None:
    text = host.plan().to_json()
    document = json.loads(text)
    plan_id = document.pop("plan_id")
    canonical = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    assert plan_id == hashlib.sha256(canonical).hexdigest()
    # as a tool in a language that would write numbers in another way finds it: from the text itself
    bare = "".join(
        part if part.startswith('"') else re.sub(r"\s", "", part) for part in re.split(r'("(?:[^"\\]|\\.)*")', text)
    )
    assert hashlib.sha256(bare.replace(f'"plan_id":"{plan_id}",', "").encode()).hexdigest() == plan_id


def test_the_shipped_schema_is_the_model(document: Document) -> None:
    shipped = json.loads((Path(capacity.__file__).parent / "plan" / "plan.schema.json").read_text(encoding="utf-8"))
    assert shipped.pop("$schema") == "https://json-schema.org/draft/2020-12/schema"
    assert shipped == ChangePlan.model_json_schema(mode="serialization")
    assert set(document) == set(shipped["properties"])


def test_the_same_facts_give_the_same_plan(host: Host) -> None:
    assert host.plan().to_json() == host.plan().to_json()


def test_numbers_that_are_not_finite_have_no_canonical_form() -> None:
    with pytest.raises(ValueError, match="Out of range"):
        canonical_json({"a": float("nan")})


def test_a_plan_cannot_be_changed(host: Host) -> None:
    plan = host.plan()
    with pytest.raises(ValidationError):
        plan.pool = "other"


# --- documents that are no plan


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "must be JSON"),
        ("{", "must be JSON"),
        ("[]", "must be one JSON object"),
        ("null", "must be one JSON object"),
        ("{}", "format_version must be 1.0"),
        ('{"format_version": "2.0"}', "format_version must be 1.0"),
        ('{"format_version": "1.1"}', "format_version must be 1.0"),
        ('{"format_version": 1.0}', "format_version must be 1.0"),
        ('{"format_version": "1.0", "format_version": "1.0"}', "same key twice"),
        ('{"format_version": "1.0", "x": NaN}', "NaN is not a finite number"),
        ('{"format_version": "1.0", "x": Infinity}', "not a finite number"),
        ("[" * 100_000, "must be JSON"),
        ('{"format_version": "1.0"}', "is missing"),
        (b"\xff\xfe", "must be JSON"),
        (" " * (2**20 + 1), "at most 1 MiB"),
    ],
    ids=range(15),
)
def test_what_is_no_plan_is_refused_in_words(text: str | bytes, said: str) -> None:
    with pytest.raises(InvalidInput, match=re.escape(said)):
        read_plan(text)


def test_a_changed_byte_is_noticed(host: Host) -> None:
    text = host.plan().to_json()
    changed = text.replace("memory binds", "memory blinds", 1)
    assert changed != text
    with pytest.raises(InvalidInput, match="plan_id must be the sha256"):
        read_plan(changed)


# --- hostile names and values, with a plan_id made anew

HOSTILE_PATHS = [
    "relative/path", "/etc/../root/.ssh/authorized_keys", "/a\nb", "/a/$(id)", "/a/`id`", "/a/'b'", '/a/"b"', "/a;b",
    "/a|b", "/a&b", "/a\\b", "/a*b", "/a?b", "/a[b]", "/a{b}", "/a<b", "/a//b", "/a/", "/a/.", "//a",
    "", "/a b /c", "/a\x00b",
    "/a\u202eb", "/a%b", "/a#b", "/a!b", "/" + "a" * 1001,
]  # fmt: skip


@pytest.mark.parametrize("path", HOSTILE_PATHS, ids=range(len(HOSTILE_PATHS)))
@pytest.mark.parametrize("where", ["steps.0.backup_path", "preconditions.0.path", "rollback.0.backup_path"])
def test_a_path_that_could_mean_something_else_is_refused(document: Document, where: str, path: str) -> None:
    table, index, name = where.split(".")
    document[table][int(index)][name] = path
    with pytest.raises(InvalidInput, match=r"must (be|have)"):
        resealed(document)


@pytest.mark.parametrize(
    "pool", ["a]\nuser=root", "app\n", "", "a b", "../x", "global", "Global", "$(id)", "a;b", "é", "a" * 65]
)
def test_a_pool_that_could_end_its_header_is_refused(document: Document, pool: str) -> None:
    step(document, "set-pm-max-children")["pool"] = pool
    with pytest.raises(InvalidInput, match=r"must be 1 to 64 letters"):
        resealed(document)


@pytest.mark.parametrize(
    "after",
    ["40\nphp_admin_value[auto_prepend_file] = /tmp/x", "40 ; x", "$(id)", "${X}", "'40'", "", "40.5", "4e1", "٤٠"],
)
def test_a_value_that_is_more_than_a_value_is_refused(document: Document, after: str) -> None:
    changed = step(document, "set-pm-max-children")
    changed["after"] = changed["edit"]["insert"] = after
    with pytest.raises(InvalidInput, match="must be a whole number"):
        resealed(document)


@pytest.mark.parametrize(
    "directive", ["user", "listen", "php_admin_value[auto_prepend_file]", "env[X]", "pm.max_children ", "PM"]
)
def test_a_directive_outside_the_closed_list_is_refused(document: Document, directive: str) -> None:
    step(document, "set-pm-max-children")["directive"] = directive
    with pytest.raises(InvalidInput, match="directive must be"):
        resealed(document)


def test_the_closed_list_is_what_the_editor_may_set() -> None:
    assert set(get_args(DirectiveName)) == set(EDITABLE)


@pytest.mark.parametrize("key", ["APP_KEY", "DB_PASSWORD", "PATH", "SESSION_DRIVER\nX", "session_driver"])
def test_a_key_outside_the_closed_list_is_refused(document: Document, key: str) -> None:
    step(document, "set-session-driver")["key"] = key
    with pytest.raises(InvalidInput, match="key must be"):
        resealed(document)


@pytest.mark.parametrize("after", ["redis\nAPP_DEBUG=true", "$(id)", "redis # x", "", "'redis'", "Redis", "r" * 33])
def test_a_driver_that_is_more_than_a_name_is_refused(document: Document, after: str) -> None:
    changed = step(document, "set-session-driver")
    changed["after"] = changed["edit"]["insert"] = after
    with pytest.raises(InvalidInput, match="must be the name of a driver"):
        resealed(document)


def smuggled(text: str) -> Change:
    def change(document: Document) -> None:
        step(document, "set-pm-max-children")["edit"]["insert"] = text

    return change


EDITS: dict[str, Change] = {
    "another value": smuggled("41"),
    "a second line": smuggled("40\nuser = root"),
    "nothing": smuggled(""),
    "a comment": smuggled("40 ;"),
    "other bytes removed": lambda d: step(d, "set-pm-max-children")["edit"].update(remove="2"),
    "more removed": lambda d: step(d, "set-pm-max-children")["edit"].update(remove="20\nuser = www-data"),
    "an added line with another name": lambda d: step(d, "set-pm-max-requests")["edit"].update(insert="user = 1000\n"),
    "an added line and one more": lambda d: step(d, "set-pm-max-requests")["edit"].update(
        insert="pm.max_requests = 1000\nuser = root\n"
    ),
    "an added line that removes": lambda d: step(d, "set-pm-max-requests")["edit"].update(remove="x"),
    "another driver": lambda d: step(d, "set-session-driver")["edit"].update(insert="array"),
    "a driver and a line": lambda d: step(d, "set-session-driver")["edit"].update(insert="redis\nAPP_DEBUG=true"),
    "a negative offset": lambda d: step(d, "set-pm-max-children")["edit"].update(offset=-1),
}


@pytest.mark.parametrize("change", EDITS.values(), ids=EDITS)
def test_an_edit_that_does_not_say_what_its_step_says_is_refused(document: Document, change: Change) -> None:
    change(document)
    with pytest.raises(InvalidInput, match="edit"):
        resealed(document)


COMMANDS = {
    "another program": ("validate", ["/bin/sh", "-t", "-y"]),
    "a program of that name in a hostile path": ("validate", ["/tmp/$(id)/php-fpm", "-t", "-y"]),
    "another option": ("validate", ["/usr/sbin/php-fpm8.2", "-t", "-d"]),
    "text for a list": ("validate", "/usr/sbin/php-fpm8.2 -t -y"),
    "nothing": ("validate", []),
    "a start that runs something": ("reload", ["/usr/sbin/php-fpm8.2", "-D", "-dauto_prepend_file=x", "-y"]),
}


@pytest.mark.parametrize(("name", "argv"), COMMANDS.values(), ids=COMMANDS)
def test_a_command_that_is_not_the_known_one_is_refused(document: Document, name: str, argv: object) -> None:
    found = step(document, name)
    found["argv"] = [*argv, found["config"]] if isinstance(argv, list) and argv else argv
    with pytest.raises(InvalidInput, match="argv"):
        resealed(document)


@pytest.mark.parametrize(
    "argv", [["php", "artisan", "migrate"], ["/bin/sh", "artisan", "config:cache"], ["php", "-r", "1"]]
)
def test_artisan_runs_nothing_but_the_two_commands(document: Document, argv: list[str]) -> None:
    step(document, "clear-config-cache")["argvs"][0] = argv
    with pytest.raises(InvalidInput, match="argvs"):
        resealed(document)


ADDRESSES = [
    "ftp://a/", "http://", "http://user:hunter9@a/", "http://a/$(id)", "http://a/\nb", "http://a b/",
    "file:///etc/passwd", "http://a/'", "http://a:x/", "javascript:1", "http://a:99999/",
]  # fmt: skip


@pytest.mark.parametrize("url", ADDRESSES)
def test_an_address_that_is_more_than_an_address_is_refused(document: Document, url: str) -> None:
    step(document, "verify-http")["url"] = url
    with pytest.raises(InvalidInput, match=r"http or https|must not hold a user name") as refused:
        resealed(document)
    assert "hunter9" not in str(refused.value)


CONTRADICTIONS: dict[str, tuple[Change, str]] = {
    "an unknown field": (lambda d: d.update(extra=1), "extra is not a known field"),
    "an unknown field of a step": (lambda d: d["steps"][0].update(shell="id"), "is not a known field"),
    "an unknown operation": (lambda d: d["steps"][0].update(op="shell"), "op|tag"),
    "a number for a text": (lambda d: d.update(pool=5), "must be text"),
    "a text for a number": (lambda d: step(d, "verify-http").update(expect_status="200"), "whole number"),
    "two steps of one name": (lambda d: d["steps"][1].update(id="backup-1"), "an id of their own"),
    "a risk of no step": (lambda d: d["risks"][0].update(step_ids=["nothing"]), "must name a step"),
    "no backup": (lambda d: d["steps"].pop(0), "back up every written file"),
    "no restore": (lambda d: d["rollback"].pop(0), "restore every written file"),
    "another backup": (lambda d: d["rollback"][0].update(backup_path="/tmp/x"), "restore every written file"),
    "a backup somewhere else": (
        lambda d: [part[0].update(backup_path="/etc/cron.d/x") for part in (d["steps"], d["rollback"])],
        "one directory for all",
    ),
    "a backup of itself": (
        lambda d: [part[0].update(backup_path=part[0]["path"]) for part in (d["steps"], d["rollback"])],
        "one directory for all",
    ),
    "a backup of another file": (
        lambda d: d["steps"].insert(0, {**d["steps"][0], "id": "x", "path": "/etc/shadow"}),
        "back up every written file",
    ),
    "another mode afterwards": (
        lambda d: d["postconditions"][0].update(mode="0666"),
        "mode, owner and group of before",
    ),
    "another owner restored": (lambda d: d["rollback"][0].update(owner="nobody"), "mode, owner and group of before"),
    "another content restored": (lambda d: d["rollback"][0].update(sha256="0" * 64), "must have the sha256"),
    "edits that overlap": (
        lambda d: step(d, "set-pm-start-servers")["edit"].update(
            offset=step(d, "set-pm-max-children")["edit"]["offset"]
        ),
        "must not overlap",
    ),
    "another php-fpm that judges": (
        lambda d: [
            s.update(argv=["/usr/bin/php-fpm7.4", *s["argv"][1:]])
            for s in (step(d, "validate"), step(d, "validate-restored"))
        ],
        "one php-fpm throughout",
    ),
    "another configuration that is reloaded": (
        lambda d: [
            s.update(config=c, argv=[*s["argv"][:3], c])
            for c in [d["preconditions"][0]["path"]]
            for s in (step(d, "reload"), step(d, "reload-restored"))
        ],
        "one main configuration throughout",
    ),
    "an include that is not there": (lambda d: step(d, "validate")["include"].update(offset=5000), "lie in the main"),
    "an include that is there twice": (
        lambda d: step(d, "validate")["include"].update(files=step(d, "validate")["include"]["files"] * 2),
        "be named once",
    ),
    "an include of an unknown file": (
        lambda d: step(d, "validate")["include"]["files"].append("/etc/passwd"),
        "have a file_sha256",
    ),
    "a directive that is set twice": (
        lambda d: step(d, "set-pm-start-servers").update(
            directive="pm.max_children", before="4", after="8", edit=step(d, "set-pm-start-servers")["edit"]
        ),
        "must be set once",
    ),
    "two pools": (lambda d: step(d, "set-pm-start-servers").update(pool="other"), "one pool in one file"),
    "root on the way back": (
        lambda d: step(d, "clear-config-cache-restored").update(user="games"),
        "about what a step is about",
    ),
    "another address on the way back": (
        lambda d: step(d, "verify-http-restored").update(url="http://127.0.0.2/"),
        "about what a step is about",
    ),
    "no scenario": (lambda d: d["inputs"]["scenario"]["host"].pop("ram"), "host.ram is missing"),
    "an .env of another name": (
        lambda d: step(d, "set-session-driver").update(path="/etc/ssh/sshd_config"),
        "called .env",
    ),
    "a unit that is no service": (lambda d: step(d, "reload").update(service="reboot.target"), "name of a service"),
    "a process that is not php-fpm": (lambda d: step(d, "reload").update(processes=["sshd"]), "must be php-fpm"),
    "an unknown configuration": (lambda d: d["preconditions"].pop(2), "file_sha256 of the main configuration"),
    "two reloads": (lambda d: d["steps"].insert(10, {**step(d, "reload"), "id": "x"}), "at most one reload"),
    "a reload before the cache": (
        lambda d: d["steps"].insert(9, d["steps"].pop(10)),
        "must reload FPM after the configuration is cached anew",
    ),
    "no reload": (lambda d: (d["steps"].remove(step(d, "reload")), d.update(risks=[])), "must reload FPM"),
    "a reload before the changes": (lambda d: d["steps"].insert(2, d["steps"].pop(9)), "must come after every change"),
    "a look before the end": (lambda d: d["steps"].insert(9, d["steps"].pop()), "must verify at the end"),
    "another exit code": (lambda d: step(d, "validate").update(expect_exit=78), "expect_exit"),
    "a way back that does not validate": (lambda d: d["rollback"].pop(2), "must have a validate"),
    "a way back that does not reload": (lambda d: d["rollback"].pop(4), "must have a reload"),
    "a way back in another order": (
        lambda d: d["rollback"].insert(3, d["rollback"].pop()),
        "in the order of the steps",
    ),
    "a way back that restores last": (lambda d: d["rollback"].append(d["rollback"].pop(0)), "restore every"),
    "a month that is none": (lambda d: d.update(created_at="2026-13-01T00:00:00Z"), "must be a moment in UTC"),
    "no precondition": (lambda d: d["preconditions"].pop(0), "file_sha256 of every written file"),
    "no postcondition": (lambda d: d["postconditions"].pop(), "must be the written files"),
    "a late backup": (
        lambda d: d["steps"].insert(4, d["steps"].pop(0)),
        "every backup before the first change|back up",
    ),
    "no validate": (lambda d: d["steps"].remove(step(d, "validate")), "then by its validate"),
    "a late validate": (lambda d: d["steps"].append(d["steps"].pop(7)), "then by its validate"),
    "a stop after a change": (lambda d: step(d, "reload").update(on_failure="stop"), "must be rollback"),
    "nothing but a reload": (
        lambda d: d.update(steps=[step(d, "reload")], rollback=[], postconditions=[], risks=[]),
        "must be empty where nothing is changed",
    ),
    "a write in two parts": (lambda d: d["steps"].insert(2, d["steps"].pop(8)), ""),
    "a hash in capitals": (lambda d: d["postconditions"][0].update(sha256="A" * 64), "must be a sha256"),
    "a mode with a letter": (lambda d: d["preconditions"][0].update(mode="u+rw"), "four octal digits"),
    "an owner with a sign": (lambda d: d["preconditions"][0].update(owner="root;id"), "user or group name"),
    "a service with a sign": (lambda d: step(d, "reload").update(service="-H root@x"), "name of a service"),
    "a user with an option": (lambda d: step(d, "clear-config-cache").update(user="--help"), "user or group name"),
    "a message of two lines": (lambda d: d["risks"][0].update(message="a\n# b"), "one printable line"),
    "a date that is none": (lambda d: d.update(created_at="now"), "created_at"),
}


@pytest.mark.parametrize(("change", "said"), CONTRADICTIONS.values(), ids=CONTRADICTIONS)
def test_a_plan_that_contradicts_itself_is_refused(document: Document, change: Change, said: str) -> None:
    if said:
        change(document)
        with pytest.raises(InvalidInput, match=said):
            resealed(document)
        return
    # the edits of one file, with those of another file between them
    moved = copy.deepcopy(document)
    env = step(moved, "set-session-driver")
    moved["steps"].remove(env)
    moved["steps"].insert(3, env)
    with pytest.raises(InvalidInput, match="then by its validate"):
        resealed(moved)


@pytest.mark.parametrize(
    "again",
    [
        lambda text: text.encode("utf-16"),
        lambda text: b"\xef\xbb\xbf" + text.encode(),
        lambda text: text.replace('"app"', '"\\u0061pp"', 1),
        lambda text: json.dumps(dict(reversed(json.loads(text).items()))),
        lambda text: text.replace(": 4,", ": 4.00,"),
    ],
    ids=["UTF-16", "BOM", "escapes", "order", "numbers"],
)
def test_a_text_that_is_not_the_canonical_one_is_refused(host: Host, again: Callable[[str], str | bytes]) -> None:
    text = host.plan().to_json()
    assert again(text) != text
    with pytest.raises(InvalidInput, match=r"must be JSON|must be written as capacity writes it|plan_id"):
        read_plan(again(text))


def test_resealing_alone_changes_nothing(document: Document) -> None:
    assert plan_id_of(resealed(document).to_dict()) == document["plan_id"]
