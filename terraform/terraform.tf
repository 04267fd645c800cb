terraform {
  # 1.11: write-only arguments, so that the Redis token is generated without being shown (redis.tf).
  required_version = ">= 1.11"

  required_providers {
    # The only provider: the Redis token comes from Secrets Manager, the clock from Terraform itself.
    aws = {
      source  = "hashicorp/aws"
      version = "5.100.0" # exact, because the module has no lock file
    }
  }

  # State stays in this folder unless a backend is configured (docs/deployment.md, "Initial set-up").
  # It contains the Redis token: keep it private.
}
