# The job service's number of tasks: the API follows its CPU, the workers follow the backlog.
locals {
  scaling = local.jobs ? {
    api     = { min = var.api_task_min, max = var.api_task_max }
    workers = { min = var.worker_task_min, max = var.worker_task_max }
  } : {}
}

resource "aws_appautoscaling_target" "this" {
  for_each = local.scaling

  service_namespace  = "ecs"
  resource_id        = "service/${aws_ecs_cluster.this.name}/${aws_ecs_service.jobs[each.key].name}"
  scalable_dimension = "ecs:service:DesiredCount"
  min_capacity       = each.value.min
  max_capacity       = each.value.max
}

resource "aws_appautoscaling_policy" "cpu" {
  count = local.jobs ? 1 : 0

  name               = "${var.name}-api-cpu"
  policy_type        = "TargetTrackingScaling"
  service_namespace  = aws_appautoscaling_target.this["api"].service_namespace
  resource_id        = aws_appautoscaling_target.this["api"].resource_id
  scalable_dimension = aws_appautoscaling_target.this["api"].scalable_dimension

  target_tracking_scaling_policy_configuration {
    target_value       = var.api_cpu_target_percent
    scale_out_cooldown = var.scale_out_cooldown_seconds
    scale_in_cooldown  = var.scale_in_cooldown_seconds

    predefined_metric_specification {
      predefined_metric_type = "ECSServiceAverageCPUUtilization"
    }
  }
}

# Jobs on the queue, as the API's tasks report them, for each running worker task. Jobs that wait behind an earlier job of their
# client do not count: more workers would not help them. ECS publishes one CPU value a minute for each running task, so the
# number of values is the number of tasks (AmazonECS, "Viewing the service RUNNING task count").
resource "aws_appautoscaling_policy" "backlog" {
  count = local.jobs ? 1 : 0

  name               = "${var.name}-workers-backlog"
  policy_type        = "TargetTrackingScaling"
  service_namespace  = aws_appautoscaling_target.this["workers"].service_namespace
  resource_id        = aws_appautoscaling_target.this["workers"].resource_id
  scalable_dimension = aws_appautoscaling_target.this["workers"].scalable_dimension

  target_tracking_scaling_policy_configuration {
    target_value       = var.backlog_per_worker_task
    scale_out_cooldown = var.scale_out_cooldown_seconds
    scale_in_cooldown  = var.scale_in_cooldown_seconds

    customized_metric_specification {
      metrics {
        id          = "backlog"
        label       = "jobs on the queue"
        return_data = false

        metric_stat {
          stat = "Average"

          metric {
            namespace   = local.metrics_namespace
            metric_name = "queue_length"

            dimensions {
              name  = "service"
              value = var.queue_name
            }

            dimensions {
              name  = "role"
              value = "api"
            }
          }
        }
      }

      metrics {
        id          = "tasks"
        label       = "running worker tasks"
        return_data = false

        metric_stat {
          stat = "SampleCount"

          metric {
            namespace   = "AWS/ECS"
            metric_name = "CPUUtilization"

            dimensions {
              name  = "ClusterName"
              value = aws_ecs_cluster.this.name
            }

            dimensions {
              name  = "ServiceName"
              value = aws_ecs_service.jobs["workers"].name
            }
          }
        }
      }

      metrics {
        id          = "backlog_per_task"
        label       = "jobs on the queue for each worker task"
        expression  = "backlog / FILL(tasks, 1)"
        return_data = true
      }
    }
  }
}
