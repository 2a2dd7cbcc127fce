"""Which part of a completion is the answer, and how a completion of any shape becomes text."""

OPEN, CLOSE, THOUGHT = "<answer>", "</answer>", "</think>"


def final_answer(completion: str) -> str:
    """Return what stands in the last `<answer>…</answer>`, else after the last `</think>`.

    A completion with neither is its own answer. Blanks around the answer are dropped.
    """
    if "</" not in completion:
        return completion.strip()
    end = completion.rfind(CLOSE)
    if end >= 0:
        start = completion.rfind(OPEN, 0, end)
        if start >= 0:
            return completion[start + len(OPEN) : end].strip()
    thought = completion.rfind(THOUGHT)
    if thought >= 0:
        return completion[thought + len(THOUGHT) :].strip()
    return completion.strip()


def completion_text(completion: object) -> str:
    """Return the text of a completion: a string, or a list of chat messages (the last one counts).

    A message's content may be a string or a list of `{"type": "text", "text": …}` parts; anything
    else counts as empty, since a strange completion is a wrong answer and not an error.
    """
    if isinstance(completion, str):
        return completion
    if not isinstance(completion, list) or not completion:
        return ""
    last = completion[-1]
    content = last.get("content") if isinstance(last, dict) else last
    if isinstance(content, list):
        parts = (part.get("text") for part in content if isinstance(part, dict))
        return "".join(part for part in parts if isinstance(part, str))
    return content if isinstance(content, str) else ""
