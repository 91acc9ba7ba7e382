"""Where the files are looked for, what they may hold besides settings, what is said of those that fail."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from msgspec.structs import replace

from gpuwatch_tray.settings import load
from gpuwatch_tray.settings.paths import LARGEST_FILE, settings_folders
from gpuwatch_tray.settings.template import files
from tests.settings.checkout import LAB, NOTIFY, SMTP, SMTP_TEXT, WATCH, House

VARIABLES = {
    WATCH: "GPUWATCH_CONFIG",
    NOTIFY: "GPUWATCH_NOTIFY_CONFIG",
    SMTP: "GPUWATCH_SMTP_CONFIG",
    LAB: "GPUWATCH_LAB_CONFIG",
}

NOBODY = 65534


def limit(house, **environ: str) -> int:
    """Return the GPU_LIMIT that is found."""
    return house.settings(**environ).limits.gpu_limit


def test_the_variable_goes_before_the_checkout_before_the_user(house, tmp_path):
    """Each place is looked at only where the one before it has no such file."""
    house.write(WATCH, "GPU_LIMIT=5", user=True)
    assert limit(house) == 5
    house.write(WATCH, "GPU_LIMIT=6")
    assert limit(house) == 6
    file = tmp_path / "mine.env"
    file.write_text("GPU_LIMIT=7")
    assert limit(house, GPUWATCH_CONFIG=str(file)) == 7
    assert limit(house, GPUWATCH_CONFIG="") == 6


def test_an_installed_program_looks_only_into_the_users_folder(tmp_path):
    """Without a checkout there is the user's folder."""
    house = House(tmp_path, installed=True)
    house.write(WATCH, "GPU_LIMIT=6")
    file = house.write(WATCH, "GPU_LIMIT=5", user=True)
    assert limit(house) == 5
    assert house.settings().config == file


def test_the_current_folder_plays_no_part(house, tmp_path, monkeypatch):
    """Cron starts anywhere: a config folder that happens to be there is not ours."""
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / WATCH).write_text("GPU_LIMIT=9")
    monkeypatch.chdir(tmp_path)
    assert limit(house) == 2


@pytest.mark.parametrize(("name", "variable"), VARIABLES.items())
def test_what_a_variable_names_must_be_there(house, name, variable):
    """A variable that names no file is a problem, even where another file would be found."""
    house.write(name, "")
    missing = house.root / "missing.env"
    _, problems = house.load(**{variable: str(missing)})
    assert problems == [f"{missing}: there is no such file: correct or unset {variable}"]


def test_a_named_file_is_shown_as_it_was_named(house, monkeypatch):
    """Problems show a named file as the user wrote it, from the current folder or with ~."""
    monkeypatch.chdir(house.root)
    home = house.root / "home"
    home.mkdir()
    for folder in (house.root, home):
        (folder / "my.env").write_text("GPU_LIMIT=x")
    for named, path in (("my.env", house.root / "my.env"), ("~/my.env", home / "my.env")):
        settings, problems = house.load(GPUWATCH_CONFIG=named)
        assert [problem.partition(":")[0] for problem in problems] == [named]
        assert settings.config == path


def test_a_file_of_the_user_is_shown_with_its_path(house):
    """Outside of the checkout the whole path is shown."""
    file = house.write(WATCH, "GPU_LIMIT=x", user=True)
    assert house.load()[1][0].startswith(f"{file}:1: GPU_LIMIT: ")


def test_the_expected_place_of_the_settings(house, tmp_path):
    """Without any file, `config` is where `setup config` writes the first one, in a checkout too."""
    assert house.settings().config == files({}, house.places)[0].path == house.user / WATCH
    installed = House(tmp_path / "b", installed=True)
    assert installed.settings().config == installed.user / WATCH


def test_dev_null_means_no_file(house):
    """A variable can say that there is no such file at all."""
    house.write(SMTP, SMTP_TEXT)
    assert house.settings().smtp is not None
    assert house.settings(GPUWATCH_SMTP_CONFIG=os.devnull).smtp is None


def test_what_cannot_be_read_is_a_problem(house):
    """A folder, a pipe, a dangling link and a file without end are named, and nothing waits for them."""
    config = house.checkout / "config"
    (config / WATCH).mkdir()
    (config / NOTIFY).symlink_to("nowhere")
    os.mkfifo(config / SMTP)
    long = house.root / "long.env"
    long.write_bytes(b"#" * (LARGEST_FILE + 1))
    assert house.load()[1] == [
        "config/gpu-watch.env: is a folder: give the file in it",
        "config/notify.env: is a broken link",
        "config/smtp.env: is not a regular file",
    ]
    assert "larger than 1 MiB" in house.load(GPUWATCH_CONFIG=str(long))[1][0]


@pytest.mark.skipif(os.name != "posix", reason="files have other rights there")
def test_a_file_without_permission_is_a_problem(short):
    """A file that may not be read is named with the reason; root, who may read all, is another user."""
    short.chmod(0o755)
    house = House(short)
    house.write(WATCH, "").chmod(0)
    me = os.geteuid()
    os.seteuid(me or NOBODY)
    try:
        problems = house.load()[1]
    finally:
        os.seteuid(me)
    assert problems == ["config/gpu-watch.env: cannot be read: Permission denied"]


def test_an_error_of_the_system_is_a_problem(house, monkeypatch):
    """Whatever the system has against a file is named."""
    house.write(WATCH, "")

    def refuse(*_args: object) -> object:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    assert house.load()[1] == ["config/gpu-watch.env: cannot be read: Permission denied"]


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbfGPU_LIMIT=3\n",
        b"GPU_LIMIT=3\r\n",
        b"# gr\xfc\xdfe\nGPU_LIMIT=3",
        b'GPU_LIMIT="3"\r\n# end\r',
        b"GPU_LIMIT=\\\r\n3\r\n",
        b"GPU_LIMIT=3\r",
        b"\r\n\r\nexport GPU_LIMIT='3' # three\r\n",
    ],
)
def test_line_ends_marks_and_old_comments_do_no_harm(house, content):
    """CRLF, a byte order mark and comments that are not UTF-8 are fine."""
    house.write(WATCH, content)
    assert limit(house) == 3


def test_a_value_that_is_not_utf8_is_a_problem_unless_it_is_a_path(house):
    """A path may hold any bytes; an address or a password in another encoding is named, not mangled."""
    house.write(
        WATCH,
        b"TO_EMAIL=m\xfcller@b.org\nGMAIL_API_TOKEN=/m\xfcller/t\nGMAIL_API_CREDENTIALS=/c\nSMTP_PASS=\xfc\n",
    )
    settings, problems = house.load()
    assert os.fsencode(settings.gmail_token) == b"/m\xfcller/t"
    assert "config/gpu-watch.env:1: TO_EMAIL: got 'm\\udcfcller@b.org', which is not UTF-8" in problems[0]
    assert "config/gpu-watch.env:4: SMTP_PASS: is not UTF-8: save the file as UTF-8" in problems


@pytest.mark.parametrize("content", ["GPU_LIMIT=3\n".encode("utf-16"), b"GPU_LIMIT=3\0\n"])
def test_what_is_no_text_is_a_problem(house, content):
    """A file in UTF-16, as editors on Windows write it, is told how to be saved."""
    house.write(WATCH, content)
    assert house.load()[1] == ["config/gpu-watch.env: not UTF-8 text: save it as UTF-8"]


def test_all_problems_come_at_once_in_the_order_of_the_files(house):
    """Problems of the format, of keys and of values, over all files, sorted by file and line."""
    house.write(WATCH, "GPU_LIMIT=x\nCOLDOWN_MIN=3\nls\nMAX_ETIME_MIN=010\n")
    house.write(NOTIFY, "NOTIFY_METHOD=$(x)\nFROM_EMAIL = me\n")
    house.write(SMTP, "SMTP_PORT=x\n")
    assert [problem.partition(": ")[0] for problem in house.load()[1]] == [
        *(f"config/gpu-watch.env:{line}" for line in (1, 2, 3, 4)),
        "config/notify.env:1",
        "config/notify.env:2",
        "config/smtp.env:1",
    ]


def test_the_example_of_a_problem(house):
    """A problem reads as the design says."""
    house.write(WATCH, "\n" * 11 + "GPU_LIMIT=two\n")
    _, (problem,) = house.problems()
    assert str(problem) == "config/gpu-watch.env:12: GPU_LIMIT: expected a whole number >= 0, got 'two'"
    assert (problem.path, problem.line, problem.key) == ("config/gpu-watch.env", 12, "GPU_LIMIT")


@pytest.mark.parametrize(
    ("line", "part"),
    [
        ("GPU_LIMT=3", "unknown key: did you mean GPU_LIMIT?"),
        ("gpu_limit=3", "unknown key: did you mean GPU_LIMIT?"),
        ("SMTP_PASSWORD=x", "unknown key: did you mean SMTP_PASS?"),
        ("BASE=/x", "unknown key, and no later line uses it"),
        ("BASE=$BASE/x", "unknown key, and no later line uses it"),
        ("PATH=/usr/local/cuda/bin:$PATH", "an environment variable"),
        ("GPUWATCH_CACHE=/x", "an environment variable"),
    ],
)
def test_an_unknown_key_is_a_problem(house, line, part):
    """What is no key is named, with the key that was meant if one is near."""
    house.write(WATCH, line)
    problems = house.load(PATH="/bin")[1]
    assert len(problems) == 1
    assert problems[0].startswith(f"config/gpu-watch.env:1: {line.partition('=')[0]}: ")
    assert part in problems[0]


def test_a_helper_for_later_lines_and_files_is_no_unknown_key(house):
    """A name of one's own is fine where a later value takes it in, in the same or in a later file."""
    house.write(WATCH, "HOME=/srv LAB=lab\nDOMAIN=example.org\nTO_EMAIL=$LAB@${DOMAIN}\nTOP=~/top\n")
    house.write(NOTIFY, "GMAIL_API_TOKEN=$TOP/token.json\nGMAIL_API_CREDENTIALS=$HOME/c.json\n")
    settings = house.settings(HOME="/home/me")
    assert settings.to_email == ("lab@example.org",)
    assert (settings.gmail_token, settings.gmail_credentials) == (
        Path("/srv/top/token.json"),
        Path("/srv/c.json"),
    )


def test_a_helper_of_a_broken_line_is_no_unknown_key(house):
    """One mistake is one problem: what the broken line takes in is not called unknown."""
    house.write(WATCH, "BASE=/x\nGPU_LIMIT=$BASE$(nproc)\n")
    assert len(house.load()[1]) == 1


def test_the_state_folder(house, monkeypatch):
    """GPUWATCH_CACHE, also with ~ or from the current folder, else the user's state folder."""
    monkeypatch.chdir(house.root)
    assert house.settings().state == house.root / "state"
    assert house.settings(GPUWATCH_CACHE="").state == house.root / "state"
    assert house.settings(GPUWATCH_CACHE="/var/x").state == Path("/var/x")
    assert house.settings(GPUWATCH_CACHE="~/x", HOME="/home/me").state == Path("/home/me/x")
    assert house.settings(GPUWATCH_CACHE="x").state == house.root / "x"


def test_an_account_without_a_home_is_told_to_name_the_state_folder(house):
    """Nothing is kept in, or read from, a folder called ~ of wherever we were started."""
    where = replace(house.places, state=Path("~/.local/state/x"), config=Path("~/.config/x"))
    settings, problems = load({}, where)
    assert [str(problem) for problem in problems] == [
        "GPUWATCH_CACHE: not set, and this account has no home folder: set it to a folder for the state"
    ]
    assert load({"GPUWATCH_CACHE": "/x"}, where)[1] == ()
    assert settings.config == house.checkout / "config" / WATCH


def test_the_real_places(tmp_path):
    """Beside the package in a checkout, else the user's folders by the rules of the system."""
    package = tmp_path / "site"
    shutil.copytree(
        Path(settings_folders.__code__.co_filename).parents[1],
        package / "gpuwatch_tray",
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    code = (
        "from gpuwatch_tray.settings.paths import settings_folders\n"
        "w = settings_folders()\n"
        "print(w.checkout, w.config, w.state, w.home)"
    )

    def found() -> list[str]:
        environ = {
            "PYTHONPATH": str(package),
            "HOME": "/h",
            "XDG_CONFIG_HOME": "/xc",
            "XDG_STATE_HOME": "/xs",
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        done = subprocess.run(
            [sys.executable, "-c", code], env=environ, cwd="/", capture_output=True, text=True, check=True
        )
        return done.stdout.split()

    assert found() == ["None", "/xc/gpuwatch-tray", "/xs/gpuwatch-tray", "/h"]
    (package / "pyproject.toml").touch()
    assert found()[0] == "None"
    (package / "config").mkdir()
    assert found()[0] == str(package)
