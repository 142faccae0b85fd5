"""The forms in which chat and preference sets are published, each recognised by its columns."""

import pytest
from smallwright_posttrain.forms import UnknownForm, chat_row, preference_row
from smallwright_posttrain.rows import BadRow


def said(role, content, **more):
    return {"role": role, "content": content, **more}


USER, ANSWER, OTHER = said("user", "q"), said("assistant", "a"), said("assistant", "b")
SYSTEM = said("system", "s")
FUNCTION = {"name": "add", "arguments": '{"a": 1}'}
CALL = {"type": "function", "function": {"name": "add", "arguments": {"a": 1}}}
CALLING = said("assistant", "", tool_calls=[CALL])


@pytest.mark.parametrize(
    ("row", "form"),
    [
        ({"messages": [USER, ANSWER]}, "messages (messages: role, content)"),
        ({"messages": [said("USER", "q"), said("Assistant", "a")]}, "messages"),
        ({"messages": '[{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]'}, "messages"),
        ({"messages": [said("user", [{"type": "text", "text": "q"}]), ANSWER]}, "messages"),
        ({"messages": [said("user", [{"type": "input_text", "text": "q"}]), said("assistant", ["a"])]}, "messages"),
        ({"messages": [said("system", ""), USER, ANSWER]}, "messages"),
        ({"messages": [USER, said("assistant", None, refusal="a")]}, "messages"),
        ({"conversations": [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}]}, "ShareGPT"),
        ({"conversations": [USER, ANSWER]}, "messages (conversations: role, content)"),
        ({"conversation": [{"input": "q", "output": "a"}]}, "XTuner"),
        (
            {"contents": [{"role": "user", "parts": [{"text": "q"}]}, {"role": "model", "parts": [{"text": "a"}]}]},
            "messages",
        ),
        ({"dialog": ["q", "a"]}, "alternating turns (dialog)"),
        ({"id": "0", "data": ["q", "a"]}, "alternating turns (data)"),
        (
            {"messages": [said("Human", {"text": "q"}), said("AI", {"content_type": "text", "parts": ["a"]})]},
            "messages",
        ),
        ({"instruction": "q", "input": "", "output": "a"}, "Alpaca (instruction, input, output)"),
        ({"instruction": "q", "output": "a"}, "Alpaca (instruction, output)"),
        ({"instruction": "q", "input": None, "output": "a", "text": "Below is"}, "Alpaca"),
        ({"instruction": "", "input": "q", "output": "a"}, "input and output"),
        (
            {"instruction": "q", "context": "", "response": "a", "category": "qa"},
            "Dolly (instruction, context, response)",
        ),
        ({"prompt": "q", "response": "a"}, "prompt and response"),
        ({"instruction": "q", "input": "", "output": "a", "prompt": "Below is q ### Response: a"}, "Alpaca"),
        ({"prompt": "\n\nHuman: q\n\nAssistant:", "completion": "a"}, "prompt and completion"),
        ({"prompt": "q", "completion": "a"}, "prompt and completion (prompt, completion)"),
        ({"prompt": [USER], "completion": [ANSWER]}, "prompt and completion of messages"),
        ({"prompt": "q", "completion": "a", "label": True}, "KTO (prompt, completion, label)"),
        ({"prompt": [USER], "completion": [ANSWER], "label": 1}, "KTO"),
        ({"messages": [USER, ANSWER], "kto_tag": True}, "messages"),
        ({"question": "q", "answer": "a"}, "question and answer"),
        ({"query": "q", "response": "a", "type": "GSM_Rephrased"}, "query and response"),
        ({"inputs": "q", "targets": "a"}, "inputs and targets"),
        ({"text": "### Human: q### Assistant: a"}, "text with turns"),
        ({"text": "\n\nHuman: q\n\nAssistant: a"}, "text with turns"),
    ],
)
def test_a_question_and_its_answer_are_the_same_in_every_form(row, form):
    read = chat_row(row)
    assert read.row == {"messages": [USER, ANSWER]}
    assert read.form.startswith(form)


@pytest.mark.parametrize(
    ("row", "messages"),
    [
        ({"messages": [said("developer", "s"), USER, ANSWER]}, [SYSTEM, USER, ANSWER]),
        ({"system": "s", "conversations": [USER, ANSWER]}, [SYSTEM, USER, ANSWER]),
        ({"system_prompt": "s", "question": "q", "response": "a"}, [SYSTEM, USER, ANSWER]),
        ({"systemInstruction": {"parts": [{"text": "s"}]}, "contents": [USER, ANSWER]}, [SYSTEM, USER, ANSWER]),
        ({"instruction": "Add 1.", "input": "q", "output": "a"}, [said("user", "Add 1.\n\nq"), ANSWER]),
        ({"instruction": "q", "input": "", "output": "b", "history": [["q", "a"]]}, [USER, ANSWER, USER, OTHER]),
        (
            {"messages": [USER, said("assistant", "b", weight=0), USER, said("assistant", "a", weight=1)]},
            [USER, said("assistant", "b", weight=0), USER, ANSWER],
        ),
        (
            {
                "messages": [
                    USER,
                    said("assistant", None, tool_calls=[CALL]),
                    said("tool", "1", tool_call_id="c"),
                    ANSWER,
                ]
            },
            [USER, CALLING, said("tool", "1"), ANSWER],
        ),
        (
            {"messages": [USER, said("assistant", None, function_call=FUNCTION), said("function", "1"), ANSWER]},
            [USER, CALLING, said("tool", "1"), ANSWER],
        ),
        (
            {
                "conversations": [
                    {"from": "human", "value": "q"},
                    {"from": "function_call", "value": '{"name": "add", "arguments": {"a": 1}}'},
                    {"from": "observation", "value": "1"},
                    {"from": "gpt", "value": "a"},
                ],
                "tools": "[]",
            },
            [USER, CALLING, said("tool", "1"), ANSWER],
        ),
        (
            {"messages": [USER, said("assistant", "a", reasoning="r")]},
            [USER, said("assistant", "a", reasoning_content="r")],
        ),
    ],
)
def test_what_a_form_has_beside_questions_and_answers_is_kept(row, messages):
    assert chat_row(row).row == {"messages": messages}


def test_tools_are_read_as_a_list_or_as_json_text():
    tool = {"type": "function", "function": {"name": "add"}}
    for tools in ([tool], '[{"type": "function", "function": {"name": "add"}}]'):
        assert chat_row({"messages": [USER, ANSWER], "tools": tools}).row["tools"] == [tool]


def test_keys_that_are_not_used_are_named():
    row = {
        "messages": [said("user", "q", name="Ana"), said("assistant", "a", tool_calls=[], mood="calm")],
        "id": 7, "source": "x", "empty": None,
    }  # fmt: skip
    assert chat_row(row).ignored == {"id", "source", "messages.name", "messages.mood"}


def test_columns_name_those_of_any_other_set():
    assert chat_row({"vraag": "q", "antwoord": "a"}, {"prompt": "vraag", "completion": "antwoord"}).row == {
        "messages": [USER, ANSWER]
    }
    turns = [{"speaker": "user", "utterance": "q"}, {"speaker": "assistant", "utterance": "a"}]
    columns = {"messages": "data.turns", "role": "speaker", "content": "utterance"}
    assert chat_row({"data": {"turns": turns}}, columns).row == {"messages": [USER, ANSWER]}
    named = {"prompt": "frage", "completion": "antwort"}
    row = {"instruction": "other", "frage": "q", "output": "b", "antwort": "a"}
    read = chat_row(row, named)
    assert read.row == {"messages": [USER, ANSWER]}
    assert read.ignored == {"instruction", "output"}
    material = {"input": "stof", "prompt": "vraag", "completion": "antwoord"}
    read = chat_row({"stof": "3", "vraag": "Double it.", "antwoord": "6"}, material)
    assert read.row == {"messages": [said("user", "Double it.\n\n3"), said("assistant", "6")]}
    # What is named goes before what would have been recognised.
    named = {"prompt": "frage", "completion": "antwort"}
    row = {"messages": [USER, OTHER], "frage": "q", "antwort": "a"}
    assert chat_row(row, named).row == {"messages": [USER, ANSWER]}
    pair = {"vraag": "q", "goed": "a", "slecht": "b"}
    assert preference_row(pair, {"prompt": "vraag", "chosen": "goed", "rejected": "slecht"}).row == {
        "prompt": [USER], "chosen": [ANSWER], "rejected": [OTHER]
    }  # fmt: skip


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"text": "no conversation"}, "no form"),
        ({"prompt": "q", "chosen": "a", "rejected": "b"}, "pairs of answers"),
        ({"messages": "nothing"}, "not a list"),
        ({"messages": [USER]}, "the last one is not the assistant's"),
        ({"messages": [ANSWER]}, "nothing comes before"),
        ({"messages": [said("wizard", "x"), ANSWER]}, "none of system, user"),
        ({"messages": [USER, said("assistant", " ")]}, "without text"),
        ({"messages": [USER, SYSTEM, ANSWER]}, "not the first"),
        ({"messages": [said("user", [{"type": "image_url", "image_url": {}}]), ANSWER]}, "a part of type image_url"),
        ({"messages": [USER, ANSWER], "images": ["x.png"]}, "images: a model of text"),
        ({"messages": [USER, said("assistant", "a", weight=0.5)]}, "weight that is neither"),
        ({"messages": [USER, said("assistant", "", tool_calls=[{"id": 1}]), ANSWER]}, "a tool call without a name"),
        ({"messages": [USER, ANSWER], "tools": "add"}, "tools: not valid JSON"),
        ({"prompt": "q", "completion": "a", "label": False}, "label: false"),
        ({"messages": [USER, ANSWER], "kto_tag": False}, "kto_tag: false"),
        ({"messages": [USER, ANSWER], "weight": 0}, "weight: 0"),
        ({"instruction": "q", "output": ""}, "output: a message without text"),
        ({"prompt": "q", "completion": "\ud800"}, "Unicode"),
    ],
)
def test_bad_conversations_have_a_reason(row, reason):
    with pytest.raises(BadRow, match=reason):
        chat_row(row)


@pytest.mark.parametrize(
    ("row", "form"),
    [
        ({"prompt": "q", "chosen": "a", "rejected": "b"}, "preference (prompt, chosen, rejected)"),
        ({"prompt": [USER], "chosen": [ANSWER], "rejected": [OTHER]}, "preference"),
        ({"chosen": [USER, ANSWER], "rejected": [USER, OTHER]}, "preference (chosen, rejected)"),
        (
            {"prompt": "q", "chosen": [USER, ANSWER], "rejected": [USER, OTHER], "messages": [USER, ANSWER]},
            "preference",
        ),
        ({"chosen": [USER, ANSWER], "rejected": [USER, OTHER], "messages": [USER, ANSWER]}, "messages"),
        ({"chosen": "\n\nHuman: q\n\nAssistant: a", "rejected": "\n\nHuman: q\n\nAssistant: b"}, "HH-RLHF"),
        (
            {"input": {"messages": [USER], "tools": []}, "preferred_output": [ANSWER], "non_preferred_output": [OTHER]},
            "OpenAI preference (input.messages, preferred_output, non_preferred_output)",
        ),
        (
            {
                "conversations": [{"from": "human", "value": "q"}],
                "chosen": {"from": "gpt", "value": "a"},
                "rejected": {"from": "gpt", "value": "b"},
            },
            "ShareGPT (conversations: from, value) with chosen and rejected",
        ),
        ({"instruction": "q", "input": "", "output": ["a", "b"]}, "preference (input, instruction, chosen, rejected)"),
        ({"instruction": "q", "input": "", "chosen": "a", "rejected": "b"}, "preference"),
        ({"question": "q", "chosen": "a", "rejected": "b", "system": ""}, "preference (question, chosen, rejected)"),
        ({"prompt": "\n\nHuman: q\n\nAssistant:", "chosen": "a", "rejected": "b"}, "preference"),
        ({"question": "q", "response_j": "a", "response_k": "b", "qid": 1}, "preference"),
        ({"instruction": "q", "chosen_response": "a", "rejected_response": "b"}, "preference"),
        (
            {"prompt": "q", "response_0": "b", "response_1": "a", "better_response_id": 1, "safer_response_id": 0},
            "PKU-SafeRLHF (prompt, response_0, response_1, better_response_id)",
        ),
        (
            {"prompt": "q", "response_0": "a", "response_1": "b", "safer_response_id": "0"},
            "PKU-SafeRLHF (prompt, response_0, response_1, safer_response_id)",
        ),
        (
            {"history": "q", "human_ref_A": "a", "human_ref_B": "b", "labels": 1, "score_A": 3},
            "SHP (history, human_ref_A, human_ref_B, labels)",
        ),
        ({"history": "q", "human_ref_A": "b", "human_ref_B": "a", "labels": 0.0}, "SHP"),
        ({"conversation_a": [USER, OTHER], "conversation_b": [USER, ANSWER], "winner": "model_b"}, "Arena"),
    ],
)
def test_a_pair_is_the_same_in_every_form(row, form):
    read = preference_row(row)
    assert read.row == {"prompt": [USER], "chosen": [ANSWER], "rejected": [OTHER]}
    assert read.form.startswith(form)


def test_a_pair_after_several_turns_parts_where_the_answers_do():
    row = {
        "chosen": "\n\nHuman: q\n\nAssistant: a\n\nHuman: q\n\nAssistant: a",
        "rejected": "\n\nHuman: q\n\nAssistant: a\n\nHuman: q\n\nAssistant: b",
    }
    assert preference_row(row).row == {"prompt": [USER, ANSWER, USER], "chosen": [ANSWER], "rejected": [OTHER]}


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"prompt": "q", "chosen": "a", "rejected": "a"}, "same"),
        ({"chosen": "a", "rejected": "b"}, "prompt: missing"),
        ({"prompt": "q", "chosen": "a"}, "rejected: missing"),
        ({"prompt": "q", "chosen": [USER], "rejected": [OTHER]}, "not an answer"),
        ({"prompt": "q", "chosen": "\ud800", "rejected": "b"}, "Unicode"),
        ({"prompt": 3, "chosen": "a", "rejected": "b"}, "not a list"),
        ({"prompt": "q", "completion": "a", "label": True}, "sft learns from the liked ones"),
        ({"messages": [USER, ANSWER]}, "no form"),
        ({"prompt": "q", "response_0": "a", "response_1": "b"}, "better_response_id: missing"),
        ({"history": "q", "human_ref_A": "a", "human_ref_B": "b", "labels": float("nan")}, "labels: neither 1 nor 0"),
        ({"conversation_a": [USER, OTHER], "conversation_b": [USER, ANSWER], "winner": "tie"}, "winner: neither"),
    ],
)
def test_bad_pairs_have_a_reason(row, reason):
    with pytest.raises(BadRow, match=reason):
        preference_row(row)


def test_columns_say_which_answer_is_better():
    row = {"prompt": "q", "response_0": "b", "response_1": "a", "better_response_id": 0, "safer_response_id": 1}
    assert preference_row(row, {"better": "safer_response_id"}).row["chosen"] == [ANSWER]
    with pytest.raises(UnknownForm, match="which dpo learns from"):
        chat_row(row)


def test_an_unknown_form_says_its_columns():
    with pytest.raises(UnknownForm) as caught:
        chat_row({"b": 1, "a": 2})
    assert caught.value.columns == ["a", "b"]
