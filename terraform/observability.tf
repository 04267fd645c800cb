# CloudWatch extracts the metrics from the log lines: METRICS_FORMAT=emf puts the ten-second line into the embedded metric format
# (21 metrics, and 13 more of a task that serves jobs, x $0.30 a month, billed by the hour: $0.21 and $0.34 a day), one sample per ten seconds and task. The dimension `role`
# separates the main task from worker-only tasks (as many metrics again); an average over both would be meaningless.
resource "aws_cloudwatch_log_group" "this" {
  name              = "/ecs/${var.name}"
  retention_in_days = var.log_retention_days
}

locals {
  metrics_namespace = local.environment.METRICS_NAMESPACE

  # [namespace, metric, dimension name, dimension value, ...]: the name of a metric in a dashboard.
  metric = {
    for role in keys(local.services) : role => {
      for name in local.metric_names : name => [local.metrics_namespace, name, "service", var.queue_name, "role", role]
    }
  }

  # Half of the main task's share of the schedule. In saturate mode 0: no rate is below it, so only missing data raises the alarm.
  expected_rate  = local.saturate ? 0 : tonumber(local.environment.SCHEDULER_MESSAGES_PER_SECOND) / (1 + var.worker_task_count)
  rate_threshold = coalesce(var.alarm_thresholds.rate_per_second, local.expected_rate / 2)

  metric_names = [
    "cpu_percent", "dead", "delayed", "end_to_end_p99_ms", "errors", "in_flight", "ledger_difference", "loop_lag_ms",
    "memory_mb", "messages_created", "messages_failed", "messages_missed", "messages_processed", "messages_withheld", "objects",
    "oldest_seconds", "open_fds", "queue_length", "rate_per_second", "redis_latency_ms", "schedule_lag_ms",
  ]

  dashboard_widgets = [
    { title = "Throughput (messages a second)", metrics = ["rate_per_second"] },
    { title = "Backlog (messages)", metrics = ["queue_length", "in_flight", "delayed", "dead"] },
    { title = "Age of the oldest message on the queue (seconds)", metrics = ["oldest_seconds"] },
    { title = "Ledger: created less all places (messages)", metrics = ["ledger_difference"] },
    { title = "CPU (percent of one vCPU)", metrics = ["cpu_percent"] },
    { title = "Memory (MB)", metrics = ["memory_mb"] },
    { title = "Latency (ms)", metrics = ["end_to_end_p99_ms", "redis_latency_ms"] },
    { title = "Lag (ms)", metrics = ["loop_lag_ms", "schedule_lag_ms"] },
    { title = "Totals (messages)", metrics = ["messages_created", "messages_processed", "messages_missed", "messages_failed", "messages_withheld"] },
    { title = "Errors (total)", metrics = ["errors"] },
    { title = "Objects in the bucket", metrics = ["objects"] },
    { title = "Open file descriptors", metrics = ["open_fds"] },
  ]

  # `errors` is a running total, so its alarm uses the difference between minutes.
  load_alarms = {
    rate         = { metric = "rate_per_second", below = true, threshold = local.rate_threshold, minutes = 5, text = "Fewer messages a second than announced, or no log lines" }
    queue_length = { metric = "queue_length", threshold = var.alarm_thresholds.queue_length, minutes = 5, text = "The backlog is growing: the workers do not keep up" }
    errors       = { metric = "errors", expression = "DIFF(m)", threshold = var.alarm_thresholds.errors_per_minute, minutes = 1, text = "Errors a minute" }
    dead         = { metric = "dead", threshold = var.alarm_thresholds.dead_letters, minutes = 1, text = "A message was given up" }
    p99          = { metric = "end_to_end_p99_ms", threshold = var.alarm_thresholds.p99_ms, minutes = 5, text = "From due to done takes long for one message in a hundred" }
    cpu          = { metric = "cpu_percent", threshold = var.alarm_thresholds.cpu_percent, minutes = 5, text = "Saturated: latencies mean little from here" }
    memory       = { metric = "memory_mb", threshold = var.memory_mib * var.alarm_thresholds.memory_percent / 100, minutes = 5, text = "Close to the task's memory: beyond it the task is killed" }
  }

  # One shape for the alarms of both services: metrics by id, and how they make one value.
  alarms = local.jobs ? tomap(local.job_alarms) : tomap({
    for key, alarm in local.load_alarms : key => {
      text       = alarm.text
      below      = try(alarm.below, false)
      threshold  = alarm.threshold
      minutes    = alarm.minutes
      expression = try(alarm.expression, null)
      metrics = {
        m = {
          namespace  = local.metrics_namespace
          name       = alarm.metric
          stat       = try(alarm.below, false) ? "Average" : "Maximum"
          dimensions = { service = var.queue_name, role = "main" }
        }
      }
    }
  })

  # [namespace, metric, dimension, value, ...] or the same with options.
  load_widgets = [
    for widget in local.dashboard_widgets : {
      title   = widget.title
      metrics = concat([for metrics in values(local.metric) : [for name in widget.metrics : metrics[name]]]...)
    }
  ]
}

resource "aws_cloudwatch_dashboard" "this" {
  dashboard_name = var.name

  dashboard_body = jsonencode({
    widgets = [
      for index, widget in jsondecode(local.jobs ? local.job_widgets : jsonencode(local.load_widgets)) : {
        type   = "metric"
        x      = 12 * (index % 2)
        y      = 6 * floor(index / 2)
        width  = 12
        height = 6
        properties = {
          title   = widget.title
          region  = var.region
          view    = "timeSeries"
          period  = 60
          stat    = "Average"
          metrics = widget.metrics
          yAxis   = { left = { min = 0 } }
        }
      }
    ]
  })
}

resource "aws_cloudwatch_metric_alarm" "this" {
  for_each = local.alarms

  alarm_name          = "${var.name}-${each.key}"
  alarm_description   = each.value.text
  comparison_operator = each.value.below ? "LessThanThreshold" : "GreaterThanThreshold"
  threshold           = each.value.threshold
  evaluation_periods  = each.value.minutes
  # Missing data counts as a breach where a value is too low: no log lines, no healthy target. The mail at the planned end of a
  # load test confirms that the run is over.
  treat_missing_data = each.value.below ? "breaching" : "notBreaching"
  alarm_actions      = aws_sns_topic.alarms[*].arn
  ok_actions         = aws_sns_topic.alarms[*].arn

  dynamic "metric_query" {
    for_each = each.value.metrics

    content {
      id          = metric_query.key
      return_data = each.value.expression == null

      metric {
        namespace   = metric_query.value.namespace
        metric_name = metric_query.value.name
        stat        = metric_query.value.stat
        period      = 60
        dimensions  = metric_query.value.dimensions
      }
    }
  }

  dynamic "metric_query" {
    for_each = each.value.expression[*]

    content {
      id          = "result"
      expression  = metric_query.value
      label       = each.value.text
      return_data = true
    }
  }
}

resource "aws_sns_topic" "alarms" {
  count = var.alarm_email == null ? 0 : 1

  name = "${var.name}-alarms" # not encrypted: CloudWatch may not publish to a topic under the AWS-managed key
}

resource "aws_sns_topic_subscription" "alarms" {
  count = var.alarm_email == null ? 0 : 1

  topic_arn = aws_sns_topic.alarms[0].arn
  protocol  = "email"
  endpoint  = var.alarm_email
}
