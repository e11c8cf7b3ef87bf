resource "aws_cognito_user_pool" "users" {
  name                     = local.name
  deletion_protection      = var.deletion_protection ? "ACTIVE" : "INACTIVE" # prevent_destroy takes no variable
  username_attributes      = ["email"]
  auto_verified_attributes = ["email"]
  mfa_configuration        = var.mfa_configuration

  dynamic "software_token_mfa_configuration" {
    for_each = var.mfa_configuration == "OFF" ? [] : [true] # Cognito rejects a factor together with OFF
    content {
      enabled = true
    }
  }

  dynamic "email_configuration" {
    for_each = var.email_identity_arn == "" ? [] : [true]
    content {
      email_sending_account = "DEVELOPER"
      source_arn            = var.email_identity_arn
      from_email_address    = var.email_from
    }
  }

  username_configuration {
    case_sensitive = false
  }

  account_recovery_setting {
    recovery_mechanism {
      name     = "verified_email"
      priority = 1
    }
  }

  password_policy {
    minimum_length    = 10
    require_uppercase = true
    require_lowercase = true
    require_numbers   = true
    require_symbols   = false
  }

  lifecycle {
    precondition {
      condition     = (var.email_identity_arn == "") == (var.email_from == "")
      error_message = "email_identity_arn and email_from need each other."
    }
  }
}

resource "aws_cognito_user_group" "admin" {
  user_pool_id = aws_cognito_user_pool.users.id
  name         = "admin"
  description  = "May list the tasks of all users."
}

resource "aws_cognito_user_pool_domain" "users" {
  user_pool_id = aws_cognito_user_pool.users.id
  domain       = var.domain_prefix
}

resource "aws_cognito_user_pool_client" "web" {
  user_pool_id = aws_cognito_user_pool.users.id
  name         = "web"

  generate_secret                      = false
  explicit_auth_flows                  = ["ALLOW_USER_SRP_AUTH", "ALLOW_REFRESH_TOKEN_AUTH"]
  supported_identity_providers         = ["COGNITO"]
  allowed_oauth_flows_user_pool_client = true
  allowed_oauth_flows                  = ["code"]
  allowed_oauth_scopes                 = ["openid", "email", "profile"]
  callback_urls                        = var.callback_urls
  logout_urls                          = var.logout_urls == "" ? var.callback_urls : split(",", var.logout_urls)
  prevent_user_existence_errors        = "ENABLED"
  enable_token_revocation              = true
  id_token_validity                    = 60
  access_token_validity                = 60
  refresh_token_validity               = 30

  token_validity_units {
    id_token      = "minutes"
    access_token  = "minutes"
    refresh_token = "days"
  }
}

resource "aws_cognito_resource_server" "api" {
  user_pool_id = aws_cognito_user_pool.users.id
  identifier   = "task-api"
  name         = "Task API"

  scope {
    scope_name        = "sms"
    scope_description = "Send SMS messages."
  }
}

resource "aws_cognito_user_pool_client" "machine" {
  user_pool_id = aws_cognito_user_pool.users.id
  name         = "machine"

  generate_secret                      = true                         # stands in the state of Terraform: see README.md
  explicit_auth_flows                  = ["ALLOW_REFRESH_TOKEN_AUTH"] # without a list Cognito allows SRP and custom flows
  allowed_oauth_flows_user_pool_client = true
  allowed_oauth_flows                  = ["client_credentials"]
  allowed_oauth_scopes                 = aws_cognito_resource_server.api.scope_identifiers
  prevent_user_existence_errors        = "ENABLED"
  enable_token_revocation              = true
  access_token_validity                = 60

  token_validity_units {
    access_token = "minutes"
  }
}
