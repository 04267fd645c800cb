# Size: a message is about 200 bytes, so MAX_QUEUE_LENGTH=100000 is 20 MB and fits any node. The first limit is a node's single
# command thread: choose a larger type (m7g, then r7g) if redis_latency_ms rises while cpu_percent does not.
# All keys of a queue share one hash tag, so cluster mode distributes several queues over shards, but not a single one.
locals {
  redis_port = 6379
  # In one node a load test's queue may be lost; jobs may not.
  redis_replicas = coalesce(var.redis_replicas, local.jobs ? 1 : 0)
  redis_family   = "${var.redis_engine}${split(".", var.redis_engine_version)[0]}"
}

resource "aws_elasticache_subnet_group" "this" {
  name        = var.name
  description = "Subnets of the load test"
  subnet_ids  = aws_subnet.this[*].id
}

resource "aws_elasticache_parameter_group" "this" {
  name        = "${var.name}-${local.redis_family}"
  family      = local.redis_family
  description = "A queue must refuse writes when it is full, not forget messages"

  parameter {
    name  = "maxmemory-policy"
    value = "noeviction"
  }

  lifecycle {
    create_before_destroy = true # an engine upgrade needs the new group before the old one is deleted
  }
}

# Two secrets ($0.40 a month each), because the token is needed to create Redis, and the URL for the task contains Redis's
# address.
resource "aws_secretsmanager_secret" "redis_token" {
  name                    = "${var.name}/redis-token"
  description             = "Auth token of the load test's Redis"
  recovery_window_in_days = 0 # frees the name at once after destroy
}

# 64 hexadecimal digits from 244 random bits. Write-only: the value goes only to Secrets Manager, so it may differ in every plan.
# (The data source aws_secretsmanager_random_password uses the password as its id, which Terraform prints.) The token lives as
# long as the deployment; destroy and deploy again for a new one. Rotation in place is not supported: ElastiCache needs two
# changes for it, ROTATE and then SET, and a task reads the secret only when it starts.
resource "aws_secretsmanager_secret_version" "redis_token" {
  secret_id                = aws_secretsmanager_secret.redis_token.id
  secret_string_wo         = sha256("${uuid()}${uuid()}")
  secret_string_wo_version = 1
}

data "aws_secretsmanager_secret_version" "redis_token" {
  secret_id  = aws_secretsmanager_secret.redis_token.id
  version_id = aws_secretsmanager_secret_version.redis_token.version_id
}

resource "aws_elasticache_replication_group" "this" {
  replication_group_id = var.name
  description          = "Queue of the load test"

  engine               = var.redis_engine
  engine_version       = var.redis_engine_version
  node_type            = var.redis_node_type
  port                 = local.redis_port
  parameter_group_name = aws_elasticache_parameter_group.this.name
  subnet_group_name    = aws_elasticache_subnet_group.this.name
  security_group_ids   = [aws_security_group.redis.id]

  num_cache_clusters         = 1 + local.redis_replicas
  automatic_failover_enabled = local.redis_replicas > 0
  multi_az_enabled           = local.redis_replicas > 0 && local.zone_count > 1

  at_rest_encryption_enabled = true
  transit_encryption_enabled = true
  transit_encryption_mode    = "required"
  auth_token                 = data.aws_secretsmanager_secret_version.redis_token.secret_string
  auth_token_update_strategy = "SET"

  snapshot_retention_limit   = 0     # the queue is worthless after the load test
  auto_minor_version_upgrade = false # no maintenance in the middle of a run
  apply_immediately          = true
}

resource "aws_secretsmanager_secret" "redis_endpoint" {
  name                    = "${var.name}/redis-endpoint"
  description             = "REDIS_ENDPOINT of the load test: address and token"
  recovery_window_in_days = 0
}

resource "aws_secretsmanager_secret_version" "redis_endpoint" {
  secret_id = aws_secretsmanager_secret.redis_endpoint.id
  secret_string = format(
    "rediss://:%s@%s:%d/0",
    data.aws_secretsmanager_secret_version.redis_token.secret_string,
    aws_elasticache_replication_group.this.primary_endpoint_address,
    local.redis_port,
  )
}
