"""The real servers on one machine without containers: installed into a cache, configured, started, checked, stopped."""
