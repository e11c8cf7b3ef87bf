"""The table, by the client of this app."""

from typed import Table

from chalicelib.dynamodb.table import client

table = Table(lambda operation, request: getattr(client, operation)(**request))
ConditionFailed = client.exceptions.ConditionalCheckFailedException
