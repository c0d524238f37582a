"""Recognising a refusal by how it opens, in several languages.

Promised: only a short answer without code is looked at, and only its opening, in linear time. Not done: refusals in
the middle of a long answer, and other languages than those listed.
"""

import re

LONGEST_CHARS = 700
"""Longer answers that open with an apology usually go on to help."""
OPENING_CHARS = 240

_CANNOT = (
    r"(?:can't|cannot|can not|won't|will not|am unable to|'m unable to|am not able to|'m not able to|am not allowed to|"
    r"'m not allowed to|am not comfortable|'m not comfortable|must decline|have to decline|do not feel comfortable|"
    r"don't feel comfortable|could not|couldn't|do not have the ability to|don't have the ability to|am not going to|'m not going to)"
)
_HELP = (
    r"(?: \w+ly)?(?: to)?(?: help| helping| assist| assisting| provide| providing| comply| do that| do this| fulfil| create| generate| write"
    r"| produce| answer| discuss| share| support| complete (?:this|that|your)| engage| continue with| offer| give you"
    r"| process your| participate| access| browse| perform| execute| respond| satisfy| that request| this request| your request)"
)
_SORRY = r"(?:(?:i'm|i am|we're|we are|i'm so|i'm very) )?(?:really |very |so |terribly )?(?:sorry|afraid|(?:i )?(?:sincerely )?apologi[sz]e|my apologies|apologies|unfortunately)"

_OPENINGS: dict[str, re.Pattern[str]] = {
    "en": re.compile(
        rf"(?:{_SORRY}[,.;:!-]*(?: for (?:the|any) \w+[,.]?)?(?: but)?(?: that)? (?:i|we) ?{_CANNOT}"
        rf"|(?:i|we) ?{_CANNOT}{_HELP}"
        r"|i must (?:refuse|decline)|i (?:refuse|decline) to|as an ai(?: language model| assistant)?,? (?:i|my)"
        r"|(?:this|that|your) request (?:violates|goes against|cannot be)|it is not (?:appropriate|possible) for me to)"
    ),
    "de": re.compile(
        r"(?:(?:es )?tut mir (?:sehr )?leid[,.]? (?:aber )?(?:ich kann|ich darf|dabei kann|das kann|dazu kann|ich bin nicht)"
        r"|entschuldigung[,.]? (?:aber )?(?:ich kann|dabei kann|das kann)|leider kann ich (?:\w+ ){0,4}nicht"
        r"|(?:ich kann|ich darf|dabei kann ich) (?:\w+ ){0,5}nicht (?:helfen|beantworten|erfüllen|unterstützen|weiterhelfen|behilflich|bereitstellen))"
    ),
    "fr": re.compile(
        r"(?:(?:je suis )?(?:vraiment )?désolée?[,.]? (?:mais )?je ne (?:peux|suis|pourrai)|je m'excuse[,.]? (?:mais )?je ne (?:peux|suis)"
        r"|(?:malheureusement[,]? )?je ne (?:peux|suis) pas (?:en mesure de |autorisée? à )?(?:vous |t'|te |)"
        r"(?:aider|répondre|fournir|accéder|donner suite|satisfaire|créer|générer))"
    ),
    "es": re.compile(
        r"(?:(?:lo siento|lo lamento|disculpa|disculpe|perdón)[,.]? (?:pero )?no (?:puedo|me es posible)"
        r"|(?:lamentablemente[,]? )?no puedo (?:ayudar|asistir|proporcionar|responder|cumplir|generar|crear|acceder)\w*)"
    ),
    "it": re.compile(
        r"(?:(?:mi dispiace|mi spiace|spiacente|scusa|scusami)[,.]? (?:ma )?non (?:posso|sono in grado)"
        r"|(?:purtroppo[,]? )?non posso (?:aiutar|assister|fornir|risponder|soddisfar|generar|crear|acceder)\w*)"
    ),
    "pt": re.compile(
        r"(?:(?:desculpe|desculpa|sinto muito|lamento|peço desculpa)[,.]? (?:mas )?(?:eu )?não (?:posso|consigo)"
        r"|(?:infelizmente[,]? )?não posso (?:ajudar|auxiliar|fornecer|responder|atender|gerar|criar|acessar|aceder)\w*)"
    ),
    "zh": re.compile(
        r"(?:很|非常)?(?:抱歉|对不起|不好意思)[,\uff0c。!\uff01]? ?(?:但)?(?:我)?(?:无法|不能|不可以|没办法)|我(?:无法|不能)(?:帮助|协助|提供|回答|满足|完成)"
    ),
    "ja": re.compile(
        r"(?:大変)?(?:申し訳(?:ありません|ございません)|すみません|ごめんなさい)[がけ、。,]*[^。]{0,40}(?:できません|できかねます|いたしかねます)"
    ),
}


_ANY = re.compile("|".join(f"(?:{pattern.pattern})" for pattern in _OPENINGS.values()))
"""All of them at once: nearly every answer is no refusal, and one search says so."""


def language_of(text: str) -> str | None:
    """The language in which the text opens with a refusal; None when it does not."""
    if len(text) > LONGEST_CHARS or "```" in text:
        return None
    opening = text[:OPENING_CHARS].replace("\u2019", "'").replace("*", "").lower().lstrip(" \t\r\n_#>\"'-.")
    opening = " ".join(opening.split())
    if _ANY.match(opening) is None:
        return None
    return next((language for language, pattern in _OPENINGS.items() if pattern.match(opening)), None)
