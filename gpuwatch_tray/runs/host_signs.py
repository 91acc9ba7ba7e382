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
    sign("container oom", Kind.HOST_MEMORY, DECISIVE, "oomkilled|memlimit|mem|memory limit",
        r"\bOOMKilled\b|\bTERM_MEMLIMIT\b|job killed: v?mem \d+\w* exceeded limit|(?i:\b(?:job|step"
        r"|container)\b.{0,40}\bexceeded (?:its )?memory limit)",
        "https://kubernetes.io/docs/tasks/configure-pod-container/assign-memory-resource/"),
    sign("python memory", Kind.HOST_MEMORY, ROOT, "memoryerror",
        r"^(?:[\w.]{1,80}\.)?_?(?:Array)?MemoryError(?::|$)", f"{_PYTHON}exceptions.html#MemoryError"),
    sign("ray memory", Kind.HOST_MEMORY, ROOT, "running low on memory|due to memory pressure",
        r"due to the node running low on memory|\b[1-9]\d* Workers \(.{1,40}\) killed due to memory pressure",
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
    sign("memory in words", Kind.HOST_MEMORY, PLAIN, "memory|malloc",
        r"^(?!.*(?i:cuda|gpu|device|vram|nccl|cublas))(?:.*(?i:\b(?:out of memory|not enough memory"
        r"|insufficient memory|failed to allocate memory|memory exhausted|virtual memory exhausted)\b)"
        r"|(?:[\w.]{1,80}\.)?\w{0,40}(?:Memory|OOM)\w{0,20}(?:Error|Exception)(?::|$)"
        r"|.*\bmalloc of size \d+ failed)",
        "https://arrow.apache.org/docs/python/memory.html"),
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
    sign("background workers", Kind.DATA_WORKER, PLAIN, "background workers",
        r"background workers are no longer alive", "https://github.com/MIC-DKFZ/nnUNet/issues/2725"),
    sign("pin memory", Kind.DATA_WORKER, PARTIAL, "pin memory thread",
        r"Pin memory thread exited unexpectedly", f"{_TORCH}torch/utils/data/dataloader.py"),
    sign("pool broken", Kind.DATA_WORKER, PARTIAL, "process",
        r"BrokenProcessPool(?::|$)|TerminatedWorkerError|subprocesses has abruptly died",
        f"{_PYTHON}concurrent.futures.html#concurrent.futures.process.BrokenProcessPool"),
    sign("ray actor", Kind.DATA_WORKER, PARTIAL, "died|unexpectedly exits|crashed",
        r"^(?:ray\.exceptions\.)?(?:ActorDiedError|RayActorError|WorkerCrashedError)(?::|$)"
        r"|^The actor is dead because|^A worker died or was killed while executing"
        r"|its worker process has died",
        "https://docs.ray.io/en/latest/ray-core/fault_tolerance/actors.html"),
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
    sign("cuda toolkit", Kind.MISSING_LIBRARY, ROOT, "libdevice|ptxas|nvcc|cuda_home",
        r"libdevice not found|(?i:couldn't get ptxas)|\bnvcc\b.{0,20} not found"
        r"|CUDA_HOME (?:environment variable is not set|does not exist)",
        "https://github.com/jax-ml/jax/issues/6323"),
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
        r"|^(?!\d)[^:]{1,80}(?<!\.c)(?<!\.cc)(?<!\.cpp)(?<!\.S): (?:.{0,120}: )?)(?:No such file or"
        r" directory"
        r"|没有那个文件或目录|Datei oder Verzeichnis nicht gefunden)|^FileNotFoundError: (?!Caught)",
        _ERRNO),
    sign("no such file in words", Kind.MISSING_FILE, PLAIN,
        "no such file|unable to locate|could not locate|executable file not found|source",
        r"^(?!\d).{1,400}(?<!\.c)(?<!\.cc)(?<!\.cpp)(?<!\.S): (?i:no such file or directory)"
        r"|\b(?:unable to|could not) locate\b|executable file not found in \$PATH"
        r"|mount source \S+ doesn't exist",
        _ERRNO),
    sign("no file named", Kind.MISSING_FILE, ROOT,
        "no file named|a file named|matching files|notfounderror|[winerror",
        r"does not appear to have a file named|OSError: Error no file named"
        r"|Failed to find any matching files for|NotFoundError: .{0,200}No such file|\[WinError [23]\]",
        "https://github.com/huggingface/transformers/blob/main/src/transformers/modeling_utils.py"),
    sign("not found", Kind.MISSING_FILE, PLAIN, "not found|not exist|t exist|couldn't find|no rule to make",
        r"(?i)\b(?:file|path|directory|folder|checkpoint|dataset)s?\b.{0,120}\b(?:does not exist"
        r"|doesn't exist|do not exist|not found|could not be found|cannot be found)\b"
        r"|^make: \*\*\* No rule to make target",
        "https://www.gnu.org/software/make/manual/html_node/Error-Messages.html"),
    # ---- the disk
    sign("no space", Kind.DISK_FULL, ROOT,
        "no space left|errno 28|enospc|space|没有空间|kein speicherplatz|aucun espace|storagefull"
        "|disk is full",
        r"[Nn]o space left on device|\[Errno 28\]|\bENOSPC\b|(?i:not enough (?:free |disk ){1,2}space)"
        r"|设备上没有空间|Auf dem Gerät ist kein Speicherplatz mehr verfügbar"
        r"|Aucun espace disponible|StorageFull"
        r"|database or disk is full",
        _ERRNO),
    sign("quota", Kind.DISK_FULL, ROOT, "quota",
        r"(?i:disk quota exceeded)|超出磁盘限额", _ERRNO),
    # ---- rights
    sign("permission", Kind.PERMISSION, ROOT, "permission|权限不够|keine berechtigung|not permitted",
        r"^PermissionError: |(?:\(errno: 13 - |: )(?:Permission denied|权限不够|Keine Berechtigung"
        r"|Permission non accordée)|\[Errno 1\] Operation not permitted|: permission denied while trying"
        r"|NVMLError_NoPermission|^Insufficient Permissions",
        _ERRNO),
    sign("access denied", Kind.PERMISSION, PLAIN, "denied|forbidden",
        r"\bAccessDenied(?:Exception|Error)?\b|\bAccess (?:is )?denied\b|\b[Pp]ermission denied\b"
        r"|\b403 Forbidden\b",
        "https://docs.aws.amazon.com/AmazonS3/latest/userguide/troubleshoot-403-errors.html"),
    sign("read-only", Kind.PERMISSION, ROOT, "read-only file system",
        r"Read-only file system", _ERRNO),
    # ---- the network
    sign("port", Kind.PORT_IN_USE, ROOT,
        "in use|eaddrinuse|failed to bind|empty port|not available|could not bind|only one usage",
        r"(?i:address already in use)|EADDRINUSE|[Ff]ailed to bind to \S{1,80} because"
        r"|Cannot find empty port in range|[Pp]ort \d+ is (?:in use|not available)"
        r"|[Aa]ll ports from \d+ to \d+ are in use|could not bind to port"
        r"|^\[?(?:\S{0,30}\] )?\[ERROR\] Connection in use: |Only one usage of each socket address",
        _ERRNO),
    sign("name", Kind.NETWORK, ROOT,
        "name resolution|service not known|could not resolve|unable to resolve|getaddrinfo|servname"
        "|nameresolution",
        r"Temporary failure in name resolution|Name or service not known|Could not resolve host"
        r"|unable to resolve host|getaddrinfo (?:failed|ENOTFOUND)|nodename nor servname"
        r"|NameResolutionError",
        f"{_LIBC}sysdeps/posix/gai_strerror.c"),
    sign("http status", Kind.NETWORK, ROOT, "client error|server error|too many requests|can't load",
        r"\b(?:4\d\d Client|5\d\d Server) Error: |\b429 Too Many Requests|Can't load (?:tokenizer"
        r"|the \w+) for '",
        "https://requests.readthedocs.io/en/latest/api/#exceptions"),
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
    sign("connection", Kind.NETWORK, PLAIN, "error|timeout|exception",
        r"^(?:[\w.]{1,80}\.)?(?!ConnectionResetError|ConnectionAbortedError)\w{0,30}(?:Connect|HTTP|Http"
        r"|SSL|Proxy|DNS|Download|RateLimit|Network|Endpoint|URL|Url|Fetch|Retriev)\w{0,40}(?:Error"
        r"|Exception|Timeout)(?::|$)|\[SSL: CERTIFICATE_VERIFY_FAILED\]",
        "https://docs.python.org/3/library/ssl.html#exceptions"),
    sign("unreachable", Kind.NETWORK, PLAIN, "errno 1|unreachable|no route|timed out",
        r"\[Errno (?:101|110|113)\]|Network is unreachable|No route to host|^(?:curl|ssh"
        r"|wget): .{0,120}timed out",
        _ERRNO),
    sign("refused", Kind.NETWORK, PLAIN, "refused",
        r"^ConnectionRefusedError: |^(?:curl|ssh): .{0,80}Connection refused", _ERRNO),
    sign("reset", Kind.NETWORK, ECHO, "connection",
        r"^(?:ConnectionResetError|ConnectionAbortedError): |Connection (?:reset|closed) by (?:peer"
        r"|remote host)",
        _ERRNO),
    sign("no package", Kind.NETWORK, ROOT, "no matching distribution",
        r"^ERROR: No matching distribution found for", "https://pip.pypa.io/en/stable/"),
    # ---- numbers
    sign("loss is nan", Kind.DIVERGED, ROOT, "nan|inf|invalid loss",
        r"contains either `inf`, `nan`|(?i:non-?finite (?:loss|grad))|^(?:[\w.]{1,80}(?:Error"
        r"|Exception): )?.{0,60}(?i:\bloss\b.{0,40}\b(?:is|became|returned|was)\b.{0,60}\b(?:nan|infinite"
        r"|inf)\b)(?!.{0,40}skipp)|returned nan values in its|^FloatingPointError: .{0,80}(?:nan|inf|Loss"
        r"|loss)|Loss is (?:nan|inf)\S*, stopping|Invalid loss, terminating training",
        "https://github.com/facebookresearch/detectron2/blob/main/detectron2/engine/train_loop.py"),
    sign("nan found", Kind.DIVERGED, ROOT, "nan|inf",
        r"(?i)\b(?:nans?|infs?|infinite|infinity)\b.{0,40}\b(?:found|detected|encountered|in|for"
        r"|of)\b.{0,40}\b(?:loss|losses|grads?|gradients?|weights?|logits|activations?)\b.{0,60}\b(?:abort"
        r"|stop|terminat|exit)|\bUnexpected result (?:nan|inf)\b|\b[Ff]ound NaN in\b",
        "https://github.com/NVIDIA/Megatron-LM/blob/main/megatron/core/rerun_state_machine.py"),
    sign("invalid values", Kind.DIVERGED, ROOT, "found invalid values",
        r"Expected parameter \w{1,40} .{0,300}found invalid values",
        f"{_TORCH}torch/distributions/distribution.py"),
    sign("loss scale", Kind.DIVERGED, ROOT, "loss scale",
        r"Minimum loss scale reached|loss scale already at minimum",
        "https://github.com/facebookresearch/fairseq/blob/main/fairseq/optim/dynamic_loss_scaler.py"),
    sign("simulation", Kind.DIVERGED, ROOT, "lost atoms|simulation unstable",
        r"^ERROR(?: on proc \d+)?: (?:Lost atoms: original|Non-numeric .{1,60} - simulation unstable)",
        "https://docs.lammps.org/Errors_details.html"),
    # ---- what the program itself says
    sign("pytest", Kind.ASSERTION, PLAIN, "assert",
        r"^E\s+assert |^\S+\.py:\d+: AssertionError$",
        "https://docs.pytest.org/en/stable/how-to/assert.html"),
    sign("assertion of C", Kind.ASSERTION, PLAIN, "assertion",
        r"^[^:]{1,200}: [^:]{1,200}:\d+: .{0,300}: Assertion `.{1,300}' failed\.", f"{_LIBC}assert/assert.c"),
    sign("assertion by macro", Kind.ASSERTION, PARTIAL, "assert",
        r"^[A-Z]{2,20}_ASSERT(?:\(|: |ION FAILED)",
        "https://github.com/ggml-org/llama.cpp/blob/master/ggml/include/ggml.h"),
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
    sign("options in words", Kind.WRONG_USE, ROOT, "arg|flag|command|option",
        r"^ERROR: Could not consume arg: |arguments are not used by the HfArgumentParser"
        r"|^Error: No such command|^unknown (?:flag|shorthand flag|command)\b"
        r"|^flag provided but not defined|: unknown (?:argument|option):? |^error: invalid argument: --?\w",
        "https://github.com/google/python-fire/blob/master/fire/core.py"),
    sign("usage", Kind.WRONG_USE, ECHO, "usage: ",
        r"^(?:[Uu]sage|USAGE): \S", f"{_PYTHON}argparse.html"),
    sign("syntax", Kind.EXCEPTION, PLAIN, "error: ",
        r"^(?:SyntaxError|IndentationError|TabError): ", f"{_PYTHON}exceptions.html#SyntaxError"),
    sign("uncaught elsewhere", Kind.EXCEPTION, PLAIN,
        "exception in thread|uncaught|loaderror|panicked|what():|execution halted|panic: ",
        r"^Exception in thread \"|^Uncaught |^ERROR: LoadError: |^thread '.{0,80}' panicked at"
        r"|^\s{1,8}what\(\):\s|^Execution halted$|^panic: ",
        "https://docs.julialang.org/en/v1/manual/control-flow/#Exception-Handling"),
    sign("uncaught in C++", Kind.EXCEPTION, ECHO, "terminate called",
        r"terminate called after throwing an instance of '",
        "https://en.cppreference.com/w/cpp/error/terminate"),
    sign("container", Kind.EXCEPTION, PLAIN, "container creation failed",
        r"^FATAL: +container creation failed: ", "https://github.com/apptainer/apptainer/issues/2121"),
    sign("error line", Kind.EXCEPTION, ECHO, "error",
        r"^(?:[a-z_][\w.]{0,80}\.)?[A-Z]\w{0,60}Error(?: \[\w{1,60}\])?: \S", f"{_PYTHON}exceptions.html"),
    # ---- crashes and signals
    sign("crash", Kind.CRASH, ECHO,
        "segmentation fault|aborted|段错误|已放弃|核心已转储|speicherzugriffsfehler|erreur de seg"
        "|fatal python|core dumped|corruption|malloc(): |free(): |corrupted|stack smashing",
        r"Segmentation fault|段错误|已放弃|核心已转储|Speicherzugriffsfehler|Erreur de segmentation"
        r"|^Aborted\b|Fatal Python error: |\(core dumped\)|double free or corruption|^malloc\(\): "
        r"|^free\(\): |^corrupted (?:size|double)|stack smashing detected",
        "https://docs.python.org/3/library/faulthandler.html"),
    sign("crash of a rank", Kind.CRASH, ECHO, "exitcode|return code|with signal|received",
        r"\bexitcode\s*: -(?:11|7|4|8)\b|return code = -(?:11|7|4|8)\b|terminated with signal SIG(?:SEGV"
        r"|BUS|ILL|FPE)|Signal (?:11|7|4|8) \(SIG\w+\) received",
        f"{_TORCH}torch/distributed/elastic/multiprocessing/errors/__init__.py"),
    sign("crash under mpirun", Kind.CRASH, ECHO, "signal",
        r"exited on signal (?:11|7|4|8)\b|^\S{1,80} Caught signal (?:11|7|4|8)\b"
        r"|\bSignal: [A-Z][\w ]{1,30} \((?:11|7|4|8)\)|EXIT STRING: .{1,40}\(signal (?:11|7|4|8)\)",
        "https://docs.open-mpi.org/en/main/launching-apps/index.html"),
    sign("kill under mpirun", Kind.KILLED, ECHO, "signal",
        r"exited on signal 9\b|EXIT STRING: .{1,40}\(signal 9\)",
        "https://docs.open-mpi.org/en/main/launching-apps/index.html"),
    sign("abort of a rank", Kind.CRASH, ECHO, "exitcode|return code|with signal|received",
        r"\bexitcode\s*: -6\b|return code = -6\b|terminated with signal SIGABRT"
        r"|Signal 6 \(SIGABRT\) received",
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
    sign("killed by its owner", Kind.STOPPED, ROOT, "term_owner",
        r"\bTERM_OWNER\b", "https://www.ibm.com/docs/en/spectrum-lsf/10.1.0?topic=reference-lsf-exit-codes"),
    sign("terminated by request", Kind.STOPPED, PLAIN, "sigterm",
        r"SIGTERMException|^(?:\[rank: \d+\] )?Received SIGTERM\b|^caught SIGTERM|^bypassing sigterm",
        "https://github.com/Lightning-AI/pytorch-lightning/issues/20806"),
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
    sign("slurm preempted", Kind.STOPPED, ROOT, "due to preemption",
        r"CANCELLED AT \S+ DUE TO PREEMPTION", f"{_SLURM}slurmstepd.c"),
    sign("slurm cancelled", Kind.STOPPED, HINT, "cancelled at",
        r"\*\*\* (?:JOB|STEP) \S+ ON \S+ CANCELLED AT \S+ \*\*\*", f"{_SLURM}slurmstepd.c"),
    sign("other time limits", Kind.TIME_LIMIT, DECISIVE, "limit|deadline",
        r"job killed: walltime \d+ exceeded limit|Job was active longer than specified deadline"
        r"|(?i:exceeded (?:the |its )?(?:wall ?-?(?:clock|time) ?)(?:time )?limit)|TERM_RUNLIMIT"
        r"|^CPU time limit exceeded|: +\d+ CPU time limit exceeded",
        "https://www.altair.com/pdfs/pbsworks/PBSUserGuide2022.1.pdf"),
)  # fmt: skip
