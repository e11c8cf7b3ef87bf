# The definition of the API, chalice.tf.json, holds its authorizers, the refusals of the gateway and the TLS policy.
# They are no resources of their own (aws_api_gateway_gateway_response): Terraform writes the definition with PutRestApi
# in the mode overwrite, which takes away whatever stands beside it, and a change of such a resource deploys nothing.

resource "aws_api_gateway_stage" "api" {
  #checkov:skip=CKV_AWS_120:A cache of answers that differ by caller would be a leak.
  #checkov:skip=CKV2_AWS_4:The other log, of executions, would hold tokens and bodies. This one has a line for each call.
  #checkov:skip=CKV2_AWS_29:A firewall costs 5 dollars a month and each call. Variable web_acl_arn.
  #checkov:skip=CKV2_AWS_77:The rules of a firewall are those of its owner.
  #checkov:skip=CKV2_AWS_51:There is no server behind it that would look at the certificate of the gateway.

  rest_api_id          = aws_api_gateway_rest_api.rest_api.id
  deployment_id        = aws_api_gateway_deployment.rest_api.id
  stage_name           = local.stage
  xray_tracing_enabled = true

  access_log_settings {
    destination_arn = aws_cloudwatch_log_group.access.arn
    format          = var.access_log_format
  }

  depends_on = [aws_api_gateway_account.logs] # a stage with a log waits for the role, if that is made here

  lifecycle {
    precondition {
      condition     = var.api_domain != "" || var.api_certificate_arn == "" && var.api_base_path == ""
      error_message = "api_certificate_arn and api_base_path need api_domain."
    }
  }
}

resource "aws_wafv2_web_acl_association" "api" {
  count        = var.web_acl_arn == "" ? 0 : 1
  web_acl_arn  = var.web_acl_arn
  resource_arn = aws_api_gateway_stage.api.arn
}

resource "aws_api_gateway_method_settings" "all" {
  #checkov:skip=CKV_AWS_225:A cache of answers that differ by caller would be a leak.

  rest_api_id = aws_api_gateway_rest_api.rest_api.id
  stage_name  = aws_api_gateway_stage.api.stage_name
  method_path = "*/*"

  settings {
    throttling_rate_limit  = var.requests_per_second
    throttling_burst_limit = var.requests_at_once
  }
}
