"""The commands, one a file; each has main(name, args)."""
