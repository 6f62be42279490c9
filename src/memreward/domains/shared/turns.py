"""The part of a text that is the model's own reply: prompts echoed before it and turns made up after it are no part."""

import re

_OWN = (
    r"<\|im_start\|>(?:assistant|think|answer)|<\|start_header_id\|>assistant|<start_of_turn>model|<\|assistant\|>"
    r"|\[/INST\]|<[|｜]Assistant[|｜]>"
)
_OTHER = (
    r"<\|im_start\|>(?:user|system)|<\|start_header_id\|>(?:user|system)|<start_of_turn>user|<\|(?:user|system)\|>"
    r"|(?<!/)\[INST\]|<[|｜]User[|｜]>"
)
_END = r"<\|(?:im_end|endoftext|eot_id|end_of_text|EOT|eos|end)\|>|<[|｜]end▁of▁sentence[|｜]>|</s>|<end_of_turn>|<eos>"
_BEGIN = r"<s>|<bos>|<\|begin_of_text\|>|<[|｜]begin▁of▁sentence[|｜]>"
_SIGNS = ("<|", "<｜", "INST]", "</s>", "_of_turn>", "<eos>", "<bos>")
_OWN_TURN = re.compile(_OWN)
_TURN_ENDS = re.compile(rf"{_OTHER}|(?:{_END})(?!\s{{0,9}}(?:{_OWN}|<\|start\|>assistant))")
_FIRST = re.compile(rf"(?:\s|{_BEGIN}|{_END}|{_OWN})*")
_ECHO = re.compile(rf"\s*(?:{_BEGIN})?\s*(?:{_OTHER})")
_STRUCK = re.compile(r"<s>[^<>\n]{1,300}</s>")
# A prompt in plain text that stands before the reply, and what introduces the reply in it.
_PROMPTS = (
    (
        re.compile(r"Below is an? [^\n]{1,200}\n|#{2,4} ?(?:Instruction|Human|User|Input)s?:", re.IGNORECASE),
        re.compile(r"\n\s{0,9}#{2,4} ?(?:Response|Assistant|Answer|Output)s?:", re.IGNORECASE),
    ),
    (
        re.compile(r"A chat between a curious (?:user|human)\b|(?:USER|User|HUMAN|Human) ?:"),
        re.compile(r"\s(?:ASSISTANT|Assistant|AI|GPT) ?:"),
    ),
    (re.compile(r"(?:Question|Q|Problem) ?:"), re.compile(r"\n\s{0,9}(?:Answer|A|Solution) ?:")),
)
_PLAYED = re.compile(
    r"\nUser:(?![^\n]*(?:\b(?:no|not|wrong|incorrect|sure|again|check|really|mistake|answer)\b|n['’]t\b))"
    r"[^\n]{20,}\nAssistant: <think>"
)
_BEGINS = re.compile(rf"\s*(?:(?:{_BEGIN})\s*)?")
_ASKS = (
    r"q|question|problem|exercise|human|user|student|instruction|input|pregunta|pergunta|domanda|frage|вопрос|问题|题目|问"
    r"|質問|問題"
)
_ASKS_BACK = r"(?:is|was) (?:that|this|it)|are you|really|why|wait|no|check|sure|but|that['’]s|you(?:['’]re| are| were)"
"""How one asks about the answer before it, which what follows may then correct."""
_NEXT_QUESTION = re.compile(
    r"\n(?:[ \t]{0,8}(?:\*\*|\#{1,6}[ \t]*)?(?:(?:next|new|another)[ \t])?"
    rf"(?:{_ASKS})[ \t]?(?:\d{{1,4}})?[ \t]?(?:\*\*)?[:：](?!\s{{0,3}}(?:{_ASKS_BACK})\b)"
    r"|\#{1,6}[ \t]*(?:question|problem|exercise|instruction)s?[ \t]?\d{0,4}[ \t]*(?=\n|\Z))",
    re.IGNORECASE,
)
_NEXT_IN_LINE = re.compile(rf"(?<=[\d.!?)}}]) ?(?:Q|Question):(?!\s{{0,3}}(?:{_ASKS_BACK})\b)", re.IGNORECASE)


def own_turn(text: str) -> str:
    """Return a text without the turns of others around the first one of its own: in any family's tokens, or words."""
    return _without_next_turn(_without_prompt(_between_tokens(text)))


def _without_next_turn(text: str) -> str:
    """The text up to where it asks as a user of something else, and thinks about that as the assistant."""
    turn = _PLAYED.search(text) if "Assistant: <think>" in text else None
    return text[: turn.start()] if turn is not None and text[: turn.start()].strip() else text


def prompt_before(text: str) -> str:
    """Return the prompt in plain text that a text begins with; "" where it begins with none."""
    text = _between_tokens(text)
    return text[: len(text) - len(_without_prompt(text))]


def _without_prompt(text: str) -> str:
    """The reply behind a prompt in plain text that the text begins with; of several questions, the last may be its."""
    begin = _BEGINS.match(text)
    start = begin.end() if begin is not None else 0
    for asks, replies in _PROMPTS:
        if asks.match(text, start) is not None and (reply := replies.search(text, start)) is not None:
            examples = asks is _PROMPTS[-1][0] and len(_questions(text)) > 1
            return text if examples else text[reply.end() :]
    return text


def _between_tokens(text: str) -> str:
    if not any(sign in text for sign in _SIGNS):
        return text
    if _ECHO.match(text) and (own := _OWN_TURN.search(text)) is not None:
        text = text[own.start() :].removeprefix("[/INST]")
    first = _FIRST.match(text)
    struck = {place.end() for place in _STRUCK.finditer(text)}
    for turn in _TURN_ENDS.finditer(text, first.end() if first is not None else 0):
        if turn.end() not in struck:
            return text[: turn.start()]
    return text


def next_question(text: str) -> int | None:
    """Return where the first question stands that the text itself asks, "Q: ...", behind some other text, or None."""
    starts = _questions(text)
    return starts[0] if starts and text[: starts[0]].strip() else None


def last_question(text: str) -> int:
    """Return where the last question stands that a prompt of several asks, "Q: ..."; 0 where it asks one."""
    starts = _questions(text)
    return starts[-1] if len(starts) > 1 else 0


def _questions(text: str) -> list[int]:
    """Where questions begin: a line's break in front is none of theirs."""
    starts = [found.start() for found in _NEXT_QUESTION.finditer("\n" + text)]
    if "Q:" in text or "Question:" in text:
        starts = sorted([*starts, *(found.start() for found in _NEXT_IN_LINE.finditer(text))])
    return starts
