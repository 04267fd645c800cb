locals {
  cpu_units      = 1024 # 1 vCPU, the object of the measurement
  container_name = "loadtest"
  start_seconds  = 60 # failed checks of a task that starts do not count for so long

  # After the grace period the service returns unfinished work to the queue, writes its last line and closes its clients.
  stop_timeout_seconds = var.shutdown_grace_seconds + 15

  # Several tasks can share one queue; S3 allows 3,500 writes and 5,500 reads a second per prefix, so beyond about 30 tasks give
  # each group of tasks its own prefix and queue.
  load_services = merge(
    { main = { name = var.name, roles = "scheduler,worker", count = 1 } },
    var.worker_task_count == 0 ? {} : {
      workers = { name = "${var.name}-workers", roles = "worker", count = var.worker_task_count }
    },
  )

  # `count` is where scaling begins (scaling.tf).
  job_services = {
    api     = { name = "${var.name}-api", roles = var.api_roles, count = var.api_task_min }
    workers = { name = "${var.name}-workers", roles = "worker", count = var.worker_task_min }
  }

  jobs     = var.service == "jobs"
  services = local.jobs ? tomap(local.job_services) : tomap(local.load_services)

  # `once` is for manual commands (preflight, tune): the same task, but with separate log streams.
  tasks = merge(local.services, { once = { name = "${var.name}-once", roles = local.jobs ? "api,worker" : "scheduler,worker", count = 0 } })

  # The architecture is part of the tag, because tags are immutable and each architecture has its own image.
  image_tag = "${var.image_tag}-${ { X86_64 = "amd64", ARM64 = "arm64" }[var.cpu_architecture]}"
}

resource "aws_ecs_cluster" "this" {
  name = var.name

  setting {
    name  = "containerInsights"
    value = var.container_insights ? "enabled" : "disabled"
  }
}

resource "aws_ecs_task_definition" "this" {
  for_each = local.tasks

  family                   = each.value.name
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  cpu                      = local.cpu_units
  memory                   = var.memory_mib
  execution_role_arn       = aws_iam_role.execution.arn
  task_role_arn            = aws_iam_role.task.arn

  runtime_platform {
    operating_system_family = "LINUX"
    cpu_architecture        = var.cpu_architecture
  }

  container_definitions = jsonencode([{
    name                   = local.container_name
    image                  = "${aws_ecr_repository.this.repository_url}:${local.image_tag}"
    essential              = true
    user                   = "10001:10001"
    readonlyRootFilesystem = each.key != "once" # tune writes its report into a folder
    stopTimeout            = local.stop_timeout_seconds
    linuxParameters        = { capabilities = { drop = ["ALL"] } }
    # The service needs one connection per worker and a few for Redis, far below this limit.
    ulimits = [{ name = "nofile", softLimit = 65536, hardLimit = 65536 }]

    environment = [
      for name, value in merge(local.environment, { ROLES = each.value.roles }) : { name = name, value = value }
      if !contains(keys(local.secrets), name)
    ]
    secrets      = [for name, arn in local.secrets : { name = name, valueFrom = arn }]
    portMappings = each.key == "api" ? [{ containerPort = local.api_port, hostPort = local.api_port, protocol = "tcp" }] : []

    # ECS ignores the image's HEALTHCHECK. Three failures (90 s) replace the task; failures in the first minute do not count.
    # The interval is long because each check starts a Python on the vCPU that is being measured.
    healthCheck = {
      command     = ["CMD", "python", "-m", "loadtest_trio", "check"]
      interval    = 30
      timeout     = 5
      retries     = 3
      startPeriod = local.start_seconds
    }

    # non-blocking: a slow log service must not stall the measured event loop. 25 MB hold eleven hours of metrics lines of
    # 6 KB each.
    logConfiguration = {
      logDriver = "awslogs"
      options = {
        awslogs-group         = aws_cloudwatch_log_group.this.name
        awslogs-region        = var.region
        awslogs-stream-prefix = each.key
        mode                  = "non-blocking"
        max-buffer-size       = "25m"
      }
    }
  }])
}

# What the first start of a task needs: permissions, network access, the secrets' values, and for a load test the scheduled stop.
resource "terraform_data" "ready" {
  depends_on = [
    aws_iam_role_policy.execution,
    aws_iam_role_policy.task,
    aws_lb_listener.api,
    aws_route.internet,
    aws_route_table_association.this,
    aws_scheduler_schedule.stop,
    aws_secretsmanager_secret_version.api_token,
    aws_secretsmanager_secret_version.redis_endpoint,
    aws_vpc_endpoint.interface,
    aws_vpc_endpoint.s3,
    aws_vpc_security_group_egress_rule.task_to_endpoints,
    aws_vpc_security_group_egress_rule.task_to_internet,
    aws_vpc_security_group_egress_rule.task_to_redis,
    aws_vpc_security_group_egress_rule.task_to_s3,
    aws_vpc_security_group_ingress_rule.endpoints_from_task,
    aws_vpc_security_group_ingress_rule.redis_from_task,
    aws_vpc_security_group_ingress_rule.task_from_load_balancer,
  ]
}

resource "aws_ecs_service" "this" {
  for_each = local.jobs ? {} : local.services

  name            = each.value.name
  cluster         = aws_ecs_cluster.this.id
  task_definition = aws_ecs_task_definition.this[each.key].arn
  desired_count   = each.value.count
  launch_type     = "FARGATE"
  propagate_tags  = "SERVICE"

  # Stop the old task before the new one starts, and roll back a new one that fails. ECS does not wait for the old task to end:
  # the replacement overlaps with it for at most stopTimeout. Two schedulers lose no message, but they use more than one vCPU, so
  # scripts/deploy waits until all tasks have ended before it applies.
  deployment_minimum_healthy_percent = 0
  deployment_maximum_percent         = 100
  availability_zone_rebalancing      = "DISABLED"                # it requires a maximum above 100
  wait_for_steady_state              = var.wait_for_steady_state # a service that was rolled back is steady too

  # Each run is a separate deployment, which completes, fails or is rolled back; scripts/deploy checks which.
  force_new_deployment = true
  triggers             = { run = var.run_id }

  deployment_circuit_breaker {
    enable   = true
    rollback = true
  }

  network_configuration {
    subnets          = aws_subnet.this[*].id
    security_groups  = [aws_security_group.task.id]
    assign_public_ip = local.public
  }

  depends_on = [terraform_data.ready]
}

# Separate from the load service's, because `lifecycle` allows no condition: here scaling decides the number of tasks.
resource "aws_ecs_service" "jobs" {
  for_each = local.jobs ? local.services : {}

  name                              = each.value.name
  cluster                           = aws_ecs_cluster.this.id
  task_definition                   = aws_ecs_task_definition.this[each.key].arn
  desired_count                     = each.value.count
  launch_type                       = "FARGATE"
  propagate_tags                    = "SERVICE"
  health_check_grace_period_seconds = each.key == "api" ? local.start_seconds : null

  # Rolling: new tasks are healthy before old ones are told to stop, so the service never has fewer tasks than it needs.
  deployment_minimum_healthy_percent = 100
  deployment_maximum_percent         = 200
  availability_zone_rebalancing      = "ENABLED"
  wait_for_steady_state              = var.wait_for_steady_state

  force_new_deployment = true
  triggers             = { run = var.run_id }

  deployment_circuit_breaker {
    enable   = true
    rollback = true
  }

  network_configuration {
    subnets          = aws_subnet.this[*].id
    security_groups  = [aws_security_group.task.id]
    assign_public_ip = local.public
  }

  dynamic "load_balancer" {
    for_each = each.key == "api" ? aws_lb_target_group.api[*].arn : []

    content {
      target_group_arn = load_balancer.value
      container_name   = local.container_name
      container_port   = local.api_port
    }
  }

  lifecycle {
    ignore_changes = [desired_count]
  }

  depends_on = [terraform_data.ready]
}

locals {
  ecs_services = merge(aws_ecs_service.this, aws_ecs_service.jobs)
}
