"""When a request is given up, and how long a reload waits for those at work."""

from __future__ import annotations

import math

import numpy as np

from capacity.queueing.spread import law_of, service_quantile
from capacity.results import Choice
from capacity.table import Column, Table
from capacity.units import format_seconds

# Requests at work when FPM reloads: all but one in a thousand get to finish.
_FINISH = 0.999
_LEAST_GRACE = 10


def terminate_after(table: Table) -> Column:
    """request_terminate_timeout: the web server's patience, in whole seconds as FPM reads them."""
    return np.ceil(table["policy.web_server_timeout"])


def explain_terminate(seconds: int, service_time: float) -> Choice:
    """Choice of request_terminate_timeout with its reason."""
    reason = (
        f"the web server has given up after {format_seconds(seconds)}, so a request still running then holds a "
        f"worker for nobody; that is {seconds / service_time:.0f} times the mean. Leave it out if scripts work on "
        "after fastcgi_finish_request()"
    )
    return Choice(setting="request_terminate_timeout", value=seconds, reason=reason)


def grace(service_time: float, patience: float, service_scv: float = 1.0) -> Choice:
    """process_control_timeout, a global setting: how long a reload lets requests at work finish."""
    slowest = service_quantile(_FINISH, service_scv) * service_time
    seconds = min(max(math.ceil(slowest), _LEAST_GRACE), math.ceil(patience))
    law = law_of(service_scv)
    finish = "lets all finish" if law == "constant" else "lets 999 of 1000 finish"
    enough = f"{finish} ({format_seconds(slowest)} if service times are {law})"
    if slowest > seconds:
        enough = "is as long as the web server waits for an answer; slower requests are lost either way"
    reason = (
        f"goes into [global]: with FPM's default of 0 a reload kills the requests at work (502); {seconds} s {enough}"
    )
    return Choice(setting="process_control_timeout", value=seconds, reason=reason)
