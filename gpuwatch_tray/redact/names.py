"""Which names announce a secret."""

from __future__ import annotations

import re


def _words(listed: str) -> frozenset[str]:
    return frozenset(listed.split())


_NAME_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")

# Anywhere in a name, however it is joined: `PGPASSWORD`, `mypasswd`, `clientsecret`.
_UNMISTAKABLE = re.compile(
    r"password|passwd|passphrase|passwort|kennwort|api_?key|secret_?key|access_?key|private_?key|auth_?key"
    r"|account_?key|auth_?token|access_?token|api_?token|client_?secret|credential|bearer|webhook"
)
# One word of a name.
_SECRET = _words(
    """
    secret secrets token pw pwd passcode passin passout jwt cookie cookies auth authorization
    signature sig otp totp pat creds cred
    """
)
# One word, at the name's end only: `--key x`, but not `--key-size`; `--pass x`, but not `--pass-rate`.
_SECRET_LAST = frozenset({"key", "pass"})
_GLUED_ENDS = ("token", "secret", "pass", "pwd")  # `hftoken`, `smtppass`
_GLUED_INNOCENT = _words("bypass compass lowpass highpass bandpass subtoken multitoken")
_PLURALS = frozenset({"tokens", "keys"})
_OWNERS = _words("api auth access hf hub github gitlab wandb bearer secret private user client")

# After the word: it is about the secret, not the secret itself.
_ABOUT = _words(
    """
    id ids type types size len length dim dims count num limit budget dropout rate ratio prob weight weights
    mode method env file path dir name stdin prompt timeout ttl expiry expires format version index
    embedding embeddings embed embeds pos position positions level loss acc accuracy mixing merging merge
    pruning reduction storage column field cache backend plugin provider policy strategy threshold shift per
    step steps batch frequency freq classification parallel
    """
)
# Before the word: tokens and passes of models and programs ...
_OF_A_MODEL = _words(
    """
    pad eos bos unk sep cls mask stop special max min num n image img video audio vision speech new class
    placeholder initializer start end begin trigger concept first last next prev each per eot eod eom bpe
    text input output target prompt system think instance prefix suffix separator delimiter no total
    two single one multi second forward backward
    """
)
# ... and keys of tables and data.
_OF_DATA = _words(
    """
    source label labels sort group data dataset column field primary foreign partition hot public query metric
    monitor caption join index feature features batch question answer response json dict score reward state
    action obs seed rng random prng shuffle map lookup id row value
    """
)


def names_secret(name: str) -> bool:
    """
    Tell whether the value that goes with `name` (of an option, a variable, a field) has to be hidden.

    Names are judged by their words, not by letters: machine learning has token, key and pass in harmless
    names (`--max-tokens`, `--pad-token`, `--sort-key`, `--num-passes`).
    """
    if name in {"PWD", "OLDPWD"}:  # the shell's working folder
        return False
    words = [word.lower() for word in _NAME_WORDS.findall(name)]
    if not words:
        return False
    is_about = words[-1] in _ABOUT
    if _UNMISTAKABLE.search("_".join(words)) or _UNMISTAKABLE.search("".join(words)):
        return not is_about or words[-2:] == ["key", "id"]
    return any(_is_secret_word(words, at) for at in range(len(words)))


def _is_secret_word(words: list[str], at: int) -> bool:
    word = words[at]
    before = words[at - 1] if at else ""
    after = words[at + 1] if at + 1 < len(words) else ""
    if after in _ABOUT or before in _OF_A_MODEL:
        return False
    if word in _SECRET:
        return True
    if word in _SECRET_LAST:
        return not after and before not in _OF_DATA
    if word in _PLURALS:
        return before in _OWNERS
    stem = next((word.removesuffix(end) for end in _GLUED_ENDS if word.endswith(end)), "")
    return bool(stem) and word not in _GLUED_INNOCENT and stem not in _OF_A_MODEL
