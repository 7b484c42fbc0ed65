"""What is true of a platform, as pyinfra facts."""
