"""Checks the settings of a stage that become parameters of the template, before anything is packaged or deployed."""

import re
from collections.abc import Iterator
from difflib import get_close_matches
from typing import Any

from tools.deploy import template
from tools.errors import CommandError
from tools.stages import DOMAIN, environment_variables, stage_config, template_parameters

_SET_ELSEWHERE = {"Stage": "the name of the stage", "WebOrigin": "WEB_ORIGIN under environment_variables"}


def require_valid(stage: str) -> None:
    """Raise CommandError with every parameter that the template lacks or rejects, and for an incomplete domain."""
    known = template.merge()["Parameters"]
    mistakes = sorted({*_find_wrong_names(stage, known), *_find_wrong_values(stage, known)})
    if mistakes:
        message = "\n".join([f"Stage {stage} in .chalice/config.json has mistakes. Correct these:", *mistakes])
        raise CommandError(message)


def _find_wrong_names(stage: str, known: dict[str, Any]) -> Iterator[str]:
    config = stage_config(stage)
    domain = config.get("api_gateway_custom_domain") or {}
    for name in {"domain_name", "certificate_arn"} - domain.keys() if domain else ():
        yield f"api_gateway_custom_domain has no {name}."
    for name in domain.keys() - {*DOMAIN, "tls_version", "tags"}:
        yield f"api_gateway_custom_domain has {name}, which is none of its members."
    for name, value in config["parameters"].items():
        if name in _SET_ELSEWHERE:
            yield f"{name} is no parameter to set here: {_SET_ELSEWHERE[name]} sets it."
        elif name not in known:
            near = "".join(f" Did you mean {other}?" for other in get_close_matches(name, known, 1))
            yield f"There is no parameter {name}.{near}"
        elif value and domain and name in DOMAIN.values():
            yield f"{name} is in api_gateway_custom_domain already."


def _find_wrong_values(stage: str, known: dict[str, Any]) -> Iterator[str]:
    values: dict[str, Any] = template_parameters(stage) | {"WebOrigin": environment_variables(stage)["WEB_ORIGIN"]}
    for name, value in values.items():
        rules = known.get(name, {"Type": "String"})
        if not isinstance(value, str):
            yield f"{name} is {value!r}; it must be a string, a number, true or false."
            continue
        for part in value.split(",") if rules["Type"] == "CommaDelimitedList" else [value]:
            wanted = _rule_against(part, rules)
            if wanted:
                yield " ".join([f"{name} is {part!r}; it must be {wanted}.", rules.get("Description", "")]).strip()


def _rule_against(value: str, rules: dict[str, Any]) -> str:
    """Return the rule of a parameter that a value breaks; empty if it breaks none."""
    is_number = rules["Type"] == "Number"
    if is_number and not re.fullmatch(r"-?[0-9]+(\.[0-9]+)?", value):
        return "a number"
    if is_number and "MinValue" in rules and float(value) < float(rules["MinValue"]):
        return f"{rules['MinValue']} or more"
    allowed = [str(one).lower() if isinstance(one, bool) else str(one) for one in rules.get("AllowedValues", [])]
    if allowed and value not in allowed and not (is_number and float(value) in map(float, allowed)):
        return f"one of {', '.join(allowed)}"
    try:
        fits = re.fullmatch(rules.get("AllowedPattern", "(?s:.*)"), value)
    except re.error:  # a pattern of Java, which CloudFormation checks itself
        return ""
    return "" if fits else f"of the form {rules['AllowedPattern']}"
