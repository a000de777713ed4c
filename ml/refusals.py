"""Answers of describers that say nothing of the item: refused, or blind to what was shown.

What is thrown away wrongly is lost, so the wordings are narrow: a forest in which no sound is
heard, a man who cannot see the picture behind him and a sign that says "please share the road" are
descriptions. Refusals begin an answer, whatever its language; the prompts may be in any.
"""

import re
import zlib

SHORTEST = 20
"""Bytes; a description in Chinese may have as few as seven signs."""
LOOPING = 5
"""How many times smaller an answer gets by compression if the model was caught in a loop."""

_MEDIUM = (
    r"(?:audio|sound|image|picture|photo|video|media|music|file|recording|clip|frame|attachment)s?"
    r"(?: files?| clips?| recordings?| data| input)?"
)
_NOT = r"(?:can\W?t|cannot|can not|could not|couldn\W?t|do not|don\W?t|did not|didn\W?t)"
_GIVEN = r"(?:provided|given|attached|available|uploaded|included|shared|supplied)"

_BEGINNINGS = (
    # English
    r"(?:i\W?m|i am|i was) (?:very |so |really )?(?:sorry|afraid|unable|not able)\b",
    r"sorry(?:[,.!]| but| for)|(?:my )?apologies\b|i apologi[sz]e\b",
    r"unfortunately,? (?:i|no|your)\b",
    r"i (?:can\W?t|cannot|can not|could not)\b|i (?:do not|don\W?t) (?:have|see|hear)\b",
    r"as an? (?:ai\b|artificial|(?:large |text-based |text )?(?:language )?model)",
    r"i(?:\W?m| am) (?:just |only )?an? (?:ai\b|(?:large |text)?[\w-]* ?(?:language )?model)",
    # German, Dutch
    r"(?:es )?tut mir (?:sehr |wirklich )?leid|entschuldigung\b|leider (?:kann|konnte|habe) ich",
    r"leider (?:ist|wurde|liegt|sehe|höre)\b.{0,20}\bkein|ich kann (?:leider|kein|da|die|den|dir)",
    r"als (?:ki\b|ai\b|sprachmodell|taalmodel|künstliche)|(?:het )?spijt me|helaas\b",
    r"ik kan (?:geen|niet)\b",
    # French
    r"(?:je suis |je m'excuse|)(?:désolée?|navrée?)\b|malheureusement,? (?:je|aucun)",
    r"je ne (?:peux|vois|dispose|suis pas|parviens|perçois)\b|en tant qu\W?(?:e |ia|intelligence)",
    # Spanish, Portuguese, Italian
    r"lo siento\b|lamentablemente\b|no puedo\b|disculp[ae]\b|desculpe\b|sinto muito\b",
    r"infelizmente\b|lamento,? (?:mas|pero|não|no)\b|não (?:posso|consigo)\b",
    r"mi dispiace\b|purtroppo\b|non (?:posso|riesco|sono in grado)\b",
    r"com[eo] (?:un |una |um |uma )?(?:ia\b|modelo de l|modello)",
    # Russian, Polish
    r"извините\b|простите\b|к сожалению\b|я не (?:могу|вижу|слышу)\b|как (?:ии\b|языковая модель)",
    r"przykro mi\b|przepraszam\b|niestety\b|nie mogę\b",
    # Chinese, Japanese, Korean
    r"(?:很|非常)?(?:抱歉|对不起|對不起)|我(?:无法|無法|不能|看不到|听不到)|作为(?:一个|一名)?(?:ai|人工|语言)",
    r"申し訳|すみません|残念ながら|ごめん|죄송|미안",
)
_BEGINS = re.compile(rf"^[\W_]*(?:{'|'.join(_BEGINNINGS)})", re.IGNORECASE)

_BLIND = re.compile(
    rf"\bi (?:{_NOT}|am (?:unable|not able) to|was (?:unable|not able) to) (?:actually |directly )?"
    rf"(?:see|hear|access|view|listen|process|analy[sz]e|open|play)\b[^.!?]{{0,30}}\b{_MEDIUM}\b"
    rf"|\bplease (?:re-?)?(?:provide|upload|share|attach|send)\b[^.!?]{{0,20}}\b{_MEDIUM}\b"
    rf"|\b(?:you|your message) (?:have not|haven\W?t|did not|didn\W?t|has not) [^.!?]{{0,20}}"
    rf"\b{_MEDIUM}\b",
    re.IGNORECASE,
)
"""What a model says of itself, or asks for; wherever it stands, the rest is made up."""

_MISSING = re.compile(
    rf"\b(?:no|without (?:any|an?|the)) (?:actual )?(?:{_MEDIUM}|text)"
    rf" (?:(?:was|were|is|are|has been|have been) )?(?:actually |currently )?{_GIVEN}\b"
    rf"|\b{_MEDIUM} (?:could not be|couldn\W?t be|cannot be|was not|wasn\W?t|were not|did not"
    rf"|didn\W?t|has not been) (?:load|accessed|processed|opened|played|{_GIVEN}|come through)",
    re.IGNORECASE,
)
"""That a medium was not there. Of a silent video it may be a remark beside a description."""

_SENTENCES = re.compile(r"(?<=[.!?\u3002\uff01\uff1f])\s*")


def clean_answer(answer: str) -> str:
    """Return what a description says; "" for a refusal, for nothing, and for endless repeating."""
    text = " ".join(answer.split())
    if _BEGINS.search(text) or _BLIND.search(text):
        return ""
    first, *others = _SENTENCES.split(text)
    if _MISSING.search(first):
        return ""
    if any(_MISSING.search(sentence) for sentence in others):
        text = " ".join([first, *(s for s in others if not _MISSING.search(s))]).strip()
    data = text.encode(errors="replace")
    if len(data) < SHORTEST or len(zlib.compress(data)) * LOOPING < len(data):
        return ""
    return text
