"""Every name that a rule or an alias uses must exist and mean one thing.

Promised: all problems at once, each with its path and the valid values. Paths are those of `freehold.toml`, with rules
counted in the order they are handed in.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from freehold.policy.globs import is_glob
from freehold.policy.names import Names
from freehold.policy.problems import Problem, suggest
from freehold.policy.rules import Match, Rule, Scope, hours_of, parse_hours
from freehold.runtime import Egress, Placed


def problems_of(
    placed: Sequence[Placed],
    aliases: Mapping[str, Sequence[str]],
    rules: Sequence[Rule],
    *,
    also_known: Iterable[str] = (),
    rule_paths: Sequence[str] = (),
) -> list[Problem]:
    """What does not fit together.

    `also_known` are names whose own definition has a problem already: they are not reported again as dangling.
    `rule_paths` says where each rule stands, when that is not `rules[index]`.
    """
    names = Names({one.id: one for one in placed}, aliases)
    checker = _Checker(names, frozenset(also_known))
    problems = [*checker.aliases()]
    seen: dict[str, str] = {}
    for index, rule in enumerate(rules):
        path = rule_paths[index] if index < len(rule_paths) else f"rules[{index}]"
        if rule.name in seen:
            problems.append(
                Problem(f"{path}.name", f"'{rule.name}' is already the name of {seen[rule.name]}", "names are unique")
            )
        seen.setdefault(rule.name, path)
        problems.extend(checker.rule(rule, path))
    return problems


class _Checker:
    def __init__(self, names: Names, also_known: frozenset[str]) -> None:
        self._names = names
        self._also_known = also_known

    def aliases(self) -> Iterator[Problem]:
        names = self._names
        circling: set[str] = set()
        for alias, targets in names.aliases.items():
            path = f'aliases."{alias}"'
            shadowed = [kind for kind in names.kinds_of(alias) if kind in {"a deployment", "a model", "an egress class"}]
            if shadowed:
                yield Problem(path, f"'{alias}' is already {shadowed[0]}", "an alias needs a name of its own")
            if not targets:
                yield Problem(path, "stands for nothing", "name at least one deployment, model or alias")
            for target in targets:
                known = [*names.placed, *names.models(), *names.aliases]
                if target not in known and target not in self._also_known:
                    yield Problem(path, f"'{target}' is no deployment, model or alias", suggest(target, known))
            if alias not in circling and (cycle := self._cycle(alias)):
                circling.update(cycle)
                yield Problem(path, f"goes round in a circle: {' -> '.join(cycle)}", "an alias must end at a deployment or model")

    def _cycle(self, start: str) -> list[str]:
        trail: list[str] = [start]
        targets = [iter(self._names.aliases[start])]
        done: set[str] = set()
        while targets:
            target = next(targets[-1], None)
            if target is None:
                targets.pop()
                done.add(trail.pop())
            elif target == start:
                return [*trail, start]
            elif target in self._names.aliases and target not in done and target not in trail:
                trail.append(target)
                targets.append(iter(self._names.aliases[target]))
        return []

    def rule(self, rule: Rule, path: str) -> Iterator[Problem]:
        if rule.allow is None and rule.deny is None and not rule.try_:
            yield Problem(path, f"rule '{rule.name}' does nothing", "give it `allow`, `deny` or `try`")
        if rule.escalate is not None and not rule.try_:
            yield Problem(f"{path}.escalate", "needs a `try` beside it", "the first matching rule with `try` decides")
        if rule.cache is not None and not rule.try_:
            yield Problem(f"{path}.cache", "needs a `try` beside it", "the first matching rule with `try` decides")
        if rule.redact and rule.allow is None and rule.deny is None:
            yield Problem(f"{path}.redact", "needs an `allow` or `deny` beside it", "it says that a gate yields to redaction")
        for field, scope in (("allow", rule.allow), ("deny", rule.deny)):
            if scope is not None:
                yield from self._scope(scope, f"{path}.{field}")
        for index, entry in enumerate(rule.try_):
            yield from self._entry(entry, f"{path}.try[{index}]")
        if rule.escalate is not None:
            yield from self._escalation(rule, f"{path}.escalate")
        yield from self._when(rule.when, f"{path}.when")

    def _escalation(self, rule: Rule, path: str) -> Iterator[Problem]:
        assert rule.escalate is not None
        for index, entry in enumerate(rule.escalate.to):
            yield from self._entry(entry, f"{path}.to[{index}]")
        for field, value in (("on", rule.escalate.on), ("to", rule.escalate.to)):
            if not value:
                yield Problem(f"{path}.{field}", "is empty", "leave `escalate` out to never escalate")
        if rule.escalate.at_most < 1:
            yield Problem(f"{path}.at_most", f"{rule.escalate.at_most} is less than 1", "leave `escalate` out to never escalate")

    def _entry(self, entry: str, path: str) -> Iterator[Problem]:
        kinds = self._names.kinds_of(entry)
        if len(kinds) > 1:
            yield Problem(path, f"'{entry}' is {' and '.join(kinds)}", "rename one of them, or name deployments")
        elif not kinds and entry not in self._also_known:
            names = self._names
            known = [*Egress, *names.runtimes(), *names.placed, *names.models(), *names.aliases]
            yield Problem(path, f"'{entry}' is no egress class, runtime, deployment, model or alias", suggest(entry, known))

    def _scope(self, scope: Scope, path: str) -> Iterator[Problem]:
        if scope == Scope():
            yield Problem(path, "names nothing", f"valid: {', '.join(Scope.__struct_fields__)}")
        names = self._names
        yield from self._exist(scope.deployments, names.placed, "deployment", f"{path}.deployments")
        yield from self._exist(scope.runtimes, names.runtimes(), "runtime with a deployment", f"{path}.runtimes")
        yield from self._exist(scope.models, names.deployed_models(), "deployed model", f"{path}.models")

    def _when(self, when: Match, path: str) -> Iterator[Problem]:
        for index, alias in enumerate(when.aliases):
            if alias not in self._names.aliases:
                message = f"'{alias}' is no alias"
                yield Problem(f"{path}.aliases[{index}]", message, suggest(alias, self._names.aliases))
        for index, span in enumerate(hours_of(when)):
            try:
                parse_hours(span)
            except ValueError as error:
                yield Problem(f"{path}.hours" if isinstance(when.hours, str) else f"{path}.hours[{index}]", str(error))
        over, under = when.prompt_tokens_over, when.prompt_tokens_under
        if over is not None and under is not None and over + 1 >= under:
            yield Problem(
                f"{path}.prompt_tokens_under", f"no number is over {over} and under {under}", "the rule can never match"
            )

    def _exist(self, globs: Sequence[str], known: Iterable[str], kind: str, path: str) -> Iterator[Problem]:
        known = list(known)
        for index, name in enumerate(globs):
            if not is_glob(name) and name.casefold() not in {one.casefold() for one in known} and name not in self._also_known:
                yield Problem(f"{path}[{index}]", f"'{name}' is no {kind}", suggest(name, known))
