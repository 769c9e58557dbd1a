"""Wiring: a configuration becomes handlers, a router, a journal and a spool.

Promises: handlers are found by entry points only, and only those that the configuration names are
loaded. Leaves out: running anything.
"""

from __future__ import annotations

import gc
import logging
import os
import sys
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cache, cached_property, partial
from importlib.metadata import EntryPoints, entry_points
from itertools import groupby
from pathlib import Path
from typing import Any, cast

from provisioner.agent.client import Agent, runner
from provisioner.config.schema import Config
from provisioner.contract import (
    Build,
    Claim,
    ConfigError,
    Fault,
    Handler,
    Host,
    InvalidRequest,
    Key,
    Scalar,
    Site,
    State,
    Want,
    split_key,
)
from provisioner.contract.abilities import (
    Allots,
    LooksAhead,
    Measures,
    Prepares,
    Remarks,
    Seeks,
    Shuts,
    Stores,
    able,
)
from provisioner.convergence.calls.questions import unexpected
from provisioner.convergence.lanes import Lane, lanes_of
from provisioner.convergence.next_try import Patience
from provisioner.journal.figures import quota
from provisioner.journal.journal import Journal
from provisioner.journal.queries import unmade
from provisioner.journal.records import keepsakes
from provisioner.journal.records.request_rows import Record
from provisioner.objects.losses import Nature
from provisioner.outcome.uses import Uses
from provisioner.policy.policy import Policy
from provisioner.request import crowds
from provisioner.request.request import Request
from provisioner.routing import expressions
from provisioner.routing.rendering import Step
from provisioner.routing.router import Router
from provisioner.steps import binding
from provisioner.system.ulid import RequestId

HANDLERS = "provisioner.handlers"
HOSTS = "provisioner.hosts"
_PLACES = (Path(__file__).resolve().parent.parent, Path(sys.prefix, "share/provisioner"))
SHIPPED_TEMPLATES = next(
    (p / "templates" for p in _PLACES if (p / "templates").is_dir()), _PLACES[0]
)
"""The templates of a checkout, or of an installation."""

log = logging.getLogger(__name__)

GARBAGE = 50_000
"""New objects before the collector looks for cycles: with 700, that takes a tenth of a batch of
requests, and a quarter of a look at 60,000 objects."""

_REMEMBERED = 4096
"""How many parsed requests are cached for their later steps; others are parsed again."""


@dataclass
class System:
    """Everything built from one configuration."""

    config: Config
    handlers: Mapping[str, Handler]
    kinds: Mapping[str, str]
    router: Router
    _requests: OrderedDict[RequestId, Request] = field(default_factory=OrderedDict)

    @cached_property
    def journal(self) -> Journal:
        """The journal, opened at its first use."""
        return Journal.open(self.config.journal)

    @cached_property
    def policy(self) -> Policy:
        """The rules about who may ask for what."""
        return policy_of(self.config)

    @property
    def lanes(self) -> dict[str, str]:
        """The lane of each instance."""
        return self.router.lanes

    @property
    def progress(self) -> binding.Progress:
        """What later steps need to be bound."""
        return binding.Progress(
            self._bind,
            self.outputs_of,
            self._merge_of,
            self._remarks_of,
            {name for name, handler in self.handlers.items() if isinstance(handler, Remarks)},
            self._remember,
        )

    def prepare(self, keys: Iterable[Key], lanes: Mapping[str, Lane]) -> None:
        """Tell handlers that they are to make some objects soon."""
        for handler, some in self._at_work(keys, lanes):
            if able(handler, Prepares):
                try:
                    handler.prepare(some)
                except Exception:  # it is asked again when it makes them
                    log.exception("a handler could not get ready for %s", ", ".join(some))

    def look_ahead(self, keys: Iterable[Key], lanes: Mapping[str, Lane]) -> None:
        """Let handlers look at objects whose steps begin when what these need is recorded."""
        for handler, some in self._at_work(keys, lanes):
            if able(handler, LooksAhead):
                handler.look_ahead(some)

    def _at_work(
        self, keys: Iterable[Key], lanes: Mapping[str, Lane]
    ) -> Iterator[tuple[Handler, list[Key]]]:
        """Give the handlers of some objects, without those whose lane is paused or waits for its
        backend, which is left alone. lanes: those that are drained here."""
        for instance, some in groupby(sorted(keys), lambda key: split_key(key)[0]):
            handler = self.handlers.get(instance)
            if handler is None:
                continue
            lane = lanes.get(handler.lane)
            if lane and not (lane.paused or lane.away):
                yield handler, list(some)

    @property
    def patience(self) -> dict[str, Patience]:
        """How long each lane keeps trying objects."""
        settings = self.config.lanes
        return {
            name: Patience(**settings[name].model_dump()) if name in settings else Patience()
            for name in lanes_of(self.handlers)
        }

    def _remember(self, ulid: RequestId, request: Request) -> None:
        """Cache a parsed request for its later steps."""
        self._requests[ulid] = request
        if len(self._requests) > _REMEMBERED:
            self._requests.popitem(last=False)

    @cached_property
    def nature(self) -> Nature:
        """What handlers know about their objects."""
        able = [name for name, handler in self.handlers.items() if isinstance(handler, Shuts)]
        return Nature(self._stores, frozenset(able), self._shuts)

    def _stores(self, key: Key) -> bool:
        """Return True if an object holds people's data, or may; see `abilities.Stores`."""
        handler = self.handlers.get(split_key(key)[0])
        try:
            return isinstance(handler, Stores) and handler.stores(key)
        except Exception:
            log.exception(
                "%s: the handler cannot tell if it holds data; assuming that it does", key
            )
            return True

    def _shuts(self, key: Key, before: Sequence[Claim], after: Sequence[Claim]) -> bool:
        """Return True if an object shuts people out with other claims; see `abilities.Shuts`."""
        handler: Any = self.handlers[split_key(key)[0]]
        try:
            wants = (handler.merge(key, claims, None) for claims in (before, after))
            return bool(handler.shuts(key, *wants))
        except Exception:
            log.exception("%s: the handler cannot tell if it shuts people out; assuming so", key)
            return True

    def bearers(self, lane: str, kind: str, first: int, last: int) -> Mapping[int, Sequence[Key]]:
        """Return which objects of a lane have or had some numbers; see `abilities.Bearers`."""
        with self.journal.reading() as conn:
            return keepsakes.bearers(conn, lane, kind, first, last)

    def claimed(self, keys: Collection[Key]) -> Collection[Key]:
        """Return those of some objects that somebody claims; see `abilities.Seeks`."""
        with self.journal.reading() as conn:
            return unmade.still_claimed(conn, keys)

    def outputs_of(self, instance: str, state: State) -> Mapping[str, Scalar]:
        """Ask an instance's handler for the outputs of a state. Raises Permanent if it fails."""
        handler = self.handlers.get(instance)
        if handler is None or not state.get("present"):
            return {}
        with _expecting_faults(f"the outputs of {instance}"):
            return handler.outputs(state)

    @property
    def uses(self) -> Uses:
        """What receipts say of the use of quotas."""
        return Uses(self._used_of, self._newest_use)

    def _used_of(self, instance: str, state: State) -> Mapping[str, int]:
        handler = self.handlers.get(instance)
        if handler is None or not able(handler, Measures) or not state.get("present"):
            return {}
        with _expecting_faults(f"the use of {instance}"):
            return handler.used(state)

    def _newest_use(self, keys: Collection[Key]) -> Mapping[Key, tuple[float, Mapping[str, int]]]:
        with self.journal.reading() as conn:
            return quota.newest(conn, keys)

    def _merge_of(self, instance: str, key: Key, claims: Sequence[Claim]) -> Want:
        handler = self.handlers.get(instance)
        if handler is None:
            return {}
        with _expecting_faults(f"merging claims on {key}"):
            return handler.merge(key, claims, None)

    def _remarks_of(
        self, instance: str, key: Key, claims: Sequence[Claim], state: State
    ) -> Sequence[str]:
        handler = self.handlers.get(instance)
        if not isinstance(handler, Remarks):
            return ()
        with _expecting_faults(f"remarks on {key}"):
            return handler.remarks(key, self._merge_of(instance, key, claims), state)

    def _bind(
        self, record: Record, step: str, outputs: binding.Outputs, users: binding.Users
    ) -> Step:
        request = self._requests.get(record.id) or crowds.whole(record.body, record.listed)
        with _expecting_faults(f"binding step {step}"):
            return self.router.bind(request, step, outputs, users)


@contextmanager
def _expecting_faults(what: str) -> Iterator[None]:
    """Turn unexpected exceptions of a handler into faults: of one request, not of its lane."""
    try:
        yield
    except Fault:
        raise
    except Exception:
        raise unexpected(what) from None


def policy_of(config: Config) -> Policy:
    """Return the policy of a site. The owner of the spool is the user of the service."""
    try:
        service_uid = config.spool.stat().st_uid
    except OSError:
        service_uid = os.geteuid()
    # A handler that makes accounts NAME@DOMAIN says so in its `domain`.
    domains = [handler.settings.get("domain") for handler in config.handlers.values()]
    realms = [domain for domain in domains if isinstance(domain, str) and domain]
    most = config.drift.most_removed
    return Policy(config.policy, config.staging_group, service_uid, realms, most)


def build(config: Config) -> System:
    """Build handlers and router.

    Raises ConfigError with the handler and the setting. Sets the collector of this process, which
    is about to read thousands of objects.
    """
    gc.set_threshold(GARBAGE)
    kinds = {name: instance.use for name, instance in config.handlers.items()}
    host = _host(config)
    run = runner({word: Agent(address) for word, address in config.agent_addresses.items()})
    handlers: dict[str, Handler] = {}
    for name, instance in config.handlers.items():
        site = Site(
            instance=name,
            service=config.service,
            run=run,
            host=host,
            render=expressions.render_text,
            template=_template(config),
            secret=config.secret,
        )
        try:
            handlers[name] = handler_factory(instance.use)(site, instance.settings)
        except ConfigError as error:
            fault = ConfigError(f"handlers.{name}: {error.message}", advice=error.advice)
            fault.settings = error.settings
            raise fault from error
    system = System(config, handlers, kinds, Router(config, handlers, kinds))
    for handler in handlers.values():
        if isinstance(handler, Allots):
            handler.heed(partial(system.bearers, handler.lane))
        if isinstance(handler, Seeks):
            handler.ask(system.claimed)
    return system


def handler_factory(kind: str) -> Build:
    """Load the factory of one kind of handler."""
    return cast(Build, _load(HANDLERS, kind))


def _host(config: Config) -> Host:
    kind, argument = config.host_kind
    factory = cast(Callable[[str], Host], _load(HOSTS, kind))
    return factory(argument)


def _load(group: str, name: str) -> object:
    found = _installed(group)
    for point in found.select(name=name):
        return point.load()
    known = sorted(found.names)
    nearest = get_close_matches(name, known, 1)
    message = f"there is no {group.rpartition('.')[2].rstrip('s')} {name!r}"
    meant, listed = f"did you mean {nearest[0]!r}? " if nearest else "", ", ".join(known)
    fault = ConfigError(message, advice=f"{meant}installed: {listed}")
    expected, meant_name = f"one of {listed}", nearest[0] if nearest else ""
    wrong = InvalidRequest(message, field="use", expected=expected, nearest=meant_name)
    fault.settings = (wrong,)
    raise fault


@cache
def _installed(group: str) -> EntryPoints:
    """Return what is installed of a group: to find it, every package of this Python is read."""
    return entry_points(group=group)


def _template(config: Config) -> Callable[[str], Path]:
    def find(name: str) -> Path:
        for root in (*config.templates, SHIPPED_TEMPLATES):
            path = root / name
            if path.exists():
                return path
        places = ", ".join(map(str, (*config.templates, SHIPPED_TEMPLATES)))
        raise ConfigError(f"there is no template {name!r}", advice=f"searched: {places}")

    return find
