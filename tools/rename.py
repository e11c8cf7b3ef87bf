"""Gives the project another name in every tracked file: `make rename NAME=orders-api`."""

import re
import subprocess
import sys

from tools.errors import CommandError
from tools.stages import ROOT, app_name

_MAX_LENGTH = 24
"""The longest name is the prefix of an IAM role in Terraform, `NAME-gateway-logs-`.

Terraform's provider takes 38 characters there: the 64 of IAM less the 26 that it adds. The Lambda function
`NAME-staging-user_authorizer` (64 characters) would allow 40, the domain prefix `NAME-staging` (63) 55.
"""
_RESERVED = (
    "amazon",
    "aws",
    "cognito",
)  # in a prefix domain (Amazon Cognito Developer Guide, "Configuring a user pool domain")


def rename(name: str) -> None:
    """Replace the name of the project in every tracked file, generate what follows from it, and print what changed.

    Raises CommandError for a name that AWS would reject and for a working tree with changes; then nothing is changed.
    """
    old = app_name()
    _require_valid(name, old)
    if _git("status", "--porcelain"):
        message = (
            "The working tree has changes: commit or stash them first, so that `git diff` shows what the new name changes."
        )
        raise CommandError(message)
    spellings = dict(zip(_spellings(old), _spellings(name), strict=True))
    pattern = re.compile(rf"(?<![A-Za-z0-9])({'|'.join(map(re.escape, spellings))})(?![A-Za-z0-9])")
    total = 0
    for file in _git("ls-files", "-z").split("\0"):
        path = ROOT / file
        try:
            text = path.read_bytes().decode()
        except (UnicodeDecodeError, OSError):  # an image, or no file
            continue
        text, count = pattern.subn(lambda match: spellings[match[1]], text)
        if count:
            path.write_bytes(text.encode())
            print(f"{count:4} {file}")
            total += count
    for module in (["tools", "generate"], ["ruff", "format", "--quiet"]):  # lines may be longer or shorter now
        subprocess.run([sys.executable, "-m", *module], cwd=ROOT, check=True)  # noqa: S603 - our own words
    changed = len(_git("diff", "--name-only").splitlines())
    print(f"{old} is {name} now: {total} places, {changed} files with the generated ones. Review: git diff. Next: make test")


def _require_valid(name: str, old: str) -> None:
    """Raise CommandError for a name that AWS would reject, or if the old name cannot be told from other text."""
    wrong = ""
    if not re.fullmatch(r"[a-z]([a-z0-9]|-(?!-))*(?<!-)", name):
        wrong = "must have lower-case letters, digits and single hyphens only, start with a letter and not end with a hyphen"
    elif len(name) > _MAX_LENGTH:
        wrong = f"is too long: {len(name)} characters, at most {_MAX_LENGTH}"
    elif any(word in name for word in _RESERVED):
        wrong = f"must not contain {', '.join(_RESERVED)}, which Cognito reserves in the address of the sign-in pages"
    elif name == old:
        wrong = "is the name already"
    elif "-" not in old:
        wrong = f"cannot replace {old}, which other text may contain as a word: replace it by hand"
    if wrong:
        message = f"The name {name!r} {wrong}."
        raise CommandError(message)


def _spellings(name: str) -> tuple[str, str, str, str]:
    """Return the spellings of a name: task-api, task_api, task API, Task API."""
    words = " ".join("API" if word == "api" else word for word in name.split("-"))
    return name, name.replace("-", "_"), words, words[0].upper() + words[1:]


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, check=False, text=True)  # noqa: S603, S607 - git
    if done.returncode:
        message = f"git fails here, and without it nothing shows what a new name changes: {done.stderr.strip()}"
        raise CommandError(message)
    return done.stdout
