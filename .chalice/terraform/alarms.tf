locals {
  dimensions = {
    "AWS/ApiGateway" = { ApiName = aws_api_gateway_rest_api.rest_api.name, Stage = local.stage }
    "AWS/Lambda"     = { FunctionName = local.name }
    "AWS/DynamoDB"   = { TableName = local.name }
    (local.name)     = {}
  }

  alarms = {
    api-errors = {
      namespace   = "AWS/ApiGateway"
      metric      = "5XXError"
      threshold   = 5
      description = "At least 5 responses with status 5xx in 5 minutes. Look for status 500 and 503 in the log of the API."
    }
    api-slow = {
      namespace   = "AWS/ApiGateway"
      metric      = "Latency"
      percentile  = "p99"
      periods     = 3
      threshold   = 3000
      description = "1 in 100 requests takes more than 3 seconds, for 15 minutes. Check the latency and the throttling of DynamoDB."
    }
    function-errors = {
      namespace   = "AWS/Lambda"
      metric      = "Errors"
      threshold   = 1
      description = "The API function failed or timed out before it could respond. Its log says where."
    }
    authorizer-errors = {
      namespace   = local.name
      metric      = "AuthorizerErrors"
      threshold   = 1
      description = "An authorizer failed or timed out, so its callers get 503."
    }
    function-throttles = {
      namespace   = "AWS/Lambda"
      metric      = "Throttles"
      threshold   = 1
      description = "Lambda throttles requests: the concurrency limit of the account is reached. Request an increase from AWS."
    }
    table-read-throttles = {
      namespace   = "AWS/DynamoDB"
      metric      = "ReadThrottleEvents"
      threshold   = 10
      description = "DynamoDB throttles reads: one partition key gets too much traffic."
    }
    table-write-throttles = {
      namespace   = "AWS/DynamoDB"
      metric      = "WriteThrottleEvents"
      threshold   = 10
      description = "DynamoDB throttles writes: one partition key, such as the tasks of one user, gets too many."
    }
    index-write-throttles = {
      namespace   = "AWS/DynamoDB"
      metric      = "WriteThrottleEvents"
      threshold   = 10
      dimensions  = { GlobalSecondaryIndexName = "GSI1" }
      description = "GSI1 throttles writes, and so the table does: one status gets too many. Raise STATUS_INDEX_SHARDS."
    }
  }

  metric_alarms = {
    sms-unknown = {
      namespace   = local.name
      metric      = "SmsUnknown"
      threshold   = 1
      description = "An SMS message was sent or not, and is never sent again: SNS did not respond. The errors in its log line say why."
    }
    sms-budget = {
      namespace   = local.name
      metric      = "SmsParts"
      period      = 86400
      threshold   = var.sms_parts_alarm
      description = "80 in 100 of the SMS parts of a day are used up. At the limit, /sms is 429 until midnight UTC."
    }
  }

  function_alarms = {
    for function in local.functions : "${function}-errors" => {
      namespace   = "AWS/Lambda"
      metric      = "Errors"
      threshold   = 1
      dimensions  = { FunctionName = "${local.name}-${function}" }
      description = "The function ${function} failed or timed out. Its log says where."
    }
  }
}

resource "aws_cloudwatch_metric_alarm" "all" {
  # An alarm without a topic costs money and notifies nobody.
  for_each = {
    for name, alarm in merge(local.alarms, local.function_alarms, var.metrics ? local.metric_alarms : {}) :
    name => alarm if var.alarm_topic_arn != ""
  }

  alarm_name          = "${local.name}-${each.key}"
  alarm_description   = "${each.value.description} Procedure: docs/operate.md."
  namespace           = each.value.namespace
  metric_name         = each.value.metric
  dimensions          = merge(local.dimensions[each.value.namespace], try(each.value.dimensions, {}))
  statistic           = try(each.value.percentile, null) == null ? "Sum" : null
  extended_statistic  = try(each.value.percentile, null)
  period              = try(each.value.period, 300)
  evaluation_periods  = try(each.value.periods, 1)
  threshold           = each.value.threshold
  comparison_operator = "GreaterThanOrEqualToThreshold"
  treat_missing_data  = "notBreaching"
  alarm_actions       = [var.alarm_topic_arn]
  ok_actions          = [var.alarm_topic_arn]
}

resource "aws_cloudwatch_dashboard" "all" {
  count = var.dashboard ? 1 : 0

  dashboard_name = local.name
  dashboard_body = local.dashboard_body
}
