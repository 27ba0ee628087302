"""The change plan: what has to change on a host, as data that another tool carries out.

`inspect_installation` and `inspect_application` look at the host, `build_plan` says what has to change, `check_plan`
whether the host is still as it was then; `plan_diff` and `plan_shell` write a plan for eyes and for ``sh``.
"""

from capacity.plan.application import Application, inspect_application
from capacity.plan.builder import build_plan
from capacity.plan.check import Staleness, check_plan
from capacity.plan.diff import plan_diff
from capacity.plan.installation import Installation, inspect_installation
from capacity.plan.model import ChangePlan, canonical_json, plan_id_of, read_plan
from capacity.plan.shell import plan_shell

__all__ = [
    "Application",
    "ChangePlan",
    "Installation",
    "Staleness",
    "build_plan",
    "canonical_json",
    "check_plan",
    "inspect_application",
    "inspect_installation",
    "plan_diff",
    "plan_id_of",
    "plan_shell",
    "read_plan",
]
