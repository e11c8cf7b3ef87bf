"""The table, by boto3's resource with its defaults."""

import os

import boto3

table = boto3.resource("dynamodb").Table(os.environ["TABLE_NAME"])
ConditionFailed = table.meta.client.exceptions.ConditionalCheckFailedException
