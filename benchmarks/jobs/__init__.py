"""The jobs benchmark: CPU, throughput and latency of the job service beside its peers."""
