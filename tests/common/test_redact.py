"""Redaction: no secret gets out, and what is no secret stays readable."""

from __future__ import annotations

import json
import shlex
import string
import time
import unicodedata
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuwatch_tray.common import redact
from gpuwatch_tray.common.secret_names import Secrecy, secrecy
from gpuwatch_tray.model import GpuProcess, Missing, ProcessKind, Why
from tests.support.timing import slowness

CANARY = "Xq7canary"

# Each form that a secret takes in an argument list; every X of the secret's own stands for the canary.
FORMS = [
    ["--password", "{}"],
    ["--password={}"],
    ["-p", "{}"],
    ["--token", "{}"],
    ["--api-key", "{}"],
    ["--api_key={}"],
    ["--apiKey={}"],
    ["--secret", "{}"],
    ["--client-secret={}"],
    ["--hf-token", "{}"],
    ["--hftoken", "{}"],
    ["--wandb-key", "{}"],
    ["--key", "{}"],
    ["--aws-access-key-id", "{}"],
    ["--private-key={}"],
    ["--auth", "{}"],
    ["--auth-token", "{}"],
    ["--credential", "{}"],
    ["--bearer", "{}"],
    ["--db.password", "{}"],
    ["--passphrase", "{}"],
    ["--pw", "{}"],
    ["-password", "{}"],
    ["/password:{}"],
    ["-passin", "pass:{}"],
    ["-Dspring.datasource.password={}"],
    ["WANDB_API_KEY={}"],
    ["HF_TOKEN={}"],
    ["PGPASSWORD={}"],
    ["MYSQL_PWD={}"],
    ["OPENAI_API_KEY_2={}"],
    ["API_KEY_OPENAI={}"],
    ["SECRET={} with blanks {}"],
    ["--env=HF_TOKEN={}"],
    ["+wandb.api_key={}"],
    ["hydra.job.env_set.HF_TOKEN={}"],
    ["hf_{}"],
    ["x,hf_{}"],
    ["sk-{}"],
    ["sk-proj-{}"],
    ["ghp_{}"],
    ["gho_{}"],
    ["github_pat_{}"],
    ["xoxb-1234-{}"],
    ["xoxp-{}"],
    ["AIza{}AAAAAAAAAAAA"],
    ["glpat-{}AAAAA"],
    ["nvapi-{}"],
    ["eyJhbGciOiJIUzI1NiJ9.{}.x_{}"],
    ["ya29.{}"],
    ["-H", "Authorization: Bearer {}"],
    ["-H", "Authorization: Basic {}"],
    ["-H", "Authorization: custom {} {}"],
    ["-H", "X-Api-Key: {}"],
    ["-H", "Cookie: a=1; session={}"],
    ["Authorization:", "Bearer", "{}"],
    ["Bearer", "{}"],
    ["x-header=Bearer {}"],
    ["401 for 'Bearer {}'"],
    ["https://user:{}@host/path"],
    ["https://{}@host/path"],
    ["https://{}:x-oauth-basic@host"],
    ["https://user:{}/{}@host"],
    ["postgresql://user:{}@{}@host:5432/db"],
    ["redis://:{}@host"],
    ["https://host/path?a=1&token={}&b=2"],
    ["https://host/?api_key={}"],
    ["https://bucket/x?X-Amz-Signature={}&X-Amz-Credential={}"],
    ["https://hooks.slack.com/services/T000/B000/{}"],
    ["-u", "alice:{}"],
    ["--user", "alice:{}"],
    ["mysql", "-uroot", "-p{}"],
    ["sshpass", "-p{}", "ssh", "host"],
    ["redis-cli", "-a", "{}"],
    ['--config={{"api_key": "{} {}", "lr": 0.1}}'],
    ['{{"nested": {{"password":"{}"}}}}'],
    ["--config", "{{token: {}, lr: 3}}"],
    ["python", "-c", "import wandb; wandb.login(key='{}'); train()"],
    ["python", "-c", 'os.environ["HF_TOKEN"] = "{} {}"'],
    ["python", "-c", "os.environ.setdefault('HF_TOKEN', '{}')"],
    ["sh", "-c", "TOKEN={} python a.py --password {} --lr 3"],
    ["bash", "-lc", "exec python a.py --api-key '{} {}' x"],
    ["bash", "-c", 'python a.py "--token={}" --lr 3'],
    ["bash", "-c", "mysql -uroot -p{} db"],
    ["bash", "-c", "curl -u alice:{} http://h"],
    ["ssh", "host", "HF_TOKEN={} python a.py"],
    ["ssh", "host", "python a.py --token {} --lr 3"],
    ["python train.py --token {}", "", ""],
    ["sh", "-c", 'echo "{{\\"password\\": \\"{} {}\\"}}"'],
    ["--password", "--token", "{}"],
    ["-----BEGIN RSA PRIVATE KEY-----\n{}\n-----END RSA PRIVATE KEY-----"],
]


@pytest.mark.parametrize("form", FORMS, ids=" ".join)
def test_no_known_form_shows_its_secret(form):
    """Each form of a secret loses it, between other arguments, and shows in its place that it did."""
    argv = ["python", "train.py", *(part.format(CANARY, CANARY) for part in form), "--epochs", "3"]
    shown = redact.arguments(argv)
    assert len(shown) == len(argv)
    assert "canary" not in " ".join(shown)
    assert redact.REDACTED in " ".join(shown)
    assert shown[:2] == ("python", "train.py")
    assert shown[-2:] == ("--epochs", "3")


SECRETS = st.text(string.ascii_letters + string.digits + "!$%^*()_+=.,~", min_size=6, max_size=60).map(
    lambda tail: CANARY + tail
)
NAMES = st.sampled_from(
    [
        "password",
        "token",
        "api-key",
        "secret",
        "hf_token",
        "HF_TOKEN",
        "wandb.api_key",
        "authToken",
        "dbPassword",
    ]
)


@given(name=NAMES, secret=st.text(min_size=1, max_size=60).map(lambda tail: CANARY + tail))
def test_a_named_secret_is_hidden_whatever_its_letters(name, secret):
    """The value of a secret option is hidden as one argument, blanks, quotes and all."""
    for argv in (["p", f"--{name}", secret], ["p", f"--{name}={secret}"], ["p", f"{name}={secret}"]):
        assert "canary" not in " ".join(redact.arguments(argv))


@given(name=NAMES, secret=SECRETS, quote=st.sampled_from(["'", '"', ""]), joint=st.sampled_from(["=", " "]))
def test_a_named_secret_in_a_script_is_hidden(name, secret, quote, joint):
    """Inside one argument of a shell an option's value is hidden, quotes and all, and the rest is not."""
    script = f"exec python a.py --{name}{joint}{quote}{secret}{quote} --lr 3"
    shown = " ".join(redact.arguments(["sh", "-c", script]))
    assert "canary" not in shown
    assert shown.endswith(" --lr 3")


@given(st.lists(st.text(max_size=40), max_size=8))
def test_any_arguments_can_be_redacted(argv):
    """Redaction takes whatever a process calls its arguments and gives back as many."""
    assert len(redact.arguments(argv)) == len(argv)


@given(
    st.lists(
        st.sampled_from("abcdefghijkmnopqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"), min_size=40, max_size=64
    )
)
def test_long_random_strings_are_hidden(letters):
    """A string of 40 or more random letters and digits is hidden wherever it stands alone."""
    blob = "".join(letters)
    runs = sum(a.isdigit() != b.isdigit() or a.isupper() != b.isupper() for a, b in pairwise(blob))
    if runs < 20:  # as good as a word: not what chance gives
        return
    assert redact.arguments(["p", blob]) == ("p", redact.REDACTED)


@pytest.mark.parametrize(
    "blob",
    [
        "0123456789abcdef0123456789abcdef01234567",  # a commit looks like a key
        "0xDEADBEEFdeadbeefDEADBEEFdeadbeef",
        "dGhpcyBpcyBhIHNlY3JldCB0aGF0IG5vYm9keSBzaG91bGQgc2Vl",
        "kW3vQ/x8T0pL+9mZr4Yh2/JcNfB7uSdAe6GtK1oP",  # the form of AWS' secret keys
        "Zm9vYmFyYmF6cXV4Zm9v==",
        "8e1f0a33-1111-4222-8333-123456789abc",
    ],
)
def test_blobs_are_hidden(blob):
    """Hexadecimal and base64 of the length of keys is hidden with and without a name before it."""
    for argv in (["p", blob], ["p", f"--run={blob}"], ["p", "login", blob]):
        assert blob not in " ".join(redact.arguments(argv))


READABLE = [
    "python train.py --tokenizer gpt2 --max-tokens 512 --num-tokens 5 --max_new_tokens=64",
    "python train.py --pad-token <pad> --eos_token_id 2 --mask-token [MASK] --token-type-ids 1",
    "python ti.py --placeholder_token <cat> --initializer_token toy --token-dropout 0.1 --no-token-mixing",
    "python train.py --key-size 3 --keyboard us --sort-key loss --image-key jpg --label_key y --public-key a",
    "python train.py --num-passes 3 --first-pass 1 --lowpass 30 --bypass yes --pass-rate 0.3 --author bob",
    "python train.py --num-key-value-heads 8 model.num_key_value_heads=8 --key_dim 64 --n-keys 4",
    "python train.py --model meta-llama/Meta-Llama-3-8B-Instruct-GPTQ-4bit-32g --lr 3e-4 --seed 42",
    "python train.py --model bert-base-uncased-finetuned-sst-2-english --revision main",
    "python train.py --data /home/alice/Experiments2/Run03/outputs/checkpoint-000123/pytorch_model.bin",
    "python train.py --resume ../runs/2024-01-07_23-27-48/lightning_logs/version_12/epoch=3-step=900.ckpt",
    "python train.py --out /mnt/very-long-storage-name/projects/summaries/experiments/resnet50/outputs",
    "python -u train.py hydra.run.dir=outputs/x trainer.devices=[0,1] +experiment=llama optimizer=adamw",
    "python -m torch.distributed.run --nproc_per_node=2 --rdzv_endpoint=node01:29500 --rdzv_id=17 train.py",
    "torchrun --master_addr 10.0.0.1 --master_port 29500 train.py --world-size 4",
    "python -c from multiprocessing.spawn import spawn_main; spawn_main(tracker_fd=5) --multiprocessing-fork",
    "python -m ipykernel_launcher -f /home/u/runtime/kernel-8e1f0a33-1111-4222-8333-123456789abc.json",
    "env CUDA_VISIBLE_DEVICES=GPU-8e1f0a33-1111-4222-8333-123456789abc x",
    "env NVIDIA_VISIBLE_DEVICES=MIG-8e1f0a33-1111-4222-8333-123456789abc python -u a.py",
    "vllm serve org/model --served-model-name hf_model --max-model-len 8192 --tensor-parallel-size 2",
    "ollama runner --port 40123 --ctx-size 8192 --batch-size 512",
    "git clone ssh://git@github.com/org/repo https://github.com/org/repo?tab=readme",
    "python sk-learn-bench.py --method sk-learn --cache hf_home --task-name risk-sk-x",
    "docker run --user 1000:1000 -u 1000:1000 image PWD=/home/alice/src",
    "python a.py --use-auth-token --model gpt2 --use_auth_token=True --token=None --token-file tok.txt",
    "Xorg :0 -auth-mode none -displayfd 3 vt2",
]


@pytest.mark.parametrize("line", READABLE)
def test_ordinary_command_lines_stay_as_they_are(line):
    """Nothing is hidden in the command lines of machine learning that hold no secret."""
    argv = line.split(" ")
    assert redact.arguments(argv) == tuple(argv)
    assert redact.text(line) == line


@pytest.mark.parametrize(
    ("name", "secret"),
    [
        ("token", True),
        ("TOKEN1", True),
        ("tokens", True),
        ("num_tokens", False),
        ("train-tokens", False),
        ("api_tokens", True),
        ("api-keys", True),
        ("tokenizer", False),
        ("accessToken", True),
        ("HFToken", True),
        ("SSHPASS", True),
        ("compass", False),
        ("password_file", False),
        ("passwords", True),
        ("monkey", False),
        ("--", False),
        ("signature", True),
        ("SLACK_WEBHOOK", True),
        ("REDISCLI_AUTH", True),
        ("authors", False),
    ],
)
def test_names_are_judged_by_their_words(name, secret):
    """A name announces a secret by a word of its own, however the words are joined."""
    assert (secrecy(name) is not Secrecy.NONE) is secret


def test_a_script_stays_readable_around_its_secrets():
    """`sh -c` keeps its command, and loses only the values."""
    assert redact.arguments(["sh", "-c", "TOKEN=x python a.py --password y --lr 3"]) == (
        "sh",
        "-c",
        "TOKEN=*** python a.py --password *** --lr 3",
    )


def test_a_list_of_arguments_in_json_is_redacted():
    """A command quoted as JSON inside an argument loses its secrets too."""
    quoted = json.dumps(["python", "a.py", "--token", CANARY, "--password=" + CANARY])
    assert "canary" not in redact.text(quoted)
    assert "canary" not in redact.text(shlex.join(["sh", "-c", f"python --token {CANARY}"]))


def process(**fields) -> GpuProcess:
    """Return a process with these fields."""
    return GpuProcess(**({"pid": 7, "gpu": 0, "kinds": frozenset({ProcessKind.COMPUTE})} | fields))


ARGV = ("/usr/bin/python3.11", "train.py", "--token", CANARY)


@pytest.mark.parametrize(
    ("fields", "shown"),
    [
        ({"mine": True, "command": ARGV, "name": "python3.11"}, "/usr/bin/python3.11 train.py --token ***"),
        ({"mine": False, "command": ARGV, "name": "python3.11"}, "python3.11"),
        ({"mine": None, "command": ARGV, "name": "python3.11"}, "python3.11"),
        ({"mine": False, "command": ARGV}, "python3.11"),
        ({"mine": False, "command": (f"C:\\bin\\x.exe {CANARY}",)}, "x.exe"),
        ({"mine": False, "command": ()}, "NA"),
        ({"mine": True, "command": (), "name": "zombie"}, "zombie"),
        ({"mine": True, "command": ("", "")}, "NA"),
        ({"mine": True}, "NA"),
        ({"mine": False, "name": Missing(Why.ERROR, "permission denied")}, "NA"),
        ({"mine": True, "command": ("a", "b\n\tc  d", "")}, "a b c d"),
        ({"mine": False, "name": "ev\x1b[31mil\u202e\n"}, r"ev\x1b[31mil\u202e"),
    ],
)
def test_what_may_be_shown_of_a_process(fields, shown):
    """One's own command is redacted, another's is its program's name, and unknown is NA."""
    assert redact.command(process(**fields)) == shown


HARMFUL = {"Cc", "Cf", "Cs", "Zl", "Zp"}


@given(st.text(max_size=80))
def test_nothing_shown_moves_a_cursor_or_turns_the_text(s):
    """Text and commands come out on one line, without control and format characters, and encodable."""
    for shown in (redact.text(s), redact.command(process(mine=True, command=(s,))), redact.visible(s)):
        assert not {unicodedata.category(c) for c in shown} & HARMFUL
        shown.encode("utf-8")


def test_control_characters_are_written_as_escapes():
    """Line ends, escapes, reversing marks, halves of pairs and far planes are seen as what they are."""
    assert redact.visible("a\nb\r\t\x1b[0m\x85\u202e\u2066\udc80\U000e0001é漢") == (
        r"a\nb\r\t\x1b[0m\x85\u202e\u2066\udc80\U000e0001é漢"
    )


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("535 5.7.8 rejected: password=hunter2 try again", "535 5.7.8 rejected: password=*** try again"),
        ("cannot open https://u:p@host/x: refused", "cannot open https://***@host/x: refused"),
        ("NVML: Driver/library version mismatch", "NVML: Driver/library version mismatch"),
        ("config/gpu-watch.env:12: GPU_LIMIT: expected a whole number >= 0", None),
        ("MAX_ETIME(32400s) > LIMIT(21600s) :: GPU=0  MEM=2828MiB  PID=2943615  ETIME=09:00:00", None),
        ("/home/alice/.ssh/config line 3: Bad configuration option", None),
        ("bash: line 1: nvidia-smi: command not found", None),
    ],
)
def test_error_lines_lose_their_secrets_only(line, shown):
    """Free text is redacted by the same rules and otherwise left alone."""
    assert redact.text(line) == (line if shown is None else shown)


def test_redacted_text_is_not_redacted_again():
    """A line that was redacted once comes through a second time unchanged."""
    for form in FORMS:
        once = redact.text(" ".join(redact.arguments([part.format(CANARY, CANARY) for part in form])))
        assert redact.text(once) == once


def test_a_huge_argument_takes_no_time():
    """The work grows with the length: arguments as long as Linux allows are done in seconds."""
    parts = ["a", "token=", "'\"", "a:/", "--token ", "x=\\", "://a:", "mysql ", "eyJ", "a_"]
    began = time.monotonic()
    for part in parts:
        redact.text(part * (131_072 // len(part)))
    assert time.monotonic() - began < 8.0 * slowness()
