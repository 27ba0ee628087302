"""The change plan: what has to change on a host, as data that another tool carries out."""
