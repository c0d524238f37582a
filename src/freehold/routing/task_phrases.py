"""The phrases the task classifier knows: data, apart from the rules that use them. Lower case.

The `*_STEMS` are looked for first: every phrase of their list holds one of them, and most texts hold none.
"""

TRACE_MARKS = (
    "traceback (most recent call last)",
    "error[e",
    "error ts",
    "error: ",
    "error:\n",
    "exception in thread",
    "exception: ",
    "panicked at",
    "panic: ",
    "goroutine 1 [",
    "undefined reference to",
    "npm err!",
    "segmentation fault",
    "core dumped",
    "caused by: ",
    "assertionerror",
    "unhandled exception",
    "uncaught ",
    "fatal: ",
    "failed (errors=",
    "build failed",
    "failed with exit code",
    "exited with code",
    "error cs",
    "cannot find symbol",
    "fatal error",
    "command not found",
    "no such file or directory",
    "modulenotfounderror",
    "syntaxerror",
    "--- fail: ",
)

"""Lines that compilers, interpreters, test runners and shells print when something failed."""


FIX_PHRASES = (
    "not working",
    "doesn't work",
    "does not work",
    "doesn't compile",
    "won't compile",
    "won't start",
    "stopped working",
    "what's wrong",
    "what is wrong",
    "i get this",
    "i'm getting",
    "i am getting",
    "getting this error",
    "keeps failing",
    "funktioniert nicht",
    "ne fonctionne pas",
    "ne marche pas",
    "no funciona",
    "non funziona",
    "não funciona",
)


THREAT_PHRASES = (
    "threat model",
    "threat-model",
    "threatmodel",
    "threat analysis",
    "attack surface",
    "attack tree",
    "attack vector",
    "trust boundar",
    "abuse case",
    "stride analysis",
    "stride threat",
    "using stride",
    "mitre att&ck",
    "penetration test plan",
    "security design review",
    "how could an attacker",
    "how would an attacker",
    "what could an attacker",
    "what can an attacker",
    "bedrohungsmodell",
    "bedrohungsanalyse",
    "angriffsfläche",
    "modèle de menace",
    "modélisation des menaces",
    "surface d'attaque",
    "modelo de amenazas",
    "modelado de amenazas",
    "superficie de ataque",
    "modello delle minacce",
    "modello di minaccia",
    "modelo de ameaças",
)


WIDE_PHRASES = (
    "across the codebase",
    "across the code base",
    "across the whole",
    "across the entire",
    "across the repo",
    "across the project",
    "across all",
    "across every",
    "across our",
    "all files",
    "all the files",
    "every file",
    "all modules",
    "every module",
    "all packages",
    "every package",
    "all services",
    "every service",
    "all call sites",
    "every call site",
    "all callers",
    "all usages",
    "every usage",
    "all occurrences",
    "everywhere",
    "whole codebase",
    "entire codebase",
    "whole repo",
    "entire repo",
    "whole project",
    "entire project",
    "codebase-wide",
    "repo-wide",
    "project-wide",
    "monorepo",
    "throughout the",
    "überall",
    "im ganzen projekt",
    "in allen dateien",
    "dans tout le projet",
    "dans tous les fichiers",
    "partout",
    "en todo el proyecto",
    "en todos los archivos",
    "in tutto il progetto",
    "in tutti i file",
    "em todo o projeto",
    "em todos os arquivos",
)


ARCHITECTURE_PHRASES = (
    "system design",
    "software architecture",
    "high-level design",
    "high level design",
    "architecture for",
    "architectural",
    "design a system",
    "design a service",
    "data model for",
    "trade-offs",
    "tradeoffs",
    "trade offs",
    "monolith",
    "microservice",
    "event-driven",
    "event driven",
    "event sourcing",
    "cqrs",
    "multi-tenant",
    "multi-region",
    "sharding",
    "scale to",
    "scales to",
    "service boundaries",
    "bounded context",
    "migration strategy",
    "migration plan",
    "migrationsstrategie",
    "systemarchitektur",
    "architecture logicielle",
    "arquitectura de",
    "architettura di",
    "arquitetura de",
)


COMPLETION_PHRASES = (
    "complete this",
    "complete the following",
    "complete the function",
    "complete the code",
    "finish this",
    "finish the function",
    "continue this code",
    "continue the code",
    "fill in the missing",
    "fill in the blank",
    "fill in the body",
    "fill in the middle",
    "autocomplete",
    "code completion",
)


FIM_MARKS = ("<|fim_", "<fim_", "<fim-", "[suffix]", "<|fim▁", "▁<pre>", "<pre> ", "<|cursor|>", "<cursor>", "{{cursor}}")


TITLE_PHRASES = (
    "title for this conversation",
    "title for this chat",
    "title for the conversation",
    "title for the chat",
    "title for the session",
    "title of this conversation",
    "generate a title",
    "generate a short title",
    "generate a concise title",
    "conversation title",
    "thread title",
    "session title",
    "name this conversation",
)


COMPACTION_PHRASES = (
    "summary of the conversation so far",
    "summarize the conversation so far",
    "summarise the conversation so far",
    "compact the conversation",
    "context checkpoint compaction",
    "handoff summary",
)


WRAPPERS = (
    "system-reminder",
    "environment_context",
    "environment_details",
    "user_instructions",
    "ide_opened_file",
    "ide_selection",
    "local-command-stdout",
    "local-command-caveat",
    "command-name",
    "command-message",
    "bash-stdout",
    "bash-stderr",
)

"""Tags around text that a client's program put into the user's turn: not the user's own words."""


REVIEW_PHRASES = (
    "any issues",
    "any problems",
    "any concerns",
    "look right",
    "look good",
    "lgtm",
    "code review",
    "reviewen",
    "critique",
    "your feedback",
    "like feedback",
    "what could go wrong",
    "what would you improve",
)


EXPLAIN_PHRASES = (
    "don't understand",
    "do not understand",
    "don't get why",
    "makes no sense",
    "confused about",
    "verstehe nicht",
    "ne comprends pas",
    "no entiendo",
    "non capisco",
    "não entendo",
)


FIM_STEMS = ("<", "[suffix]", "{{")


CONVERSATION_STEMS = ("title", "conversation", "checkpoint", "handoff")


THREAT_STEMS = (
    "threat",
    "attack",
    "att&ck",
    "trust b",
    "abuse c",
    "stride",
    "security d",
    "penet",
    "bedroh",
    "angriffs",
    "menac",
    "amenaz",
    "minacc",
    "ameaç",
    "superficie",
    "modell",
    "modélis",
)


COMPLETION_STEMS = ("complet", "finish", "continue", "fill in")

"""Stems looked for first: every phrase of their list holds one of them, and most texts hold none."""
