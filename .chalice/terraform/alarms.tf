locals {
  dimensions = {
    "AWS/ApiGateway" = { ApiName = aws_api_gateway_rest_api.rest_api.name, Stage = local.stage }
    "AWS/Lambda"     = { FunctionName = local.name }
    "AWS/DynamoDB"   = { TableName = local.name }
  }

  alarms = {
    api-errors = {
      namespace   = "AWS/ApiGateway"
      metric      = "5XXError"
      threshold   = 5
      description = "Callers get 5xx. Look for status 500 and 503 in the log of the API."
    }
    api-slow = {
      namespace   = "AWS/ApiGateway"
      metric      = "Latency"
      percentile  = "p99"
      periods     = 3
      threshold   = 3000
      description = "One call in a hundred takes more than 3 seconds. Look at DynamoDB's latency and at throttles."
    }
    function-errors = {
      namespace   = "AWS/Lambda"
      metric      = "Errors"
      threshold   = 1
      description = "The function of the API fails or is cut off before it can answer. Its log tells where."
    }
    function-throttles = {
      namespace   = "AWS/Lambda"
      metric      = "Throttles"
      threshold   = 1
      description = "Callers are turned away: the account has no more functions to run at once. Ask AWS for more."
    }
    table-read-throttles = {
      namespace   = "AWS/DynamoDB"
      metric      = "ReadThrottleEvents"
      threshold   = 10
      description = "DynamoDB turns reads away: one partition is asked too much."
    }
    table-write-throttles = {
      namespace   = "AWS/DynamoDB"
      metric      = "WriteThrottleEvents"
      threshold   = 10
      description = "DynamoDB turns writes away: one partition, such as the tasks of one user, takes too many."
    }
    board-write-throttles = {
      namespace   = "AWS/DynamoDB"
      metric      = "WriteThrottleEvents"
      threshold   = 10
      dimensions  = { GlobalSecondaryIndexName = "GSI1" }
      description = "The index of the board turns writes away, and so the table does: a status takes too many. STATUS_INDEX_SHARDS may grow."
    }
  }
}

resource "aws_cloudwatch_metric_alarm" "all" {
  # An alarm that nobody hears costs money all the same.
  for_each = { for name, alarm in local.alarms : name => alarm if var.alarm_topic_arn != "" }

  alarm_name          = "${local.name}-${each.key}"
  alarm_description   = each.value.description
  namespace           = each.value.namespace
  metric_name         = each.value.metric
  dimensions          = merge(local.dimensions[each.value.namespace], try(each.value.dimensions, {}))
  statistic           = try(each.value.percentile, null) == null ? "Sum" : null
  extended_statistic  = try(each.value.percentile, null)
  period              = 300
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
