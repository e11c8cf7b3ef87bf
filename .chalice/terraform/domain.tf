# The domain of the API, with api_domain alone: its mapping to the stage and, with a certificate, the domain itself.

resource "aws_api_gateway_domain_name" "api" {
  count                    = var.api_certificate_arn == "" ? 0 : 1
  domain_name              = var.api_domain
  regional_certificate_arn = var.api_certificate_arn
  security_policy          = "TLS_1_2"

  endpoint_configuration {
    types = ["REGIONAL"]
  }
}

resource "aws_api_gateway_base_path_mapping" "api" {
  count       = var.api_domain == "" ? 0 : 1
  api_id      = aws_api_gateway_rest_api.rest_api.id
  stage_name  = aws_api_gateway_stage.api.stage_name
  domain_name = var.api_certificate_arn == "" ? var.api_domain : aws_api_gateway_domain_name.api[0].domain_name
  base_path   = var.api_base_path
}
