"""Policy: what is allowed and what is preferred, as data, in two phases that never mix. Pure.

*Gates* (`allow`, `deny`): every matching rule applies, in any order, and can only narrow. *Preference*: the first
matching rule's `try` orders what is left, and `escalate` says when a poor answer moves on. There is no expression
language and no recursion; adding a gate never adds a deployment to any plan.

    labels.py      the words of `[labels]`: where a request's label comes from
    rules.py       the words of a rule, as TOML spells them
    globs.py       `*` and `?` over names
    names.py       what an asked model, an alias or an entry of `try` means
    problems.py    what is wrong with a configuration, in words that name the place and the remedy
    references.py  every name a rule or alias uses must exist and mean one thing
    compiled.py    rules turned into closures and precomputed tables
    snapshot.py    the immutable policy that requests are decided with
    unserved.py    labels that no deployment may serve
    concerns.py    what is allowed but can hardly be meant: rules that cannot match or leave nothing
"""
