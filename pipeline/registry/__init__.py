"""What speaks a registry's HTTP API: the client, credentials, manifests, what answers mean, retries."""
