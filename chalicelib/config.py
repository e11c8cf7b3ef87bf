"""The stage's settings: one frozen object, read at import, so that a missing setting fails the deployment, not a request."""

import os
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

COUNTRIES = """
AC AD AE AF AG AI AL AM AO AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BW BY BZ CA CC CD
CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK FM FO FR GA GB GD GE
GF GG GH GI GL GM GN GP GQ GR GT GU GW GY HK HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE JM JO JP KE KG KH KI KM KN
KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR MS MT MU MV MW MX MY MZ
NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PR PS PT PW PY QA RE RO RS RU RW SA SB SC SD SE SG SH
SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TA TC TD TG TH TJ TK TL TM TN TO TR TT TV TW TZ UA UG US UY UZ VA VC VE VG
VI VN VU WF WS XK YE YT ZA ZM ZW
"""
"""The countries that have phone numbers, by ISO 3166-1 alpha-2: those of phonenumbers, which takes 20 ms to import."""


_ORIGIN = r"(https?|capacitor|tauri)://[a-z0-9.-]+(:[0-9]{1,5})?"  # a browser sends it in lower case


class Settings(msgspec.Struct, frozen=True, rename="upper"):
    """Each field is the environment variable of the same name in capitals."""

    table_name: Annotated[str, Meta(min_length=3, max_length=255)]
    """The DynamoDB table."""
    user_pool_arn: Annotated[
        str, Meta(pattern=r"^arn:aws(-us-gov|-cn|-eusc)?:cognito-idp:[a-z0-9-]+:[0-9]{12}:userpool/[A-Za-z0-9_-]+(?![\s\S])")
    ]
    """The Cognito user pool; its ARN also has the Region and the issuer of the tokens."""
    web_client_id: Annotated[str, Meta(pattern=r"^[A-Za-z0-9]+(?![\s\S])")]
    """The app client whose ID tokens /tasks accepts."""
    sign_in_url: Annotated[str, Meta(pattern=r"^https?://[A-Za-z0-9.-]+(:[0-9]+)?(?![\s\S])")]
    """Where the sign-in pages of the pool are, such as https://tasks.auth.eu-central-1.amazoncognito.com."""
    machine_client_ids: Annotated[str, Meta(pattern=r"^[A-Za-z0-9]*(,[A-Za-z0-9]+)*(?![\s\S])")]
    """The app clients, separated by commas, whose tokens /sms accepts; empty for none."""
    web_origin: Annotated[str, Meta(pattern=rf"^{_ORIGIN}(,{_ORIGIN})*(?![\s\S])")]
    """The web origins that CORS allows, separated by commas, such as https://app.example.com,capacitor://localhost.

    The first one is in responses to requests from none of them.
    """
    status_index_shards: Annotated[int, Meta(ge=1, le=64)]
    """Index partitions over which the items of one status are spread. May only grow."""
    tasks_per_user_and_minute: Annotated[int, Meta(ge=0)]
    """The tasks that a user may create in a minute; 0 for no limit. With one, a creation takes more write units."""
    sms_countries: Annotated[str, Meta(pattern=r"^([A-Z]{2}(,[A-Z]{2})*)?(?![\s\S])")]
    """The countries that SMS messages may go to, such as DE,FR; empty for none."""
    sms_per_client_and_minute: Annotated[int, Meta(ge=0)]
    sms_per_number_and_hour: Annotated[int, Meta(ge=0)]
    sms_parts_per_day: Annotated[int, Meta(ge=0)]
    """The limits; a message of several parts counts that many times towards the last one."""
    sms_max_parts: Annotated[int, Meta(ge=1, le=10)]
    """The parts that one message may have."""
    sms_sender_id: Annotated[str, Meta(pattern=r"^((?=[0-9]*[A-Za-z])[A-Za-z0-9]{1,11})?(?![\s\S])")]
    """The sender of SMS messages, where the country allows one: 1 to 11 letters and digits, at least one of them a letter.

    May be empty. The rule is that of the attribute DefaultSenderID (SNS API Reference, SetSMSAttributes).
    """
    sms_type: Literal["Transactional", "Promotional"]
    sms_max_price: Annotated[str, Meta(pattern=r"^[0-9]+(\.[0-9]+)?(?![\s\S])")]
    """The maximum price of one message, in US dollars."""

    def __post_init__(self) -> None:
        """Raise ValueError for a country without phone numbers, such as UK where GB is meant, and for an origin twice."""
        origins = self.web_origin.split(",")
        if len(origins) != len(set(origins)):
            message = f"WEB_ORIGIN has an origin twice: {self.web_origin}"
            raise ValueError(message)
        unknown = set(filter(None, self.sms_countries.split(","))) - set(COUNTRIES.split())
        if unknown:
            message = (
                f"SMS_COUNTRIES has {', '.join(sorted(unknown))}, which no phone number belongs to (ISO 3166-1 alpha-2)"
            )
            raise ValueError(message)

    @property
    def region(self) -> str:
        """The AWS Region, such as eu-central-1."""
        return self.user_pool_arn.split(":")[3]

    @property
    def user_pool_id(self) -> str:
        """The id of the pool, such as eu-central-1_AbCdEfGhI."""
        return self.user_pool_arn.rpartition("/")[2]

    @property
    def issuers(self) -> tuple[str, str]:
        """The possible `iss` of the pool's tokens: the original issuer, and the updated one, which a pool can be set to.

        Amazon Cognito Developer Guide, "Verifying JSON web tokens" and "Multi-Region replication".
        """
        path = f"{self.region}.amazonaws.com/{self.user_pool_id}"
        return f"https://cognito-idp.{path}", f"https://issuer-cognito-idp.{path}"


def read() -> Settings:
    """Return the settings of this process; raises RuntimeError, which names a setting that is missing or wrong."""
    try:
        return msgspec.convert(dict(os.environ), Settings, strict=False)
    except msgspec.ValidationError as error:
        message = (
            f"A setting of the stage is missing or wrong: {error}. Settings are environment variables of the function: "
            "environment_variables in .chalice/config.json, and what the merge template or the stage's stack adds to them."
        )
        raise RuntimeError(message) from error


settings = read()
