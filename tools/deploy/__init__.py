"""Packages and deployments: CloudFormation templates, the zip, the Terraform module, stacks."""
