"""Break each main promise of a module in turn: the fast lane must notice.

    python tests/mutations.py [NAME ...]

Each line of `MUTATIONS` breaks one promise in a copy of the sources by replacing one piece of code, and names the tests
of the fast lane that must turn red. Exits with 1 where all stay green, or where the piece is no longer there.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

# (promise, module, what stands there, what breaks it, tests that notice)
MUTATIONS: list[tuple[str, str, str, str, str]] = [
    (
        "another option is wrong",
        "domains/choice/verify.py",
        "return Verdict(letter == right,",
        "return Verdict(True,",
        "tests/domains/test_hostile_answers.py -k option",
    ),
    (
        "what follows an answer may take it back",
        "domains/choice/verify.py",
        " or retracted(claim.rollout.text, letter, question)",
        "",
        "tests/domains/test_hostile_answers.py -k attacker",
    ),
    (
        "a question made up after the answer is no reply",
        "domains/shared/dress.py",
        "plain_markup(_answered(rest)), closed",
        "plain_markup(rest), closed",
        "tests/domains/test_dress.py -k made_up",
    ),
    (
        "a bare number names an option",
        "domains/choice/numbered.py",
        'else _BARE.sub(partial(in_letter, name=""), text)',
        "else text",
        "tests/domains/test_numbered_options.py",
    ),
    (
        "what a pool comes to votes for options, whatever letters it chose",
        "features/evidence/options.py",
        "_mean(reached.T[chosen], np.ones_like(rival))",
        "_mean(reached.T[chosen], rival)",
        "tests/features/test_option_evidence.py -k comes_to",
    ),
    (
        "an answer taken back is none",
        "domains/shared/expression.py",
        "    if taken_back(text, end) or",
        "    if False and",
        "tests/domains/test_hostile_answers.py -k mentioned",
    ),
    (
        "what a text may not stand by is not right",
        "domains/math/verify.py",
        "if correct and submitted.doubt:",
        "if False:",
        "tests/domains/test_hostile_answers.py -k attacker",
    ),
    (
        "an answer that is only supposed is not right",
        "domains/shared/doubt.py",
        "    if supposed is not None:",
        "    if False:",
        "tests/domains/test_hostile_answers.py -k attacker",
    ),
    (
        "an answer that is mocked is not right",
        "domains/shared/doubt.py",
        "    mocked = _MOCKED.match(after)",
        "    mocked = None",
        "tests/domains/test_hostile_answers.py -k attacker",
    ),
    (
        "letters and digits of full width are read",
        "domains/shared/dress.py",
        "text.translate(_WIDE)",
        "text",
        "tests/domains/test_hostile_answers.py -k honest",
    ),
    (
        "the unit that is asked for counts",
        "domains/math/rules.py",
        "asked.other_unit(given) if given.dimension else None",
        "None",
        "tests/domains/test_hostile_answers.py -k unit",
    ),
    (
        "decimals are not rounded away",
        "domains/math/form.py",
        "round(value, 6 if exponent >= -1",
        "round(value, 1 if exponent >= -1",
        "tests/domains/test_answer_cases.py -k mathematics",
    ),
    (
        "other words cannot be told",
        "domains/text/domain.py",
        '    return Verdict(None, "texts differ',
        '    return Verdict(True, "texts differ',
        "tests/domains/test_hostile_answers.py -k words",
    ),
    (
        "a solution that fails its tests is wrong",
        "domains/code/verify.py",
        '"failed": False',
        '"failed": True',
        "tests/domains/test_hostile_code.py -k iterator",
    ),
    (
        "what the solution's iterator lacks fails a test",
        "sandbox/inside/trial.py",
        '"next": _next}',
        "}",
        "tests/domains/test_hostile_code.py -k lazy",
    ),
    (
        "of whom a number is said counts",
        "domains/math/subjects.py",
        "    return found.strip(",
        "    return None and found.strip(",
        "tests/domains/test_hostile_answers.py -k kinds",
    ),
    (
        "a courtesy behind an answer costs nothing",
        "domains/math/verify.py",
        "while (courtesy :=",
        "while False and (courtesy :=",
        "tests/domains/test_hostile_answers.py -k kinds",
    ),
    (
        "collecting asks only what is missing",
        "policy/collect.py",
        "if question.query.id not in held]",
        "]",
        "tests/policy/test_endpoint.py -k refused_later",
    ),
    (
        "what was begun goes on with the same settings alone",
        "policy/collect.py",
        "        _refuse_changes(folder, group, prompted",
        "        (folder, group, prompted",
        "tests/policy/test_endpoint.py -k begun",
    ),
    (
        "what is collected is judged",
        "policy/collect.py",
        "_judged(whole, verifiers or Verifiers())",
        "iter(whole)",
        "tests/policy/test_endpoint.py -k begun",
    ),
    (
        "a message that says it is too long is refused unread",
        "sandbox/inside/plain.py",
        "if length > LONGEST_MESSAGE:",
        "if False:",
        "tests/sandbox/test_plain_data.py",
    ),
    (
        "a value longer than is read of a solution is wrong",
        "sandbox/inside/solution.py",
        'message if len(message) <= LONGEST_MESSAGE else json.dumps({"too_long": len(message)}).encode("ascii")',
        "message",
        "tests/domains/test_code_verifier.py -k longer",
    ),
    (
        "the budget holds",
        "memory/budget.py",
        "if more and limit is not None and before + more > limit:",
        "if False:",
        "tests/memory/test_label_ledger.py -k budget",
    ),
    (
        "labels move the answer model",
        "answers/posterior.py",
        "gradient + found.gradient",
        "gradient",
        "tests/answers/test_answer_model.py",
    ),
    (
        "an advantage is less the group's mean",
        "answers/advantage.py",
        "(1 - share) / deviation",
        "1 / deviation",
        "tests/answers/test_advantage.py",
    ),
    (
        "the most uncertain question is asked first",
        "answers/choose.py",
        "(-round(float(variance[q]), 9)",
        "(round(float(variance[q]), 9)",
        "tests/answers tests/cli/test_commands.py -k propos",
    ),
    (
        "advantages are centred in their group",
        "evaluation/metrics.py",
        "filled - mean[query]",
        "filled",
        "tests/evaluation/test_metrics.py",
    ),
    (
        "what an earlier judgement settles costs no second one",
        "memory/label.py",
        "for first, *_ in question.unsettled(there):",
        "for first in there:",
        "tests/memory/test_label.py",
    ),
    (
        "an unknown domain is named and refused",
        "domains/registry.py",
        "raise UnknownDomainError(unknown_domain(name))",
        'return _RULES["other"]',
        "tests/domains/test_own_domain.py tests/data/test_rollout_files.py",
    ),
    (
        "like solutions leave a question's own labels out",
        "answers/likeness.py",
        "np.array(self.questions)[None, :]] = 0.0",
        "np.array(self.questions)[None, :]] = 1.0",
        "tests/answers/test_likeness.py",
    ),
    (
        "a verifier sees no reference that the budget refuses",
        "memory/label.py",
        "for query_id, text in found.items() if query_id not in self.failed}",
        "for query_id, text in found.items()}",
        "tests/memory/test_label.py -k alone",
    ),
    (
        "the store answers again what it has answered",
        "service/store.py",
        "found[place] = self._settled(group, known)",
        "found[place] = None",
        "tests/service/test_group_store.py",
    ),
    (
        "a person is shown again what they have open",
        "label/session.py",
        "taken = [task for task in self._open(annotator, leases) if self._leased(task.query_id, annotator)]",
        "taken = list[Task]()",
        "tests/label/test_session.py",
    ),
    (
        "labels move the paper's network",
        "network/scorer.py",
        "labels[known].to(logits.dtype)",
        "0 * labels[known].to(logits.dtype)",
        "tests/network/test_memory_tells.py",
    ),
    (
        "a row that cannot be read abstains alone",
        "integrations/trl_reward.py",
        'broken[i] = f"{type(error).__name__}: {error}"',
        "raise",
        "tests/integrations/test_reward_rows.py",
    ),
]


def main() -> None:
    chosen = [row for row in MUTATIONS if not sys.argv[1:] or any(name in row[0] for name in sys.argv[1:])]
    survived = [row[0] for row in chosen if not noticed(*row)]
    print(f"{len(chosen) - len(survived)} of {len(chosen)} noticed", *survived, sep="\n  not noticed: ")
    sys.exit(bool(survived))


def noticed(promise: str, module: str, piece: str, broken: str, tests: str) -> bool:
    """Whether the named tests of the fast lane fail in a copy of the sources that breaks the promise."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "src"
        shutil.copytree(ROOT / "src", copy, ignore=shutil.ignore_patterns("__pycache__"))
        file = copy / "memreward" / module
        source = file.read_text(encoding="utf-8")
        if source.count(piece) != 1:
            print(f"{promise}: {piece!r} stands {source.count(piece)} times in {module}", flush=True)
            return False
        file.write_text(source.replace(piece, broken), encoding="utf-8")
        paths, _, choice = tests.partition(" -k ")
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:randomly", *paths.split()]
        command += ["-m", "not slow", *(["-k", choice] if choice else [])]
        environment = {**os.environ, "PYTHONPATH": str(copy)}
        ran = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        print(f"{promise}: {'red' if ran.returncode == 1 else f'exit status {ran.returncode}'}", flush=True)
        return ran.returncode == 1


if __name__ == "__main__":
    main()
