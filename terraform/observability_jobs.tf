# What the job service is watched by: its own metrics (observability.tf), the load balancer's, which cost nothing, and the CPU
# values of ECS, which cost nothing either and whose number in a minute is the number of running tasks.
locals {
  api_metric = { namespace = local.metrics_namespace, dimensions = { service = var.queue_name, role = "api" } }

  load_balancer_suffix = one(aws_lb.this[*].arn_suffix)
  target_group_suffix  = one(aws_lb_target_group.api[*].arn_suffix)
  front                = { namespace = "AWS/ApplicationELB", dimensions = { LoadBalancer = local.load_balancer_suffix } }
  targets              = { namespace = "AWS/ApplicationELB", dimensions = { LoadBalancer = local.load_balancer_suffix, TargetGroup = local.target_group_suffix } }

  job_alarms = {
    queue_age = {
      text       = "A job has waited long for a worker"
      below      = false
      threshold  = var.alarm_thresholds.queue_age_seconds
      minutes    = 3
      expression = null
      metrics    = { m = merge(local.api_metric, { name = "oldest_seconds", stat = "Maximum" }) }
    }
    dead = {
      text       = "A job was given up: it is in DEAD_LETTER"
      below      = false
      threshold  = var.alarm_thresholds.dead_letters
      minutes    = 1
      expression = null
      metrics    = { m = merge(local.api_metric, { name = "dead", stat = "Maximum" }) }
    }
    # From the tasks and from the load balancer itself, which answers where no task does.
    server_errors = {
      text       = "Answers with 5xx a minute"
      below      = false
      threshold  = var.alarm_thresholds.server_errors_per_minute
      minutes    = 1
      expression = "FILL(tasks, 0) + FILL(front, 0)"
      metrics = {
        tasks = merge(local.front, { name = "HTTPCode_Target_5XX_Count", stat = "Sum" })
        front = merge(local.front, { name = "HTTPCode_ELB_5XX_Count", stat = "Sum" })
      }
    }
    unhealthy_targets = {
      text       = "An API task does not pass its health check"
      below      = false
      threshold  = 0
      minutes    = 3
      expression = null
      metrics    = { m = merge(local.targets, { name = "UnHealthyHostCount", stat = "Maximum" }) }
    }
    healthy_targets = {
      text       = "Fewer healthy API tasks than api_task_min"
      below      = true
      threshold  = var.api_task_min
      minutes    = 3
      expression = null
      metrics    = { m = merge(local.targets, { name = "HealthyHostCount", stat = "Minimum" }) }
    }
    ledger = {
      text       = "Jobs were counted and are in no place, or the other way round"
      below      = false
      threshold  = 0
      minutes    = 3
      expression = "ABS(m)"
      metrics    = { m = merge(local.api_metric, { name = "ledger_difference", stat = "Average" }) }
    }
    memory = {
      text       = "Close to an API task's memory: beyond it the task is killed"
      below      = false
      threshold  = var.memory_mib * var.alarm_thresholds.memory_percent / 100
      minutes    = 5
      expression = null
      metrics    = { m = merge(local.api_metric, { name = "memory_mb", stat = "Maximum" }) }
    }
  }

  # Queue and ledger are the same seen from every task, so they are shown as the API has them; the rest by role.
  queue_widgets = [
    { title = "Backlog (jobs)", names = ["queue_length", "in_flight", "delayed", "dead"] },
    { title = "Age of the oldest job on the queue (seconds)", names = ["oldest_seconds"] },
    { title = "Ledger: created less all places (jobs)", names = ["ledger_difference"] },
    { title = "Totals (jobs)", names = ["messages_created", "messages_processed", "messages_missed"] },
  ]

  role_widgets = [
    { title = "Jobs done (a second, per task)", names = ["rate_per_second"] },
    { title = "From submitted to done (p99, ms)", names = ["end_to_end_p99_ms"] },
    { title = "Redis and event loop (ms)", names = ["redis_latency_ms", "loop_lag_ms"] },
    { title = "CPU (percent of one vCPU)", names = ["cpu_percent"] },
    { title = "Memory (MB)", names = ["memory_mb"] },
    { title = "Failed attempts, dead jobs (total)", names = ["errors", "messages_failed"] },
    { title = "Open file descriptors", names = ["open_fds"] },
  ]

  front_dimensions   = ["LoadBalancer", local.load_balancer_suffix]
  targets_dimensions = concat(local.front_dimensions, ["TargetGroup", local.target_group_suffix])

  front_widgets = [
    {
      title = "Answers (a minute)"
      metrics = [
        for name in ["HTTPCode_Target_2XX_Count", "HTTPCode_Target_4XX_Count", "HTTPCode_Target_5XX_Count", "HTTPCode_ELB_5XX_Count"] :
        concat(["AWS/ApplicationELB", name], local.front_dimensions, [{ stat = "Sum" }])
      ]
    },
    {
      title   = "Answers of the tasks (seconds; long polls count)"
      metrics = [for stat in ["p50", "p95", "p99"] : concat(["AWS/ApplicationELB", "TargetResponseTime"], local.front_dimensions, [{ stat = stat, label = stat }])]
    },
    {
      title   = "API tasks that pass their health check"
      metrics = [for name in ["HealthyHostCount", "UnHealthyHostCount"] : concat(["AWS/ApplicationELB", name], local.targets_dimensions, [{ stat = "Maximum" }])]
    },
    {
      title   = "Running tasks"
      metrics = [for key, service in local.services : ["AWS/ECS", "CPUUtilization", "ClusterName", var.name, "ServiceName", service.name, { stat = "SampleCount", label = key }]]
    },
  ]

  job_widgets = local.jobs ? jsonencode(concat(
    local.front_widgets,
    [for widget in local.queue_widgets : { title = widget.title, metrics = [for name in widget.names : local.metric["api"][name]] }],
    [
      for widget in local.role_widgets :
      { title = widget.title, metrics = concat([for metrics in values(local.metric) : [for name in widget.names : metrics[name]]]...) }
    ],
  )) : "[]"
}
