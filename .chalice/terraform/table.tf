resource "aws_dynamodb_table" "tasks" {
  name                        = local.name
  billing_mode                = "PAY_PER_REQUEST"
  deletion_protection_enabled = var.deletion_protection # prevent_destroy takes no variable
  hash_key                    = "PK"
  range_key                   = "SK"

  dynamic "attribute" {
    for_each = toset(["PK", "SK", "LSI1SK", "GSI1PK", "GSI1SK"])

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
    range_key       = "GSI1SK"
    projection_type = "KEYS_ONLY"
  }

  point_in_time_recovery {
    enabled = true
  }

  ttl {
    attribute_name = "expires_at"
    enabled        = true
  }

  dynamic "server_side_encryption" {
    for_each = local.kms_key_arn[*]

    content {
      enabled     = true
      kms_key_arn = server_side_encryption.value
    }
  }
}
