"""Settings to adapters to service: the only place that picks adapters."""
