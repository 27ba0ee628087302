"""What OPcache saves of a request's CPU time: the default effect of the lever ``opcache`` comes from here.

    python -m benchmarks.opcache             # needs php-fpm8.2 and root; takes half a minute

One worker loads 300 class files of 20 methods each, as a large framework does, and says how much CPU that took: with
OPcache off, on with every file looked at for each request, on as shipped (files are looked at every 2 s), and on
without ever looking again.
"""

from __future__ import annotations

import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from capacity.measure.fastcgi import ask, parse_address

FILES, REQUESTS = 300, 200
SETTINGS = {
    "off": "opcache.enable=0",
    "on, every file looked at each time": "opcache.revalidate_freq=0",
    "on, as shipped": "opcache.revalidate_freq=2",
    "on, never looked at again": "opcache.validate_timestamps=0",
}
INDEX = f"""<?php
$used = fn() => (($u = getrusage())["ru_utime.tv_sec"] + $u["ru_stime.tv_sec"]) * 1e6
    + $u["ru_utime.tv_usec"] + $u["ru_stime.tv_usec"];
$start = $used();
for ($i = 0; $i < {FILES}; $i++) {{ require __DIR__ . "/c$i.php"; $name = "C$i"; (new $name)->m3(2); }}
echo "\\n", $used() - $start;
"""
POOL = """[global]
error_log = {0}/error.log
daemonize = no
[bench]
user = www-data
listen = {0}/bench.sock
pm = static
pm.max_children = 1
"""


def class_file(number: int) -> str:
    """A class of 20 methods, some 4 kB of source."""
    methods = "\n".join(
        f"    public function m{j}($x, array $options = []) {{ $y = $x * {j} + {number};"
        " foreach ($options as $k => $v) { if ($v) { $this->data[$k] = sprintf('%s-%d', $k, $y); } }"
        " return $y > 10 ? $y - 1 : $this->m0($y + 11); }"
        for j in range(1, 20)
    )
    first = "private $data = []; public function m0($x) { return $x; }"
    return f"<?php\nclass C{number} {{\n    {first}\n{methods}\n}}\n"


def cpu_times(binary: str, setting: str) -> list[float]:
    """CPU time of loading all classes [us], of each request but the first five."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        directory.chmod(0o755)
        (directory / "index.php").write_text(INDEX)
        for number in range(FILES):
            (directory / f"c{number}.php").write_text(class_file(number))
        config = directory / "php-fpm.conf"
        config.write_text(POOL.format(directory))
        command = [binary, "--fpm-config", str(config), "-d", setting]
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        try:
            time.sleep(3)  # OPcache keeps no file that is younger than 2 s
            address, script = parse_address(f"{directory}/bench.sock"), str(directory / "index.php")
            request = {"SCRIPT_FILENAME": script, "SCRIPT_NAME": "/", "REQUEST_METHOD": "GET", "QUERY_STRING": ""}
            answers = [ask(address, request, timeout=20) for _ in range(REQUESTS)]
        finally:
            process.terminate()
            process.wait(timeout=30)
    return [float(str(getattr(answer, "body", answer), "utf-8").split()[-1]) for answer in answers[5:]]


def main() -> None:
    """Measure every setting and print."""
    binary = shutil.which("php-fpm8.2", path="/usr/sbin:/usr/local/sbin:/usr/bin") or sys.exit("php-fpm8.2 is missing")
    print(f"CPU time of loading {FILES} class files, mean and median of {REQUESTS - 5} requests")
    for label, setting in SETTINGS.items():
        times = cpu_times(binary, setting)
        print(f"  {label:36s} {statistics.mean(times) / 1000:6.2f} ms {statistics.median(times) / 1000:6.2f} ms")


if __name__ == "__main__":
    main()
