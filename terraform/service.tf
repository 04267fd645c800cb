locals {
  cpu_units = 1024 # 1 vCPU: the thing that is measured

  # After the grace period the service still returns what is left to the queue, writes its last line and closes its clients.
  stop_timeout_seconds = var.shutdown_grace_seconds + 15

  # One body for both services. More workers than one task need no other queue; S3 gives each prefix 3,500 writes and
  # 5,500 reads a second, so beyond about 30 tasks give each group of tasks a prefix (and queue) of its own.
  services = merge(
    { main = { name = var.name, roles = "scheduler,worker", count = 1 } },
    var.worker_task_count == 0 ? {} : {
      workers = { name = "${var.name}-workers", roles = "worker", count = var.worker_task_count }
    },
  )

  # `once` is for a command by hand (preflight, tune): the same task, whose lines stand apart from those of the run.
  tasks = merge(local.services, { once = { name = "${var.name}-once", roles = "scheduler,worker", count = 0 } })

  # The architecture is part of the tag: tags are immutable, and the same commit for the other one is another image.
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
    name                   = "loadtest"
    image                  = "${aws_ecr_repository.this.repository_url}:${local.image_tag}"
    essential              = true
    user                   = "10001:10001"
    readonlyRootFilesystem = each.key != "once" # tune writes its report into a folder
    stopTimeout            = local.stop_timeout_seconds
    linuxParameters        = { capabilities = { drop = ["ALL"] } }
    # A connection a worker and a few for Redis: far below this, which only ends the worry.
    ulimits = [{ name = "nofile", softLimit = 65536, hardLimit = 65536 }]

    environment = [
      for name, value in merge(local.environment, { ROLES = each.value.roles }) : { name = name, value = value }
    ]
    secrets = [{ name = "REDIS_ENDPOINT", valueFrom = aws_secretsmanager_secret.redis_endpoint.arn }]

    # ECS ignores the image's HEALTHCHECK. Three failures, 90 s, replace the task; the first minute may fail. Not more often:
    # each check starts a Python on the one vCPU that is being measured.
    healthCheck = {
      command     = ["CMD", "python", "-m", "loadtest_trio", "check"]
      interval    = 30
      timeout     = 5
      retries     = 3
      startPeriod = 60
    }

    # non-blocking: a slow log service must not stall the loop that is being measured. 25 MB is eleven hours
    # of metrics lines, 6 KB each.
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

resource "aws_ecs_service" "this" {
  for_each = local.services

  name            = each.value.name
  cluster         = aws_ecs_cluster.this.id
  task_definition = aws_ecs_task_definition.this[each.key].arn
  desired_count   = each.value.count
  launch_type     = "FARGATE"
  propagate_tags  = "SERVICE"

  # Tell the old task to stop before the new one starts, and roll back a new one that fails. ECS does not wait for the old one's
  # end: a replacement overlaps with what still drains, for stopTimeout at most. Two schedulers lose no message, but they are not
  # one vCPU, so scripts/deploy waits until no task is left before it applies.
  deployment_minimum_healthy_percent = 0
  deployment_maximum_percent         = 100
  availability_zone_rebalancing      = "DISABLED"                # it needs a maximum above 100
  wait_for_steady_state              = var.wait_for_steady_state # a service that was rolled back is steady, too

  # Each run is a deployment of its own, which is completed, failed or rolled back: scripts/deploy looks which.
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

  # Permissions, the way out and the secret's value before the first start; the end of the run before its beginning.
  depends_on = [
    aws_iam_role_policy.execution,
    aws_iam_role_policy.task,
    aws_route.internet,
    aws_route_table_association.this,
    aws_scheduler_schedule.stop,
    aws_secretsmanager_secret_version.redis_endpoint,
    aws_vpc_endpoint.interface,
    aws_vpc_endpoint.s3,
    aws_vpc_security_group_egress_rule.task_to_endpoints,
    aws_vpc_security_group_egress_rule.task_to_internet,
    aws_vpc_security_group_egress_rule.task_to_redis,
    aws_vpc_security_group_egress_rule.task_to_s3,
    aws_vpc_security_group_ingress_rule.endpoints_from_task,
    aws_vpc_security_group_ingress_rule.redis_from_task,
  ]
}
