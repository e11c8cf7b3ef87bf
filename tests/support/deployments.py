"""The ways from this checkout to an API on AWS, each as its users would go it."""

import json
from pathlib import Path
from typing import Any

from tests.support.aws import Aws, Checkout, Deployed
from tests.support.terraform import Module, plugins

SETTINGS = {
    "TableName": "TABLE_NAME",
    "UserPoolArn": "USER_POOL_ARN",
    "WebClientId": "WEB_CLIENT_ID",
    "MachineClientId": "MACHINE_CLIENT_IDS",
}


def package(folder: Path, aws: Aws) -> tuple[Checkout, Deployed]:
    """`make package`, then what `aws cloudformation package` and `deploy` do."""
    checkout = Checkout(folder, aws, "prod")
    checkout.local("package")
    built = checkout.folder / "dist" / "prod"
    s3 = aws.client("s3")
    s3.create_bucket(Bucket="handed-over")
    s3.upload_file(str(built / "deployment.zip"), "handed-over", "deployment.zip")
    template = json.loads((built / "template.json").read_text())
    for function in ("APIHandler", "UserAuthorizer"):
        template["Resources"][function]["Properties"]["CodeUri"] = "s3://handed-over/deployment.zip"
    s3.put_object(Bucket="handed-over", Key="template.json", Body=json.dumps(template))
    cloudformation = aws.client("cloudformation")
    topic = aws.client("sns").create_topic(Name="alarms")["TopicArn"]
    chosen = {"GatewayLogsRole": "true", "AlarmTopicArn": topic, "Dashboard": "true"}
    cloudformation.create_change_set(
        StackName="tasks",
        ChangeSetName="first",
        ChangeSetType="CREATE",
        TemplateURL=f"{aws.url}/handed-over/template.json",
        Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
        Parameters=[{"ParameterKey": name, "ParameterValue": value} for name, value in chosen.items()],
    )
    patience = {"Delay": 1, "MaxAttempts": 300}
    change_set = {"StackName": "tasks", "ChangeSetName": "first"}
    cloudformation.get_waiter("change_set_create_complete").wait(**change_set, WaiterConfig=patience)
    cloudformation.execute_change_set(**change_set)
    cloudformation.get_waiter("stack_create_complete").wait(StackName="tasks", WaiterConfig=patience)
    outputs = {
        output["OutputKey"]: output["OutputValue"]
        for output in cloudformation.describe_stacks(StackName="tasks")["Stacks"][0]["Outputs"]
    }
    settings = {setting: outputs[name] for name, setting in SETTINGS.items()}
    return checkout, Deployed(aws, outputs["RestAPIId"], "prod", settings)


def deploy(folder: Path, aws: Aws) -> tuple[Checkout, Deployed]:
    """`make deploy`."""
    checkout = Checkout(folder, aws, "dev")
    checkout.local("deploy")
    return checkout, found(checkout, aws)


def found(checkout: Checkout, aws: Aws) -> Deployed:
    """Return what `make deploy` has left behind."""
    state: Any = json.loads((checkout.folder / ".chalice" / "deployed" / "dev.json").read_text())
    (api,) = [resource for resource in state["resources"] if resource["resource_type"] == "rest_api"]
    (stack,) = aws.client("cloudformation").describe_stacks(StackName="task-api-dev")["Stacks"]
    outputs = {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}
    return Deployed(aws, api["rest_api_id"], "dev", {setting: outputs[name] for name, setting in SETTINGS.items()})


def terraform(folder: Path, aws: Aws) -> tuple[Checkout, Deployed]:
    """`make package-terraform`, then what a team does with the module."""
    plugins()  # without which nothing needs to be packaged
    checkout = Checkout(folder, aws, "prod")
    checkout.local("package-terraform")
    module = Module(checkout.folder / "dist" / "prod-terraform", aws)
    module.choose(gateway_logs_role=True)
    module.apply()
    return checkout, module.deployed()


WAYS = {"package": package, "deploy": deploy, "terraform": terraform}
