"""Accounts: parameters, multiply-accumulates, memory and training compute.

Light throughout (no torch, no numpy), except `zoo_core.account.meta`, which counts a built module and
is imported only by the subprocess that `zoo_core.account.isolated` starts, and by tests.
"""

from zoo_core.account.record import Account

__all__ = ["Account"]
