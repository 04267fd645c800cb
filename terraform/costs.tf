# The estimated cost per day; scripts/deploy prints it from the plan before anything is spent. It uses the schedule's rate and
# the dated price table prices.json, a copy of the one of `python -m loadtest_trio preflight`. In saturate mode the rate is
# unknown before a measurement, so the S3 requests, the largest part, have no price.
locals {
  prices   = jsondecode(file("${path.module}/prices.json"))
  run_days = var.run_hours / 24

  fargate_day = 24 * (
    local.prices.fargate_vcpu_hour[var.cpu_architecture] + local.prices.fargate_gb_hour[var.cpu_architecture] * var.memory_mib / 1024
  ) * (1 + var.worker_task_count)

  network_day = 24 * (local.public ?
    local.prices.public_ipv4_hour * (1 + var.worker_task_count) :
    local.prices.interface_endpoint_hour * length(local.interface_endpoints) * local.zone_count
  )

  # null if prices.json lacks the node type: an unknown price must not look like a low one.
  redis_day = try(
    24 * local.prices.redis_node_hour[var.redis_node_type] * (1 + local.redis_replicas) *
    (var.redis_engine == "valkey" ? 1 - local.prices.valkey_discount : 1),
    null
  )

  observability_day = 24 / local.prices.hours_a_month * (
    local.prices.custom_metric_month * length(local.metric_names) * length(local.services) +
    local.prices.alarm_month * length(local.alarms) +
    local.prices.dashboard_month +
    local.prices.secret_month * 2
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
  s3_day       = local.saturate ? null : local.s3_rate_day

  cost_parts_day = {
    fargate       = local.fargate_day
    network       = local.network_day
    redis         = local.redis_day
    s3_requests   = local.s3_day
    observability = local.observability_day
  }
}
