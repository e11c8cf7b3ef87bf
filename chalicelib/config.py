"""The stage's settings: one frozen object, read once, so that a missing one stops the start and not a request."""

import os
from typing import Annotated, Literal

import msgspec
import phonenumbers
from msgspec import Meta


class Settings(msgspec.Struct, frozen=True, rename="upper"):
    """Each field is the environment variable of the same name in capitals."""

    table_name: Annotated[str, Meta(min_length=3, max_length=255)]
    """The DynamoDB table."""
    user_pool_arn: Annotated[
        str, Meta(pattern=r"^arn:aws(-us-gov|-cn|-eusc)?:cognito-idp:[a-z0-9-]+:[0-9]{12}:userpool/[A-Za-z0-9_-]+$")
    ]
    """The Cognito user pool; its ARN also tells the region and the issuer of the tokens."""
    web_client_id: Annotated[str, Meta(pattern=r"^[A-Za-z0-9]+$")]
    """The app client whose ID tokens open /tasks."""
    machine_client_ids: Annotated[str, Meta(pattern=r"^[A-Za-z0-9]*(,[A-Za-z0-9]+)*$")]
    """The app clients, with commas between them, whose tokens open /sms. None: nobody's."""
    web_origin: Annotated[str, Meta(pattern=r"^https?://[^/*]+$")]
    """The one origin that a browser may call from, such as https://app.example.com."""
    board_shards: Annotated[int, Meta(ge=1, le=64)]
    """Over how many index partitions the tasks of one status are spread. May only grow."""
    sms_countries: Annotated[str, Meta(pattern=r"^([A-Z]{2}(,[A-Z]{2})*)?$")]
    """The countries that texts may go to, such as DE,FR. None: nowhere."""
    sms_per_client_and_minute: Annotated[int, Meta(ge=0)]
    sms_per_number_and_hour: Annotated[int, Meta(ge=0)]
    sms_parts_per_day: Annotated[int, Meta(ge=0)]
    """The limits; a text of several parts counts so often towards the last one."""
    sms_max_parts: Annotated[int, Meta(ge=1, le=10)]
    """How many parts one text may take."""
    sms_sender_id: Annotated[str, Meta(pattern=r"^((?=[0-9]*[A-Za-z])[A-Za-z0-9]{1,11})?(?![\s\S])")]
    """Who an SMS message is from, where the country allows that: 1 to 11 letters and digits, at least one of them a letter.

    May be empty. The rule is that of the attribute DefaultSenderID (SNS API Reference, SetSMSAttributes).
    """
    sms_type: Literal["Transactional", "Promotional"]
    sms_max_price: Annotated[str, Meta(pattern=r"^[0-9]+(\.[0-9]+)?$")]
    """The most that one text may cost, in US dollars."""

    def __post_init__(self) -> None:
        """Refuse countries that no number can be of, such as UK, where GB is meant; raises ValueError."""
        unknown = set(filter(None, self.sms_countries.split(","))) - phonenumbers.SUPPORTED_REGIONS
        if unknown:
            message = (
                f"SMS_COUNTRIES has {', '.join(sorted(unknown))}, which no phone number belongs to (ISO 3166-1 alpha-2)"
            )
            raise ValueError(message)

    @property
    def region(self) -> str:
        """Such as eu-central-1."""
        return self.user_pool_arn.split(":")[3]

    @property
    def user_pool_id(self) -> str:
        """Such as eu-central-1_AbCdEfGhI."""
        return self.user_pool_arn.rpartition("/")[2]

    @property
    def issuers(self) -> tuple[str, str]:
        """What the `iss` of the pool's tokens may be: the original issuer, or the updated one where the pool is set to that.

        Amazon Cognito Developer Guide, "Verifying JSON web tokens" and "Multi-Region replication".
        """
        path = f"{self.region}.amazonaws.com/{self.user_pool_id}"
        return f"https://cognito-idp.{path}", f"https://issuer-cognito-idp.{path}"


def read() -> Settings:
    """Return the settings of this process; raises RuntimeError naming the one that is missing or wrong."""
    try:
        return msgspec.convert(dict(os.environ), Settings, strict=False)
    except msgspec.ValidationError as error:
        message = (
            f"A setting of the stage is missing or wrong: {error}. Settings are environment variables of the function: "
            "environment_variables in .chalice/config.json, and what the merge template or the stage's stack adds to them."
        )
        raise RuntimeError(message) from error


settings = read()
