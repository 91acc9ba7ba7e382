"""
Makes programs fail for real and keeps what they wrote: the part of the corpus that is not written by hand.

    python -m tests.runs.make_logs FILE [PYTHON ...]

Writes one JSON line for each run. Each recipe is a small script; those of Python run once under each
interpreter that is given, else under this one, as messages differ between versions. What needs root (a full
tmpfs, a memory cgroup) is left out, and said so, where it cannot be had. `END` is how the run ended, as
`tests.runs.corpus` reads it. A recipe with PyTorch runs only under interpreters that have it.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HERE = "/home/kai/run"  # stands for the folder in which the recipes ran
LIMIT = 60.0  # seconds for one run
KEPT = 6000  # characters of the end of a log
CGROUP_MEMORY = 80 * 2**20  # bytes
SETTLE = 0.7  # seconds until a program that is to be stopped is at work


@dataclass(frozen=True)
class Recipe:
    """A program that ends in a known way; `shell` is run by sh, else `code` by each interpreter."""

    label: str
    name: str
    code: str = ""
    shell: str = ""
    send: int = 0  # a signal that it gets once it is at work
    cgroup: bool = False
    full: str = ""  # a folder, relative to its own, that is a tiny tmpfs
    torch: bool = False
    facts: dict[str, Any] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)


WORK = "import time\nfor step in range(600):\n    print('step', step, 'loss', 2 / (step + 1), flush=True)\n    time.sleep(.05)\n"
LAUNCHER = """
import subprocess, sys, textwrap, time
worker = textwrap.dedent('''
    import os, sys, time
    rank = int(sys.argv[1])
    print(f"[rank{rank}] ready", flush=True)
    WORKER
    time.sleep(.6)
    raise RuntimeError(f"rank {rank}: Connection closed by peer")
''')
ranks = [subprocess.Popen([sys.executable, "-c", worker, str(rank)]) for rank in range(3)]
codes = [rank.wait() for rank in ranks]
failed = [rank for rank, code in enumerate(codes) if code]
if failed:
    print(f"launcher: ranks {failed} failed, exit codes {codes}", file=sys.stderr)
    sys.exit(1)
"""


def launcher(worker: str) -> str:
    """Return a launcher of three ranks; in the first one `worker` happens, the others lose their peer."""
    return LAUNCHER.replace("WORKER", worker)


RECIPES = [
    Recipe("missing_module", "import", "import flash_attn_interface\n"),
    Recipe("missing_module", "nested import", "try:\n    import tomlli\nexcept ImportError:\n    import toml_of_old\n"),
    Recipe("missing_module", "name", "from collections import NoSuchThing\n"),
    Recipe("missing_module", "submodule", "import json.nothing\n"),
    Recipe("missing_module", "python -m", shell='"$PYTHON" -m no_such_trainer'),
    Recipe("missing_module", "launcher", launcher("if rank == 1: import apex_of_old")),
    Recipe("missing_module", "node", shell="node -e 'require(\"onnx-of-old\")'"),
    Recipe("missing_module", "perl", shell="perl -e 'use No::Such; print 1'"),
    Recipe("missing_library", "ctypes", "import ctypes\nctypes.CDLL('libcudart.so.99')\n"),
    Recipe(
        "missing_library", "ld.so",
        shell="echo 'int f(void){return 0;}' > f.c && gcc -shared -fPIC f.c -o libgone.so && "
        "echo 'int f(void); int main(void){return f();}' > m.c && gcc m.c -L. -lgone -o m && rm libgone.so && ./m",
    ),
    Recipe(
        "missing_library", "symbol",
        shell="echo 'int f(void){return 0;}' > f.c && gcc -shared -fPIC f.c -o libs.so && "
        "echo 'int f(void); int main(void){return f();}' > m.c && gcc m.c -L. -ls -Wl,-rpath,. -o m && "
        "echo 'int g(void){return 0;}' > g.c && gcc -shared -fPIC g.c -o libs.so && ./m",
    ),
    Recipe("missing_file", "open", "open('data/train/meta.json')\n"),
    Recipe("missing_file", "listdir", "import os\nprint(len(os.listdir('/data/nothing')))\n"),
    Recipe("missing_file", "script", shell='"$PYTHON" trian.py'),
    Recipe("missing_file", "chained", "try:\n    {}['path']\nexcept KeyError:\n    open('fallback.yaml')\n"),
    Recipe("missing_file", "in a pool", "import multiprocessing as m\ndef f(i):\n    return open(f'part{i}.bin').read()\nif __name__ == '__main__':\n    with m.Pool(2) as p:\n        p.map(f, range(4))\n"),
    *(
        Recipe("missing_file", f"command, {shell}", shell=f"{shell} -c 'trian --epochs 3'")
        for shell in ("bash", "dash", "zsh", "fish")
    ),
    Recipe("missing_file", "cat", shell="set -e; cat weights.bin; echo never"),
    Recipe("missing_file", "launcher", launcher("if rank == 0: open('shard-0.tar')")),
    Recipe("disk_full", "python", "f = open('full/ckpt.pt', 'wb')\nfor i in range(400):\n    f.write(b'x' * 4096); f.flush()\n", full="full"),
    Recipe("disk_full", "dd", shell="dd if=/dev/zero of=full/x bs=4096 count=400", full="full"),
    Recipe("disk_full", "cp", shell="head -c 900000 /dev/zero > big; cp big full/", full="full"),
    Recipe("disk_full", "tar", shell="head -c 900000 /dev/zero > big; tar cf full/a.tar big", full="full"),
    Recipe("disk_full", "sqlite", "import sqlite3\nd = sqlite3.connect('full/a.db')\nd.execute('create table t (b)')\nfor i in range(400):\n    d.execute('insert into t values (?)', (b'x' * 4096,)); d.commit()\n", full="full"),
    Recipe("disk_full", "shutil", "import shutil\nopen('big', 'wb').write(b'x' * 900000)\nshutil.copy('big', 'full/big')\n", full="full"),
    Recipe("disk_full", "pickle, chained", "import pickle\ntry:\n    with open('full/state', 'wb') as f:\n        pickle.dump(bytes(900000), f)\nexcept OSError:\n    open('full/retry', 'wb').write(bytes(900000))\n", full="full"),
    Recipe("disk_full", "echo", shell="bash -c 'set -e; for i in $(seq 9999); do echo 0123456789012345678901234567890123456789 >> full/log; done'", full="full"),
    Recipe("permission", "open", "import os\nos.setuid(65534)\nopen('/root/ckpt.pt', 'wb')\n"),
    Recipe("permission", "exec", shell="echo 'echo hi' > run.sh; ./run.sh"),
    Recipe("permission", "exec in bash", shell="bash -c 'echo \"echo hi\" > run2.sh; ./run2.sh'"),
    Recipe("permission", "mkdir", "import os\nos.setuid(65534)\nos.makedirs('/root/out/ckpt')\n"),
    Recipe("permission", "kill", "import os\nos.setuid(65534)\nos.kill(1, 15)\n"),
    Recipe("permission", "port", "import os, socket\nos.setgid(65534); os.setuid(65534)\nopen('/etc/shadow').read()\n"),
    Recipe("network", "getaddrinfo", "import socket\nsocket.create_connection(('hub.invalid', 443), 3)\n"),
    Recipe("network", "urlopen", "import urllib.request\nurllib.request.urlopen('https://hub.invalid/model.bin', timeout=3)\n"),
    Recipe("network", "refused", "import urllib.request\nurllib.request.urlopen('http://127.0.0.1:9/model.bin', timeout=3)\n"),
    Recipe("network", "curl", shell="curl -sS https://hub.invalid/model.bin -o m"),
    Recipe("network", "git", shell="git clone -q https://hub.invalid/a.git"),
    Recipe("network", "404", "import http.server, threading, urllib.request\ns = http.server.HTTPServer(('127.0.0.1', 0), http.server.SimpleHTTPRequestHandler)\nthreading.Thread(target=s.serve_forever, daemon=True).start()\nurllib.request.urlopen('http://127.0.0.1:%d/none.bin' % s.server_port)\n"),
    Recipe("port_in_use", "bind", "import socket\na = socket.socket(); a.bind(('127.0.0.1', 0)); a.listen()\nb = socket.socket(); b.bind(a.getsockname())\n"),
    Recipe("port_in_use", "http.server", "import http.server, socket\na = socket.socket(); a.bind(('127.0.0.1', 0)); a.listen()\nhttp.server.HTTPServer(a.getsockname(), http.server.SimpleHTTPRequestHandler)\n"),
    Recipe("port_in_use", "asyncio", "import asyncio, socket\na = socket.socket(); a.bind(('127.0.0.1', 0)); a.listen()\nasync def main():\n    await asyncio.start_server(print, *a.getsockname())\nasyncio.get_event_loop_policy().new_event_loop().run_until_complete(main())\n"),
    Recipe("port_in_use", "node", shell="node -e 'const h=require(\"http\");const a=h.createServer().listen(0,()=>h.createServer().listen(a.address().port))'"),
    Recipe("port_in_use", "launcher", launcher("if rank == 2:\n        import socket; a = socket.socket(); a.bind(('', 0)); a.listen(); socket.socket().bind(('', a.getsockname()[1]))")),
    Recipe("host_memory", "list in a cgroup", "x = []\nwhile True:\n    x.append(bytes(2**20)); print('rows', len(x), flush=True)\n", cgroup=True),
    Recipe("host_memory", "child in a cgroup", "import multiprocessing as m\ndef f(i):\n    x = []\n    while True:\n        x.append(b'1' * 2**20)\nif __name__ == '__main__':\n    import sys\n    p = m.Process(target=f, args=(0,)); p.start(); p.join()\n    print('worker ended with', p.exitcode); sys.exit(1)\n", cgroup=True),
    Recipe("host_memory", "bash in a cgroup", shell="bash -c '\"$PYTHON\" -c \"x=b\\\"1\\\"*300000000\"; exit $?'", cgroup=True),
    Recipe("host_memory", "pool in a cgroup", "import concurrent.futures as c\ndef f(i):\n    return len(b'1' * (300 * 2**20))\nif __name__ == '__main__':\n    with c.ProcessPoolExecutor(2) as p:\n        print(list(p.map(f, range(4))))\n", cgroup=True),
    Recipe("host_memory", "ulimit", shell='ulimit -v 400000; "$PYTHON" -c "x = bytearray(3 * 10**9)"'),
    Recipe("host_memory", "bad_alloc", shell="printf '#include <vector>\\nint main(){std::vector<char> v; v.resize(1L<<46); return v.size();}' > a.cc && g++ a.cc -o a && ./a"),
    Recipe("host_memory", "java", shell="printf 'class A{public static void main(String[] s){java.util.List<int[]> l=new java.util.ArrayList<>();while(true)l.add(new int[1<<20]);}}' > A.java && java -Xmx32m A.java"),
    Recipe("shared_memory", "mmap of a full tmpfs", "import mmap, os\nf = os.open('full/shm', os.O_RDWR | os.O_CREAT)\nos.ftruncate(f, 2**22)\nm = mmap.mmap(f, 2**22)\nfor i in range(0, 2**22, 4096):\n    m[i] = 1\n", full="full", facts={"full": [{"path": "/dev/shm", "free": 0}]}),
    Recipe("data_worker", "pool worker killed", "import concurrent.futures as c, os, signal\ndef f(i):\n    os.kill(os.getpid(), signal.SIGKILL)\nif __name__ == '__main__':\n    with c.ProcessPoolExecutor(2) as p:\n        print(list(p.map(f, range(4))))\n"),
    Recipe("data_worker", "pool worker crashed", "import concurrent.futures as c, os\ndef f(i):\n    os.abort()\nif __name__ == '__main__':\n    with c.ProcessPoolExecutor(2) as p:\n        print(p.submit(f, 1).result())\n"),
    Recipe("assertion", "python", "a, b = 3, 4\nassert a == b, f'{a} heads do not fit {b}'\n"),
    Recipe("assertion", "bare", "def check(x):\n    assert x > 0\ncheck(-1)\n"),
    Recipe("assertion", "C", shell="printf '#include <assert.h>\\nint main(int n,char**v){assert(n>1);return 0;}' > a.c && gcc a.c -o a && ./a"),
    Recipe("assertion", "node", shell="node -e 'require(\"assert\").strictEqual(1,2)'"),
    Recipe("assertion", "launcher", launcher("assert rank != 1, 'shapes differ'")),
    Recipe("exception", "key", "config = {}\nprint(config['optimizer'])\n"),
    Recipe("exception", "type", "'a' + 1\n"),
    Recipe("exception", "own class", "class ConfigError(Exception):\n    pass\nraise ConfigError('no optimizer')\n"),
    Recipe("exception", "chained", "try:\n    int('x')\nexcept ValueError as e:\n    raise RuntimeError('bad config') from e\n"),
    Recipe("exception", "thread pool", "import concurrent.futures as c\nwith c.ThreadPoolExecutor() as p:\n    p.submit(lambda: [][1]).result()\n"),
    Recipe("exception", "syntax", "for x in range(3)\n    print(x)\n"),
    Recipe("exception", "node", shell="node -e 'null.x'"),
    Recipe("exception", "java", shell="printf 'class A{public static void main(String[] s){System.out.println(s[3]);}}' > A.java && java A.java"),
    Recipe("exception", "in a pool", "import multiprocessing as m\ndef f(i):\n    return 1 // i\nif __name__ == '__main__':\n    with m.Pool(2) as p:\n        p.map(f, range(4))\n"),
    Recipe("wrong_use", "argparse", "import argparse\np = argparse.ArgumentParser(prog='train.py'); p.add_argument('--lr', type=float); p.parse_args(['--lr', 'fast'])\n"),
    Recipe("wrong_use", "argparse, missing", "import argparse\np = argparse.ArgumentParser(prog='train.py'); p.add_argument('--data', required=True); p.parse_args([])\n"),
    Recipe("wrong_use", "argparse, unknown", "import argparse\np = argparse.ArgumentParser(prog='train.py'); p.parse_args(['--epoch', '3'])\n"),
    Recipe("wrong_use", "ls", shell="ls --no-such-option"),
    Recipe("crash", "segfault", "import ctypes\nprint('loading')\nctypes.string_at(0)\n"),
    Recipe("crash", "segfault in a shell", shell="bash -c '\"$PYTHON\" -c \"import ctypes; ctypes.string_at(0)\"; exit $?'"),
    Recipe("crash", "faulthandler", "import faulthandler, ctypes\nfaulthandler.enable()\nctypes.string_at(0)\n"),
    Recipe("crash", "abort", "import os\nprint('step 1', flush=True)\nos.abort()\n"),
    Recipe("crash", "double free", shell="printf '#include <stdlib.h>\\nint main(){char*p=malloc(8);free(p);free(p);return 0;}' > a.c && gcc -w a.c -o a && ./a"),
    Recipe("crash", "divide", shell="printf 'int main(int n,char**v){volatile int z=n-1;return 1/z;}' > a.c && gcc a.c -o a && ./a"),
    Recipe("killed", "kill -9", WORK, send=signal.SIGKILL),
    Recipe("killed", "kill -9 of a child", "import subprocess, sys, time, os\np = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(9)'])\ntime.sleep(.3); os.kill(p.pid, 9)\nsys.exit(128 + 9 if p.wait() == -9 else 0)\n"),
    Recipe("stopped", "Ctrl-C", WORK, send=signal.SIGINT),
    Recipe("stopped", "Ctrl-C in a try", "import time\ntry:\n    while True:\n        print('it', flush=True); time.sleep(.1)\nfinally:\n    print('closing files')\n", send=signal.SIGINT),
    Recipe("stopped", "kill", WORK, send=signal.SIGTERM),
    Recipe("stopped", "kill with a handler", "import signal, sys, time\nsignal.signal(15, lambda *a: sys.exit(143))\nwhile True:\n    print('it', flush=True); time.sleep(.1)\n", send=signal.SIGTERM),
    Recipe("time_limit", "timeout", shell="timeout .6 sleep 9", facts={"command": ["timeout", ".6", "sleep", "9"]}),
    Recipe("time_limit", "timeout of python", shell='timeout .6 "$PYTHON" -c "import time; print(1, flush=True); time.sleep(9)"', facts={"command": ["timeout", ".6", "python"]}),
    Recipe("time_limit", "CPU time", shell='ulimit -S -t 1; "$PYTHON" -c "while True: pass"'),
    Recipe("logout", "SIGHUP", WORK, send=signal.SIGHUP),
    Recipe("logout", "session ended", WORK, send=signal.SIGTERM, facts={"session_ended": True}),
    Recipe("diverged", "own check", "import math\nloss = 1.0\nfor step in range(9):\n    loss = loss * 1e200\n    print('step', step, 'loss', loss)\n    if math.isinf(loss):\n        raise FloatingPointError(f'loss is {loss} at step {step}')\n"),
    Recipe("diverged", "own check, exit", "import sys\nloss = float('nan')\nprint('Loss is {}, stopping training'.format(loss))\nsys.exit(1)\n"),
    Recipe("diverged", "own assert", "loss = float('nan')\nassert loss == loss, 'loss is NaN'\n"),
    Recipe("unknown", "exit 1", "import sys\nprint('step 1')\nsys.exit(1)\n"),
    Recipe("unknown", "exit 3 after a retry", "import sys, time\nfor i in range(3):\n    print('WARNING: no connection, retrying')\nprint('connected')\nfor step in range(5):\n    print('step', step, 'loss', 1)\nsys.exit(3)\n"),
    Recipe("success", "plain", "for epoch in range(3):\n    print('epoch', epoch, 'error', .1 / (epoch + 1))\nprint('done, 0 errors')\n"),
    Recipe("success", "handled traceback", "import traceback\ntry:\n    open('cache.bin')\nexcept OSError:\n    traceback.print_exc()\n    print('no cache, computing')\nfor step in range(4):\n    print('step', step, 'loss', .1)\n"),
    Recipe("success", "handled memory error", "for size in (10**15, 10**6):\n    try:\n        x = bytearray(size); break\n    except MemoryError as e:\n        print('MemoryError, trying less', e)\nprint('fits', len(x))\n"),
    Recipe("success", "unittest", "import unittest\nclass T(unittest.TestCase):\n    def test_out_of_memory(self):\n        with self.assertRaises(MemoryError): bytearray(10**15)\n    def test_cuda_error(self): pass\nunittest.main(verbosity=2)\n"),
    Recipe("success", "worker retried", "import subprocess, sys\nfor i in range(3):\n    code = subprocess.call([sys.executable, '-c', f'import os; os.abort() if {i} == 0 else print(\"worker fine\")'])\n    print('worker ended with', code, '- retrying' if code else '')\n    if not code: break\n"),
    Recipe("success", "shell without set -e", shell="no_such_step --prepare; echo training; echo finished"),
    Recipe("success", "broken pipe", shell='"$PYTHON" -c "for i in range(99999): print(i)" | head -1'),
    Recipe("success", "warnings", "import warnings, logging\nwarnings.warn('CUDA initialization: no driver, using the CPU')\nlogging.error('validation error 0.03')\nlogging.critical('critical value at 5 percent: 2.1')\nprint('saved')\n"),
    # with PyTorch, on the CPU
    Recipe("data_worker", "DataLoader, killed", "import os, torch\nclass D(torch.utils.data.Dataset):\n    def __len__(self): return 8\n    def __getitem__(self, i):\n        os.kill(os.getpid(), 9)\nfor x in torch.utils.data.DataLoader(D(), num_workers=2): pass\n", torch=True),
    Recipe("data_worker", "DataLoader, crashed", "import ctypes, torch\nclass D(torch.utils.data.Dataset):\n    def __len__(self): return 8\n    def __getitem__(self, i):\n        ctypes.string_at(0)\nfor x in torch.utils.data.DataLoader(D(), num_workers=2): pass\n", torch=True),
    Recipe("missing_file", "DataLoader", "import torch\nclass D(torch.utils.data.Dataset):\n    def __len__(self): return 8\n    def __getitem__(self, i):\n        return open(f'img{i}.png').read()\nfor x in torch.utils.data.DataLoader(D(), num_workers=2): pass\n", torch=True),
    Recipe("host_memory", "torch", "import torch\ntorch.empty(2**50)\n", torch=True),
    Recipe("no_gpu", "torch", "import torch\ntorch.zeros(2).cuda()\n", torch=True),
    Recipe("no_gpu", "torch.load", "import io, torch\nb = io.BytesIO(); torch.save(torch.zeros(2), b)\ntorch.zeros(1, device='cuda:0')\n", torch=True),
    Recipe("exception", "torch shapes", "import torch\ntorch.nn.Linear(512, 8)(torch.zeros(32, 768))\n", torch=True),
    Recipe("exception", "torch state", "import torch\ntorch.nn.Linear(2, 2).load_state_dict({})\n", torch=True),
    Recipe("diverged", "torch anomaly", "import torch\nwith torch.autograd.detect_anomaly():\n    x = torch.tensor([0.], requires_grad=True); (torch.sqrt(x) * 0).sum().backward()\n", torch=True),
    Recipe("disk_full", "torch.save", "import torch\ntorch.save(torch.zeros(10**6), 'full/a.pt')\n", full="full", torch=True, facts={"full": [{"path": "/home/kai/run/full", "free": 0}]}),
    *(
        Recipe(label, f"torchrun, {name}", shell=f"cat > w.py <<'END'\nimport os, sys, time, torch.distributed as d\nd.init_process_group('gloo')\nrank = d.get_rank()\nprint('rank', rank, flush=True)\n{body}\nd.barrier()\nEND\n\"$PYTHON\" -m torch.distributed.run --standalone --nproc_per_node=2 w.py", torch=True)
        for label, name, body in (
            ("missing_file", "file", "if rank == 1: open('shard.tar')"),
            ("assertion", "assertion", "assert rank == 0, 'rank 1 has no data'"),
            ("killed", "kill", "if rank == 1: os.kill(os.getpid(), 9)"),
            ("crash", "crash", "import ctypes\nif rank == 1: ctypes.string_at(0)"),
            ("unknown", "exit", "sys.exit(3)"),
        )
    ),
    Recipe("communication", "store that nobody serves", "import datetime, torch.distributed as d\nd.init_process_group('gloo', init_method='tcp://127.0.0.1:29871', rank=1, world_size=2, timeout=datetime.timedelta(seconds=2))\n", torch=True),
    Recipe("communication", "client that does not come", "import datetime, torch.distributed as d\nd.init_process_group('gloo', init_method='tcp://127.0.0.1:29873', rank=0, world_size=2, timeout=datetime.timedelta(seconds=2))\n", torch=True),
    Recipe("communication", "peer that leaves", "import sys, torch.multiprocessing as m, torch.distributed as d\ndef f(rank):\n    d.init_process_group('gloo', init_method='tcp://127.0.0.1:29875', rank=rank, world_size=2)\n    if rank == 1:\n        import os; d.barrier(); os._exit(0)\n    d.barrier()\n    import time; time.sleep(1)\n    import torch; d.all_reduce(torch.zeros(9)); d.barrier()\nif __name__ == '__main__':\n    m.set_start_method('spawn')\n    ps = [m.Process(target=f, args=(r,)) for r in range(2)]\n    [p.start() for p in ps]; [p.join() for p in ps]\n    sys.exit(max(p.exitcode for p in ps))\n", torch=True),
    Recipe("port_in_use", "torch store", "import socket, torch.distributed as d\na = socket.socket(); a.bind(('', 0)); a.listen()\nd.TCPStore('127.0.0.1', a.getsockname()[1], 1, True)\n", torch=True),
]


def has_torch(python: str) -> bool:
    """Tell whether the interpreter can import PyTorch."""
    done = subprocess.run([python, "-c", "import torch"], capture_output=True, check=False)
    return done.returncode == 0


class Cgroup:
    """A small memory cgroup (version 1 or 2); counts its OOM kills."""

    def __init__(self) -> None:
        base = Path("/sys/fs/cgroup/memory")
        self.folder = (base if base.is_dir() else Path("/sys/fs/cgroup")) / f"make-logs-{os.getpid()}"
        self.first = base.is_dir()
        self.folder.mkdir()
        limit = "memory.limit_in_bytes" if self.first else "memory.max"
        (self.folder / limit).write_text(str(CGROUP_MEMORY))

    def kills(self) -> int:
        """Return how many processes it has lost."""
        text = (self.folder / ("memory.oom_control" if self.first else "memory.events")).read_text()
        found = re.search(r"^oom_kill (\d+)", text, re.MULTILINE)
        return int(found[1]) if found else 0

    def close(self) -> None:
        """Remove it; what it held has ended."""
        for _ in range(50):
            with contextlib.suppress(OSError):
                self.folder.rmdir()
                return
            time.sleep(0.1)


def run(recipe: Recipe, python: str) -> dict[str, Any] | None:
    """Run a recipe; None where this machine cannot."""
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="make-logs-"))
        facts = dict(recipe.facts)
        cgroup = None
        try:
            if recipe.cgroup:
                cgroup = Cgroup()
                stack.callback(cgroup.close)
            if recipe.full:
                target = Path(folder, recipe.full)
                target.mkdir()
                subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "none", str(target)], check=True)
                stack.callback(subprocess.run, ["umount", str(target)], check=False)
        except (OSError, subprocess.CalledProcessError) as error:
            print(f"left out: {recipe.label}, {recipe.name}: {error}", file=sys.stderr)
            return None
        script = Path(folder, "train.py")
        script.write_text(textwrap.dedent(recipe.code))
        os.chmod(folder, 0o755)
        command = ["sh", "-c", recipe.shell] if recipe.shell else [python, "train.py"]

        def join() -> None:
            if cgroup:
                (cgroup.folder / "cgroup.procs").write_text(str(os.getpid()))

        child = subprocess.Popen(
            command, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHON": python, **recipe.environment}, preexec_fn=join,  # noqa: PLW1509
        )
        if recipe.send:
            time.sleep(SETTLE)
            child.send_signal(recipe.send)
        try:
            output, _ = child.communicate(timeout=LIMIT)
        except subprocess.TimeoutExpired:
            child.kill()
            child.communicate()
            print(f"left out: {recipe.label}, {recipe.name}: it hangs", file=sys.stderr)
            return None
        if cgroup and cgroup.kills():
            facts["oom_kills"] = cgroup.kills()
    text = output.decode("utf-8", "replace").replace(folder, HERE).replace(socket.gethostname(), "gpu03")
    for found in {str(Path(python).parent.parent), os.path.realpath(python).rpartition("/bin/")[0]}:
        text = text.replace(found, "/opt/python")
    end = f"signal {-child.returncode}" if child.returncode < 0 else f"exit {child.returncode}"
    return {"label": recipe.label, "end": end, "origin": f"made: {recipe.name}", "facts": facts, "log": text[-KEPT:]}


def interpreters(given: list[str]) -> list[str]:
    """Return the interpreters to use: those given, else this one."""
    return [shutil.which(name) or name for name in given] or [sys.executable]


def main() -> None:
    """Run each recipe under each interpreter; equal outputs are kept once."""
    target, *given = sys.argv[1:]
    pythons = interpreters(given)
    torches = [python for python in pythons if has_torch(python)]
    seen = set()
    with open(target, "w", encoding="utf-8") as file:
        for recipe in RECIPES:
            for python in torches if recipe.torch else pythons:
                record = run(recipe, python)
                key = record and (record["label"], record["end"], re.sub(r"\d+", "0", record["log"]))
                if record is None or key in seen:
                    continue
                seen.add(key)
                file.write(json.dumps(record, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
