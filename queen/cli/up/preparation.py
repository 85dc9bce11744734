"""The checks of `queen up` before any service is started, and the plan that passes them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from queen.bundle import Bundle, open_bundle
from queen.cli.refusal import refusing
from queen.cli.state import DEFAULT_STATE, StateFolder
from queen.cli.up.credentials import ensure_local_account, ensure_local_operator, ensure_secret
from queen.cli.up.plan import Plan, missing_extras
from queen.errors import ConfigError
from queen.method.crossing import CrossingPolicy, policy_thresholds
from queen.method.sensitivity import largest_budget
from queen.serving.accounts import read_accounts
from queen.serving.ports.place import require_free

LOOPBACK = "127.0.0.1"
EXIT_REFUSED = 2
"""Exit code when something is wrong before any service was started."""


@contextmanager
def prepared(
    bundle: Path, accounts: Path | None, state: str, asked: Mapping[str, Any]
) -> Iterator[Plan]:
    """The plan of a deployment, which holds its state folder while the block runs.

    `asked` has the other fields of the plan. Raises Refusal, with EXIT_REFUSED, for a mistake that
    would keep a service from serving and can be found before.
    """
    with ExitStack() as stack:
        with refusing(EXIT_REFUSED):
            _require_extras()
            crossing = (asked[name] for name in CrossingPolicy._fields)
            opened = _open(bundle, CrossingPolicy(*crossing))
            folder, ledger = _state(state)
            stack.enter_context(folder.locked())
            known = _accounts(folder, accounts, opened)
            plan = Plan(bundle=opened, state=folder, accounts=known, ledger=ledger, **asked)
            _check(plan)
        yield plan


def _require_extras() -> None:
    missing = missing_extras()
    if missing:
        names = ", ".join(f"`{name}`" for name in missing)
        raise ConfigError(
            f"queen up needs the {names} extra{'s' * (len(missing) > 1)}: "
            f"pip install 'queen[{','.join(missing)}]'"
        )


def _open(path: Path, crossing: CrossingPolicy) -> Bundle:
    bundle = open_bundle(path.absolute())
    policy_thresholds(bundle.geometry, bundle.mean_squared_sqs, crossing)
    return bundle


def _state(given: str) -> tuple[StateFolder, str | None]:
    """The folder, and the URL of the ledgers if they do not lie in it."""
    is_url = "://" in given
    folder = StateFolder((DEFAULT_STATE if is_url else Path(given)).absolute())
    folder.prepare()
    return folder, given if is_url else None


def _accounts(folder: StateFolder, given: Path | None, bundle: Bundle) -> Path:
    """The accounts file to serve with; made if none was given."""
    if given is None:
        ensure_local_account(folder)
    path = (given or folder.accounts).absolute()
    largest = largest_budget(bundle.geometry, bundle.mean_squared_sqs)
    read_accounts(path, lambda accounts: accounts.require_budgets(largest))
    return path


def _require_ledgers(plan: Plan) -> None:
    """DependencyUnavailable if the ledgers are in a Redis that does not answer.

    The service would wait for it; whoever starts a deployment by hand wants to know.
    """
    if plan.ledger:
        # It needs the client of Redis, which only the extra of this service installs.
        from queen_sensitivity.ledger_store import open_redis_store  # noqa: PLC0415
        from queen_sensitivity.settings import SensitivitySettings  # noqa: PLC0415

        settings = plan.settings("sensitivity")
        if isinstance(settings, SensitivitySettings):
            open_redis_store(settings.state, settings.redis_options).close()


def _check(plan: Plan) -> None:
    ensure_secret(plan.state)
    ensure_local_operator(plan.state)
    plan.check_settings()
    _require_ledgers(plan)
    require_free(plan.host, plan.port, "--port")
    if plan.metrics_port > 0:
        require_free(LOOPBACK, plan.metrics_port, "--metrics-port")
