"""Token ids of conversations and pairs: what is learned, what is cut, and what a template refuses."""

import pytest
from smallwright_posttrain import marks, templates
from smallwright_posttrain.encode import Template, encode_chat, encode_pair, end_of_turn
from smallwright_posttrain.rows import BadRow
from smallwright_testing.models import CHATML

NO_LIMIT = 10_000
UNMARKED = CHATML.replace("{% generation %}", "").replace("{% endgeneration %}", "")
REFUSES_SYSTEM = (
    "{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}" + CHATML
)


@pytest.fixture(scope="module")
def tokenizer():
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|pad|>"]
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    bpe = Tokenizer(models.BPE(vocab={token: index for index, token in enumerate(special + alphabet)}, merges=[]))
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    fast = PreTrainedTokenizerFast(
        tokenizer_object=bpe, eos_token=special[0], pad_token=special[3], additional_special_tokens=special[1:3]
    )
    fast.chat_template = CHATML
    return fast


def turns(*texts, role="user"):
    roles = (role, "assistant" if role == "user" else "user")
    return [{"role": roles[index % 2], "content": text} for index, text in enumerate(texts)]


def learned(tokenizer, row, limit=NO_LIMIT, **settings):
    encoded = encode_chat(Template(tokenizer), row, limit, **{"assistant_only": True, **settings})
    return tokenizer.decode([label for label in encoded.ids["labels"] if label != -100])


def test_the_assistants_turns_are_learned_with_their_ends(tokenizer):
    row = {"messages": turns("one", "two", "three", "four")}
    assert learned(tokenizer, row) == "two<|im_end|>four<|im_end|>"
    assert "three" in learned(tokenizer, row, assistant_only=False)


def test_a_turn_of_weight_0_is_read_and_not_learned(tokenizer):
    messages = turns("one", "wrong", "three", "right")
    messages[1]["weight"] = 0
    assert learned(tokenizer, {"messages": messages}) == "right<|im_end|>"
    ids = encode_chat(Template(tokenizer), {"messages": messages}, NO_LIMIT, assistant_only=True).ids["input_ids"]
    assert "wrong" in tokenizer.decode(ids)
    with pytest.raises(BadRow, match="assistant_only_loss=true"):
        learned(tokenizer, {"messages": messages}, assistant_only=False)
    messages[3]["weight"] = 0
    with pytest.raises(BadRow, match=r"nothing to learn from$"):
        learned(tokenizer, {"messages": messages})


def test_what_is_longer_is_cut_and_a_prompt_that_fills_the_limit_teaches_nothing(tokenizer):
    row = {"messages": turns("one", "x" * 100)}
    encoded = encode_chat(Template(tokenizer), row, 50, assistant_only=True)
    assert encoded.truncated
    assert {len(ids) for ids in encoded.ids.values()} == {50}
    with pytest.raises(BadRow, match="within max_length=20 tokens"):
        encode_chat(Template(tokenizer), {"messages": turns("x" * 100, "y")}, 20, assistant_only=True)


def test_a_template_that_raises_sets_the_row_aside(tokenizer):
    template = Template(tokenizer, REFUSES_SYSTEM)
    row = {"messages": [{"role": "system", "content": "s"}, *turns("one", "two")]}
    with pytest.raises(BadRow, match=r"^the chat template refuses it: System role not supported$"):
        encode_chat(template, row, NO_LIMIT, assistant_only=True)
    assert not encode_chat(template, {"messages": turns("one", "two")}, NO_LIMIT, assistant_only=True).truncated
    for broken in ("{{ messages[7]['content'] }}", "{{ 1 + 'a' }}", "{{ nothing.here }}"):
        with pytest.raises(BadRow, match="refuses"):
            encode_chat(Template(tokenizer, broken), row, NO_LIMIT, assistant_only=False)


def test_tools_and_calls_become_text_where_the_template_shows_none(tokenizer):
    call = {"type": "function", "function": {"name": "add", "arguments": {"a": 1}}}
    messages = turns("one", "", "three", "four")
    messages[1]["tool_calls"], messages[2]["role"] = [call], "tool"
    row = {"messages": messages, "tools": [{"type": "function", "function": {"name": "add"}}]}
    encoded = encode_chat(Template(tokenizer), row, NO_LIMIT, assistant_only=True)
    text = tokenizer.decode(encoded.ids["input_ids"])
    assert '<tools>\n{"name":"add"}\n</tools>' in text.split("<|im_end|>")[0]
    assert '<tool_call>\n{"name":"add","arguments":{"a":1}}\n</tool_call>' in learned(tokenizer, row)
    with pytest.raises(BadRow, match="max_length=20 tokens, with its tools written as text"):
        encode_chat(Template(tokenizer), row, 20, assistant_only=True)
    assert encoded.noted == {"tools written as text", "tool_calls written as text"}


def test_a_template_that_shows_tools_gets_them(tokenizer):
    shows = (
        "{{ tools | length }}{% for message in messages %}{{ message.role }}{% generation %}{{ message.content }}"
        "{% for call in message.tool_calls or [] %}{{ call.function.name }}{% endfor %}{% endgeneration %}{% endfor %}"
    )
    messages = turns("one", "")
    messages[1]["tool_calls"] = [{"type": "function", "function": {"name": "subtract", "arguments": {}}}]
    row = {"messages": messages, "tools": [{"name": "subtract"}, {"name": "add"}]}
    encoded = encode_chat(Template(tokenizer, shows), row, NO_LIMIT, assistant_only=False)
    assert tokenizer.decode(encoded.ids["input_ids"]) == "2useroneassistantsubtract"
    assert not encoded.noted


def test_a_pair_parts_after_the_prompt(tokenizer):
    row = {"prompt": turns("one"), "chosen": turns("two", role="assistant"), "rejected": turns("six", role="assistant")}
    encoded = encode_pair(Template(tokenizer), row, NO_LIMIT)
    assert tokenizer.decode(encoded.ids["prompt_ids"]).endswith("<|im_start|>assistant\n")
    assert [tokenizer.decode(encoded.ids[name]) for name in ("chosen_ids", "rejected_ids")] == [
        "two<|im_end|>\n", "six<|im_end|>\n"
    ]  # fmt: skip


def test_answers_that_are_the_same_once_cut_are_set_aside(tokenizer):
    same = "x" * 100
    row = {
        "prompt": turns("one"),
        "chosen": turns(same + "a", role="assistant"),
        "rejected": turns(same + "b", role="assistant"),
    }
    with pytest.raises(BadRow, match=r"^chosen and rejected are the same within max_length=64 tokens$"):
        encode_pair(Template(tokenizer), row, 64)
    assert not encode_pair(Template(tokenizer), row, NO_LIMIT).truncated


def test_the_end_of_a_turn_is_found_also_of_a_template_that_fails(tokenizer):
    assert tokenizer.decode([end_of_turn(tokenizer)]) == "<|im_end|>"
    tokenizer.chat_template, before = "{{ raise_exception('no') }}", tokenizer.chat_template
    assert end_of_turn(tokenizer) is None
    tokenizer.chat_template = before


def test_marks_put_around_answers_leave_the_text_as_it_is(tokenizer):
    own = "{% if messages[0]['role'] != 'system' %}{{ '<|im_start|>system\nBe kind<|im_end|>\n' }}{% endif %}"
    own += UNMARKED
    template, marked = Template(tokenizer, own), Template(tokenizer, marks.marked(own, tokenizer.special_tokens_map))
    row = {"messages": turns("one", "two", "three", "four")}
    encoded = encode_chat(template, row, NO_LIMIT, assistant_only=True, marked=marked)
    assert encoded.ids["input_ids"] == template.ids(row["messages"])
    text = tokenizer.decode([label for label in encoded.ids["labels"] if label != -100])
    assert text == "two<|im_end|>four<|im_end|>"
    with pytest.raises(BadRow, match="those put around them do not fit this row"):
        encode_chat(Template(tokenizer, own + "!"), row, NO_LIMIT, assistant_only=True, marked=marked)


def test_marks_of_answers_are_found_in_the_text_of_a_template():
    assert templates.marks_answers("{%- generation -%}{{ x }}{%- endgeneration -%}")
    assert templates.marks_answers(UNMARKED)
    assert not templates.marks_answers(UNMARKED + "{{ messages | length }}")
