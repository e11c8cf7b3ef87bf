resource "aws_cloudwatch_log_group" "api" {
  name              = "/aws/lambda/${local.name}"
  retention_in_days = var.log_retention_in_days
  kms_key_id        = local.kms_key_arn
}

resource "aws_cloudwatch_log_group" "authorizer" {
  name              = "/aws/lambda/${local.name}-user_authorizer"
  retention_in_days = var.log_retention_in_days
  kms_key_id        = local.kms_key_arn
}

resource "aws_cloudwatch_log_group" "functions" {
  for_each = toset(local.functions) # background functions, listed in chalice.tf.json

  name              = "/aws/lambda/${local.name}-${each.key}"
  retention_in_days = var.log_retention_in_days
  kms_key_id        = local.kms_key_arn
}

resource "aws_cloudwatch_log_group" "access" {
  name              = "/aws/apigateway/${local.name}"
  retention_in_days = var.log_retention_in_days
  kms_key_id        = local.kms_key_arn
}

# The one role with which API Gateway writes the logs of all APIs of the account and region.

resource "aws_iam_role" "gateway_logs" {
  count = var.gateway_logs_role ? 1 : 0

  name_prefix          = "task-api-gateway-logs-"
  permissions_boundary = local.permissions_boundary_arn

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "apigateway.amazonaws.com" }
      Action    = "sts:AssumeRole"
    }]
  })
}

resource "aws_iam_role_policy_attachment" "gateway_logs" {
  count = var.gateway_logs_role ? 1 : 0

  role       = aws_iam_role.gateway_logs[0].name
  policy_arn = "arn:${data.aws_partition.current.partition}:iam::aws:policy/service-role/AmazonAPIGatewayPushToCloudWatchLogs"
}

resource "aws_api_gateway_account" "logs" {
  count = var.gateway_logs_role ? 1 : 0

  cloudwatch_role_arn = aws_iam_role.gateway_logs[0].arn

  depends_on = [aws_iam_role_policy_attachment.gateway_logs] # API Gateway tries the role out
}
