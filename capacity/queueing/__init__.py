"""Queueing formulas: free functions, keyword-only, scalars or arrays in, the same out.

One word, one quantity, one unit: rates in 1/s, times in s, loads in erlang, probabilities 0 to 1. Arguments
become float64 and are broadcast; a value out of domain gives NaN, an unstable wait inf, never an exception.
A function raises only on what is no number, or on shapes that do not broadcast.

====================================  ======================================================================
``laws``                              what holds whatever the distributions
``erlang``                            Erlang B and C
``multiserver``                       M/M/c: c servers, an unlimited queue
``multiserver_backlog``               M/M/c/K: a limited queue
``finite``, ``finite_tails``          M/M/c//N: N users who think
``general``, ``general_finite``       M/G/c, and with N users who think: service times of any spread, approximated
``contention``, ``contention_finite`` workers that share cores and database connections, under a stream and with N
                                      users; with ``_times``: waits and responses
``inverse``                           the least servers, the largest load or population, that meet a target
``trace``                             FCFS G/G/c on the requests of a log or of a simulation
====================================  ======================================================================
"""

from capacity.queueing.contention import *  # noqa: F403
from capacity.queueing.contention_finite import *  # noqa: F403
from capacity.queueing.contention_finite_times import *  # noqa: F403
from capacity.queueing.contention_times import *  # noqa: F403
from capacity.queueing.erlang import *  # noqa: F403
from capacity.queueing.finite import *  # noqa: F403
from capacity.queueing.finite_tails import *  # noqa: F403
from capacity.queueing.general import *  # noqa: F403
from capacity.queueing.general_finite import *  # noqa: F403
from capacity.queueing.inverse import *  # noqa: F403
from capacity.queueing.laws import *  # noqa: F403
from capacity.queueing.multiserver import *  # noqa: F403
from capacity.queueing.multiserver_backlog import *  # noqa: F403
from capacity.queueing.trace import *  # noqa: F403
