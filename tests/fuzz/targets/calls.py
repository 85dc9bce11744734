"""Targets that are calls: every method of the three services, and the credentials of callers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from time import time

from queen_inference import wiring as inference
from queen_inference.settings import InferenceSettings
from queen_perturber import wiring as perturber
from queen_perturber.settings import PerturberSettings
from queen_sensitivity import wiring as sensitivity
from queen_sensitivity.settings import SensitivitySettings

from tests.bundles import SmallBundle
from tests.fuzz.methods import Metadata, Methods, opened
from tests.fuzz.mutations import mutate_text
from tests.fuzz.problems import Problem
from tests.fuzz.targets.messages import ADMIN, INFER, admin_methods, door_methods, inner_methods
from tests.fuzz.targets.target import Target
from tests.integration.inference.door import NOWHERE, write_accounts
from tests.issuer import AUDIENCE, ISSUER, public_jwk, token, write_key_set
from tests.operators import bearer, write_operators
from tests.unit.perturber.flagged import SECRET

KEY: Metadata = (("authorization", "Bearer key-of-alice"),)
REFUSED = frozenset({"UNAUTHENTICATED", "PERMISSION_DENIED"})


@asynccontextmanager
async def open_methods(small: SmallBundle, folder: Path) -> AsyncIterator[Methods]:
    """The methods of all three services, which are opened by their own wiring."""
    folder.mkdir(parents=True, exist_ok=True)
    quiet = {"bundle": small.path, "port": 0, "metrics_port": -1, "log_level": "error"}
    (folder / "secret").write_bytes(SECRET)
    write_key_set(folder / "keys.json", public_jwk("ec", "ec"), public_jwk("rsa", "rsa"))
    door = InferenceSettings(
        **quiet,
        accounts=write_accounts(folder, alice="subject: alice", bob="profile: safe"),
        sensitivity_target=NOWHERE,
        perturber_target=NOWHERE,
        default_profile="paper",
        max_request_rows=64,
        unassessed_rows=1 << 30,
        decision_log="off",
        jwt_issuer=ISSUER,
        jwt_audience=AUDIENCE,
        jwt_key_set=folder / "keys.json",
    )
    ledgers = SensitivitySettings(
        **quiet,
        state="memory",
        operators=write_operators(folder),
        admin_port=0,
        max_rows=64,
        cached_accounts=500,
        survey_seconds=0,
    )
    answers = PerturberSettings(**quiet, secret_file=folder / "secret", device="cpu", max_rows=64)
    methods = Methods()
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(opened(methods, door, inference.open_service))
        await stack.enter_async_context(opened(methods, ledgers, sensitivity.open_service))
        await stack.enter_async_context(opened(methods, answers, perturber.open_service))
        yield methods


def call_targets(small: SmallBundle, methods: Methods) -> list[Target]:
    """A target for each method, with a good credential, and one for each kind of credential."""
    doors, admins = door_methods(small), admin_methods(small)
    groups = ((doors, KEY), (inner_methods(small), ()), (admins, bearer()))
    targets = [
        Target(
            name,
            method.seeds,
            partial(_call, methods, method.path, tuple(metadata)),
            weight=_weight(name),
            schema=method.schema,
        )
        for group, metadata in groups
        for name, method in group.items()
    ]
    message = doors["infer"].seeds["raw"]
    account = admins["admin-resetaccount"].seeds["alice"]
    return [
        *targets,
        Target(
            "credential",
            _credentials(),
            partial(_credential, methods, INFER, message),
            mutate_text,
        ),
        Target(
            "operator",
            {"key": b"Bearer key-of-ana", "reader": b"bearer key-of-dashboard"},
            partial(_credential, methods, f"{ADMIN}/ResetAccount", account),
            mutate_text,
        ),
    ]


def _weight(name: str) -> float:
    """Most attempts go where strangers and accounts come in, few to messages without fields."""
    if name in {"live", "admin-listlinks", "admin-watchcrossings"}:
        return 0.1
    return 0.3 if name.startswith("admin-") or name == "watch" else 1.0


async def _call(methods: Methods, path: str, metadata: Metadata, data: bytes) -> str:
    # Twice in a stream, so that an import has two accounts.
    messages = (data, data) if path.endswith("ImportAccounts") else (data,)
    return await methods.call(path, messages, metadata)


async def _credential(methods: Methods, path: str, message: bytes, data: bytes) -> str:
    try:
        value: str | bytes = data.decode()
    except UnicodeDecodeError:
        # As gRPC hands it over.
        value = data
    code = await methods.call(path, (message,), (("authorization", value),))
    if code not in REFUSED and not _is_good(data):
        raise Problem(f"admitted with a credential that is none: {code} from {path}")
    return code


def _is_good(header: bytes) -> bool:
    """Whether a header may be admitted: it has a good key, or the signature of the issuer."""
    text = header.decode(errors="replace")
    words = text[7:].strip()
    keys = ("key-of-alice", "key-of-bob", "key-of-ana", "key-of-dashboard")
    return text[:7].lower() == "bearer " and (words in keys or words.count(".") == 2)


def _credentials() -> dict[str, bytes]:
    later = time() + 10**6
    tokens: Sequence[tuple[str, str]] = (
        ("ec", token("ec", "ec", exp=later)),
        ("rsa", token("rsa", "rsa", exp=later)),
        ("stale", token("ec", "ec", exp=1)),
    )
    return {
        "key": b"Bearer key-of-alice",
        **{f"token-{name}": f"Bearer {text}".encode() for name, text in tokens},
    }
