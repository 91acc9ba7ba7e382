"""The list of GPU processes as text, as JSON, and read back."""
