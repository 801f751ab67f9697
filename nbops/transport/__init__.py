"""A session with a host: over SSH or on this machine; jobs, files, host keys."""
