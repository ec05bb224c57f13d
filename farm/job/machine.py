"""The state machine of a film's job: `step(state, event) -> commands`.

No clock, no randomness, no I/O: each event carries its time, and replaying a journal gives the same
state again. The state is one object changed in place by this one function. Every retry is decided
here and nowhere else.
"""

from __future__ import annotations

import heapq

from farm.job.events import (
    Cancelled,
    Event,
    Failed,
    Finished,
    Found,
    Joined,
    Left,
    Lost,
    Overdue,
    Paused,
    Planned,
    Prioritised,
    Resumed,
    Spoiled,
    Stopping,
    Tick,
)
from farm.job.leasing import Command, Halt, pending
from farm.job.state import Phase, State, TaskState

MAX_TRIES = 3  # failures of the task itself
MAX_LOSSES = 6  # workers that die under one task before the task is held to blame
BACKOFF_S = 2.0
CANCELLED = "cancelled"
_LINED_UP = (Phase.READY, Phase.HELD, Phase.DELAYED)


def step(state: State, event: Event) -> list[Command]:
    """Take in one event and return what is to be done because of it."""
    state.now = max(state.now, event.at)
    halts: list[Halt] = []
    match event:
        case Found():
            _done(state, event.task, event.generation, event.output)
        case Spoiled():
            _reopen(state, event.task, event.generation + 1)
        case Joined():
            _join(state, event)
        case Left():
            _leave(state, event.worker)
        case Lost():
            _lose(state, event)
        case Overdue():
            _overdue(state, event)
        case Finished():
            _free(state, event.worker, event.task)
            _finished(state, event)
        case Failed():
            _free(state, event.worker, event.task)
            _failed(state, event)
        case Paused():
            _pause(state, event.shot)
        case Resumed():
            _resume(state, event.shot)
        case Prioritised():
            _prioritise(state, event.shot, event.priority)
        case Cancelled():
            halts = _cancel(state, event.shot)
        case Stopping():
            state.stopping = event.reason
        case Planned() | Tick():
            pass  # only their time counts
    _wake(state)
    return [*halts, *pending(state)]


def next_wake(state: State) -> float | None:
    """When a delayed task may be tried again, if one is waiting for that."""
    return state.delayed[0][0] if state.delayed else None


def _wake(state: State) -> None:
    while state.delayed and state.delayed[0][0] <= state.now:
        _, _, task = heapq.heappop(state.delayed)
        if state.states[task].phase is Phase.DELAYED:
            state.make_ready(task)


def _join(state: State, event: Joined) -> None:
    state.leaving.discard(event.worker)  # one that was to go stays
    state.others = frozenset(event.others)
    if event.barred:
        state.barred[event.worker] = frozenset(event.barred)
    if event.worker not in state.workers:
        state.workers[event.worker] = None
        state.idle.append(event.worker)


def _leave(state: State, worker: str) -> None:
    """A worker is taken away for other work: at once, or when what it runs is reported."""
    if worker in state.idle:
        _forget(state, worker)
    elif worker in state.workers:
        state.leaving.add(worker)


def _forget(state: State, worker: str) -> str | None:
    """Take a worker off the books, and return what it ran."""
    state.leaving.discard(worker)
    state.barred.pop(worker, None)
    if worker in state.idle:
        state.idle.remove(worker)
    return state.workers.pop(worker, None)


def _free(state: State, worker: str, task: str) -> None:
    """The worker has reported on the task, so it can take another, whatever became of the task."""
    if state.workers.get(worker) != task:
        return
    if worker in state.leaving:
        _forget(state, worker)
    else:
        state.workers[worker] = None
        state.idle.append(worker)


def _is_live(state: State, task: str, worker: str, attempt: int) -> bool:
    current = state.states[task]
    return current.phase is Phase.RUNNING and current.worker == worker and current.attempts == attempt


def _release(state: State, task: str) -> TaskState:
    current = state.states[task]
    if current.phase is Phase.RUNNING:
        state.running -= 1
    current.worker = None
    return current


def _finished(state: State, event: Finished) -> None:
    if not _is_live(state, event.task, event.worker, event.attempt):
        return  # a stale attempt: its lease was given away, and the other one counts
    if state.states[event.task].stale:  # its commit was made from spoiled input and counts for nothing
        current = _release(state, event.task)
        current.generation = event.generation + 1
        _requeue(state, event.task)
        return
    _blame(state, event.task, event.worker)
    _done(state, event.task, event.generation, event.output)


def _done(state: State, task: str, generation: int, output: str) -> None:
    current = _release(state, task)
    if current.phase is Phase.DONE:
        return
    state.move(current, Phase.DONE)
    current.output, current.generation = output, generation
    current.error = None
    state.left -= 1
    for consumer in state.consumers[task]:
        other = state.states[consumer]
        other.missing -= 1
        if other.missing == 0 and other.phase is Phase.WAITING:
            state.make_ready(consumer)


def _failed(state: State, event: Failed) -> None:
    if not _is_live(state, event.task, event.worker, event.attempt):
        return
    current = _release(state, event.task)
    state.retried += 1
    if event.fault == "task":
        current.tries += 1
        current.failed_on |= {event.worker}
    else:
        current.losses += 1
    if current.tries >= MAX_TRIES or current.losses >= MAX_LOSSES:
        _give_up(state, event.task, event.message)
        return
    producer = _producer(state, event.task, event.corrupt) if event.corrupt else None
    if producer is not None:
        state.move(current, Phase.WAITING)
        _reopen(state, producer, state.states[producer].generation + 1)
        return
    _delay(state, event.task)


def _blame(state: State, task: str, worker: str) -> None:
    """What one worker does and others could not was theirs to blame, and not the task's."""
    current = state.states[task]
    kind = state.tasks[current.index].kind.value
    for other in current.failed_on - {worker}:
        state.faults.setdefault(other, {}).setdefault(kind, set()).add(task)


def _give_up(state: State, task: str, error: str) -> None:
    current = state.states[task]
    state.move(current, Phase.FAILED)
    current.error = error
    _block(state, task)


def _delay(state: State, task: str) -> None:
    """Try a task again in a while; at once where that is not what it waits for."""
    current = state.states[task]
    if current.missing or current.stale:
        _requeue(state, task)
        return
    state.move(current, Phase.DELAYED)
    wait = BACKOFF_S * 2 ** (current.tries + current.losses - 1)
    heapq.heappush(state.delayed, (state.now + wait, current.index, task))


def _producer(state: State, task: str, output: str) -> str | None:
    needs = state.tasks[state.states[task].index].needs
    return next((need for need in needs if state.states[need].output == output), None)


def _lose(state: State, event: Lost) -> None:
    task = _forget(state, event.worker)
    state.faults.pop(event.worker, None)
    if task is None or state.states[task].worker != event.worker:
        return
    current = _release(state, task)
    state.retried += 1
    if event.fault != "node":  # no task brings a machine down
        current.losses += 1
    if current.losses >= MAX_LOSSES:
        error = f"{current.losses} workers were lost while they ran it; the last: {event.reason}"
        _give_up(state, task, error)
    else:
        _requeue(state, task)


def _overdue(state: State, event: Overdue) -> None:
    """An attempt took too long: its worker is replaced, and it counts as a failure of the task."""
    if state.workers.get(event.worker) == event.task:
        _forget(state, event.worker)
        state.faults.pop(event.worker, None)
    if not _is_live(state, event.task, event.worker, event.attempt):
        return
    current = _release(state, event.task)
    state.retried += 1
    current.tries += 1
    if current.tries >= MAX_TRIES:
        _give_up(state, event.task, f"{current.tries} attempts took longer than {event.minutes:g} minutes")
    else:
        _delay(state, event.task)


def _pause(state: State, shot: str | None) -> None:
    if shot is None:
        state.paused = True
        return
    state.paused_shots.add(shot)
    waiting = [task for *_, task in state.ready if state.tasks[state.states[task].index].shot == shot]
    for task in dict.fromkeys(waiting):
        if state.states[task].phase is Phase.READY:
            state.hold(task)


def _resume(state: State, shot: str | None) -> None:
    """Go on with a shot, or with the film and all that was paused in it."""
    if shot is None:
        state.paused = False
        state.paused_shots.clear()
    else:
        state.paused_shots.discard(shot)
    for task in sorted(state.held, key=lambda task: state.states[task].index):
        state.make_ready(task)  # where its shot is paused still, it is held again


def _prioritise(state: State, shot: str | None, priority: int) -> None:
    if shot is None:
        state.priority = priority
        return
    state.urgency[shot] = priority
    line, state.ready = state.ready, []
    for task in dict.fromkeys(task for *_, task in sorted(line)):
        current = state.states[task]
        if current.phase is Phase.READY:
            since = current.since
            state.make_ready(task)
            current.since = since  # its place in the line has changed, and not how long it waits


def _cancel(state: State, shot: str | None) -> list[Halt]:
    """Give up a shot, or the film: what runs of it is left off, and nothing new is started."""
    running = [task for task in state.workers.values() if task is not None]
    if shot is None:
        state.stopping = CANCELLED
    else:
        running = [task for task in running if state.tasks[state.states[task].index].shot == shot]
    halts = [Halt(task, worker) for task in running if (worker := state.states[task].worker) is not None]
    for task in state.tasks if shot is not None else ():
        current = state.states[task.id]
        if task.shot == shot and current.phase not in (Phase.DONE, Phase.FAILED):
            _release(state, task.id)
            _give_up(state, task.id, CANCELLED)
    return halts


def _requeue(state: State, task: str) -> None:
    """Put a task that runs no more back to where it belongs."""
    if state.states[task].missing:
        state.move(state.states[task], Phase.WAITING)
    else:
        state.make_ready(task)


def _reopen(state: State, task: str, generation: int) -> None:
    """Make a task run again under a new generation; whatever consumed its old output is dirty."""
    current = state.states[task]
    current.generation = max(current.generation, generation)
    if current.phase is not Phase.DONE:
        return
    state.move(current, Phase.WAITING)
    current.output = None
    state.left += 1
    for consumer in state.consumers[task]:
        other = state.states[consumer]
        other.missing += 1
        if other.phase is Phase.DONE:
            _reopen(state, consumer, other.generation + 1)
        elif other.phase is Phase.RUNNING:
            other.stale = True
        elif other.phase in _LINED_UP:
            state.move(other, Phase.WAITING)
    if current.missing == 0:
        state.make_ready(task)


def _block(state: State, task: str) -> None:
    waiting = list(state.consumers[task])
    while waiting:
        consumer = waiting.pop()
        current = state.states[consumer]
        if current.phase is Phase.WAITING or current.phase in _LINED_UP:
            state.move(current, Phase.BLOCKED)
            waiting += state.consumers[consumer]
