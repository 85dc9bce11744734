"""Opens the keyring of a service over the files that an operator names, and follows them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from queen.method.contracts import Profile
from queen.serving.accounts import AccountsFile, Check, parse_accounts
from queen.serving.auth import Keyring
from queen.serving.identity.key_set import FollowedKeySet
from queen.serving.identity.lookalikes import look_alikes
from queen.serving.identity.tokens import TokenRules, TokenVerifier
from queen.serving.lasting.followed import follow_config
from queen.serving.lasting.tasks import Lasting
from queen.serving.logging import logger
from queen.serving.metrics import Metrics


@dataclass(frozen=True)
class Credentials:
    """An operator's choices: the files of credentials, and what follows from them."""

    accounts: Path
    default_profile: Profile
    key_set: Path | None = None
    """JSON Web Key Set of the issuer of tokens; None if no token is accepted."""
    rules: TokenRules | None = None
    """The tokens that are accepted, where there is a key set."""
    admits_unlisted: bool = False
    """Whether a genuine token of a subject that no account lists opens an account."""


@asynccontextmanager
async def followed_keyring(
    chosen: Credentials,
    metrics: Metrics,
    lasting: Lasting,
    check: Check = lambda _accounts: None,
) -> AsyncIterator[Keyring]:
    """A keyring that follows its files; of a file that is refused the last good content stays.

    Raises ConfigError if a file is wrong at the start.
    """
    async with AsyncExitStack() as stack:
        tokens = None
        if chosen.key_set is not None and chosen.rules is not None:
            keys = FollowedKeySet(chosen.key_set, metrics)
            tokens = TokenVerifier(chosen.rules, keys)
            following = lasting.running("key set", keys.file.follow())
            await stack.enter_async_context(following)
        keyring = Keyring(
            AccountsFile(accounts=[]),
            chosen.default_profile,
            tokens=tokens,
            admits_unlisted=chosen.admits_unlisted,
        )

        def load(content: bytes) -> AccountsFile:
            accounts = parse_accounts(content, chosen.accounts, check)
            keyring.swap(accounts)
            warn_of_look_alikes(accounts)
            return accounts

        file = follow_config(chosen.accounts, "accounts", load, metrics)
        await stack.enter_async_context(lasting.running("accounts file", file.follow()))
        yield keyring


def warn_of_look_alikes(accounts: AccountsFile) -> None:
    """Log how many groups have names that look alike; `queen check` names them."""
    alike = look_alikes(accounts.group_names)
    if alike:
        logger("accounts").warning(
            "groups have names that look alike and share no budget; see queen check",
            groups=sum(map(len, alike)),
        )
