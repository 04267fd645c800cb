# Ends a load test's run, so that a forgotten service does not keep costing: run_hours after the start of a run the desired count becomes
# 0, and again every run_hours after that, in case the service was started manually. The job service has no end.
locals {
  start_allowance_minutes = 15 # image pull and start do not count as measured hours
}

resource "terraform_data" "run" {
  # A new image, a changed setting or a new run_id starts a new run. Its time is taken once Redis is up, which takes ten minutes.
  triggers_replace = [var.run_id, var.run_hours, values(aws_ecs_task_definition.this)[*].arn]
  input            = timestamp()

  lifecycle {
    ignore_changes = [input]
  }

  depends_on = [aws_elasticache_replication_group.this]
}

resource "aws_scheduler_schedule" "stop" {
  for_each = local.jobs ? {} : local.services

  name                = "${each.value.name}-stop"
  description         = "Ends the load test's run"
  schedule_expression = "rate(${var.run_hours * 60} minutes)" # never the singular, which has its own spelling
  start_date          = timeadd(terraform_data.run.output, "${var.run_hours * 60 + local.start_allowance_minutes}m")

  flexible_time_window {
    mode = "OFF"
  }

  target {
    arn      = "arn:${data.aws_partition.current.partition}:scheduler:::aws-sdk:ecs:updateService"
    role_arn = aws_iam_role.stop[0].arn
    input    = jsonencode({ Cluster = var.name, Service = each.value.name, DesiredCount = 0 })

    retry_policy {
      maximum_retry_attempts       = 10
      maximum_event_age_in_seconds = 3600
    }
  }

  depends_on = [aws_iam_role_policy.stop]
}
