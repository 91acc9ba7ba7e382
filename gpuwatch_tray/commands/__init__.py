"""The commands, one room each: a function from what was asked to an exit code."""
