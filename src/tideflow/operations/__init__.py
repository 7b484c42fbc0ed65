"""What a deploy file can ask for, as pyinfra operations."""
