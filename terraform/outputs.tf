output "region" {
  description = "Region of all resources; the scripts pass it to the AWS CLI."
  value       = var.region
}

output "repository_url" {
  description = "Repository to which scripts/deploy pushes the image."
  value       = aws_ecr_repository.this.repository_url
}

output "image_tag" {
  description = "Tag of the image that is deployed."
  value       = local.image_tag
}

output "cluster" {
  description = "Name of the ECS cluster."
  value       = aws_ecs_cluster.this.name
}

output "services" {
  description = "Names of the ECS services. load: main, and workers if there are any; jobs: api and workers."
  value       = { for key, service in local.ecs_services : key => service.name }
}

output "task_definitions" {
  description = "ECS service -> task definition to run; scripts/deploy waits until it runs."
  value       = { for service in local.ecs_services : service.name => service.task_definition }
}

output "bucket" {
  description = "Name of the bucket."
  value       = aws_s3_bucket.this.bucket
}

output "log_group" {
  description = "Log group that scripts/collect reads."
  value       = aws_cloudwatch_log_group.this.name
}

output "dashboard_url" {
  description = "The dashboard in the console."
  value       = "https://${var.region}.console.aws.amazon.com/cloudwatch/home?region=${var.region}#dashboards/dashboard/${aws_cloudwatch_dashboard.this.dashboard_name}"
}

output "run_started_at" {
  description = "When the current run began (RFC 3339, UTC); scripts/collect reads from this time."
  value       = terraform_data.run.output
}

output "run_stops_at" {
  description = "When the schedule ends the current run (RFC 3339, UTC); null for jobs."
  value       = local.jobs ? null : aws_scheduler_schedule.stop["main"].start_date
}

output "cost_usd_a_day" {
  description = "Estimate by service, from prices.json; null if it has no price, or if the rate is unknown in saturate mode."
  value       = { for part, usd in local.cost_parts_day : part => usd == null ? null : floor(usd * 100 + 0.5) / 100 }
}

output "cost_usd_a_run" {
  description = "Estimate for run_hours, or for a month of jobs; null if a part of it is null."
  value       = local.cost_run == null ? null : floor(local.cost_run * 100 + 0.5) / 100
}

output "cost_usd_a_run_at_most" {
  description = "The same if scaling keeps the most tasks all the time; null for load, or if a part of it is null."
  value       = !local.jobs || local.cost_run == null ? null : floor((local.cost_run + local.more_tasks_run) * 100 + 0.5) / 100
}

output "prices_as_of" {
  description = "Date and region of the prices."
  value       = "${local.prices.as_of}, ${local.prices.region}"
}

# jobs only; null for load.
output "api_url" {
  description = "Address of the job API."
  value       = local.api_url
}

output "api_token_secret" {
  description = "Name of the secret with the bearer token of the job API."
  value       = one(aws_secretsmanager_secret.api_token[*].name)
}

output "target_group_arn" {
  description = "Target group with the API's tasks."
  value       = one(aws_lb_target_group.api[*].arn)
}

output "scaling" {
  description = "ECS service -> its scalable target and its policy, as Application Auto Scaling names them."
  value = local.jobs ? {
    for key, policy in { api = aws_appautoscaling_policy.cpu[0], workers = aws_appautoscaling_policy.backlog[0] } :
    aws_ecs_service.jobs[key].name => { resource_id = policy.resource_id, policy = policy.name, min = local.scaling[key].min, max = local.scaling[key].max }
  } : null
}
