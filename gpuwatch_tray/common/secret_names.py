"""Which names announce a secret (of options, variables, headers, fields), and which values cannot be one."""

from __future__ import annotations

import re
import unicodedata
from enum import IntEnum

from gpuwatch_tray.common.late_pattern import late_pattern

REDACTED = "***"


class Secrecy(IntEnum):
    """What a name says about the value that goes with it."""

    NONE = 0
    IF_RANDOM = 1  # a secret where it looks like a password: `--key`, `--reward-token`
    IF_WORD = 2  # as the next, and no port or process either: `-p` behind a user's name
    IF_TEXT = 3  # a secret, unless it is a number, a path or a placeholder: `--pass`, `PWD`
    ALWAYS = 4


def words_of(listed: str) -> frozenset[str]:
    """Return the words of a list that blanks separate."""
    return frozenset(listed.split())


_NAME_WORDS = late_pattern(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
# Anywhere in a name, however it is joined: `PGPASSWORD`, `mypasswd`, `clientsecret`.
_UNMISTAKABLE = late_pattern(
    r"password|passwd|passphrase|passwort|kennwort|api_?key|secret_?key|access_?key|private_?key|auth_?key"
    r"|account_?key|auth_?token|access_?token|api_?token|client_?secret|credential|bearer|webhook|sonar_?login"
)
_ALWAYS = words_of(
    """
    secret secrets pw psw pswd pword passw psk passcode passin passout jwt cookie authorization
    otp totp creds cred mnemonic masterauth requirepass hmac passkey passwd pass_phrase haslo contrasena
    motdepasse senha passe wachtwoord losenord salasana parola
    """
)
_IF_TEXT = words_of("auth pwd cookies credentials")  # of the last two mostly the path of a file
_IF_RANDOM = words_of("signature sig mdp pat session sid sessionid license age serial")
# The Russian one also with the ASCII letters that redact.py puts in place of their likes.
_IN_OTHER_LANGUAGES = late_pattern(
    "密码|密碼|口令|密钥|令牌|\u043f[\u0430a][\u0440p][\u043eo]\u043b\u044c|パスワード|비밀번호"
)
_GLUED_ENDS = ("token", "secret", "pass", "pwd")  # `hftoken`, `smtppass`
# At the end of a name, and after one of these only.
_LAST = {"pin": words_of("user sim card device") | {""}, "phrase": words_of("seed recovery secret pass")}
_GLUED_INNOCENT = words_of(
    """
    bypass compass encompass trespass surpass overpass underpass lowpass highpass bandpass subtoken
    multitoken
    """
)
_OWNERS = words_of(
    """
    api auth access hf hub github gitlab git wandb bearer secret private user client bot service refresh
    id my slack telegram discord openai anthropic replicate comet neptune kaggle ngrok vault npm pypi
    docker registry csrf xsrf oauth jupyter notebook web login admin db root smtp mail email ftp http
    https proxy ssh sudo become mysql pg postgres redis mongo ldap vpn wifi bind encryption signing
    master account storage license azure aws gcp google hugging face huggingface twilio sendgrid stripe
    cluster join deploy personal session provider sftp ftps webdav imap pop smb samba rdp vnc ipmi bmc
    keystore truststore cert pfx zip pdf crypt sql mssql oracle mariadb rabbitmq amqp mqtt kafka
    elasticsearch minio sa database unlock wallet app connection security
    """
)
# After the word: it is about the secret, not the secret itself.
_ABOUT = words_of(
    """
    id ids type types size sizes len length dim dims count num limit budget dropout rate ratio prob
    weight weights mode method env file path dir name names stdin prompt timeout ttl expiry expires
    format version index url uri embedding embeddings embed embeds pos position positions level loss acc
    accuracy mixing merging merge pruning reduction storage column columns field fields cache backend
    plugin provider policy strategy threshold shift per step steps batch frequency freq classification
    parallel rotation dist distance length hash hashing helper helpers strength
    model models scheme algorithm algo store
    """
)
# First in a name: it is about whether, and nothing that follows is the secret (`--no-password mydb`).
_WHETHER = words_of("no ask prompt without disable skip keep check verify")
# Before the word: tokens and passes of models and programs ...
_OF_A_MODEL = words_of(
    """
    pad eos bos unk sep cls mask stop special max min num n image img video audio vision visual speech
    new class placeholder initializer start end begin trigger concept first last next prev each per eot
    eod eom bpe text input output target prompt system think instance prefix suffix separator delimiter
    no total two single one multi second forward backward render depth coarse fine
    """
)
# ... and keys of tables and data.
_OF_DATA = words_of(
    """
    source label labels sort group data dataset column field primary foreign partition hot public query
    metric monitor caption join index feature features batch question answer response json dict score
    reward state action obs seed rng random prng shuffle map lookup id row value cache cam target input
    output text image video audio prompt class time
    """
)
_UNSEEN_IN_NAMES = dict.fromkeys(map(ord, "\u00ad\u200b\u200c\u200d\u200e\u200f\u2060\ufeff"))


def secrecy(name: str) -> Secrecy:
    """
    Tell what `name` (of an option, a variable, a field) says about its value.

    Names are judged by their words, not by letters: machine learning has token, key and pass in harmless
    names (`--max-tokens`, `--pad-token`, `--sort-key`, `--num-passes`).
    """
    name = name.translate(_UNSEEN_IN_NAMES)
    if not name.isascii():
        if _IN_OTHER_LANGUAGES.search(name):
            return Secrecy.ALWAYS
        name = unicodedata.normalize("NFKD", name)
        name = "".join(letter for letter in name if not unicodedata.combining(letter))
    words = [word.lower() for word in _NAME_WORDS.findall(name)]
    if not words or (words[0] in _WHETHER and len(words) > 1):
        return Secrecy.NONE
    for joined in ("_".join(words), "".join(words)):
        if found := _UNMISTAKABLE.search(joined):
            if words[-1] in _ABOUT and words[-2:] not in (["key", "id"], ["webhook", "url"]):
                return Secrecy.NONE
            last = found.end() >= len(joined) - 1 or words[-2:] == ["key", "id"]  # a plural too
            return Secrecy.ALWAYS if last and words[-1] != "credentials" else Secrecy.IF_TEXT
    return max(_word_secrecy(name, words, at) for at in range(len(words)))


def _word_secrecy(name: str, words: list[str], at: int) -> Secrecy:
    word = words[at]
    before = words[at - 1] if at else ""
    after = words[at + 1] if at + 1 < len(words) else ""
    if word in {"session", "secret"} and after == "id":
        return Secrecy.IF_RANDOM
    if after in _ABOUT or before in _OF_A_MODEL:
        return Secrecy.NONE
    if word in {"tokens", "keys"}:
        alone = Secrecy.NONE if before or after else Secrecy.IF_RANDOM
        return Secrecy.ALWAYS if before in _OWNERS else alone
    if (owners := _LAST.get(word)) is not None:
        return Secrecy.ALWAYS if before in owners and not after else Secrecy.NONE
    if word in {"key", "pass"}:
        if after or (word == "key" and before in _OF_DATA):
            return Secrecy.NONE
        of_somebody = before in _OWNERS or (word == "pass" and (not before or name.isupper()))
        return Secrecy.IF_TEXT if of_somebody else Secrecy.IF_RANDOM
    found = Secrecy.NONE
    of_somebody = not before or before in _OWNERS or name.lower().endswith(".token")  # `NotebookApp.token`
    if word in _ALWAYS or (word == "token" and of_somebody):
        found = Secrecy.ALWAYS
    elif word in _IF_TEXT or _is_glued(word):
        found = Secrecy.IF_TEXT
    elif word in _IF_RANDOM or word == "token":
        found = Secrecy.IF_RANDOM
    return min(found, Secrecy.IF_RANDOM) if after else found


def _is_glued(word: str) -> bool:
    stem = next((word.removesuffix(end) for end in _GLUED_ENDS if word.endswith(end)), "")
    return bool(stem) and word not in _GLUED_INNOCENT and stem not in _OF_A_MODEL


_HARMLESS = frozenset({"", REDACTED}) | words_of(
    """
    true false none null yes no on off ro rw empty enabled disabled required optional missing unset set
    unknown invalid expired valid incorrect wrong hidden redacted masked undefined nil prompt ask stdin
    keyring sha1 sha256 sha384 sha512 md5 hs256 rs256 es256 ed25519
    ok success succeeded failed failure granted denied accepted rejected
    """
)
# Not the secret, whatever the name: where it is (`-passin file:/etc/pw`, `--secret id=hf,src=hf.txt`), a
# variable of a shell, the type of a Python argument.
_ELSEWHERE = late_pattern(
    # a command that reads it (`--password-command "cat /run/pw"`), a key's file
    r"(?:cat|head|pass|gpg2?|op|bw|lpass|vault|sops|age|secret-tool|keyring)(?=[^\n]{0,200}[/-])"
    r"(?: [\w./~@:-]{1,256}){1,20}"
    r"|(?:~|\.{1,2})?/[\w./-]{1,256}(?:\.(?:pem|key|ppk|p12|pfx|json|txt)|/id_(?:rsa|ecdsa|ed25519))|"
    r"(?:file|env|fd):[\w./-]+|(?:type|id|src|source|target)=[\w./-]+(?:,[a-z]+=[\w./-]+)*+"
    r"|(?:(?i:bearer|token) )?\$\{?[A-Z]+(?:_[A-Z0-9]+)+\}?|(?:str|bytes|int|bool|float)[,)]?"
)
_PLAIN_VALUE = late_pattern(
    r"(?:Apache|A?L?GPL|BSD|MPL|CC)[\w.+-]{0,30}|"  # licences, which are no licence's key
    r"[-+]?\d{1,3}|[-+]?\d+[.eE][\d.eE+-]*|\d+(?:[:,x]\d+)+|\d+[kKMBGTmsh%]"  # numbers, ports, sizes
    r"|(?:\.{0,2}/|~|[A-Za-z]:[\\/]).*"  # paths
    r"|[a-z][a-z0-9+.-]{1,15}://[^\s@]*"
    r"|<[^<>]*>|\[[^\[\]]*\]|\W+|[A-Z][a-z ]{1,40}:"  # placeholders, and what a prompt says
    r"|[\w./-]*[\w-]\.[A-Za-z][A-Za-z0-9]{0,6}",  # files and hosts
    re.DOTALL,
)
_SMALL_NUMBER = late_pattern(r"[-+]?(?:\d{1,2}|\d{0,3}\.\d{1,9}(?:e-?\d{1,2})?|\d{1,3}e-\d{1,2})")
_IDENTIFIER = late_pattern(
    r"[a-z]+(?:[-_][a-z0-9.]+)+|[\w.]+(?:[-/][\w.]+){2,}|.*/.*|\w+\.\w+\(.*", re.DOTALL
)
# A product's key is none, however it is parted: `XK92-LMVX-TNRB-47WC`.
_PRODUCT_KEY = late_pattern(r"(?=[A-Z-]{0,40}\d)(?=[\d-]{0,40}[A-Z])[A-Z\d]{2,8}(?:-[A-Z\d]{4,8}){3,9}")
_CASE_CHANGE = late_pattern(r"[a-z][A-Z]")
_ODD = late_pattern(r"[\d!@#$%^&*+~?]")
_SHORTEST = 6  # characters of what looks like a password
_MANY_CHANGES = 2


def is_secret(value: str, level: Secrecy) -> bool:
    """Tell whether a value has to be hidden whose name says `level`: `use_auth_token=True` has not."""
    bare = value.strip("\"' ").rstrip(",;")
    if level is Secrecy.NONE or bare.lower() in _HARMLESS or _ELSEWHERE.fullmatch(bare):
        return False
    if level is Secrecy.ALWAYS:
        # `--pattern "token:*"`, `--pw 0.1`
        return any(map(str.isalnum, bare)) and _SMALL_NUMBER.fullmatch(bare) is None
    if _PLAIN_VALUE.fullmatch(bare):
        return False
    if level is Secrecy.IF_WORD:
        return not bare.isdecimal()
    return level is Secrecy.IF_TEXT or looks_like_password(bare)


def looks_like_password(value: str) -> bool:
    """Tell whether a word is no number, name, file or identifier, but letters mixed with digits or signs."""
    if len(value) < _SHORTEST or any(map(str.isspace, value)):
        return False
    if _PRODUCT_KEY.fullmatch(value):
        return True
    if _PLAIN_VALUE.fullmatch(value) or _IDENTIFIER.fullmatch(value):
        return False
    if not any(map(str.isalpha, value)):
        return False
    return _ODD.search(value) is not None or len(_CASE_CHANGE.findall(value)) >= _MANY_CHANGES
