resource "aws_dynamodb_table" "tasks" {
  #checkov:skip=CKV_AWS_119:A key of your own costs about 1 dollar a month and each call. Variable kms_key_arn.

  name                        = local.name
  billing_mode                = "PAY_PER_REQUEST"
  deletion_protection_enabled = var.deletion_protection # prevent_destroy takes no variable
  hash_key                    = "PK"
  range_key                   = "SK"

  dynamic "attribute" {
    for_each = toset(["PK", "SK", "LSI1SK", "GSI1PK"])

    content {
      name = attribute.value
      type = "S"
    }
  }

  local_secondary_index {
    name            = "LSI1"
    range_key       = "LSI1SK"
    projection_type = "ALL"
  }

  global_secondary_index {
    name            = "GSI1"
    hash_key        = "GSI1PK"
    range_key       = "SK"
    projection_type = "KEYS_ONLY"
  }

  point_in_time_recovery {
    enabled = true
  }

  ttl {
    attribute_name = "expires_at"
    enabled        = true
  }

  server_side_encryption {
    enabled     = local.kms_key_arn != null # without a key of your own it is encrypted with AWS's
    kms_key_arn = local.kms_key_arn
  }
}
