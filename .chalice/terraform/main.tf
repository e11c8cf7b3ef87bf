# What the functions and the API of chalice.tf.json need around them. Names, settings and conditions are those of
# the CloudFormation template of this stage; local.stage is set in chalice.tf.json.

terraform {
  required_version = ">= 1.5"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.0, < 7"
    }
  }
}

data "aws_partition" "current" {}

data "aws_region" "current" {}

locals {
  name        = "task-api-${local.stage}"
  has_web_app = var.web_app_api != ""

  kms_key_arn              = var.kms_key_arn == "" ? null : var.kms_key_arn
  permissions_boundary_arn = var.permissions_boundary_arn == "" ? null : var.permissions_boundary_arn
  reserved_concurrency     = try(tonumber(var.reserved_concurrency), -1) # -1 is no limit
}
