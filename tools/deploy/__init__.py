"""Packages and deployments: the CloudFormation template, the zip, the Terraform module, stacks."""
