"""TEMP."""
import numpy as np
from capacity.policies.process_manager import MANAGERS
from capacity.table import table_of
def row_of(scenario):
    pool = scenario.pool
    known = dict(pool) if pool else {}
    t = table_of(scenario)
    t["policy.process_manager"] = np.array([float(scenario.process_manager == "auto")])
    t["pool.pm"] = np.array([float(MANAGERS.index(pool.pm)) if pool else np.nan])
    for n in ("max_children","max_requests"):
        v = known.get(n)
        t["pool."+n] = np.array([np.nan if v is None else float(v)])
    return t
