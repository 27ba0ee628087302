"""How results look: text for a terminal, directives for a pool file."""
