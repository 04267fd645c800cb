# The estimated cost per day; scripts/deploy prints it from the plan before anything is spent. It uses the schedule's rate and
# the dated price table prices.json, a copy of the one of `python -m loadtest_trio preflight`. In saturate mode the rate is
# unknown before a measurement, so the S3 requests, the largest part, have no price.
#
# jobs: the fewest tasks all day, one capacity unit of the load balancer (25 new connections a second, or 3,000 open ones, or 1 GB
# an hour), and one PUT for each job if JOB_ARCHIVE=s3; results too large for Redis are not counted.
locals {
  prices   = jsondecode(file("${path.module}/prices.json"))
  run_days = local.jobs ? local.prices.hours_a_month / 24 : var.run_hours / 24 # jobs have no end: a month

  task_count      = sum(values(local.services)[*].count)
  most_task_count = local.jobs ? var.api_task_max + var.worker_task_max : local.task_count

  task_day = 24 * (
    local.prices.fargate_vcpu_hour[var.cpu_architecture] + local.prices.fargate_gb_hour[var.cpu_architecture] * var.memory_mib / 1024
  )

  fargate_day = local.task_day * local.task_count

  network_day = 24 * (local.public ?
    local.prices.public_ipv4_hour * local.task_count :
    local.prices.interface_endpoint_hour * length(local.interface_endpoints) * local.zone_count
  )

  # null if prices.json lacks the node type: an unknown price must not look like a low one.
  redis_day = try(
    24 * local.prices.redis_node_hour[var.redis_node_type] * (1 + local.redis_replicas) *
    (var.redis_engine == "valkey" ? 1 - local.prices.valkey_discount : 1),
    null
  )

  observability_day = 24 / local.prices.hours_a_month * (
    local.prices.custom_metric_month * (length(local.metric_names) - (local.jobs ? 1 : 0)) * length(local.services) + # jobs: no `objects`
    local.prices.alarm_month * (sum([for alarm in values(local.alarms) : length(alarm.metrics)]) + local.scaling_alarm_metrics) +
    local.prices.dashboard_month +
    local.prices.secret_month * (1 + length(local.secrets))
  )

  # Target tracking makes two alarms for each policy, with one metric for CPU and two for the backlog; each metric is charged.
  scaling_alarm_metrics = local.jobs ? 2 * 1 + 2 * 2 : 0

  load_balancer_day = !local.jobs ? 0 : 24 * (
    local.prices.load_balancer_hour + local.prices.load_balancer_unit_hour +
    (local.public_load_balancer ? local.prices.public_ipv4_hour * local.zone_count : 0)
  )

  # Shares of the steady mix; if CREATE is below DELETE, the bucket stays at its minimum and refills make up the difference.
  weights = {
    for pair in split(",", local.environment.STEADY_STATE_DISTRIBUTION) :
    upper(trimspace(split(":", pair)[0])) => tonumber(trimspace(split(":", pair)[1]))
  }
  share = { for operation in ["READ", "UPDATE", "CREATE", "DELETE"] : operation => lookup(local.weights, operation, 0) / sum(values(local.weights)) }

  saturate     = lower(local.environment.SCHEDULER_MODE) == "saturate"
  messages_day = 86400 * tonumber(local.environment.SCHEDULER_MESSAGES_PER_SECOND)
  gets_day     = local.messages_day * (local.share.READ + local.share.UPDATE)
  puts_day     = local.messages_day * (local.share.UPDATE + max(local.share.CREATE, local.share.DELETE))
  s3_rate_day  = local.gets_day / 1000 * local.prices.s3_get_1000 + local.puts_day / 1000 * local.prices.s3_put_1000 # DELETE is free
  archived_day = lower(local.environment.JOB_ARCHIVE) == "s3" ? 86400 * var.expected_jobs_per_second : 0
  s3_load_day  = local.saturate ? null : local.s3_rate_day
  s3_day       = local.jobs ? local.archived_day / 1000 * local.prices.s3_put_1000 : local.s3_load_day

  cost_parts_day = merge(local.jobs ? { load_balancer = local.load_balancer_day } : {}, {
    fargate       = local.fargate_day
    network       = local.network_day
    redis         = local.redis_day
    s3_requests   = local.s3_day
    observability = local.observability_day
  })

  cost_run = anytrue([for usd in values(local.cost_parts_day) : usd == null]) ? null : sum(values(local.cost_parts_day)) * local.run_days

  # Public tasks have an address each.
  more_tasks_run = local.run_days * (local.most_task_count - local.task_count) * (
    local.task_day + (local.public ? 24 * local.prices.public_ipv4_hour : 0)
  )
}
