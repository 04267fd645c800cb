"""How much Redis + S3 work can one vCPU do, for 24 hours, without losing a message?"""

__version__ = "0.1.0"
