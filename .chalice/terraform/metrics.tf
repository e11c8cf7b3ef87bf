# Metrics of the log lines of the API. A line has a member only where it applies, and a filter without a match costs nothing.

locals {
  metrics = {
    Requests   = { pattern = "{ $.status > 0 }", by_route = true }
    Errors     = { pattern = "{ $.status >= 500 }", by_route = true }
    Latency    = { pattern = "{ $.ms >= 0 }", value = "$.ms", unit = "Milliseconds", by_route = true }
    Conflicts  = { pattern = "{ $.status = 412 }" }
    Replays    = { pattern = "{ $.replayed IS TRUE }" }
    ColdStarts = { pattern = "{ $.cold_start IS TRUE }" }
    ReadUnits  = { pattern = "{ $.read_units > 0 }", value = "$.read_units" }
    WriteUnits = { pattern = "{ $.write_units > 0 }", value = "$.write_units" }
    SmsSent    = { pattern = "{ $.outcome = \"sent\" && $.sms_parts > 0 }" }
    SmsUnknown = { pattern = "{ $.outcome = \"unknown\" }" }
    SmsRefused = { pattern = "{ $.route = \"/sms\" && $.status >= 400 && $.status < 500 }" }
    SmsParts   = { pattern = "{ $.sms_parts > 0 }", value = "$.sms_parts" }
  }
}

resource "aws_cloudwatch_log_metric_filter" "all" {
  for_each = { for name, metric in local.metrics : name => metric if var.metrics }

  name           = each.key
  log_group_name = aws_cloudwatch_log_group.api.name
  pattern        = each.value.pattern

  metric_transformation {
    namespace  = local.name
    name       = each.key
    value      = try(each.value.value, "1")
    unit       = try(each.value.unit, "Count")
    dimensions = try(each.value.by_route, false) ? { Route = "$.route" } : {}
  }
}

# For an alarm without var.metrics. The errors that Lambda counts for an authorizer are mostly tokens that it refused.
resource "aws_cloudwatch_log_metric_filter" "authorizer_errors" {
  count = var.alarm_topic_arn != "" ? 1 : 0

  name           = "AuthorizerErrors"
  log_group_name = aws_cloudwatch_log_group.access.name
  pattern        = "{ $.refused = \"AUTHORIZER_*\" }"

  metric_transformation {
    namespace = local.name
    name      = "AuthorizerErrors"
    value     = "1"
  }
}
