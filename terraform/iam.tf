# Three roles with minimal permissions:
#   execution  used by ECS before the container runs: pull this image, read this secret, write to this log group
#   task       used by the service: object requests under one prefix, and listing that prefix. A load test reads, writes and
#              deletes all of it; jobs read and write results and archive only, and nothing but preflight's probe is deleted
#   stop       used by the schedule: set the desired count of these services
data "aws_iam_policy_document" "ecs_tasks" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["ecs-tasks.amazonaws.com"]
    }

    # Only for tasks of this account (AmazonECS, "Cross-service confused deputy prevention").
    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [data.aws_caller_identity.current.account_id]
    }

    condition {
      test     = "ArnLike"
      variable = "aws:SourceArn"
      values   = ["arn:${data.aws_partition.current.partition}:ecs:${var.region}:${data.aws_caller_identity.current.account_id}:*"]
    }
  }
}

resource "aws_iam_role" "execution" {
  name               = "${var.name}-${var.region}-execution"
  assume_role_policy = data.aws_iam_policy_document.ecs_tasks.json
}

data "aws_iam_policy_document" "execution" {
  statement {
    sid       = "RegistryLogin"
    actions   = ["ecr:GetAuthorizationToken"]
    resources = ["*"] # this action supports no resource
  }

  statement {
    sid       = "PullImage"
    actions   = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
    resources = [aws_ecr_repository.this.arn]
  }

  statement {
    sid       = "WriteLogs"
    actions   = ["logs:CreateLogStream", "logs:PutLogEvents"]
    resources = ["${aws_cloudwatch_log_group.this.arn}:*"]
  }

  statement {
    sid       = "ReadSecrets"
    actions   = ["secretsmanager:GetSecretValue"]
    resources = values(local.secrets)
  }
}

resource "aws_iam_role_policy" "execution" {
  name   = "execution"
  role   = aws_iam_role.execution.id
  policy = data.aws_iam_policy_document.execution.json
}

resource "aws_iam_role" "task" {
  name               = "${var.name}-${var.region}-task"
  assume_role_policy = data.aws_iam_policy_document.ecs_tasks.json
}

locals {
  objects      = "${aws_s3_bucket.this.arn}/${var.s3_prefix}"
  job_objects  = ["${local.objects}jobs/results/*", "${local.objects}jobs/archive/*"] # loadtest_trio/backends/archive.py
  probe_object = "${local.objects}.preflight-*"
}

data "aws_iam_policy_document" "task" {
  statement {
    sid       = "Objects"
    actions   = local.jobs ? ["s3:GetObject", "s3:PutObject"] : ["s3:DeleteObject", "s3:GetObject", "s3:PutObject"] # GetObject also allows HEAD
    resources = local.jobs ? local.job_objects : ["${local.objects}*"]
  }

  dynamic "statement" {
    for_each = local.jobs ? [local.probe_object] : []

    content {
      sid       = "PreflightProbe"
      actions   = ["s3:DeleteObject", "s3:GetObject", "s3:PutObject"]
      resources = [statement.value]
    }
  }

  statement {
    sid       = "ListPrefix"
    actions   = ["s3:ListBucket"]
    resources = [aws_s3_bucket.this.arn]

    condition {
      test     = "StringLike"
      variable = "s3:prefix"
      values   = ["${var.s3_prefix}*"]
    }
  }
}

resource "aws_iam_role_policy" "task" {
  name   = "task"
  role   = aws_iam_role.task.id
  policy = data.aws_iam_policy_document.task.json
}

data "aws_iam_policy_document" "scheduler" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["scheduler.amazonaws.com"]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [data.aws_caller_identity.current.account_id]
    }
  }
}

resource "aws_iam_role" "stop" {
  count = local.jobs ? 0 : 1

  name               = "${var.name}-${var.region}-stop"
  assume_role_policy = data.aws_iam_policy_document.scheduler.json
}

data "aws_iam_policy_document" "stop" {
  statement {
    sid     = "StopServices"
    actions = ["ecs:UpdateService"]
    resources = [
      for service in local.services :
      "arn:${data.aws_partition.current.partition}:ecs:${var.region}:${data.aws_caller_identity.current.account_id}:service/${var.name}/${service.name}"
    ]
  }
}

resource "aws_iam_role_policy" "stop" {
  count = local.jobs ? 0 : 1

  name   = "stop"
  role   = aws_iam_role.stop[0].id
  policy = data.aws_iam_policy_document.stop.json
}
