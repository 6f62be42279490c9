"""Answers in the forms that the servers document, one literal each."""

from __future__ import annotations

import json
from typing import Any

import pytest

from memreward.data.chat import token_logprobs
from memreward.domains import parse_completion
from memreward.policy.connection import read_answer
from rows import each_row

VLLM_CHAT = """
{"id": "chatcmpl-7", "object": "chat.completion", "created": 1764000000, "model": "Qwen/Qwen2.5-0.5B-Instruct",
 "choices": [
  {"index": 0, "message": {"role": "assistant", "content": "4.", "refusal": null, "annotations": null, "audio": null,
    "function_call": null, "tool_calls": [], "reasoning_content": null},
   "logprobs": {"content": [
    {"token": "4", "logprob": -0.25, "bytes": [52], "top_logprobs": [{"token": "4", "logprob": -0.25, "bytes": [52]}]},
    {"token": ".", "logprob": -1.5, "bytes": [46], "top_logprobs": [{"token": "!", "logprob": -0.5, "bytes": [33]}]}]},
   "finish_reason": "stop", "stop_reason": null, "token_ids": null},
  {"index": 1, "message": {"role": "assistant", "content": "It is"}, "logprobs": {"content": [
    {"token": "It", "logprob": -2.0, "bytes": [73, 116], "top_logprobs": []},
    {"token": " is", "logprob": 0.0, "bytes": [32, 105, 115], "top_logprobs": []}]}, "finish_reason": "length"}],
 "service_tier": null, "system_fingerprint": null, "prompt_logprobs": null, "kv_transfer_params": null,
 "usage": {"prompt_tokens": 31, "total_tokens": 35, "completion_tokens": 4, "prompt_tokens_details": null}}
"""
VLLM_COMPLETION = """
{"id": "cmpl-9", "object": "text_completion", "created": 1764000000, "model": "m", "choices": [
  {"index": 0, "text": " 4.", "logprobs": {"text_offset": [0, 2], "token_logprobs": [-0.25, -1.5],
    "tokens": [" 4", "."], "top_logprobs": [{" 4": -0.25}, {"!": -0.5, ".": -1.5}]},
   "finish_reason": "length", "stop_reason": null, "prompt_logprobs": null}],
 "usage": {"prompt_tokens": 9, "total_tokens": 11, "completion_tokens": 2, "prompt_tokens_details": null}}
"""
SGLANG_CHAT = """
{"id": "5c", "object": "chat.completion", "created": 1764000000, "model": "m", "choices": [{"index": 0,
  "message": {"role": "assistant", "content": "4.", "reasoning_content": null, "tool_calls": null},
  "logprobs": {"content": [
   {"token": "4", "bytes": [52], "logprob": -0.25, "top_logprobs": []},
   {"token": ".", "bytes": [46], "logprob": -1.5, "top_logprobs": []}]},
  "finish_reason": "stop", "matched_stop": 151645}],
 "usage": {"prompt_tokens": 31, "total_tokens": 33, "completion_tokens": 2, "prompt_tokens_details": null}}
"""
LLAMA_CPP_CHAT = """
{"choices": [{"finish_reason": "stop", "index": 0, "message": {"role": "assistant", "content": "4."},
  "logprobs": {"content": [
   {"id": 19, "token": "4", "bytes": [52], "logprob": -0.25,
    "top_logprobs": [{"id": 19, "token": "4", "bytes": [52], "logprob": -0.25}]},
   {"id": 13, "token": ".", "bytes": [46], "logprob": -1.5, "top_logprobs": []}]}}],
 "created": 1764000000, "model": "gpt-3.5-turbo", "system_fingerprint": "b7000-abcdef", "object": "chat.completion",
 "usage": {"completion_tokens": 2, "prompt_tokens": 31, "total_tokens": 33}, "id": "chatcmpl-x",
 "timings": {"prompt_n": 31, "predicted_n": 2}}
"""
LLAMA_CPP_COMPLETION = """
{"choices": [{"text": " 4.", "index": 0, "logprobs": {"content": [
   {"id": 220, "token": " 4", "bytes": [32, 52], "logprob": -0.25, "top_logprobs": []},
   {"id": 13, "token": ".", "bytes": [46], "logprob": -1.5, "top_logprobs": []}]}, "finish_reason": "length"}],
 "created": 1764000000, "model": "m", "object": "text_completion",
 "usage": {"completion_tokens": 2, "prompt_tokens": 9, "total_tokens": 11}}
"""
LLAMA_CPP_PYTHON_COMPLETION = """
{"id": "cmpl-1", "object": "text_completion", "created": 1764000000, "model": "m", "choices": [{"text": " 4.",
  "index": 0, "logprobs": {"tokens": [" 4", "."], "text_offset": [9, 11], "token_logprobs": [-0.25, -1.5],
   "top_logprobs": [{" 4": -0.25}, {".": -1.5}]}, "finish_reason": "stop"}],
 "usage": {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11}}
"""
OLLAMA_CHAT = """
{"id": "chatcmpl-42", "object": "chat.completion", "created": 1764000000, "model": "qwen3:0.6b",
 "system_fingerprint": "fp_ollama", "choices": [{"index": 0, "message": {"role": "assistant", "content": "#### 4",
   "reasoning": "Two and two make four."}, "logprobs": {"content": [
    {"token": "4", "logprob": -0.25, "bytes": [52]}, {"token": ".", "logprob": -1.5, "bytes": [46]}]},
  "finish_reason": "stop"}],
 "usage": {"prompt_tokens": 31, "completion_tokens": 2, "total_tokens": 33}}
"""
OLLAMA_WITHOUT_LOGPROBS = """
{"id": "chatcmpl-43", "object": "chat.completion", "created": 1764000000, "model": "llama3.2",
 "system_fingerprint": "fp_ollama", "choices": [{"index": 0, "message": {"role": "assistant", "content": "4."},
  "finish_reason": "length"}], "usage": {"prompt_tokens": 31, "completion_tokens": 2, "total_tokens": 33}}
"""
TRANSFORMERS_CHAT = """
{"id": "c7", "choices": [{"finish_reason": "length", "index": 0, "message": {"content": "4.", "role": "assistant"}}],
 "created": 1764000000, "model": "m@main", "object": "chat.completion",
 "usage": {"completion_tokens": 2, "prompt_tokens": 31, "total_tokens": 33}}
"""


@each_row(
    ("body", "text", "logprobs", "truncated"),
    [
        (SGLANG_CHAT, "4.", (-0.25, -1.5), False),
        (LLAMA_CPP_CHAT, "4.", (-0.25, -1.5), False),
        (LLAMA_CPP_COMPLETION, " 4.", (-0.25, -1.5), True),
        (LLAMA_CPP_PYTHON_COMPLETION, " 4.", (-0.25, -1.5), False),
        (VLLM_COMPLETION, " 4.", (-0.25, -1.5), True),
        (OLLAMA_WITHOUT_LOGPROBS, "4.", None, True),
        (TRANSFORMERS_CHAT, "4.", None, True),
    ],
)
def test_documented_answers_are_read(body: str, text: str, logprobs: tuple[float, ...] | None, truncated: bool) -> None:
    (sample,) = read_answer(json.loads(body))
    assert (sample.text, sample.token_logprobs, sample.truncated) == (text, logprobs, truncated)


def test_several_choices_are_several_samples() -> None:
    answer = read_answer(json.loads(VLLM_CHAT))
    assert [sample.text for sample in answer] == ["4.", "It is"]
    assert [sample.token_logprobs for sample in answer] == [(-0.25, -1.5), (-2.0, 0.0)]
    assert [sample.truncated for sample in answer] == [False, True]


def test_a_thinking_that_was_cut_out_is_put_back_as_the_parser_finds_it() -> None:
    (sample,) = read_answer(json.loads(OLLAMA_CHAT))
    completion = parse_completion(sample.text, "math")
    assert (completion.thinking, completion.answer) == ("Two and two make four.", "4")


def chat(content: Any, finish: str | None = "stop", **message: Any) -> dict[str, Any]:
    return {"choices": [{"message": {"content": content, **message}, "finish_reason": finish}]}


def test_a_thinking_that_never_ended_stays_open() -> None:
    (sample,) = read_answer(chat(None, "length", reasoning_content="Let me see"))
    assert sample.text == "<think>\nLet me see"
    assert parse_completion(sample.text, "math").answer is None


@each_row(("finish", "truncated"), [("length", True), ("stop", False), ("content_filter", None), (None, None)])
def test_the_reason_to_finish_says_whether_it_is_whole(finish: str | None, truncated: bool | None) -> None:
    assert read_answer(chat("x", finish))[0].truncated is truncated


def test_content_in_parts_is_joined_and_no_content_is_an_empty_text() -> None:
    assert read_answer(chat([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]))[0].text == "ab"
    assert read_answer(chat(None))[0].text == ""


@each_row(
    "logprobs",
    [
        None,
        {},
        {"content": None},
        {"content": []},
        {"token_logprobs": [None, -0.5]},
        {"content": [{"token": "a", "logprob": -9999.0}]},
        {"content": [{"token": "a"}]},
        {"content": [{"token": "a", "logprob": float("-inf")}]},
        {"token_logprobs": "-0.5"},
    ],
)
def test_log_probabilities_of_which_one_is_not_known_are_left_out(logprobs: Any) -> None:
    assert token_logprobs(logprobs) is None


@each_row(
    "body",
    [
        None,
        [],
        "text",
        {},
        {"choices": []},
        {"choices": [None]},
        {"choices": [{}]},
        {"choices": [{"message": "x"}]},
        {"error": {"message": "overloaded"}},
        chat("half", "abort"),
    ],
)
def test_what_is_no_answer_is_refused(body: Any) -> None:
    with pytest.raises(ValueError, match=r"without|object|broke off"):
        read_answer(body)
