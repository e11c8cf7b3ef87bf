"""The deployments of this checkout to AWS, each with the commands of its users."""

import json
from pathlib import Path
from typing import Any

from tests.support.emulator import SETTINGS, Checkout, Deployed, Emulator
from tests.support.terraform import Module, plugin_folder
from tools.local import rehearse_aws


def package(folder: Path, emulator: Emulator) -> tuple[Checkout, Deployed]:
    """Run `make package`, then do the same as `aws cloudformation package` and `deploy`."""
    checkout = Checkout(folder, emulator, "prod")
    checkout.tools("package")
    built = checkout.folder / "dist" / "prod"
    template = rehearse_aws.upload(emulator.client("s3"), built)
    topic = emulator.client("sns").create_topic(Name="alarms")["TopicArn"]
    parameters = {"GatewayLogsRole": "true", "AlarmTopicArn": topic, "Dashboard": "true"}
    outputs = emulator.change_stack(
        "tasks",
        "first",
        "create",
        TemplateURL=f"{emulator.url}/{template}",
        Capabilities=rehearse_aws.CAPABILITIES,
        Parameters=[{"ParameterKey": name, "ParameterValue": value} for name, value in parameters.items()],
    )
    return checkout, Deployed(emulator, outputs["RestAPIId"], "prod", _settings(outputs))


def deploy(folder: Path, emulator: Emulator) -> tuple[Checkout, Deployed]:
    """Run `make deploy`."""
    checkout = Checkout(folder, emulator, "dev")
    checkout.tools("deploy")
    return checkout, deployed(checkout)


def deployed(checkout: Checkout) -> Deployed:
    """Return the API that `make deploy` or `chalice deploy` has deployed."""
    state: Any = json.loads((checkout.folder / ".chalice" / "deployed" / "dev.json").read_text())
    (api,) = [resource for resource in state["resources"] if resource["resource_type"] == "rest_api"]
    settings = _settings(checkout.emulator.outputs("task-api-dev"))
    return Deployed(checkout.emulator, api["rest_api_id"], "dev", settings)


def _settings(outputs: dict[str, str]) -> dict[str, str]:
    return {setting: outputs[name] for name, setting in SETTINGS.items()}


def terraform(folder: Path, emulator: Emulator) -> tuple[Checkout, Deployed]:
    """Run `make package-terraform`, then apply the module."""
    plugin_folder()  # skips the test early without Terraform
    checkout = Checkout(folder, emulator, "prod")
    checkout.tools("package-terraform")
    module = Module(checkout.folder / "dist" / "prod-terraform", emulator)
    module.set_variables(gateway_logs_role=True)
    module.apply()
    return checkout, module.deployed()


DEPLOYMENTS = {"package": package, "deploy": deploy, "terraform": terraform}
