"""Which AWS this process talks to: the one on this machine, and no other."""

import json
import os
import shlex
import sys
import urllib.request
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError

ROOT = Path(__file__).resolve().parent.parent
HOME = Path(os.environ.get("LOCAL_HOME") or ROOT / ".local").resolve()
HOST = "127.0.0.1"
STAGE = "local"
CONFIG = ROOT / ".chalice" / "config.json"

_RUNNING = HOME / "running.json"


class LocalError(Exception):
    """Something that a person has to know: one line, with what to do next."""


def missing(package: str) -> str:
    """Return what to say where a package is not installed."""
    return (
        f"{package} is not installed for {sys.executable}. Start with `make run`, or install it here: "
        f"{sys.executable} -m pip install --no-deps -r requirements-dev.txt"
    )


def python() -> str:
    """Return how another terminal, in the folder of this checkout, starts this Python with this LOCAL_HOME."""
    path = Path(sys.executable)
    home = os.environ.get("LOCAL_HOME")
    before = f"LOCAL_HOME={shlex.quote(home)} " if home else ""
    return before + shlex.quote(str(path.relative_to(ROOT) if path.is_relative_to(ROOT) else path))


def port(name: str, text: str) -> int:
    """Return the port that a text names, for the setting of this name; raises LocalError."""
    if not (text.isascii() and text.isdecimal() and 0 < int(text) < 2**16):
        message = f"{name}={text} is not a port; take a number from 1 to 65535."
        raise LocalError(message)
    return int(text)


def choose(aws_port: int) -> dict[str, str]:
    """Return the variables that lead boto3 to the AWS behind that port of this machine, once they are set here."""
    direct = ",".join([HOST, "localhost", *filter(None, [os.environ.get("NO_PROXY") or os.environ.get("no_proxy")])])
    variables = {
        "AWS_ENDPOINT_URL": f"http://{HOST}:{aws_port}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "NO_PROXY": direct,
        "no_proxy": direct,  # urllib takes this one first
    }
    use(variables)
    return variables


def announce(variables: dict[str, str]) -> None:
    """Set the variables here and let other terminals find them."""
    use(variables)
    written = _RUNNING.with_suffix(".new")
    written.write_text(json.dumps(variables, indent=1))
    written.replace(_RUNNING)


def leave() -> None:
    """Tell other terminals that it is over."""
    _RUNNING.unlink(missing_ok=True)


def announced() -> dict[str, str]:
    """Return the variables that a server has announced; none where none has."""
    try:
        found = json.loads(_RUNNING.read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def stages() -> list[str]:
    """Return the stages on AWS."""
    return [name for name in _config()["stages"] if name != STAGE]


def stage_config(stage: str) -> dict[str, Any]:
    """Return what .chalice/config.json says of a stage, with the environment variables that all stages share."""
    config = _config()
    own: dict[str, Any] = config["stages"][stage]
    return own | {"environment_variables": config["environment_variables"] | own["environment_variables"]}


def variables(stage: str) -> dict[str, str]:
    """Return the environment variables of a stage in .chalice/config.json."""
    found: dict[str, str] = stage_config(stage)["environment_variables"]
    return found


def placeholders() -> dict[str, str]:
    """Return values for the settings that only deployed resources know, where nothing of AWS is called."""
    name = "SetByTheMergeTemplate"
    pool = f"arn:aws:cognito-idp:us-east-1:000000000000:userpool/us-east-1_{name}"
    return {"TABLE_NAME": name, "USER_POOL_ARN": pool, "WEB_CLIENT_ID": name, "MACHINE_CLIENT_IDS": ""}


def use_none() -> None:
    """Let nothing here depend on who is signed in to AWS, nor on a file of settings: what is written is good for all."""
    nothing = {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull}
    use(nothing | {"AWS_DEFAULT_REGION": "us-east-1"})  # boto3 and Chalice ask for one


def describe(stage: str) -> None:
    """Set settings with which the app can be imported, where nothing of AWS is called."""
    os.environ.update(variables(stage) | placeholders())


def require_stage(stage: str, *, on_aws: bool = True) -> None:
    """Raise LocalError for what is no stage, or none on AWS where one is needed."""
    known = stages() if on_aws else [STAGE, *stages()]
    if stage not in known:
        message = f"{stage} is not a stage{' on AWS' * on_aws}; take one of {', '.join(known)} (.chalice/config.json)."
        raise LocalError(message)


def require_region() -> None:
    """Raise LocalError where nobody has said to which region of AWS to go."""
    import boto3  # noqa: PLC0415 - what needs no AWS should say so itself where boto3 is missing

    try:
        region = boto3.Session().region_name
    except BotoCoreError as error:
        message = f"{error}. Name a profile that is there, or none: unset AWS_PROFILE"
        raise LocalError(message) from error
    if not region:
        message = "No region of AWS is set. Set one, such as: export AWS_DEFAULT_REGION=eu-central-1"
        raise LocalError(message)


def shell(variables: dict[str, str]) -> str:
    """Return the lines that set the variables in a shell."""
    forget = "for name in $(env | sed -n 's/^\\(AWS_[A-Z0-9_]*\\)=.*/\\1/p'); do unset $name; done"
    return "\n".join([forget, *(f"export {name}={shlex.quote(value)}" for name, value in variables.items())])


def answers(url: str | urllib.request.Request) -> bytes:
    """Return what a server of this machine answers; raises OSError."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=20) as answer:  # nobody there is known at once
        body: bytes = answer.read()
    return body


def _config() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(CONFIG.read_text())
    return found


def use(variables: dict[str, str]) -> None:
    """Set these variables here, and no other that leads to AWS: a profile, a token or an endpoint would lead elsewhere."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]
    os.environ.update(variables)
