output "api_url" {
  description = "Where the API answers; try /health."
  value       = aws_api_gateway_stage.api.invoke_url
}

output "api_domain_target" {
  description = "Where the DNS record of api_domain points: a CNAME, or an alias with api_domain_zone_id."
  value       = one(aws_api_gateway_domain_name.api[*].regional_domain_name)
}

output "api_domain_zone_id" {
  description = "The Route 53 zone of api_domain_target, for an alias record."
  value       = one(aws_api_gateway_domain_name.api[*].regional_zone_id)
}

output "rest_api_id" {
  description = "The id of the API in API Gateway."
  value       = aws_api_gateway_rest_api.rest_api.id
}

output "table_name" {
  description = "Value of the setting TABLE_NAME."
  value       = aws_dynamodb_table.tasks.name
}

output "user_pool_arn" {
  description = "Value of the setting USER_POOL_ARN."
  value       = aws_cognito_user_pool.users.arn
}

output "web_client_id" {
  description = "Value of the setting WEB_CLIENT_ID."
  value       = aws_cognito_user_pool_client.web.id
}

output "machine_client_id" {
  description = "Value of the setting MACHINE_CLIENT_IDS."
  value       = aws_cognito_user_pool_client.machine.id
}

output "machine_client_secret" {
  description = "The secret with which that client gets its tokens."
  value       = aws_cognito_user_pool_client.machine.client_secret
  sensitive   = true
}

output "sign_in_url" {
  description = "Value of the setting SIGN_IN_URL."
  value       = "https://${aws_cognito_user_pool_domain.users.domain}.auth.${data.aws_region.current.id}.amazoncognito.com"
}

output "token_url" {
  description = "Where a machine gets its token."
  value       = "https://${aws_cognito_user_pool_domain.users.domain}.auth.${data.aws_region.current.id}.amazoncognito.com/oauth2/token"
}

output "web_app_url" {
  description = "Where the web app is, once its files are in the bucket."
  value       = one([for distribution in aws_cloudfront_distribution.web : "https://${distribution.domain_name}"])
}

output "web_app_bucket" {
  description = "The bucket for the files of the web app."
  value       = one(aws_s3_bucket.web[*].id)
}
