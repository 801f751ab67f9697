"""What all parts share: errors, events, secrets, YAML with positions, commands, ids, retry."""
