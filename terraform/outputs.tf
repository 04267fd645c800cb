output "region" {
  description = "Region of everything; the scripts hand it to the AWS CLI."
  value       = var.region
}

output "repository_url" {
  description = "Where scripts/deploy pushes the image."
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
  description = "Names of the ECS services: main, and workers when there are any."
  value       = { for key, service in aws_ecs_service.this : key => service.name }
}

output "task_definitions" {
  description = "ECS service -> task definition it is to run; scripts/deploy waits until it does."
  value       = { for service in aws_ecs_service.this : service.name => service.task_definition }
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
  description = "When the current run began (RFC 3339, UTC): where scripts/collect starts to read."
  value       = terraform_data.run.output
}

output "run_stops_at" {
  description = "When the schedule ends the current run (RFC 3339, UTC)."
  value       = aws_scheduler_schedule.stop["main"].start_date
}

output "cost_usd_a_day" {
  description = "Estimate by service, from prices.json; null where it has no price, or where saturate mode leaves the rate open."
  value       = { for part, usd in local.cost_parts_day : part => usd == null ? null : floor(usd * 100 + 0.5) / 100 }
}

output "cost_usd_a_run" {
  description = "Estimate for run_hours; null where a part of it is."
  value       = anytrue([for usd in values(local.cost_parts_day) : usd == null]) ? null : floor(sum(values(local.cost_parts_day)) * local.run_days * 100 + 0.5) / 100
}

output "prices_as_of" {
  description = "Date and region of the prices."
  value       = "${local.prices.as_of}, ${local.prices.region}"
}
