terraform {
  # 1.11: write-only arguments, so that the Redis token is drawn without being shown (redis.tf).
  required_version = ">= 1.11"

  required_providers {
    # The only provider: the Redis token comes from Secrets Manager, the clock from Terraform itself.
    aws = {
      source  = "hashicorp/aws"
      version = "5.100.0" # exactly, since no lock file comes with the module
    }
  }

  # State stays in this folder unless a backend is configured (docs/deployment.md, "Initial set-up").
  # It holds the Redis token, as every state with an auth token does: keep it private.
}
