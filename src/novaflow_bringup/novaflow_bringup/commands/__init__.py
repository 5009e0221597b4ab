"""One module per sub-command of `novaflow`."""
