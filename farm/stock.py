"""What of a plan is done already: by the film's snapshot where that can be believed, else by the store.

Why a snapshot may be believed for a while, though others collect what no film refers to (farm/garbage.py):

- What it names was written or touched at the time that it tells, or later, and a collection takes nothing
  that is younger than a week, by the store's word. It is believed for three days. What is older is looked
  for in the store and touched, as it is without a snapshot.
- That time is carried on as it is from snapshot to snapshot: to be found in one makes nothing younger.
- From its start on a render's order lies in the store, so every collection that begins during it knows the
  film's keys. One that began before has four days left in which to end: as many as without a snapshot.
- A collection reads no snapshot but that of a film that cannot be planned where it runs, and its journal with
  it, which names all the same (farm/records.py). So one that names too little exposes nothing to it, and one
  that names too much keeps that for no longer than the film's folder is there.

What it names can be gone all the same: a disk was lost, somebody deleted it. Who consumes it reports that,
then nothing of the snapshot is believed any more, and what is gone is made again. Nobody consumes the last
task's outputs, which are the film: those are always looked for.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor

from farm.errors import Interrupted, NotFound, StoreError
from farm.job.events import Spoiled
from farm.job.state import State
from farm.ledger import READERS, Blobs, Commits
from farm.plan.plan import Plan
from farm.plan.task import Task
from farm.ports import AttemptFailed, BlobStore, Commit, Report
from farm.snapshot import Kept, read_snapshot, snapshot_key, write_snapshot

TOUCH_AFTER_S = 3 * 86400.0  # well before a collection takes anything
EVERY = 250  # finished tasks from one snapshot to the next
LOOKED_FOR = 1000  # tasks, one by one, before all commits are listed: as many as a page of a list holds


def reusable(
    plan: Plan,
    store: BlobStore,
    known: Mapping[str, Kept] | None = None,
    *,
    now: float = 0.0,
    touching: bool = False,
) -> dict[str, Kept | int]:
    """Say of every committed task of a plan whether its commit can be used, in the plan's order.

    Gives by task id the commit where there is one, and the newest generation where none of its commits can
    be used: outputs are gone, or they consumed other bytes than its needs have now. The newest one that can
    be used counts: behind it there may be one of a worker that woke up late, with inputs that are no more.

    What is `known` by its key, made from the same inputs and young, is taken without a look at the store,
    but for the last task. Who will rely on what is looked for has it touched where it is old (`touching`),
    so that no collection takes it; what is just being taken counts as gone.
    """
    known = {} if known is None else known
    last = plan.tasks[-1]
    found: dict[str, Kept | int] = {}
    outputs: dict[str, str] = {}
    search = _Search(Commits(store), now, touching)
    with ThreadPoolExecutor(READERS) as pool:
        for level in _levels(plan.tasks):
            asked: list[tuple[str, tuple[str, ...]]] = []
            names: list[str] = []
            for task in level:
                needs = tuple(outputs.get(need, "") for need in task.needs)
                if not all(needs):
                    continue
                key, name = task.key, task.id
                kept = known.get(key) if task is not last else None
                if kept is not None and kept.commit.inputs == needs and _is_young(kept, now):
                    found[name] = kept
                    outputs[name] = kept.commit.main.sha256
                else:
                    asked.append((key, needs))
                    names.append(name)
            search.expect(len(asked))
            # One alone waits for nobody, as in a shot of many windows.
            answers = pool.map(search.find, asked) if len(asked) > 1 else map(search.find, asked)
            for name, answer in zip(names, answers, strict=True):
                if answer is not None:
                    found[name] = answer
                if isinstance(answer, Kept):
                    outputs[name] = answer.commit.main.sha256
    return {name: found[name] for task in plan.tasks if (name := task.id) in found}


def _is_young(kept: Kept, now: float) -> bool:
    # One from the future was written by a clock that was ahead. By less than three days that does no harm.
    return abs(now - kept.since) <= TOUCH_AFTER_S


def _levels(tasks: Iterable[Task]) -> list[list[Task]]:
    """Tasks with all that they need in the levels before theirs: those of one can be looked for together."""
    levels: list[list[Task]] = []
    depths: dict[bytes, int] = {}
    for task in tasks:
        depth = max((depths[need.digest] + 1 for need in task.after), default=0)
        depths[task.digest] = depth
        if depth == len(levels):
            levels.append([])
        levels[depth].append(task)
    return levels


class _Search:
    """Looks for commits in the store: for few by their keys, for many in a list of all there are."""

    def __init__(self, commits: Commits, now: float, touching: bool) -> None:
        self.commits, self.now, self.touching = commits, now, touching
        self.expected = 0
        self.newest: dict[str, tuple[int, float]] | None = None

    def expect(self, count: int) -> None:
        """So many more are to be looked for."""
        self.expected += count
        if self.expected > LOOKED_FOR and self.newest is None:
            self.newest = self.commits.latest()

    def find(self, asked: tuple[str, tuple[str, ...]]) -> Kept | int | None:
        """The commit of a key that was made from these inputs, or as `reusable` says. Safe for threads."""
        key, inputs = asked
        newest = self.commits.latest(key) if self.newest is None else self.newest
        if key not in newest:
            return None
        generation, modified = newest[key]
        commit = self.commits.newest_of(key, range(generation, -1, -1), inputs)
        if commit is None:
            return generation
        if not self.touching or modified >= self.now - TOUCH_AFTER_S:
            return Kept(commit, min(modified, self.now))
        try:
            self.commits.touch(commit)
        except NotFound:
            return generation
        return Kept(commit, self.now)


class Stock:
    """What a film's driver knows to be done, and the snapshot that the next one goes on from.

    `trusted` is what nobody has looked at since an earlier run: it is there because a snapshot says so.
    """

    def __init__(self, plan: Plan, store: BlobStore) -> None:
        self.plan, self.store = plan, store
        self.since: dict[str, float] = {}
        self.trusted: dict[str, Commit] = {}
        self.unwritten = 0

    def take(self, now: float) -> Iterator[tuple[str, Commit | int]]:
        """Find what is done; gives what `reusable` does, as pairs."""
        known = read_snapshot(self.store, self.plan.film)
        found = reusable(self.plan, self.store, known, now=now, touching=True)
        for name, item in found.items():
            if isinstance(item, Kept):
                self.since[name] = item.since
                kept = known.get(item.commit.key)
                if item is kept:
                    self.trusted[name] = item.commit
                elif kept is None or kept.commit != item.commit or not _is_young(kept, now):
                    self.unwritten += 1
        if any(task.key in known and isinstance(found.get(task.id), int) for task in self.plan.tasks):
            self.forget()
        return ((name, item if isinstance(item, int) else item.commit) for name, item in found.items())

    def add(self, task: str, commit: Commit, now: float) -> None:
        """A task is done. Its commit may be older than that: it may have been there."""
        self.since[task] = min(now, commit.started + commit.seconds)
        self.trusted.pop(task, None)
        self.unwritten += 1

    @property
    def due(self) -> bool:
        """Whether it is time for a snapshot: the larger they are the fewer, so that they stay cheap."""
        return self.unwritten >= max(EVERY, len(self.since) // 20)

    def keep(self, done: Mapping[str, Commit], state: State) -> None:
        """Write a snapshot of what is done and was not found spoiled since, if there is news in it."""
        if not self.unwritten:
            return
        kept = (
            Kept(commit, self.since[task])
            for task, commit in done.items()
            if state.states[task].output == commit.main.sha256
        )
        # No run ends for want of a snapshot. What else is wrong with the store, its next call will tell.
        with contextlib.suppress(StoreError, Interrupted):
            write_snapshot(self.store, self.plan.film, kept)
            self.unwritten = 0

    def forget(self) -> None:
        """Take the snapshot away: it says what is not so. The next one is written when it is due."""
        self.store.delete(snapshot_key(self.plan.film))
        self.unwritten = len(self.since)

    def doubt(self, reports: Iterable[Report], at: float) -> list[Spoiled]:
        """What else of the snapshot is gone, where a worker reports that something is.

        All is looked at then, since a task that misses one input after another would be given up.
        """
        if not any(isinstance(report, AttemptFailed) and report.corrupt for report in reports):
            return []
        self.forget()
        trusted, self.trusted = self.trusted, {}
        with ThreadPoolExecutor(READERS) as pool:
            there = [*pool.map(Blobs(self.store).has_all, trusted.values())]
        return [
            Spoiled(at=at, task=task, generation=commit.generation)
            for (task, commit), whole in zip(trusted.items(), there, strict=True)
            if not whole
        ]
