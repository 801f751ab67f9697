"""Hosts, groups, variables and host patterns, in Ansible's format."""
