"""The command line: resolves names, prints, exits. The only code that does."""
