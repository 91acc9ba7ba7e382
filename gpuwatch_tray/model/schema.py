"""The table of settings, one row each, for every place that needs a fact about one; CHOICEs: `validators`."""

from __future__ import annotations

from decimal import Decimal
from enum import Enum
from fnmatch import fnmatchcase
from typing import Any

from msgspec import Struct

from gpuwatch_tray.model.units import GIB, HOUR, MINUTE

# In the order in which they are read.
WATCH_FILE, NOTIFY, SMTP, LAB = "gpu-watch.env", "notify.env", "smtp.env", "lab.env"
LARGEST = 999_999_999
EXAMPLE_ADDRESS = "you@example.com"
EXAMPLE_PATH = "/ABS/PATH/*"


class Auto(Enum):
    """A threshold that each GPU's own limits give."""

    AUTO = "auto"


class Unit(Enum):
    """The unit in which people write a number. The program counts in s, bytes, degrees C and shares."""

    NONE = ""
    SECONDS = "s"
    MINUTES = "min"
    PERCENT = "%"
    SHARE = "% of the time"
    DEGREES = "°C"
    GIB = "GiB"

    def to_base(self, number: int | Decimal) -> Any:
        """Convert a number in this unit to the unit that the program counts in."""
        if self is Unit.MINUTES:
            return number * MINUTE
        if self is Unit.SHARE:
            return float(number) / 100
        if self is Unit.GIB:
            return int(number * GIB)
        return number if isinstance(number, int) else float(number)


class ValueType(Enum):
    """What kind of value a setting takes; `settings.validators` has the check of each."""

    WHOLE = "whole number"
    COUNT = "whole number above 0"
    DECIMAL = "number"
    PERCENT = "percentage"
    DEGREES = "temperature"
    SIZE = "size"
    PRICE = "price"
    PORT = "port"
    SWITCH = "on or off"
    CHOICE = "one of the choices"
    CHOICES = "some of the choices"
    LANGUAGE = "language"
    PROGRAMS = "names of programs"
    ADDRESS = "mail address"
    ADDRESSES = "mail addresses"
    PATH = "absolute path"
    HOST = "server"
    ACCOUNT = "account"
    PASSWORD = "password"  # noqa: S105  # a kind of value, no password
    NAME = "name"
    HOSTS = "names of hosts"
    URL = "http or https address"
    URLS = "http or https addresses"
    PROGRAM = "program and its options"
    COMMAND = "command"


class _Described(Struct, frozen=True, kw_only=True):
    about: str  # one line for a table


class Setting(_Described, frozen=True):
    """One setting: a key at home in `file`, though it may stand in any of the files."""

    key: str
    file: str
    type: ValueType
    default: str = ""  # as people write it; empty for none
    unit: Unit = Unit.NONE
    bounds: tuple[int | Decimal, int | Decimal] = (0, LARGEST)  # lowest and highest, in `unit`
    off: bool = False  # `off` may stand in place of a number; `auto` likewise
    auto: bool = False
    choices: tuple[str, ...] = ()
    field_path: str = ""  # the attribute of `Settings` that holds the value, in base units
    switches: str = ""  # the rule that `off` takes away
    tunes: tuple[str, ...] = ()  # the rules that use the value otherwise
    heading: str = ""  # in the example file, above the first of a group
    comment: str | None = None  # above the key; None: `about`; empty: it stands under the key above
    sample: str = ""  # in place of the default
    active: bool = False  # not commented out
    placeholder: str = ""  # a value that matches it counts as not set

    @property
    def default_value(self) -> Any:
        """The default of a number or a switch, in base units; None for off."""
        if self.type is ValueType.SWITCH:
            return self.default == "on"
        if self.default == "off":
            return None
        if self.default == Auto.AUTO.value:
            return Auto.AUTO
        whole = self.type is not ValueType.DECIMAL
        return self.unit.to_base(int(self.default) if whole else Decimal(self.default))

    def is_placeholder(self, text: str) -> bool:
        """Tell whether this is the example's value, untouched."""
        return bool(self.placeholder) and fnmatchcase(text, self.placeholder)


# Few programs of a Linux desktop hold a compute context. Windows gives every program that draws through
# Direct3D the type C+G, so that nvidia-smi's compute list there is the desktop itself.
DESKTOP_PROGRAMS = """
Xorg, X, Xwayland, gnome-shell, gnome-remote-desktop-daemon, mutter, kwin_wayland, kwin_x11, plasmashell,
cinnamon, muffin, marco, xfwm4, budgie-wm, gala, compiz, picom, cosmic-comp, sway, Hyprland, weston,
wayfire, niri, labwc, dwm.exe, csrss.exe, winlogon.exe, LogonUI.exe, LockApp.exe, explorer.exe,
sihost.exe, Taskmgr.exe, ShellHost.exe, ShellExperienceHost.exe, StartMenuExperienceHost.exe,
SearchHost.exe, SearchApp.exe, SearchUI.exe, TextInputHost.exe, ApplicationFrameHost.exe,
RuntimeBroker.exe, SystemSettings.exe, Widgets.exe, WidgetBoard.exe, PhoneExperienceHost.exe,
CrossDeviceResume.exe, GameBar.exe, XboxGameBarWidgets.exe, WindowsTerminal.exe, OpenConsole.exe,
Photos.exe, CalculatorApp.exe, Notepad.exe, PowerToys.exe, PowerToys.PowerLauncher.exe, rdpclip.exe,
NVIDIA Overlay.exe, NVIDIA Share.exe, NVIDIA App.exe, NVIDIA Web Helper.exe, NVDisplay.Container.exe,
nvcontainer.exe, nvsphelper64.exe, msedge.exe, msedgewebview2.exe, chrome.exe, firefox.exe, brave.exe,
opera.exe, vivaldi.exe, ms-teams.exe, Teams.exe, olk.exe, OUTLOOK.EXE, EXCEL.EXE, WINWORD.EXE,
POWERPNT.EXE, OneDrive.exe, Slack.exe, Discord.exe, Zoom.exe, WhatsApp.exe, Telegram.exe, Spotify.exe,
Code.exe, steam.exe, steamwebhelper.exe
"""

# The rows, in the order of the example files.
# fmt: off
TO_EMAIL = Setting("TO_EMAIL", WATCH_FILE, ValueType.ADDRESSES, active=True, field_path="to_email",
    placeholder=EXAMPLE_ADDRESS,
    about="Who gets the mail: one address, or several with commas between them.",
    comment="Who gets the mail: one address, or several with commas between them. Without one,"
        " `gpuwatch-tray check` ends with exit code 2, and the tray runs without mail.")
GPU_LIMIT = Setting("GPU_LIMIT", WATCH_FILE, ValueType.WHOLE, "2", off=True, active=True,
    field_path="limits.gpu_limit", switches="gpu_limit",
    about="Warn when your processes are on more GPUs than this.")
MAX_ETIME_MIN = Setting("MAX_ETIME_MIN", WATCH_FILE, ValueType.WHOLE, "360", unit=Unit.MINUTES, off=True,
    active=True, field_path="limits.max_etime", switches="max_etime",
    about="Warn when one of your processes has been running for more minutes than this (360 = six hours).")
COOLDOWN_MIN = Setting("COOLDOWN_MIN", WATCH_FILE, ValueType.WHOLE, "60", unit=Unit.MINUTES, active=True,
    field_path="routing.cooldown",
    about="Minutes before the same warning is mailed again.",
    comment="Minutes before the same warning is mailed again, counted from the mail that went out. 0"
        " mails it at every check.")
POLL_SEC = Setting("POLL_SEC", WATCH_FILE, ValueType.DECIMAL, "5", unit=Unit.SECONDS,
    bounds=(Decimal("0.2"), HOUR), field_path="poll",
    about="Seconds between two looks at the GPUs, for the tray and `gpuwatch-tray watch`: 0.2 to 3600.")
PROCESS_SCOPE = Setting("PROCESS_SCOPE", WATCH_FILE, ValueType.CHOICE, "mine", choices=("mine", "all"),
    field_path="limits.scope",
    about="Whose processes count: mine or all.")
HUNG_MIN = Setting("HUNG_MIN", WATCH_FILE, ValueType.WHOLE, "10", unit=Unit.MINUTES, off=True,
    field_path="limits.use.hung_hold", switches="hung", tunes=("idle_holding",),
    heading="How the GPUs are used",
    about="Minutes that a GPU does nothing, after your process on it was busy, until it is said to hang.")
IDLE_HOLD_MIN = Setting("IDLE_HOLD_MIN", WATCH_FILE, ValueType.WHOLE, "30", unit=Unit.MINUTES, off=True,
    field_path="limits.use.idle_hold", switches="idle_holding",
    about="Tell when your process has held memory of an idle GPU for so many minutes.",
    comment="Tell when your process has held more than so many GiB of an idle GPU for so many minutes. A"
        " GPU is idle below IDLE_PCT percent of utilisation.")
IDLE_HOLD_GIB = Setting("IDLE_HOLD_GIB", WATCH_FILE, ValueType.SIZE, "2", unit=Unit.GIB, bounds=(0, 9999),
    field_path="limits.use.idle_memory", tunes=("idle_holding",),
    about="The memory that an idle process may hold.", comment="")
IDLE_PCT = Setting("IDLE_PCT", WATCH_FILE, ValueType.PERCENT, "5", unit=Unit.PERCENT, bounds=(1, 100),
    field_path="limits.use.idle_below", tunes=("hung", "idle_holding"),
    about="The utilisation below which a GPU is idle.", comment="")
INTRUDER = Setting("INTRUDER", WATCH_FILE, ValueType.SWITCH, "on", field_path="limits.use.intruder",
    switches="intruder",
    about="Tell when another user computes on a GPU that you compute on: on or off.")
MEMORY_FULL_PCT = Setting("MEMORY_FULL_PCT", WATCH_FILE, ValueType.PERCENT, "off", unit=Unit.PERCENT,
    bounds=(1, 100), off=True, field_path="limits.use.memory_full", switches="memory_full",
    about="Tell when a GPU's memory is fuller than this (95, say).",
    comment="Tell when a GPU's memory is fuller than this (percent, 95 say) for so many minutes. Off, as"
        " frameworks reserve memory in advance.")
MEMORY_FULL_MIN = Setting("MEMORY_FULL_MIN", WATCH_FILE, ValueType.WHOLE, "10", unit=Unit.MINUTES,
    field_path="limits.use.memory_full_hold", tunes=("memory_full",),
    about="Minutes that the memory must be that full.", comment="")
TEMP_LIMIT_C = Setting("TEMP_LIMIT_C", WATCH_FILE, ValueType.DEGREES, "auto", unit=Unit.DEGREES,
    bounds=(1, 150),
    off=True, auto=True, field_path="limits.heat.warn_at", switches="temperature", heading="Heat",
    about="Warn at this temperature; auto is 85, or 5 below the GPU's own slowdown temperature if that is"
        " lower.",
    comment="Warn at this temperature (degrees C) after so many minutes; auto is 85, or 5 below the"
        " temperature at which the GPU slows itself down, where that is lower.")
TEMP_MIN = Setting("TEMP_MIN", WATCH_FILE, ValueType.WHOLE, "5", unit=Unit.MINUTES,
    field_path="limits.heat.warn_hold",
    tunes=("temperature",),
    about="Minutes that it must be that hot.", comment="")
TEMP_CRITICAL_C = Setting("TEMP_CRITICAL_C", WATCH_FILE, ValueType.DEGREES, "auto", unit=Unit.DEGREES,
    bounds=(1, 150), off=True, auto=True,
    field_path="limits.heat.critical_at", switches="temperature_critical",
    about="The critical temperature; auto is 3 below the GPU's own slowdown temperature, else 90.",
    comment="The same for the critical alert; auto is 3 below the temperature at which the GPU slows"
        " itself down, else 90.")
TEMP_CRITICAL_MIN = Setting("TEMP_CRITICAL_MIN", WATCH_FILE, ValueType.WHOLE, "1", unit=Unit.MINUTES,
    field_path="limits.heat.critical_hold", tunes=("temperature_critical",),
    about="Minutes that it must be that hot.", comment="")
THROTTLE_PCT = Setting("THROTTLE_PCT", WATCH_FILE, ValueType.PERCENT, "50", unit=Unit.SHARE, bounds=(1, 100),
    off=True, field_path="limits.heat.throttle_share", switches="thermal_throttle",
    about="Warn when heat has slowed a GPU down in so many percent of the last 5 minutes.")
HW_SLOWDOWN_MIN = Setting("HW_SLOWDOWN_MIN", WATCH_FILE, ValueType.WHOLE, "1", unit=Unit.MINUTES, off=True,
    field_path="limits.heat.slowdown_hold", switches="hw_slowdown",
    about="Warn when the hardware has slowed a GPU down for so many minutes: heat, its power supply, or"
        " the mains.")
POWER_CAP_MIN = Setting("POWER_CAP_MIN", WATCH_FILE, ValueType.WHOLE, "off", unit=Unit.MINUTES, off=True,
    field_path="limits.heat.power_cap_hold", switches="power_cap",
    about="Tell when the power limit has slowed a GPU down for so many minutes (15, say).",
    comment="Tell when the power limit has slowed a GPU down for so many minutes (15, say). Off, as it is"
        " normal under load.")
FAN_TEMP_C = Setting("FAN_TEMP_C", WATCH_FILE, ValueType.DEGREES, "70", unit=Unit.DEGREES, bounds=(1, 150),
    off=True, field_path="limits.heat.fan_at", switches="fan",
    about="Warn when a fan stands still, or cannot be read, above this temperature (degrees C).")
BLIND_SEC = Setting("BLIND_SEC", WATCH_FILE, ValueType.WHOLE, "60", unit=Unit.SECONDS, off=True,
    field_path="limits.faults.blind_hold", switches="monitor_blind", heading="Faults",
    about="Seconds without a good reading until the monitor says that it is blind.",
    comment="Seconds without a good reading (and 3 polls) until the monitor says that it is blind;"
        " critical after 10 minutes.")
GPU_LOST = Setting("GPU_LOST", WATCH_FILE, ValueType.SWITCH, "on", field_path="limits.faults.lost",
    switches="gpu_lost",
    about="Tell when a GPU is gone: on or off.",
    comment="A GPU that is gone; a driver that was replaced while it runs (reboot needed): on or off.")
DRIVER_MISMATCH = Setting("DRIVER_MISMATCH", WATCH_FILE, ValueType.SWITCH, "on",
    field_path="limits.faults.mismatch",
    switches="driver_mismatch",
    about="Warn when the driver was replaced while it runs, and a reboot is needed: on or off.",
    comment="")
XID_FATAL = Setting("XID_FATAL", WATCH_FILE, ValueType.SWITCH, "on", field_path="limits.faults.xid_fatal",
    switches="xid_fatal",
    about="Tell of driver errors (Xid) after which a GPU must be reset: on or off.",
    comment="Errors that the driver reports with a number: those after which a GPU must be reset, and all"
        " others: on or off.")
XID_APP = Setting("XID_APP", WATCH_FILE, ValueType.SWITCH, "on", field_path="limits.faults.xid_app",
    switches="xid_app",
    about="Tell of all other driver errors (Xid): on or off.", comment="")
ECC = Setting("ECC", WATCH_FILE, ValueType.SWITCH, "on", field_path="limits.faults.ecc", switches="ecc",
    about="Tell of memory errors: on or off.",
    comment="Memory errors: on warns at so many corrected ones in 10 minutes (off: none), and of each one"
        " that was not corrected.")
ECC_CORRECTED = Setting("ECC_CORRECTED", WATCH_FILE, ValueType.COUNT, "100", bounds=(1, LARGEST), off=True,
    field_path="limits.faults.ecc_corrected", tunes=("ecc",),
    about="Corrected memory errors in 10 minutes from which on to warn; off for none.", comment="")
ROW_REMAP = Setting("ROW_REMAP", WATCH_FILE, ValueType.SWITCH, "on", field_path="limits.faults.row_remap",
    switches="row_remap",
    about="Worn memory rows that wait for a reset to be replaced, or could not be: on or off.")
PCIE_WIDTH_MIN = Setting("PCIE_WIDTH_MIN", WATCH_FILE, ValueType.WHOLE, "5", unit=Unit.MINUTES, off=True,
    field_path="limits.faults.pcie_hold", switches="pcie_width",
    about="Warn when a GPU at work has used fewer PCIe lanes than it could for so many minutes.")
WAKE_GPU = Setting("WAKE_GPU", WATCH_FILE, ValueType.SWITCH, "off", field_path="wake_gpu",
    about="Whether a laptop's GPU that the system has put to sleep is woken to be read: on or off.")
ENERGY_PRICE = Setting("ENERGY_PRICE", WATCH_FILE, ValueType.PRICE, "off", off=True,
    field_path="energy_price",
    about="What a kWh costs, for `gpuwatch-tray report usage`: 0.30, say.",
    comment="What a kWh costs, for `gpuwatch-tray report usage`: 0.30, say, in whatever money. Off: no"
        " cost is told.")
ICON_STYLE = Setting("ICON_STYLE", WATCH_FILE, ValueType.CHOICE, "auto",
    choices=("auto", "light", "dark", "color"), field_path="icon_style",
    about="How the icon is drawn.",
    comment="The icon: auto and color draw it in colour for any panel, light and dark in one tone for a"
        " light or a dark panel.")
ICON_BADGE = Setting("ICON_BADGE", WATCH_FILE, ValueType.SWITCH, "off", field_path="icon_badge",
    about="Whether the icon carries the number of GPUs in use: on or off.")
IGNORE_PROCESSES = Setting("IGNORE_PROCESSES", WATCH_FILE, ValueType.PROGRAMS, DESKTOP_PROGRAMS,
    field_path="limits.ignore",
    about="Programs that never count, though they hold a compute context; none lets every program count.",
    comment="Programs that never count, though they hold a compute context: names without folders, with"
        " commas between them (or blanks, where no name holds one); upper and lower case are the same."
        " This list is the default, and yours takes its place; none lets every program count. It matters"
        " on Windows, where the whole desktop computes.")
NOTIFY_METHOD = Setting("NOTIFY_METHOD", NOTIFY, ValueType.CHOICE, "auto",
    choices=("auto", "smtp", "gmail_api"), active=True, sample='"auto"',
    about="How the mail leaves.",
    comment="auto       SMTP if smtp.env is set up, else Gmail if both files below are there, else this"
        " computer's own mail program (mail, mailx or sendmail).\n"
        "smtp       only the server of smtp.env\n"
        "gmail_api  only Gmail, through its API\n"
        "With smtp and gmail_api, and with auto once smtp.env is set up, a mail that cannot leave waits"
        " to be sent again; it does not take another way.")
GMAIL_API_CREDENTIALS = Setting("GMAIL_API_CREDENTIALS", NOTIFY, ValueType.PATH, active=True,
    sample='"/ABS/PATH/to/credentials.json"', placeholder=EXAMPLE_PATH,
    about="The file with the OAuth client of the Google account that sends.",
    comment="Gmail: the two files of the Google account that sends, as absolute paths. secret/README.md"
        " says how to get them.")
GMAIL_API_TOKEN = Setting("GMAIL_API_TOKEN", NOTIFY, ValueType.PATH, active=True,
    sample='"/ABS/PATH/to/token.json"', placeholder=EXAMPLE_PATH,
    about="The file with the token of the Google account that sends.", comment="")
FROM_EMAIL = Setting("FROM_EMAIL", NOTIFY, ValueType.ADDRESS, active=True, placeholder=EXAMPLE_ADDRESS,
    about="Who the mail is from.",
    comment="Who the mail is from. A FROM_EMAIL in smtp.env goes before this one when the mail leaves by"
        " SMTP; without any, it is SMTP_USER, the Google account, or the local account.")
EMAIL_WHEN = Setting("EMAIL_WHEN", NOTIFY, ValueType.CHOICE, "away", choices=("away", "always", "never"),
    field_path="routing.email_when",
    about="When an alert is mailed, beside its popup on the desktop.",
    comment="When an alert is mailed, beside its popup on the desktop:\n"
        "away    when nobody is at the desk, when the popup has not been acknowledged after ESCALATE_MIN"
        " minutes, when no popup could be shown, and when the alert is critical. No desktop counts as"
        " away: `gpuwatch-tray check` and `gpuwatch-tray watch` mail at once.\n"
        "always  at once\n"
        "never   not at all, `gpuwatch-tray check --test-mail` excepted")
NOTIFY_URLS_FILE = Setting("NOTIFY_URLS_FILE", NOTIFY, ValueType.PATH, sample='"/ABS/PATH/to/chats"',
    placeholder=EXAMPLE_PATH,
    about="The file with the addresses of the chats and phones that are told too, one a line.",
    comment="Chats and phones that are told too (ntfy, Telegram, Slack, Discord, WeChat Work and others): a"
        " file of your own (an absolute path, chmod 600) with one address a line. `gpuwatch-tray setup chat`"
        " asks for one, tries it and writes it; docs/chat.md lists the services.")
CHAT_WHEN = Setting("CHAT_WHEN", NOTIFY, ValueType.CHOICE, "away", choices=("away", "always", "never"),
    field_path="routing.chat_when",
    about="When an alert is sent to the chats, as EMAIL_WHEN is for the mail.")
AWAY_MIN = Setting("AWAY_MIN", NOTIFY, ValueType.WHOLE, "5", unit=Unit.MINUTES, field_path="away",
    about="Minutes without a key or the mouse after which nobody is at the desk.",
    comment="Minutes without a key or the mouse after which nobody is at the desk. A locked screen counts"
        " at once. With 0 nobody is away by idling: only a locked screen counts.")
ESCALATE_MIN = Setting("ESCALATE_MIN", NOTIFY, ValueType.WHOLE, "10", unit=Unit.MINUTES,
    field_path="routing.escalate",
    about="Minutes that an alert may stay without an answer before it is mailed or sent to the chats. 0 does"
        " so at once.")
NOTIFY_RESOLVED = Setting("NOTIFY_RESOLVED", NOTIFY, ValueType.CHOICES, "email, chat",
    choices=("email", "popup", "chat"), off=True, sample='"email, chat"', field_path="tell_resolved",
    about="How the end of an alert is told, where the alert itself has been.",
    comment="How the end of an alert is told, where the alert itself has been: some of email, popup and"
        ' chat, as in "email, popup", or off.')
MAIL_THREADING = Setting("MAIL_THREADING", NOTIFY, ValueType.SWITCH, "no", field_path="threading",
    about="Whether the mails about one incident have the subject of the first: yes or no.",
    comment="Whether the mails about one incident (it fires, it still does, it is over) have the subject"
        " of the first. Gmail shows mails as one conversation only if they have the same subject, beside"
        " the References header that they have in any case and that is enough for other mail programs."
        " `no` keeps the Bash tool's subject, with its time; with `yes` the first line of the text says"
        " what the subject does not: firing, reminder or resolved.")
UI_LANGUAGE = Setting("UI_LANGUAGE", NOTIFY, ValueType.LANGUAGE, "auto", choices=("en", "zh_CN", "auto"),
    about="The language of the menu, the popups, the mail's HTML part and the commands.",
    comment="The language of the menu, the popups, the mail's HTML part and the commands: en, zh_CN, or"
        " auto for the system's. The mail's text part and the process list stay as they are. A change"
        " counts from the next start on.")
SMTP_HOST = Setting("SMTP_HOST", SMTP, ValueType.HOST, active=True, placeholder="smtp.example.com",
    about="The name of the mail server.")
SMTP_PORT = Setting("SMTP_PORT", SMTP, ValueType.PORT, "587", bounds=(1, 65535), active=True,
    about="The port of the mail server; 465 is encrypted from the start, 587 by STARTTLS.",
    comment="587: the connection is encrypted by STARTTLS before anything is said. 465: it is encrypted"
        " from the start.")
SMTP_USER = Setting("SMTP_USER", SMTP, ValueType.ACCOUNT, active=True, placeholder="your_user",
    about="The account on the mail server.",
    comment="The account. Gmail and others want an app password here. Blanks in SMTP_PASS are always"
        " removed, as app passwords are shown with some: a password that holds blanks cannot be used.\n"
        'Single quotes take a password as it is, with its $, ", \\ and #.')
SMTP_PASS = Setting("SMTP_PASS", SMTP, ValueType.PASSWORD, active=True, sample="'your_pass'",
    placeholder="your_pass",
    about="The password; Gmail and others want an app password here.", comment="")
SMTP_PASS_FILE = Setting("SMTP_PASS_FILE", SMTP, ValueType.PATH, sample='"/ABS/PATH/to/password"',
    placeholder=EXAMPLE_PATH,
    about="The file that holds the password, in place of SMTP_PASS.",
    comment="Or the password lies in a file of its own (an absolute path, chmod 600), or in the system's"
        " keyring, if neither this line nor SMTP_PASS is there: `gpuwatch-tray mail password` stores it."
        " SMTP_PASS goes before the file.")
SMTP_SECURITY = Setting("SMTP_SECURITY", SMTP, ValueType.CHOICE, "tls", choices=("tls", "ssl", "none"),
    about="tls and ssl encrypt and log in, ssl from the start on any port; none does neither, and is for a"
        " relay on this computer alone.",
    comment="tls encrypts and logs in, always. ssl does so from the start on any port, as tls does on port"
        " 465. none does neither, and is for a relay on this computer alone: SMTP_HOST=localhost, with port"
        " 25 where SMTP_PORT is not set, and without SMTP_USER and SMTP_PASS.")
SMTP_CA_FILE = Setting("SMTP_CA_FILE", SMTP, ValueType.PATH, sample='"/etc/ssl/certs/our-lab.pem"',
    placeholder=EXAMPLE_PATH,
    about="The certificate of your own authority, where no public one signed the server's.",
    comment="The certificate of your own authority, where the server's is not signed by a public one: an"
        " absolute path.")
LAB_HOSTS = Setting("LAB_HOSTS", LAB, ValueType.HOSTS, field_path="lab.hosts",
    placeholder="your-host-1 your-host-2",
    heading="A few machines, by ssh",
    about="The machines to ask by ssh, 20 at most: names that `ssh NAME` takes.",
    comment="The machines to ask by ssh, 20 at most: names that `ssh NAME` takes, with blanks between them."
        " Each needs a key that asks for no password, and a host key that ssh knows: try `ssh NAME` once."
        " More machines need a Prometheus.")
LAB_SSH = Setting("LAB_SSH", LAB, ValueType.PROGRAM, "ssh", field_path="lab.ssh",
    about="The ssh program, and options for it such as `ssh -F /home/you/lab-ssh-config`.")
LAB_LIST = Setting("LAB_LIST", LAB, ValueType.COMMAND, field_path="lab.ssh_list",
    placeholder="/path/to/mygpu.sh --all",
    about="The command that lists the processes there, where it is not `gpuwatch-tray ps --all --json`.",
    comment="The command that lists the processes on those machines, where gpuwatch-tray is not installed"
        " there: the Bash tool's, say. What a list cannot tell, such as which GPUs are free, stays unknown.")
LAB_PROMETHEUS = Setting("LAB_PROMETHEUS", LAB, ValueType.URLS, field_path="lab.prometheus",
    placeholder="https://prometheus.example.com", heading="Many machines, by a Prometheus",
    about="The address of the Prometheus that reads the machines; of several replicas, all.",
    comment="The address of the Prometheus that reads the machines; of several replicas all, with blanks"
        " between them: the first that answers is asked. `gpuwatch-tray setup prometheus` says what it"
        " needs.")
LAB_ALERTMANAGER = Setting("LAB_ALERTMANAGER", LAB, ValueType.URLS, field_path="lab.alertmanager",
    placeholder="https://alertmanager.example.com",
    about="The address of its Alertmanager, whose alerts and silences are shown; of several, all.")
LAB_GRAFANA = Setting("LAB_GRAFANA", LAB, ValueType.URL, field_path="lab.grafana",
    placeholder="https://grafana.example.com", about="The address of a Grafana, as a link on the lab's page.")
LAB_JOB = Setting("LAB_JOB", LAB, ValueType.NAME, "gpuwatch", field_path="lab.job",
    about="The job of the scrape configuration that has the machines.")
LAB_AUTH = Setting("LAB_AUTH", LAB, ValueType.CHOICE, "none", choices=("none", "basic", "bearer"),
    field_path="lab.login", about="How to log in to both: not at all, by a name and password, or by a token.",
    comment="How to log in to both: none; basic, by LAB_USER and a password; bearer, by a token. Password or"
        " token lie in the file LAB_PASS_FILE (an absolute path, chmod 600), or without that line in the"
        " system's keyring: `gpuwatch-tray lab password` stores it there.")
LAB_USER = Setting("LAB_USER", LAB, ValueType.ACCOUNT, field_path="lab.user", placeholder="your_user",
    about="The name for LAB_AUTH=basic.", comment="")
LAB_PASS_FILE = Setting("LAB_PASS_FILE", LAB, ValueType.PATH, field_path="lab.password_file",
    placeholder=EXAMPLE_PATH, sample='"/ABS/PATH/to/password"',
    about="The file with the password or the token; without it they are in the system's keyring.", comment="")
LAB_CA_FILE = Setting("LAB_CA_FILE", LAB, ValueType.PATH, field_path="lab.ca_file", placeholder=EXAMPLE_PATH,
    sample='"/ABS/PATH/to/our-lab.pem"',
    about="The certificate of your own authority, where no public one signed the servers'.")
LAB_CLIENT_CERT = Setting("LAB_CLIENT_CERT", LAB, ValueType.PATH, field_path="lab.client_cert",
    placeholder=EXAMPLE_PATH, sample='"/ABS/PATH/to/client.pem"',
    about="Your own certificate, where the servers ask for one.",
    comment="Your own certificate and its key, where the servers ask for one.")
LAB_CLIENT_KEY = Setting("LAB_CLIENT_KEY", LAB, ValueType.PATH, field_path="lab.client_key",
    placeholder=EXAMPLE_PATH, sample='"/ABS/PATH/to/client.key"',
    about="The key of that certificate, where it is not in the same file.", comment="")
LAB_PROXY = Setting("LAB_PROXY", LAB, ValueType.URL, field_path="lab.proxy",
    placeholder="http://proxy.example.com:3128",
    about="The proxy to reach them by. Without this line none is used, whatever the environment says.")
LAB_ME = Setting("LAB_ME", LAB, ValueType.ACCOUNT, field_path="lab.me", placeholder="your_name",
    heading="What is told of the lab",
    about="Your user name on the machines, where it is not the one here.")
LAB_PIN = Setting("LAB_PIN", LAB, ValueType.HOSTS, field_path="lab.pins", placeholder="your-host-1",
    about="Machines that must answer for a green icon, besides those of your runs.")
LAB_ALERTS = Setting("LAB_ALERTS", LAB, ValueType.CHOICE, "mine", choices=("mine", "all"),
    field_path="lab.alerts", about="Whose alerts of the lab are told: mine or all.")
LAB_GPU_LIMIT = Setting("LAB_GPU_LIMIT", LAB, ValueType.WHOLE, "off", off=True, field_path="lab.gpu_limit",
    about="Warn when your processes are on more GPUs than this, over all machines.")
LAB_POLL_SEC = Setting("LAB_POLL_SEC", LAB, ValueType.DECIMAL, "15", unit=Unit.SECONDS, bounds=(5, HOUR),
    field_path="lab.poll", about="Seconds between two looks at the lab: 5 to 3600.")
LAB_SILENCE = Setting("LAB_SILENCE", LAB, ValueType.SWITCH, "off", field_path="lab.silence",
    about="Whether an alert can be silenced for everyone, in the Alertmanager: on or off.")
LAB_LOOKS_FREE = Setting("LAB_LOOKS_FREE", LAB, ValueType.SWITCH, "off", field_path="lab.looks_free",
    about="Whether GPUs count as free that only look so, where nobody tells their processes: on or off.")
EXPORT_USERS = Setting("EXPORT_USERS", LAB, ValueType.CHOICE, "names", choices=("names", "hashed", "none"),
    field_path="export.users", heading="What this machine tells a Prometheus (gpuwatch-tray export)",
    about="How the owners of processes are named in the metrics: names, hashed or none.",
    comment="How the owners of processes are named in the metrics: names; hashed, which is the same on every"
        " machine and can be guessed by who knows the names; or none.")
EXPORT_PROCESSES = Setting("EXPORT_PROCESSES", LAB, ValueType.WHOLE, "16", bounds=(0, 1000),
    field_path="export.processes",
    about="How many processes of a GPU are told one by one, those with the most memory: 0 to 1000.")

# fmt: on


_ROWS = [row for row in list(globals().values()) if isinstance(row, Setting)]
SETTINGS: dict[str, Setting] = {row.key: row for row in _ROWS}
SWITCHES: dict[str, Setting] = {row.switches: row for row in _ROWS if row.switches}  # by the rule's name
