"""Which short options of which programs take a secret: `-p` is a password of one and a port of another."""

from __future__ import annotations

from gpuwatch_tray.common.late_pattern import late_pattern
from gpuwatch_tray.common.secret_names import Secrecy, words_of

# Programs that take a secret in a short option of their own.
_PROGRAM_OPTIONS = {
    program: tuple(options.split())
    for options, programs in {
        "-p": "sshpass mongo mongosh mongodump mongorestore mongoexport mongoimport rdesktop cypher-shell"
        " elasticsearch-users",
        "-P": "zip unzip sqlcmd bcp tsql ipmitool",
        "-a": "redis-cli http https xh",
        "-w": "ldapsearch ldapadd ldapmodify ldapdelete ldapwhoami ldappasswd",
        "-k -K": "openssl",
        "-t": "frpc frps doctl influx",
        "-N -P": "ssh-keygen",
        "-w -p": "security",
        "-A -X -c": "snmpwalk snmpget snmpset snmpbulkwalk",
        "-xp": "sendemail",
        "-ap": "swaks",
        "-pw": "plink pscp psftp",
        "/p": "signtool",
        "--plaintext": "caddy",
        "/rp": "schtasks",
        "-K": "ccrypt",
        "-k": "mcrypt",
        "-pas": "gbak gfix isql-fb",
        "-upw -opw": "pdftotext pdftoppm pdfinfo pdfimages",
    }.items()
    for program in programs.split()
}
_GLUED = frozenset({"-p", "-P", "-a"})
# Programs whose -p has the secret glued on or none at all: `mysql -p lab` asks for it, and lab is a database.
_ONLY_GLUED = words_of(
    "mysql mysqldump mysqladmin mysqlimport mariadb mariadb-dump mariadb-admin 7z 7za 7zr rar unrar"
)
# Options of programs that take `user:password`.
_LOGIN_PAIRS = {
    "ab": words_of("-A -P"),
    "hey": words_of("-a"),
    "ttyd": words_of("-c --credential"),
    "gotty": words_of("-c --credential"),
    "transmission-remote": words_of("-n --auth"),
    "bfgminer": words_of("-O"),
    "cgminer": words_of("-O"),
}
# --secret is its name.
_SECRET_STORES = frozenset({"gcloud", "docker", "podman", "buildah", "nerdctl", "pulumi"})
_LOGIN_PROGRAMS = frozenset({"docker", "podman", "nerdctl", "helm", "oc", "az", "cf", "buildah", "skopeo"})
# Programs in which -p or -P is a port, a partition, a prompt, a pattern, a file ...
_OTHER_P = words_of(
    """
    rsync make mkdir cp tar gmx gmx_mpi mpirun mpiexec srun sbatch salloc squeue sinfo ssh scp sftp nmap
    blender install patch pgrep pkill perf nc lsof ollama llama-cli main stable-diffusion sd pytest
    cmake xargs ps cut sed grep ffmpeg screen tmux curl wget find time taskset chrt
    htop top pidstat strace ltrace gdb py-spy renice ionice prlimit pmap nvtop iotop jstack lsns
    psql pg_dump pg_dumpall pg_restore pg_isready createdb dropdb pgbench redis-cli redis-server
    redis-benchmark
    """
)
_LOGIN_WORDS = words_of(
    """
    login authtoken add-authtoken htpasswd smbpasswd mkpasswd passwd wpa_passphrase alias authorize-account
    authorize_account authenticate auth signin unlock activate add_user adduser create-user createuser
    """
)
# Where the secret is known by its place: behind which word of which program, how many words are before it,
# and how many it takes. From the manuals; options are not counted.
_PLACES = {
    "wpa_passphrase": {"wpa_passphrase": (1, 1)},
    "qpdf": {"--encrypt": (0, 2)},
    "isql": {"isql": (2, 1)},
    "cargo": {"login": (0, 1)},
    "vault": {"login": (0, 1)},
    "wandb": {"login": (0, 1)},
    "ngrok": {"authtoken": (0, 1), "add-authtoken": (0, 1)},
    "steamcmd": {"+login": (1, 1)},
    "rabbitmqctl": {"add_user": (1, 1), "change_password": (1, 1), "authenticate_user": (1, 1)},
    "rclone": {"obscure": (0, 1)},
    "mysqladmin": {"password": (0, 1)},
    "redis-cli": {"auth": (0, 2), "requirepass": (0, 1), "masterauth": (0, 1)},
    "mc": {"set": (2, 2)},
    "neo4j-admin": {"set-initial-password": (0, 1)},
    "mullvad": {"login": (0, 1)},
    "net": {"user": (1, 1), "use": (1, 1)},
    "pulumi": {"--secret": (1, 1)},
    "bw": {"unlock": (0, 1), "login": (1, 1)},
    "db2": {"using": (0, 1)},
    "adb": {"pair": (1, 1)},
    "x11vnc": {"-storepasswd": (0, 1)},
}
# Of these a text tells commands; the others' names are words of prose.
TEXT_PROGRAMS = (
    _LOGIN_PROGRAMS
    | frozenset(_PLACES)
    | frozenset(_PROGRAM_OPTIONS)
    | words_of("poetry composer huggingface-cli sqlplus lftp nmcli")
) - words_of("net mc bw cf az oc adb security http https zip influx")
# Whose setting is a bare name with its value behind it.
_NAMES_VALUES = words_of("pdftk nmcli wpa_cli uci snapctl")
_KNOWN_PROGRAMS = (
    frozenset(_PROGRAM_OPTIONS)
    | _ONLY_GLUED
    | _OTHER_P
    | _LOGIN_PROGRAMS
    | _SECRET_STORES
    | frozenset(_PLACES)
    | frozenset(_LOGIN_PAIRS)
    | _NAMES_VALUES
    | {"curl", "sqlplus"}
)
SETTERS = frozenset({"set", "setx", "put", "-genv", "-env"})  # of a name and a value, as two words
_USER_OPTIONS = frozenset({"-u", "-U", "-l", "--user", "--username"})
_GLUED_LOGIN = late_pattern(r"-[a-zA-Z]{0,6}[uU][^\s:/@\"']{1,256}:(?=.)")
_DRIVE = late_pattern(r"[A-Za-z]:")
_IN_PROSE = words_of("of to and or with first again command failed if for in on is as before then fails")
_PORTS = late_pattern(r"[\d:.]+")


class ProgramLine:
    """What the words of a command line so far say about those that follow."""

    def __init__(self) -> None:
        self.programs: set[str] = set()
        self.user = False  # a user was named: a -p is likely the password
        self.login = False  # a word such as `login`: what looks like a password is one
        self._before_it = self._of_it = 0  # words before a secret that its place tells, and that it takes

    @property
    def names_secrets(self) -> bool:
        """Whether `--secret` gives the name of a secret that is kept elsewhere."""
        return bool(self.programs & _SECRET_STORES)

    def note(self, word: str, file_name: str) -> None:
        """Note a word, and its file name, that may be a program, a subcommand or an option for the user."""
        name = file_name.lower().removesuffix(".exe")
        if name in _KNOWN_PROGRAMS:
            self.programs.add(name)
        # steamcmd's words begin with a +; of a path only a program's file name counts, not `~/.vnc/passwd`
        self.login |= name.removeprefix("+") in _LOGIN_WORDS and ("/" not in word or "bin/" in word)
        self.login |= name.startswith("http-basic.")  # poetry's and composer's setting, by the host
        self.user |= word in _USER_OPTIONS or word.startswith("/u:")
        for known in self.programs:
            self._before_it, self._of_it = _PLACES.get(known, {}).get(name, (self._before_it, self._of_it))

    @property
    def names_values(self) -> bool:
        """Whether a bare name is a setting, and the next word its value."""
        return bool(self.programs & _NAMES_VALUES)

    def is_in_place(self, word: str) -> bool:
        """Tell whether the next word is a secret by its place; ask once for each, before it is noted."""
        if not self._of_it or word.startswith(("-", "/")) or _DRIVE.fullmatch(word):
            return False
        if word in _IN_PROSE:  # "use wandb login to ..."
            self._of_it = 0
            return False
        if self._before_it:
            self._before_it -= 1
            return False
        self._of_it -= 1
        return True

    def takes_login(self, option: str) -> bool:
        """Tell whether `user:password` follows the option."""
        return any(option in _LOGIN_PAIRS.get(name, ()) for name in self.programs)

    def option(self, word: str) -> Secrecy:
        """Tell what a short option says about the value behind it."""
        if any(word in _PROGRAM_OPTIONS.get(name, ()) for name in self.programs):
            return Secrecy.ALWAYS
        if word == "-p" and self.login and self.programs & _LOGIN_PROGRAMS:
            return Secrecy.ALWAYS
        if word == "-b" and "curl" in self.programs:
            return Secrecy.IF_TEXT
        if word in {"-p", "-P"} and self.programs & _ONLY_GLUED:
            return Secrecy.NONE
        if word in {"-p", "-P", "/p"} and not self.programs & _OTHER_P:
            a_person = (self.user or self.login) and "docker" not in self.programs
            return Secrecy.IF_WORD if a_person else Secrecy.IF_RANDOM
        return Secrecy.NONE

    def glued(self, word: str) -> str:
        """Return the beginning of an option with its secret glued on, '' for none: `-psecret`, `-uU:PW`."""
        if word.startswith("-hp") and self.programs & {"rar", "unrar"} and word != "-hp":
            return "-hp"  # with the names of the files
        option, value = word[:2], word[2:]
        if not value or word.startswith("--"):
            return ""
        if "curl" in self.programs and (found := _GLUED_LOGIN.match(word)):
            return found[0]
        takes_it = self.option(option) is Secrecy.ALWAYS or (option == "-p" and self.programs & _ONLY_GLUED)
        secret = option in _GLUED and takes_it and not _PORTS.fullmatch(value)
        return option if secret else ""
