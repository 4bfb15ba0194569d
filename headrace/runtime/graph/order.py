"""Topological order, cycles and reachability of a directed graph given as names and their targets."""

from collections.abc import Iterable, Mapping, Sequence


def topological_order(targets: Mapping[str, Sequence[str]]) -> list[str]:
    """Every name after those that point to it; ties in the mapping's own order. Names on a cycle are left out."""
    waits = dict.fromkeys(targets, 0)
    for names in targets.values():
        for name in names:
            waits[name] += 1
    order: list[str] = []
    free = [name for name, count in waits.items() if not count]
    position = {name: i for i, name in enumerate(targets)}
    while free:
        name = min(free, key=position.__getitem__)
        free.remove(name)
        order.append(name)
        for target in targets[name]:
            waits[target] -= 1
            if not waits[target]:
                free.append(target)
    return order


def find_cycle(targets: Mapping[str, Sequence[str]]) -> list[str]:
    """One cycle as the names along it, the first one repeated at the end; empty when there is none."""
    stuck = set(targets) - set(topological_order(targets))
    while dead_ends := {name for name in stuck if not any(t in stuck for t in targets[name])}:
        stuck -= dead_ends
    if not stuck:
        return []
    path = [next(name for name in targets if name in stuck)]
    while path[-1] not in path[:-1]:
        path.append(next(target for target in targets[path[-1]] if target in stuck))
    return path[path.index(path[-1]) :]


def reachable(targets: Mapping[str, Sequence[str]], starts: Iterable[str]) -> set[str]:
    """Every name that can be reached from the starts, these included."""
    found: set[str] = set()
    todo = list(starts)
    while todo:
        name = todo.pop()
        if name not in found:
            found.add(name)
            todo.extend(targets[name])
    return found
