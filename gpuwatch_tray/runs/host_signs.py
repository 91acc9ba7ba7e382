"""The signs of what goes wrong around the GPU, in the program itself, and by those who end it."""

from __future__ import annotations

from gpuwatch_tray.runs.cause import Kind
from gpuwatch_tray.runs.sign import Weight, sign

HINT, ECHO, PLAIN, PARTIAL = Weight.HINT, Weight.ECHO, Weight.PLAIN, Weight.PARTIAL
ROOT, DECISIVE = Weight.ROOT, Weight.DECISIVE
_TORCH = "https://github.com/pytorch/pytorch/blob/main/"
_PYTHON = "https://docs.python.org/3/library/"
_LIBC = "https://sourceware.org/git/?p=glibc.git;a=blob;f="
_SLURM = "https://github.com/SchedMD/slurm/blob/master/src/slurmd/slurmstepd/"
_KERNEL = "https://github.com/torvalds/linux/blob/master/mm/oom_kill.c"
_ERRNO = "https://sourceware.org/git/?p=glibc.git;a=tree;f=po"  # the messages of each language
_BASH = "https://git.savannah.gnu.org/cgit/bash.git/tree/po"

HOST_SIGNS = (
    # ---- memory of the machine
    sign("slurm oom", Kind.HOST_MEMORY, DECISIVE, "oom",
        r"Detected \d+ oom[_-]kill event", f"{_SLURM}req.c"),
    sign("kernel oom", Kind.HOST_MEMORY, DECISIVE, "out of memory",
        r"(?:^|\] |kernel: )(?:Memory cgroup out|Out) of memory: Kill(?:ed)? process \d+", _KERNEL),
    sign("slurm task oom", Kind.HOST_MEMORY, DECISIVE, "out of memory",
        r"^srun: error: \S+: tasks? [\d,-]+: Out Of Memory", "https://slurm.schedmd.com/faq.html"),
    sign("python memory", Kind.HOST_MEMORY, ROOT, "memoryerror",
        r"^(?:[\w.]{1,80}\.)?_?(?:Array)?MemoryError(?::|$)", f"{_PYTHON}exceptions.html#MemoryError"),
    sign("ray memory", Kind.HOST_MEMORY, ROOT, "running low on memory",
        r"due to the node running low on memory",
        "https://docs.ray.io/en/latest/ray-core/scheduling/ray-oom-prevention.html"),
    sign("torch host memory", Kind.HOST_MEMORY, ROOT, "allocate memory",
        r"DefaultCPUAllocator: can't allocate memory", f"{_TORCH}c10/core/impl/alloc_cpu.cpp"),
    sign("bad alloc", Kind.HOST_MEMORY, ROOT, "std::bad_alloc",
        r"^(?:\s*what\(\):\s+)?(?:terminate .{0,60}'?)?std::bad_alloc'?$",
        "https://en.cppreference.com/w/cpp/memory/new/bad_alloc"),
    sign("cannot allocate", Kind.HOST_MEMORY, ROOT, "cannot allocate memory",
        r"(?<!\))(?:\[Errno 12\] |: )Cannot allocate memory(?! \(12\))", _ERRNO),
    sign("java heap", Kind.HOST_MEMORY, ROOT, "memory",
        r"java\.lang\.OutOfMemoryError|JavaScript heap out of memory",
        "https://docs.oracle.com/en/java/javase/17/troubleshoot/troubleshooting-memory-leaks.html"),
    sign("tensorflow host memory", Kind.HOST_MEMORY, ROOT, "device:cpu",
        r"OOM when allocating tensor .{0,200}device:CPU",
        "https://github.com/tensorflow/tensorflow/blob/master/tensorflow/core/framework/op_kernel.cc"),
    # ---- shared memory and workers
    sign("bus error in a worker", Kind.SHARED_MEMORY, ROOT, "shared memory",
        r"insufficient shared memory \(shm\)|workers are out of shared memory"
        r"|unable to open shared memory object <",
        f"{_TORCH}torch/csrc/DataLoader.cpp"),
    sign("shared file", Kind.SHARED_MEMORY, ROOT, "</torch_",
        r"unable to \w+ .{0,40}</torch_\d+", f"{_TORCH}aten/src/ATen/MapAllocator.cpp"),
    sign("nccl shared memory", Kind.SHARED_MEMORY, ROOT, "/dev/shm",  # noqa: S108  # only named
        r"/dev/shm/.{1,160}No space left|Error while creating shared memory segment",  # noqa: S108
        "https://github.com/NVIDIA/nccl/blob/master/src/misc/shmutils.cc"),
    sign("python shared memory", Kind.SHARED_MEMORY, ROOT, "no space left",
        r"No space left on device: '/?(?:dev/shm/)?(?:psm_|torch_|sem\.|mp-)\w+",
        f"{_PYTHON}multiprocessing.shared_memory.html"),
    sign("too many shared files", Kind.SHARED_MEMORY, ROOT, "ancdata",
        r"received \d+ items of ancdata",
        "https://pytorch.org/docs/stable/multiprocessing.html#sharing-strategies"),
    sign("worker killed", Kind.DATA_WORKER, PARTIAL, "dataloader worker",
        r"DataLoader worker \(pid(?:\(s\))? [\d, ]+\) (?:is killed by signal|exited unexpectedly)",
        f"{_TORCH}torch/utils/data/dataloader.py"),
    sign("loader timeout", Kind.DATA_WORKER, ROOT, "dataloader timed out",
        r"DataLoader timed out after", f"{_TORCH}torch/utils/data/dataloader.py"),
    sign("pool broken", Kind.DATA_WORKER, PARTIAL, "process",
        r"BrokenProcessPool(?::|$)|TerminatedWorkerError|subprocesses has abruptly died",
        f"{_PYTHON}concurrent.futures.html#concurrent.futures.process.BrokenProcessPool"),
    # ---- modules, libraries, files
    sign("python module", Kind.MISSING_MODULE, ROOT, "no module named",
        r"^(?:ModuleNotFoundError|ImportError|\S*python[\d.]*(?:\.exe)?): .{0,120}No module named",
        f"{_PYTHON}exceptions.html#ModuleNotFoundError"),
    sign("python name", Kind.MISSING_MODULE, ROOT, "cannot import name",
        r"ImportError: cannot import name", f"{_PYTHON}exceptions.html#ImportError"),
    sign("package metadata", Kind.MISSING_MODULE, ROOT, "packagenotfounderror",
        r"PackageNotFoundError", f"{_PYTHON}importlib.metadata.html"),
    sign("package wanted", Kind.MISSING_MODULE, ROOT, "importerror",
        r"ImportError: .{0,300}(?:requires? .{0,80}(?:version|library|package|install)|not installed"
        r"|not found in your environment|[Pp]lease install|pip install)",
        "https://github.com/huggingface/transformers/blob/main/src/transformers/utils/import_utils.py"),
    sign("module of another language", Kind.MISSING_MODULE, ROOT,
        "cannot find module|there is no package called|can't locate",
        r"^Error: Cannot find module '|there is no package called|^Can't locate \S+ in @INC",
        "https://nodejs.org/api/errors.html#module_not_found"),
    sign("loader", Kind.MISSING_LIBRARY, ROOT, "shared",
        r"error while loading shared libraries: |\.so[\w.]{0,40}: cannot open shared object file",
        f"{_LIBC}elf/dl-load.c"),
    sign("symbol", Kind.MISSING_LIBRARY, ROOT, "symbol",
        r"\.so[\w.-]{0,40}: undefined symbol: |symbol lookup error: ", f"{_LIBC}elf/dl-lookup.c"),
    sign("symbol version", Kind.MISSING_LIBRARY, ROOT, "not found",
        r"version `?'?\w+_[\d.]+'? not found \(required by", f"{_LIBC}elf/dl-version.c"),
    sign("broken library", Kind.MISSING_LIBRARY, ROOT, ".so",
        r"\.so[\w.]{0,40}: (?:file too short|invalid ELF header|wrong ELF class)", f"{_LIBC}elf/dl-load.c"),
    sign("windows library", Kind.MISSING_LIBRARY, ROOT, "dll",
        r"DLL load failed|\[WinError 126\]", f"{_PYTHON}exceptions.html#ImportError"),
    sign("command", Kind.MISSING_FILE, ROOT,
        "not found|未找到命令|nicht gefunden|introuvable|no encontrada|unknown command",
        r"^[\w./-]{1,80}:(?: |\d{1,6}: )(?:(?:line|行|Zeile|ligne|línea) ?\d+: "
        r"|\d+: )?(?:[\w./+-]{1,80}: )?(?:command not found|not found|未找到命令|Befehl nicht gefunden"
        r"|Kommando nicht gefunden.|commande introuvable|orden no encontrada)(?:: [\w./+-]+)?$"
        r"|^fish: Unknown command: ",
        _BASH),
    sign("no such file", Kind.MISSING_FILE, ROOT,
        "no such file|没有那个文件|nicht gefunden|filenotfounderror",
        r"(?:^FileNotFoundError: (?!Caught)|\[Errno 2\] "
        r"|^[^:]{1,80}: (?:.{0,120}: )?)(?:No such file or directory|没有那个文件或目录"
        r"|Datei oder Verzeichnis nicht gefunden)|^FileNotFoundError: (?!Caught)",
        _ERRNO),
    sign("no file named", Kind.MISSING_FILE, ROOT, "no file named|matching files|notfounderror|[winerror",
        r"OSError: Error no file named|Failed to find any matching files for"
        r"|NotFoundError: .{0,200}No such file|\[WinError [23]\]",
        "https://github.com/huggingface/transformers/blob/main/src/transformers/modeling_utils.py"),
    # ---- the disk
    sign("no space", Kind.DISK_FULL, ROOT,
        "no space left|没有空间|kein speicherplatz|aucun espace|storagefull|disk is full",
        r"No space left on device|设备上没有空间|Auf dem Gerät ist kein Speicherplatz mehr verfügbar"
        r"|Aucun espace disponible|StorageFull|database or disk is full",
        _ERRNO),
    sign("quota", Kind.DISK_FULL, ROOT, "quota",
        r"(?i:disk quota exceeded)|超出磁盘限额", _ERRNO),
    # ---- rights
    sign("permission", Kind.PERMISSION, ROOT, "permission|权限不够|keine berechtigung|not permitted",
        r"^PermissionError: |(?:\(errno: 13 - |: )(?:Permission denied|权限不够|Keine Berechtigung"
        r"|Permission non accordée)|\[Errno 1\] Operation not permitted|: permission denied while trying"
        r"|NVMLError_NoPermission|^Insufficient Permissions",
        _ERRNO),
    sign("read-only", Kind.PERMISSION, ROOT, "read-only file system",
        r"Read-only file system", _ERRNO),
    # ---- the network
    sign("port", Kind.PORT_IN_USE, ROOT,
        "in use|eaddrinuse|empty port|not available|could not bind|only one usage",
        r"(?i:address already in use)|EADDRINUSE|Cannot find empty port in range|[Pp]ort \d+ is (?:in use"
        r"|not available)|could not bind to port|^\[?(?:\S{0,30}\] )?\[ERROR\] Connection in use: "
        r"|Only one usage of each socket address",
        _ERRNO),
    sign("name", Kind.NETWORK, ROOT,
        "name resolution|service not known|could not resolve|unable to resolve|getaddrinfo|servname"
        "|nameresolution",
        r"Temporary failure in name resolution|Name or service not known|Could not resolve host"
        r"|unable to resolve host|getaddrinfo (?:failed|ENOTFOUND)|nodename nor servname"
        r"|NameResolutionError",
        f"{_LIBC}sysdeps/posix/gai_strerror.c"),
    sign("hub", Kind.NETWORK, ROOT,
        "notfounderror|gatedrepo|couldn't connect|gated repo|offlinemode|not a local folder",
        r"LocalEntryNotFoundError|RepositoryNotFoundError|GatedRepoError|We couldn't connect to 'https?:"
        r"|trying to access a gated repo|OfflineModeIsEnabled|RevisionNotFoundError"
        r"|is not a local folder and is not a valid model identifier",
        "https://github.com/huggingface/huggingface_hub/blob/main/src/huggingface_hub/errors.py"),
    sign("http", Kind.NETWORK, ROOT,
        "max retries|urllib|requests.|httpx.|aiohttp.|httperror|gaierror|curl: (|wget: (|network error",
        r"Max retries exceeded with url|\b(?:urllib\.error\.|requests\.exceptions\.|httpx\."
        r"|urllib3\.exceptions\.|aiohttp\.)\w*(?:Error|Timeout)\w*(?::|$)"
        r"|HTTPError: (?:HTTP Error )?\d{3}\b|^(?:socket\.)?gaierror: |^(?:curl|wget): \(\d+\)"
        r"|Network error \(",
        "https://requests.readthedocs.io/en/latest/api/#exceptions"),
    sign("refused", Kind.NETWORK, PLAIN, "refused",
        r"^ConnectionRefusedError: |^(?:curl|ssh): .{0,80}Connection refused", _ERRNO),
    sign("reset", Kind.NETWORK, ECHO, "connection",
        r"^(?:ConnectionResetError|ConnectionAbortedError): |Connection (?:reset|closed) by (?:peer"
        r"|remote host)",
        _ERRNO),
    sign("no package", Kind.NETWORK, ROOT, "no matching distribution",
        r"^ERROR: No matching distribution found for", "https://pip.pypa.io/en/stable/"),
    # ---- numbers
    sign("loss is nan", Kind.DIVERGED, ROOT, "nan|inf",
        r"^(?:[\w.]{1,80}(?:Error|Exception): )?.{0,60}(?i:\bloss\b.{0,40}\b(?:is|became|returned"
        r"|was)\b.{0,60}\b(?:nan|infinite|inf)\b)(?!.{0,40}skipp)|returned nan values in its"
        r"|^FloatingPointError: .{0,80}(?:nan|inf|Loss|loss)|Loss is (?:nan|inf)\S*, stopping",
        "https://github.com/facebookresearch/detectron2/blob/main/detectron2/engine/train_loop.py"),
    sign("loss scale", Kind.DIVERGED, ROOT, "loss scale",
        r"Minimum loss scale reached|loss scale already at minimum",
        "https://github.com/facebookresearch/fairseq/blob/main/fairseq/optim/dynamic_loss_scaler.py"),
    # ---- what the program itself says
    sign("pytest", Kind.ASSERTION, PLAIN, "assert",
        r"^E\s+assert |^\S+\.py:\d+: AssertionError$",
        "https://docs.pytest.org/en/stable/how-to/assert.html"),
    sign("assertion of C", Kind.ASSERTION, PLAIN, "assertion",
        r"^[^:]{1,200}: [^:]{1,200}:\d+: .{0,300}: Assertion `.{1,300}' failed\.", f"{_LIBC}assert/assert.c"),
    sign("check of glog", Kind.ASSERTION, PLAIN, "check failed",
        r"^F\d{4} .{0,80}\] Check failed: ", "https://google.github.io/glog/stable/logging/"),
    sign("assertion elsewhere", Kind.ASSERTION, PLAIN, "assert",
        r"^(?:Uncaught )?AssertionError\b", "https://nodejs.org/api/assert.html"),
    sign("assertion of Rust", Kind.ASSERTION, PARTIAL, "assertion",
        r"^assertion (?:`.{0,200} failed|failed: )|panicked at 'assertion failed",
        "https://doc.rust-lang.org/std/macro.assert_eq.html"),
    sign("options", Kind.WRONG_USE, ROOT, "error: |no such option|missing |option|flags parsing|override",
        r"^\S{1,120}: error: (?:unrecognized arguments|the following arguments are required|argument "
        r"|ambiguous option|one of the arguments)|^(?:Error: |│ )?(?:No such option|Missing (?:option"
        r"|argument|parameter))|: (?:unrecognized|invalid|unknown) option\b|^FATAL Flags parsing error"
        r"|^Could not override '|^Error: Got unexpected extra argument|^Error: Invalid value for",
        f"{_PYTHON}argparse.html#exit-on-error"),
    sign("syntax", Kind.EXCEPTION, PLAIN, "error: ",
        r"^(?:SyntaxError|IndentationError|TabError): ", f"{_PYTHON}exceptions.html#SyntaxError"),
    sign("uncaught elsewhere", Kind.EXCEPTION, PLAIN,
        "exception in thread|uncaught|loaderror|panicked|terminate called|execution halted|panic: ",
        r"^Exception in thread \"|^Uncaught |^ERROR: LoadError: |^thread '.{0,80}' panicked at"
        r"|terminate called after throwing an instance of '|^Execution halted$|^panic: ",
        "https://docs.julialang.org/en/v1/manual/control-flow/#Exception-Handling"),
    sign("error line", Kind.EXCEPTION, ECHO, "error",
        r"^(?:[a-z_][\w.]{0,80}\.)?[A-Z]\w{0,60}Error(?: \[\w{1,60}\])?: \S", f"{_PYTHON}exceptions.html"),
    # ---- crashes and signals
    sign("crash", Kind.CRASH, ECHO,
        "segmentation fault|fatal python|core dumped|corruption|malloc(): |free(): |corrupted"
        "|stack smashing",
        r"Segmentation fault|Fatal Python error: |\(core dumped\)|double free or corruption|^malloc\(\): "
        r"|^free\(\): |^corrupted (?:size|double)|stack smashing detected",
        "https://docs.python.org/3/library/faulthandler.html"),
    sign("crash of a rank", Kind.CRASH, ECHO, "exitcode|return code|with signal|received",
        r"\bexitcode\s*: -(?:11|7|4|8)\b|return code = -(?:11|7|4|8)\b"
        r"|terminated with signal SIG(?:SEGV|BUS|ILL|FPE)|Signal (?:11|7|4|8) \(SIG\w+\) received",
        f"{_TORCH}torch/distributed/elastic/multiprocessing/errors/__init__.py"),
    # A rank that waited in vain aborts itself: this one does not explain the others.
    sign("abort of a rank", Kind.CRASH, ECHO, "exitcode|return code|with signal|received",
        r"\bexitcode\s*: -6\b|return code = -6\b|terminated with signal SIGABRT|Signal 6 \(SIGABRT\) received",
        f"{_TORCH}torch/distributed/elastic/multiprocessing/errors/__init__.py"),
    sign("kill of a rank", Kind.KILLED, ECHO, "exitcode|return code|with signal|received",
        r"\bexitcode\s*: -9\b|return code = -9\b|terminated with signal SIGKILL"
        r"|Signal 9 \(SIGKILL\) received",
        f"{_TORCH}torch/distributed/elastic/multiprocessing/errors/__init__.py"),
    sign("killed in a shell", Kind.KILLED, ECHO, "killed|已杀死|getötet",
        r"^(?:\S{1,80}: )?(?:(?:line|行|Zeile) ?\d+: +\d+ )?(?:Killed|已杀死|Getötet)\b", _BASH),
    # ---- ended by somebody
    sign("keyboard", Kind.STOPPED, ROOT, "keyboardinterrupt|^c|aborted by user",
        r"^KeyboardInterrupt\b|^\^C|Detected KeyboardInterrupt|Aborted by user",
        f"{_PYTHON}exceptions.html#KeyboardInterrupt"),
    sign("launcher signalled", Kind.STOPPED, ROOT, "signal",
        r"got signal: (?:2|15)$|Received (?:2|15) death signal",
        f"{_TORCH}torch/distributed/elastic/multiprocessing/api.py"),
    sign("launcher hung up", Kind.LOGOUT, ROOT, "signal",
        r"got signal: 1$|Received 1 death signal",
        f"{_TORCH}torch/distributed/elastic/multiprocessing/api.py"),
    sign("hangup", Kind.LOGOUT, ECHO, "hangup",
        r"^(?:\S{1,80}: line \d+: +\d+ )?Hangup\b", _BASH),
    sign("terminated in a shell", Kind.STOPPED, ECHO, "terminated",
        r"^(?:\S{1,80}: line \d+: +\d+ )?Terminated\b", _BASH),
    sign("slurm time", Kind.TIME_LIMIT, DECISIVE, "time limit",
        r"CANCELLED AT \S+ DUE TO TIME LIMIT", f"{_SLURM}slurmstepd.c"),
    sign("slurm cancelled", Kind.STOPPED, ECHO, "cancelled at",
        r"\*\*\* (?:JOB|STEP) \S+ ON \S+ CANCELLED AT \S+ (?:DUE TO PREEMPTION )?\*\*\*",
        f"{_SLURM}slurmstepd.c"),
    sign("other time limits", Kind.TIME_LIMIT, DECISIVE, "limit",
        r"job killed: walltime \d+ exceeded limit|TERM_RUNLIMIT|^CPU time limit exceeded"
        r"|: +\d+ CPU time limit exceeded",
        "https://www.altair.com/pdfs/pbsworks/PBSUserGuide2022.1.pdf"),
)  # fmt: skip
