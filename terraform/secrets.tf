# Secrets reach a container through valueFrom, so that they are in no task definition.
locals {
  secrets = merge(
    { REDIS_ENDPOINT = aws_secretsmanager_secret.redis_endpoint.arn },
    local.jobs ? { API_TOKEN = aws_secretsmanager_secret.api_token[0].arn } : {},
  )
}

# The bearer token that clients of the job API send. Write-only like Redis's (redis.tf), and Terraform never reads it, so it is
# not in the state: read it with the AWS CLI (docs/deployment.md). Tasks read it when they start.
resource "aws_secretsmanager_secret" "api_token" {
  count = local.jobs ? 1 : 0

  name                    = "${var.name}/api-token"
  description             = "Bearer token of the job API"
  recovery_window_in_days = 0
}

resource "aws_secretsmanager_secret_version" "api_token" {
  count = local.jobs ? 1 : 0

  secret_id                = aws_secretsmanager_secret.api_token[0].id
  secret_string_wo         = sha256("${uuid()}${uuid()}")
  secret_string_wo_version = 1
}
