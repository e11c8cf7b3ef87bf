"""Clients of AWS, as `boto3.client` returns them, without what makes boto3 slow to start and slow to call.

boto3 adds to botocore what this app does not use (resources, transfers to S3), and imports it always: 100 of 160 ms. So the
modules that call AWS use this module in the place of boto3. They name it `boto3`, because Chalice's analyzer finds the calls
for the IAM policies by that name, and mypy the types.

docs/decisions/0010-lean-client.md has what each of the steps below saves.
"""

import os
from functools import cache
from pathlib import Path
from typing import Any

import botocore
import botocore.session
import msgspec
from botocore.config import Config
from botocore.exceptions import UnknownServiceError
from botocore.loaders import Loader
from botocore.parsers import JSONParser, ResponseParserFactory

_DATA = Path(__file__).with_name("static") / "aws.json"
_FULL_DATA = ("data_path", "use_fips_endpoint", "use_dualstack_endpoint")
"""Settings of the SDK with which all of its data is needed."""


def client(service: str, *, region_name: str, config: Config | None = None) -> Any:
    """Return a client of a service."""
    return _session().create_client(service, region_name, config=config)


@cache
def _session() -> botocore.session.Session:
    session = botocore.session.get_session()
    data = _data()
    if data and not any(session.get_config_variable(name) for name in _FULL_DATA):
        session.register_component("data_loader", _SlimLoader(data))
    session.register_component("response_parser_factory", _ParserFactory())
    defaults = Config(
        user_agent=session.user_agent(),  # else made anew for each call
        parameter_validation="AWS_LAMBDA_FUNCTION_NAME" not in os.environ,  # on in the tests, which make every call
        account_id_endpoint_mode="disabled",  # else looked up in the credentials for each call
    )
    session.set_default_client_config(defaults)
    return session


def _data() -> dict[str, Any]:
    """Return the data that `make generate` takes from botocore; nothing if it is of another version, or not there."""
    if not _DATA.exists():
        return {}
    data: dict[str, Any] = msgspec.json.decode(_DATA.read_bytes())
    return data if data["botocore"] == botocore.__version__ else {}


class _SlimLoader(Loader):
    """Loads the data of the operations that this app uses, and all else as botocore does."""

    def __init__(self, data: dict[str, Any]) -> None:
        super().__init__()
        self._slim = data

    def load_service_model(self, service_name: str, type_name: str, api_version: str | None = None) -> Any:
        """Return the model of a service; raises UnknownServiceError for its endpoint rules.

        Without rules, botocore takes the endpoint from the list of the partitions, once and not in each call.
        """
        if service_name not in self._slim["services"] or type_name not in {"service-2", "endpoint-rule-set-1"}:
            return super().load_service_model(service_name, type_name, api_version)
        if type_name == "endpoint-rule-set-1":
            raise UnknownServiceError(service_name=service_name, known_service_names="")
        return self._slim["services"][service_name]

    def load_data_with_path(self, name: str) -> Any:
        """Return data that is not of one service, and the path of its file."""
        if name in self._slim["files"]:
            return self._slim["files"][name], str(Path(self.BUILTIN_DATA_PATH) / name)
        return super().load_data_with_path(name)


class _ParserFactory(ResponseParserFactory):
    """Returns one parser for all responses of the protocol of DynamoDB."""

    def __init__(self) -> None:
        super().__init__()
        self._json = _JSONParser()

    def create_parser(self, protocol_name: str) -> Any:
        """Return a parser for a response."""
        return self._json if protocol_name == "json" else super().create_parser(protocol_name)


class _JSONParser(JSONParser):
    """Reads JSON with msgspec, and as botocore does what msgspec refuses, such as a page of HTML."""

    def _parse_body_as_json(self, body_contents: bytes) -> Any:
        try:
            return msgspec.json.decode(body_contents)
        except ValueError:
            return super()._parse_body_as_json(body_contents)  # type: ignore[misc]
