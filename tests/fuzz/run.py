"""Look for bytes on which reading fails, guided by coverage, until interrupted: `make fuzz`.

    python tests/fuzz/run.py parsers|files|protocol [OPTION ...] CORPUS

Options and a folder for the corpus are libFuzzer's; what stands in `SEEDS` and beside the tests of the domains is put
there first, since random bytes hardly ever come to be a reply, a rollout or a message. Keep what it finds, as small as
it gets, in `test_kept.py`.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import atheris

WATCHED = {"parsers": "memreward.domains", "files": "memreward.data", "protocol": "memreward.sandbox"}
CHECKS = {"parsers": "parser_checks", "files": "file_checks", "protocol": "protocol_checks"}
SEEDS = {
    "files": [
        b'\0{"id": "q", "query": "1+1?", "domain": "math", "reference": "2", "policy_version": "a", "rollouts": '
        b'[{"id": "q/0", "text": "2", "correct": true, "token_logprobs": [-1, -0.5], "truncated": false}]}\n',
        b'\0{"id": "q", "query": "1+1?", "domain": "math", "rollouts": [{"text": "2"}]}\n',
        b'\0{"custom_id": "a", "response": {"body": {"choices": [{"message": {"content": "2"}}]}}}\n',
        b'\0{"doc_id": 0, "doc": {"question": "1+1?"}, "target": "2", "resps": [["2", "3"]], "exact_match": 1.0}\n',
        b'\0{"input": "1+1?", "output": "2", "gts": "2", "score": 1.0, "step": 3}\n',
        b'\0{"query_id": "q", "query": "1+1?", "domain": "qa", "response": "B", "reference": "B"}\n',
        b'\1[{"prompt": "a", "completions": ["1", "2"], "rewards": [0, 1.0]}]',
        b"\4query_id,query,domain,text,correct\nq,1+1?,math,2,true\n",
    ],
    "protocol": [
        b'{}\n{"have": {"f": {"callable": true}}}\n' + reply
        for reply in (
            b'{"value": [1, {"t": [1.5]}, {"s": ["a"]}], "args": [[1], {"d": [["a", 2]]}]}',
            b'{"value": {"h": 1, "type": "list", "callable": false, "true": true, "length": 3, "digest": "x"}}'
            b'\n{"value": [1]}\n{"value": []}\n{"value": "a"}',
            b'{"value": {"n": [{"F": "1/2"}, {"D": "1.5"}, {"c": [1, 2]}, {"i": "0xff"}, {"b": "a"}]}}',
            b'{"raised": "ValueError", "reason": "no"}',
            b'{"too_long": 7}',
        )
    ],
}


def sown(target: str, corpus: Path) -> None:
    """Put the seeds of a target into its corpus."""
    texts = [
        line for path in sorted(Path(__file__).parents[1].glob("domains/ho*")) for line in path.open(encoding="utf-8")
    ]
    seeds = SEEDS.get(target) or [bytes([number % 4]) + text.encode() for number, text in enumerate(texts)]
    for number, seed in enumerate(seeds):
        (corpus / f"seed-{number}").write_bytes(seed)


def main() -> None:
    target = sys.argv.pop(1)
    sown(target, Path(sys.argv[-1]))
    with atheris.instrument_imports(include=[WATCHED[target]]):
        check_bytes = importlib.import_module(CHECKS[target]).check_bytes
        from memreward.domains.math import process
    # Without math-verify's process: its library is not what is looked at, and takes a thousand times as long.
    process.evaluate_here(lambda expression: None)
    atheris.Setup(sys.argv, check_bytes)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
