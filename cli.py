"""The command line: parse, call one package function, print, return an exit code."""
