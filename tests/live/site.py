"""A whole small site in one directory: php-fpm, nginx, Redis and a Laravel-like application, and somebody who asks it.

Everything listens on 127.0.0.1 or on a socket in the directory, and is ended by pid.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from capacity.plan.model import ChangePlan, read_plan
from capacity.plan.shell import plan_shell

SEARCH_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
SECRETS = ("hunter2", "c2VjcmV0LWtleS1vZi10aGUtYXBw", "correct-horse", "battery-staple")
OLD_WORKERS, NEW_WORKERS = range(1, 8), range(8, 41)
"""Workers of the pool before and after, while at most five requests are at work."""

POOL = """\
; The pool of the application. Edited by hand, as such files are.
[app]
user = www-data
group=www-data
listen = {directory}/app.sock
listen.mode = 0666

pm=dynamic\r
  pm.max_children   =   20   ; was 10 until last year
; pm.max_children = 99
pm.start_servers = 4
\tpm.min_spare_servers=2
pm.max_spare_servers = "6"

env[DB_PASSWORD] = hunter2
php_admin_value[session.gc_probability] = 0
"""
OTHER = """\
[other]
user = www-data
listen = {directory}/other.sock
pm = static
pm.max_children = 1
chdir = {directory}/other
"""
ENV = """\
APP_NAME="A site"
APP_KEY=base64:c2VjcmV0LWtleS1vZi10aGUtYXBw
# sessions
SESSION_DRIVER=database
CACHE_DRIVER=redis
DB_PASSWORD='correct-horse'
REDIS_HOST=127.0.0.1
REDIS_PASSWORD_OF_OLD="battery-staple"
REDIS_PORT={port}
"""
ENVIRONMENT = r"""<?php
function environment(string $file): array {
    $found = [];
    foreach (file($file, FILE_IGNORE_NEW_LINES) as $line) {
        if (preg_match('/^([A-Z_]+)=(.*)$/', $line, $part)) $found[$part[1]] = trim($part[2], "'\"");
    }
    return $found;
}
"""
ARTISAN = r"""<?php
require __DIR__ . '/environment.php';
$cached = __DIR__ . '/bootstrap/cache/config.php';
switch ($argv[1] ?? '') {
    case 'config:cache':
        $new = "$cached." . getmypid();
        file_put_contents($new, '<?php return ' . var_export(environment(__DIR__ . '/.env'), true) . ';');
        rename($new, $cached);
        break;
    case 'config:clear':
        if (is_file($cached)) unlink($cached);
        break;
    case 'cache:clear':
        file_put_contents(__DIR__ . '/storage/cleared', 'x', FILE_APPEND);
        break;
    default:
        exit(1);
}
"""
INDEX = r"""<?php
require dirname(__DIR__) . '/environment.php';
$app = dirname(__DIR__);
$cached = "$app/bootstrap/cache/config.php";
// not is_file() first: it may be gone by the time it is read
$config = (@include $cached) ?: environment("$app/.env");
if (!$config) { http_response_code(500); exit; }
$driver = $config['SESSION_DRIVER'];
$redis = $driver === 'redis';
ini_set('session.save_handler', $redis ? 'redis' : 'files');
ini_set('session.save_path', $redis ? "tcp://{$config['REDIS_HOST']}:{$config['REDIS_PORT']}" : "$app/storage");
if (!session_start()) { http_response_code(500); exit; }
$_SESSION['visits'] = ($_SESSION['visits'] ?? 0) + 1;
usleep(20000);
header('Content-Type: application/json');
echo json_encode(['driver' => $driver, 'visits' => $_SESSION['visits'], 'id' => session_id()]);
"""
SLEEPY = r"""<?php
$bell = dirname(__DIR__) . '/storage/wake';
for ($end = time() + 40; time() < $end && !file_exists($bell); clearstatcache()) usleep(50000);
echo 'awake';
"""
NGINX = """
daemon off; master_process on; worker_processes 1; user www-data;
pid "{directory}/nginx.pid"; error_log "{directory}/nginx.error.log";
events {{ worker_connections 512; }}
http {{
    access_log off;
    client_body_temp_path "{directory}/tmp/body"; fastcgi_temp_path "{directory}/tmp/fastcgi";
    proxy_temp_path "{directory}/tmp/proxy"; uwsgi_temp_path "{directory}/tmp/uwsgi";
    scgi_temp_path "{directory}/tmp/scgi";
    server {{
        listen 127.0.0.1:{port} backlog=511;
        location / {{
            fastcgi_pass "unix:{directory}/app.sock";
            fastcgi_param SCRIPT_FILENAME "{directory}/app/public$fastcgi_script_name";
            fastcgi_param SCRIPT_NAME $fastcgi_script_name;
            fastcgi_param REQUEST_METHOD $request_method;
            fastcgi_param REQUEST_URI $request_uri;
            fastcgi_param QUERY_STRING $query_string;
            fastcgi_param HTTP_COOKIE $http_cookie;
            fastcgi_index index.php;
        }}
    }}
}}
"""


class Done(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str


class Answer(NamedTuple):
    """One answer of the site; status 0 is none at all."""

    status: int
    body: bytes
    at: float

    def json(self) -> dict[str, Any]:
        return json.loads(self.body)  # type: ignore[no-any-return]


class Entry(NamedTuple):
    """A file or directory as it is."""

    content: str | bytes
    mode: int
    owner: tuple[int, int]


def until(condition: Callable[[], object], what: str, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not in {seconds} s: {what}")
        time.sleep(0.02)


def members(session: int) -> list[int]:
    """Processes of a session that live."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            pid, _, rest = path.read_text().partition(" (")
            state, _, _, leader, *_ = rest.rpartition(") ")[2].split()
            if int(leader) == session and state not in "ZX":
                found.append(int(pid))
    return found


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def children_of(pid: int) -> list[int]:
    with suppress(OSError):
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


@dataclass
class Site:
    """The site. `programs` are the binaries of php-fpm, nginx and redis-server."""

    directory: Path
    programs: tuple[str, str, str]
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)
    port: int = 0
    redis_port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    @property
    def app(self) -> Path:
        return self.directory / "app"

    @property
    def config(self) -> Path:
        return self.directory / "fpm/php-fpm.conf"

    @property
    def pool_file(self) -> Path:
        return self.directory / "fpm/pool.d/app.conf"

    @property
    def env_file(self) -> Path:
        return self.app / ".env"

    @property
    def cached(self) -> Path:
        return self.app / "bootstrap/cache/config.php"

    @property
    def backups(self) -> Path:
        return self.directory / "backups"

    @property
    def files(self) -> tuple[Path, Path]:
        return self.pool_file, self.env_file

    # ------------------------------------------------------------ its life

    def start(self) -> None:
        self.directory.chmod(0o755)  # www-data has to reach the socket and the scripts
        for name in ("fpm/pool.d", "other", "app/public", "app/bootstrap/cache", "app/storage", "redis", "tmp"):
            path = self.directory / name
            path.mkdir(parents=True, exist_ok=True)
            path.chmod(0o755)
        self.start_redis()
        (self.app / "storage").chmod(0o777)
        self.write_files()
        self.start_fpm()
        self.start_nginx()
        until(lambda: self.get().status == 200, "the site answers")

    def write_files(self) -> None:
        facts = {"directory": self.directory, "port": self.redis_port}
        head = f"[global]\npid = {self.directory}/fpm.pid\nerror_log = {self.directory}/fpm.log\n"
        head += "process_control_timeout = 10s\n; the pools\n"
        self.write(self.config, f"{head}include = {self.directory}/fpm/pool.d/*.conf\n", 0o644)
        self.write(self.pool_file, POOL.format(**facts), 0o640, group="www-data")
        self.write(self.directory / "fpm/pool.d/other.conf", OTHER.format(**facts), 0o644)
        self.write(self.env_file, ENV.format(**facts), 0o640, "www-data", "www-data")
        shutil.chown(self.cached.parent, "www-data", "www-data")
        for name, text in (("environment.php", ENVIRONMENT), ("artisan", ARTISAN), ("public/index.php", INDEX)):
            self.write(self.app / name, text, 0o644)
        self.write(self.app / "public/sleepy.php", SLEEPY, 0o644)

    def write(self, path: Path, text: str, mode: int, owner: str = "root", group: str = "root") -> None:
        path.write_bytes(text.encode())
        path.chmod(mode)
        shutil.chown(path, owner, group)

    def start_redis(self) -> None:
        self.redis_port = self.redis_port or free_port()
        options = {"port": self.redis_port, "bind": "127.0.0.1", "pidfile": f"{self.directory}/redis.pid", "save": ""}
        options |= {"appendonly": "no", "daemonize": "no", "dir": f"{self.directory}/redis"}
        words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
        self.redis_process = self.spawn([self.programs[2], *words])
        until(lambda: self.redis("PING") == "+PONG", "redis answers")

    def start_fpm(self) -> None:
        self.spawn([self.programs[0], "--nodaemonize", "--fpm-config", str(self.config)])
        until(lambda: (self.directory / "app.sock").exists() and self.workers() > 3, "php-fpm runs")

    def start_nginx(self) -> None:
        self.port = free_port()
        config = self.directory / "nginx.conf"
        config.write_text(NGINX.format(directory=self.directory, port=self.port))
        self.spawn([self.programs[1], "-c", str(config), "-p", str(self.directory)])

    def spawn(self, argv: Sequence[str]) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.processes.append(process)
        return process

    def stop(self) -> None:
        self.stop_fpm()
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            process.wait(timeout=30)

    def stop_fpm(self) -> None:
        """End what runs by the pid file: the script may have started it anew."""
        pid = self.master
        if pid is not None:
            os.kill(pid, signal.SIGTERM)
            until(lambda: self.reap() and not alive(pid), "php-fpm ends")

    def reap(self) -> bool:
        """Let nobody who has ended stay as a zombie."""
        self.processes = [process for process in self.processes if process.poll() is None]
        return True

    def reset(self) -> None:
        """Everything as it was at the start, whatever a test did to it."""
        if self.redis_process.poll() is not None:
            self.start_redis()
        shutil.rmtree(self.backups, ignore_errors=True)
        for path in [*(self.directory / "fpm/pool.d").iterdir(), *self.app.glob(".*"), self.cached]:
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
        for path in self.app.glob("storage/*"):
            path.unlink()
        (self.directory / "other").mkdir(exist_ok=True)
        self.write_files()
        self.redis("FLUSHALL")
        master, workers = self.master, self.worker_pids()
        if master is None:
            self.start_fpm()
        else:
            os.kill(master, signal.SIGUSR2)
            until(lambda: not set(workers) & set(self.worker_pids()) and self.workers() >= 4, "php-fpm reloads")

    # ------------------------------------------------------------ what it is

    @property
    def master(self) -> int | None:
        with suppress(OSError, ValueError):
            pid = int((self.directory / "fpm.pid").read_text())
            if alive(pid) and str(self.directory) in Path(f"/proc/{pid}/cmdline").read_text():
                return pid
        return None

    def worker_pids(self) -> list[int]:
        pids = []
        for pid in children_of(self.master or 0):
            with suppress(OSError):
                if "pool app" in Path(f"/proc/{pid}/cmdline").read_text():
                    pids.append(pid)
        return pids

    def workers(self) -> int:
        return len(self.worker_pids())

    def redis(self, command: str) -> str:
        try:
            with socket.create_connection(("127.0.0.1", self.redis_port), 10) as connection:
                connection.sendall(f"{command}\r\n".encode())
                return connection.recv(4096).decode().strip()
        except OSError:
            return ""

    def get(self, path: str = "/index.php", session: str | None = None) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request("GET", path, headers={"Cookie": f"PHPSESSID={session}"} if session else {})
            answer = connection.getresponse()
            return Answer(answer.status, answer.read(), time.monotonic())
        except (OSError, http.client.HTTPException) as error:
            return Answer(0, repr(error).encode(), time.monotonic())
        finally:
            connection.close()

    def judged(self) -> dict[str, str]:
        """What ``php-fpm -tt`` says of the pool."""
        done = subprocess.run([self.programs[0], "-tt", "-y", self.config], capture_output=True, text=True, check=True)
        lines = done.stderr.partition("[app]")[2].partition("[other]")[0].split("\n")
        pairs = (line.partition("NOTICE: ")[2].strip().partition(" = ") for line in lines)
        return {name: value for name, _, value in pairs if value}

    def snapshot(self, *, times: bool = False) -> dict[str, object]:
        """Every file and directory of the configuration and of the application, but for what it writes itself."""
        found: dict[str, object] = {}
        for top in ("fpm", "app"):
            for path in sorted((self.directory / top).rglob("*")):
                name = str(path.relative_to(self.directory))
                if name.startswith(("app/storage", "app/bootstrap/cache")):
                    continue
                facts = path.lstat()
                content = path.read_bytes() if path.is_file() else "directory"
                entry = Entry(content, facts.st_mode, (facts.st_uid, facts.st_gid))
                found[name] = (entry, facts.st_mtime_ns) if times else entry
        return found

    # ------------------------------------------------------------ the plan

    def capacity(self, *arguments: str) -> Done:
        done = subprocess.run(
            [sys.executable, "-m", "capacity", *arguments], capture_output=True, text=True, timeout=60
        )
        assert "Traceback" not in done.stderr, done.stderr
        return Done(done.returncode, done.stdout, done.stderr)

    def plan(self, *more: str, name: str = "plan.json") -> ChangePlan:
        """Make the plan with the real command, as ``plan.json`` in the directory."""
        path = self.directory / name
        options = {
            "--pool-file": self.pool_file, "--env-file": self.env_file, "--url": self.url, "--users": 150,
            "--redis-pid-file": self.directory / "redis.pid", "--backup-dir": self.backups, "-o": path,
        }  # fmt: skip
        words = [str(word) for pair in options.items() for word in pair]
        done = self.capacity("plan", *words, "--no-measure", *more)
        assert done.code == 0, done.err
        self.said = done.err
        return read_plan(path.read_text())

    def script(self, plan: ChangePlan, *first: Path, name: str = "plan.sh") -> Path:
        """Render the plan; the programs of the directories `first` come before those of the system.

        The second that the script waits for FPM to live on after a reload is cut short: here it dies at once.
        """
        quick = self.directory / "quick"
        if not quick.exists():
            quick.mkdir()
            (quick / "sleep").write_text('#!/bin/sh\n[ "$1" = 1 ] && set -- 0.3\nexec /bin/sleep "$1"\n')
            (quick / "sleep").chmod(0o755)
        path = self.directory / name
        path.write_text(plan_shell(plan, search_path=":".join([*map(str, first), str(quick), SEARCH_PATH])))
        return path

    def begin(self, script: Path, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        """Start the script in a process group of its own."""
        (self.directory / "tmp").mkdir(exist_ok=True)
        scratch = self.directory / "tmp/scratch"
        scratch.mkdir(exist_ok=True)
        return subprocess.Popen(
            ["sh", str(script), *arguments],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            start_new_session=True, env={"TMPDIR": str(scratch), "PATH": os.environ["PATH"], **environment},
        )  # fmt: skip

    def run(self, script: Path, *arguments: str, **environment: str) -> Done:
        process = self.begin(script, *arguments, **environment)
        out, err = process.communicate(timeout=120)
        if process.returncode < 0:  # what it had started may still be dying, its locks in hand
            until(lambda: not members(process.pid), "an end of what a killed script had started")
        assert not any(secret in out + err for secret in SECRETS)
        assert not list(self.directory.glob("tmp/scratch/*")) or process.returncode < 0
        return Done(process.returncode, out, err)


class Load:
    """Visitors who each come back every now and then; every answer is kept."""

    def __init__(self, site: Site, visitors: int = 3, rate: float = 30.0) -> None:
        self.site = site
        self.pause = visitors / rate
        self.answers: list[list[Answer]] = [[] for _ in range(visitors)]
        self.over = threading.Event()
        self.threads = [threading.Thread(target=self._visit, args=(number,)) for number in range(visitors)]

    def _visit(self, number: int) -> None:
        at = time.monotonic() + self.pause * number / len(self.threads)
        session = hashlib.sha256(f"visitor {number}".encode()).hexdigest()[:32]
        while not self.over.wait(max(0.0, at - time.monotonic())):
            self.answers[number].append(self.site.get(session=session))
            at += self.pause

    def __enter__(self) -> Load:
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        for thread in self.threads:
            thread.join()

    @property
    def failures(self) -> list[Answer]:
        return [answer for answers in self.answers for answer in answers if answer.status != 200]

    def __len__(self) -> int:
        return sum(map(len, self.answers))
