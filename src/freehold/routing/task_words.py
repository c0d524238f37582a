"""The words the task classifier knows: data, apart from the rules that use them.

Lower case. English in the main; of German, French, Spanish, Italian and Portuguese the few forms people begin with.
"""


def _words(text: str) -> frozenset[str]:
    """The words of a list written as running text."""
    return frozenset(text.split())


POLITE = _words(
    """please can could would will you i we me us want need like to help let lets let's hey hi hello thanks now then also and
    so ok okay just kindly go ahead try quickly briefly first next i'd we'd i'm we're trying
    bitte kannst könntest du mir mal uns hilf
    peux pouvez tu vous moi nous s'il te plaît plait veuillez
    por favor puedes podrías me ayuda quiero pode poderia você
    per favore puoi potresti mi
    """
)

"""Skipped before the first telling word of a clause."""


VERBS: dict[str, str] = {
    word: family
    for family, words in {
        "translate": """translate localize localise translation übersetze übersetz übersetzen traduis traduire traduisez traduce
            traducir traduci traducimi tradurre traduz traduza traduzir port transpile""",
        "convert": "convert rewrite konvertiere convertis convierte converti converta umwandle",
        "summarise": """summarize summarise summary tldr recap condense tl;dr zusammenfassung fasse résume résumez resume resumir
            resuma resumen riassumi resumo digest""",
        "extract": "extract pull parse collect scrape extrahiere extrais extrae estrai extraia",
        "list": "list find get gather give show identify enumerate return liste",
        "classify": """classify categorize categorise triage label tag sort bucket klassifiziere classe classez clasifica
            classifica classifique kategorisiere rate""",
        "explain": """explain describe walk elaborate clarify teach explanation erkläre erklär erklären explique expliquer
            expliquez explica explicar spiega spiegami erläutere understand understanding""",
        "tell": "tell",
        "assign": "assign detect decide",
        "question": "what what's whats how how's why when where which who is are does do did was was wie warum wieso weshalb "
        "qu'est-ce pourquoi comment qué cómo por-qué che cosa come perché como porquê",
        "review": "review critique audit assess inspect check überprüfe prüfe revise revisa revisar rivedi feedback spot lint",
        "test": "test teste",
        "document": "document annotate comment dokumentiere documente documenta kommentiere docstring docstrings",
        "fix": "fix debug solve resolve repair troubleshoot diagnose behebe repariere fixe corrige corriger arregla corregir "
        "correggi sistema conserte corrija",
        "design": "design architect brainstorm entwirf conçois diseña progetta projete",
        "weigh": "compare evaluate choose decide recommend propose suggest plan outline sketch should",
        "refactor": """refactor rename migrate replace move upgrade modernize modernise port extract-all restructure reorganize
            reorganise refaktorisiere benenne umbenennen refactoriza refactorise refactorizar renomme renombra migriere migra
            rifattorizza refatore refatorar standardize standardise unify""",
        "complete": "complete finish autocomplete continue vervollständige ergänze complète completa termina complete-the fill",
        "make": """write add create generate implement build make develop provide produce draft schreib schreibe erstelle
            füge generiere implementiere écris écrire ajoute ajoutez crée génère escribe escribir añade agrega crea genera
            implementa scrivi aggiungi escreva adicione crie gere""",
        "edit": """change update modify remove delete simplify optimize optimise improve speed clean cleanup adjust tweak
            edit format reformat inline split merge sort-the use wrap turn switch set handle support rework drop enable disable
            increase decrease bump shorten extend cover ändere entferne optimiere vereinfache modifie supprime optimise cambia elimina
            optimiza modifica rimuovi mude altere remova ensure expose guard memoize parallelize vectorize convert-to swap""",
    }.items()
    for word in words.split()
}

"""The word a clause begins with, and the family it speaks for."""


OBJECTS: dict[str, str] = {
    word: family
    for family, words in {
        "test": """test tests unittest unittests testcase testcases spec specs pytest junit jest vitest testfälle tests-for
            testfall pruebas prueba testes teste fixture fixtures""",
        "docstring": """docstring docstrings javadoc jsdoc tsdoc godoc rustdoc doxygen kdoc xmldoc documentation comments comment
            dokumentation kommentare documentación commentaires comentarios commenti comentários""",
        "translate": "translation translations übersetzung traduction traducción traduzione tradução",
        "summarise": "summary summaries recap tldr zusammenfassung résumé resumen riassunto resumo abstract",
        "architecture": """architecture architectures rfc adr architektur arquitectura architettura arquitetura
            microservice microservices topology""",
        "review": "review feedback",
        "explain": "explanation overview erklärung explication explicación spiegazione explicação",
        "auxiliary": "title",
    }.items()
    for word in words.split()
}

"""What is to be made, found within a few words of a verb of making."""


LANGUAGES = _words(
    """english german french spanish italian portuguese dutch polish russian ukrainian chinese mandarin japanese korean arabic
    hebrew hindi turkish swedish norwegian danish finnish greek czech englisch deutsch deutsche englische französisch
    französische spanisch spanische italienisch italienische englischen anglais allemand français francais espagnol italien
    inglés ingles alemán aleman francés español espanol italiano inglese tedesco francese spagnolo inglês alemão francês espanhol
    python javascript typescript java kotlin swift rust go golang ruby php perl scala haskell elixir clojure c c++ cpp c# csharp
    bash powershell sql lua julia r dart zig fortran cobol matlab"""
)


ERROR_WORDS = _words(
    """error errors exception exceptions traceback stacktrace crash crashes crashed crashing fails failed failing failure broken
    segfault panic panics throws threw thrown timeout leak deadlock hangs fehler fehlermeldung ausnahme abstürzt erreur plante
    error errores falla fallan errore eccezione fallisce erro falha exceção undefined nan oom"""
)


CODE_THINGS = _words("function code snippet method class line lines body implementation script query regex statement")


SMALL_TALK = _words("poem haiku joke story email letter essay song tweet limerick speech recipe gedicht witz blog toast post")

"""Things to write that are not code."""


PIECES_OF_CODE = _words(
    "function method class component module helper hook constant constants interface variable file struct trait service "
    "package mixin base superclass utility"
)

"""What code is extracted into: then it is an edit."""


CLASS_WORDS = _words("sentiment spam toxic intent category categories label labels class classes severity priority topic topics")


GIVEN_WORDS = _words("this these following each fits best email ticket message comment review utterance tweet text issue")

"""A class and a thing to be put into it: both must be named."""


INTO = _words("to into in ins auf nach en al para zu idiomatic")

"""What stands before the language that something is put into."""


ARTICLES = _words("a an eine einen ein une un una uno um uma some")


ARTEFACTS = _words(
    "dockerfile makefile script regex query function class component endpoint migration workflow pipeline config cli api hook "
    "middleware parser decorator macro template schema skript funktion klasse fonction classe función clase funzione função"
)

"""What people say they need when they want it written."""


FLAWS = _words("bug bugs issue issues problem problems vulnerability vulnerabilities mistake mistakes flaw flaws")


ALL_OF = _words("all every each from mentioned alle tous toutes todos todas tutti tutte")


ASKING = _words("how why what difference if whether when")


FACTUAL = _words("who where is are do does did was")

"""Questions that ask for a fact or are small talk, unless there is code."""


MOVING = _words("migrate move rename port upgrade replace modernize modernise")

"""Verbs whose object is where the work happens, not what is to be made."""
