r"""Forms of answers, each with what it guards: right (True), wrong (False), or cannot tell (None).

In `MATHEMATICS` the answer stands in a box at the end of a rollout, in `COMPLETIONS` and `CHOICES` the rollout is given
whole.
"""

from __future__ import annotations

import pytest

from memreward.parsing import parse_rollout
from memreward.types import Claim, Domain, Query, Verdict
from memreward.verify import Verifiers

PERCENTAGE = "What percentage of the balls is red?"
CHANCE = "A ball is drawn. What is the chance that it is red?"
POINT = "Find the coordinates of the point."
INEQUALITY = "Solve the inequality. Give the solution as an interval."
FIVE = "What is 2 + 3?\n(A) 4\n(B) 5\n(C) 6"

# (what it guards, answer, reference, verdict) or with the query's text as a fifth.
MATHEMATICS: list[tuple[str, str, str, bool | None] | tuple[str, str, str, bool | None, str]] = [
    ("plain number", "42", "42", True),
    ("plain number", "43", "42", False),
    ("sign", "-42", "42", False),
    ("unicode minus", "−42", "-42", True),
    ("trailing zeros", "42.00", "42", True),
    ("leading zeros", "042", "42", True),
    ("leading point", ".5", "0.5", True),
    ("final stop", "42.", "42", True),
    ("thousands in the answer", "1,234", "1234", True),
    ("thousands in the reference", "1234", "1,234", True),
    ("thousands in LaTeX", "1{,}234", "1234", True),
    ("thousands with thin space", "1\\,234", "1234", True),
    ("thousands are no list", "1,234", "1", False),
    ("millions", "2,000,000", "2000000", True),
    ("long integers are exact", "12345678901234567890", "12345678901234567891", False),
    ("dollar delimiters", "$42$", "42", True),
    ("paren delimiters", "\\(42\\)", "42", True),
    ("bold", "\\mathbf{42}", "42", True),
    ("number in text", "\\text{42}", "42", True),
    ("number word", "seven", "7", True),
    ("number word of ten", "\\text{forty}", "40", True),
    ("other number word", "eight", "7", False),
    ("fraction and decimal", "\\frac{1}{2}", "0.5", True),
    ("dfrac", "\\dfrac{3}{4}", "\\frac{3}{4}", True),
    ("frac without braces", "\\frac34", "\\frac{3}{4}", True),
    ("slash", "3/4", "\\frac{3}{4}", True),
    ("unreduced", "\\frac{6}{8}", "\\frac{3}{4}", True),
    ("mixed number", "1\\frac{1}{2}", "\\frac{3}{2}", True),
    ("mixed number is no product", "1\\frac{1}{2}", "\\frac{1}{2}", False),
    ("inverted fraction", "\\frac{4}{3}", "\\frac{3}{4}", False),
    ("negative fraction", "\\frac{-3}{4}", "-\\frac{3}{4}", True),
    ("six decimals of a third", "0.333333", "\\frac{1}{3}", True),
    ("two decimals of a third", "0.33", "\\frac{1}{3}", False),
    ("repeating decimal", "0.\\overline{3}", "\\frac{1}{3}", True),
    ("scientific", "3 \\times 10^5", "300000", True),
    ("e notation", "1.5e3", "1500", True),
    ("power", "2^{10}", "1024", True),
    ("other power", "2^{11}", "1024", False),
    ("root is not its radicand", "\\sqrt{2}", "2", False),
    ("root is not its decimals", "\\sqrt{2}", "1.41", False),
    ("root simplified", "2\\sqrt{2}", "\\sqrt{8}", True),
    ("root rationalised", "\\frac{\\sqrt{3}}{3}", "\\frac{1}{\\sqrt{3}}", True),
    ("unicode root", "√2", "\\sqrt{2}", True),
    ("sqrt as a word", "sqrt(2)", "\\sqrt{2}", True),
    ("cube root", "\\sqrt[3]{8}", "2", True),
    ("pi", "3\\pi/4", "\\frac{3\\pi}{4}", True),
    ("unicode pi", "2π", "2\\pi", True),
    ("pi is not 3.14", "3.14", "\\pi", False),
    ("logarithm", "\\log_2 8", "3", True),
    ("binomial", "\\binom{5}{2}", "10", True),
    ("factorial", "5!", "120", True),
    ("complex, order of parts", "3i+2", "2+3i", True),
    ("complex conjugate", "2-3i", "2+3i", False),
    ("infinity", "\\infty", "infinity", True),
    ("sign of infinity", "-\\infty", "\\infty", False),
    ("percent on both", "10\\%", "10\\%", True),
    ("other percent on both", "1\\%", "10\\%", False),
    ("percent of the reference dropped", "10", "10\\%", True),
    ("percent of the answer, asked for", "10\\%", "10", True, PERCENTAGE),
    ("percent as a word", "10 \\text{ percent}", "10\\%", True),
    ("share for a percentage, asked for", "0.1", "10", False, PERCENTAGE),
    ("share for a percentage with sign, asked for", "0.1", "10\\%", False, PERCENTAGE),
    ("percentage for a share", "10\\%", "0.1", True, CHANCE),
    ("percentage for a fraction", "25\\%", "\\frac{1}{4}", True, CHANCE),
    ("share for a percentage, not asked for", "0.1", "10\\%", True, CHANCE),
    ("math-verify's 10% is 10", "50\\%", "50", False, CHANCE),
    ("math-verify's 10% is 0.1", "50\\%", "0.5", False, PERCENTAGE),
    ("percent without backslash", "12%", "12\\%", True),
    ("unit of the reference dropped", "15", "15 \\text{ cm}", True),
    ("unit of the answer dropped", "15 \\text{ cm}", "15", True),
    ("unit with a power dropped", "15", "15\\mbox{ cm}^2", True),
    ("same unit", "15 \\text{ cm}", "15\\,\\mathrm{cm}", True),
    ("unit spelled out", "5 \\text{ meters}", "5 \\text{ m}", True),
    ("unit converted", "500 \\text{ cm}", "5 \\text{ m}", True),
    ("unit not converted", "5 \\text{ cm}", "5 \\text{ m}", False),
    ("unit of another dimension", "5 \\text{ cm}", "5 \\text{ cm}^2", False),
    ("square unit in words", "5 \\text{ square feet}", "5\\text{ ft}^2", True),
    ("square units converted", "1 \\text{ m}^2", "10000 \\text{ cm}^2", True),
    ("time converted", "90 \\text{ minutes}", "1.5 \\text{ hours}", True),
    ("rate converted", "60 \\text{ mph}", "1 \\text{ mile per minute}", True),
    ("mass converted", "2 \\text{ kg}", "2000 \\text{ g}", True),
    ("unit after a fraction without braces", "\\frac{270}{7}", "\\frac{270}7\\text{ degrees}", True),
    ("unit after a formula", "36\\pi", "36\\pi \\, \\text{cm}^3", True),
    ("unknown unit dropped", "5 \\text{ apples}", "5", True),
    ("unknown units differ", "5 \\text{ people}", "5 \\text{ students}", True),
    ("unknown unit, other number", "6 \\text{ apples}", "5", False),
    ("dollars in LaTeX", "\\$18", "18", True),
    ("dollars in the reference", "18", "\\$18.00", True),
    ("dollars as a word", "18 \\text{ dollars}", "\\$18", True),
    ("cents for dollars", "500 \\text{ cents}", "\\$5", True),
    ("cents for a bare number", "500 \\text{ cents}", "5", None),
    ("cents as asked for", "500 \\text{ cents}", "500", True),
    ("dollars are not euros", "€5", "\\$5", False),
    ("pounds sterling", "£20", "20", True),
    ("degrees dropped", "90^\\circ", "90", True),
    ("degree sign", "90°", "90^\\circ", True),
    ("degrees and radians", "90^\\circ", "\\frac{\\pi}{2}", True),
    ("radians and degrees", "\\frac{\\pi}{3}", "60^\\circ", True),
    ("degrees for radians without a sign", "90", "\\frac{\\pi}{2}", False),
    ("clock time", "6:30 \\text{ p.m.}", "6:30 p.m.", True),
    ("other clock time", "6:45 \\text{ p.m.}", "6:30 p.m.", False),
    ("ratio", "3:1", "3 \\text{ to } 1", True),
    ("ratio as a fraction", "\\frac{3}{2}", "3:2", True),
    ("ratio inverted", "2:3", "3:2", False),
    ("base kept", "4210_5", "4210_{5}", True),
    ("base dropped", "4210", "4210_5", True),
    ("other base", "4210_6", "4210_5", False),
    ("name of the reference dropped", "5", "x = 5", True),
    ("name of the answer dropped", "x = 5", "5", True),
    ("function name dropped", "2x+1", "f(x) = 2x+1", True),
    ("other function name", "y = 2x+1", "f(x) = 2x+1", True),
    ("formula expanded", "(x+1)^2", "x^2+2x+1", True),
    ("formula factored", "7(x+3)(x-3)", "7x^2 - 63", True),
    ("formula, other sign", "x^2-2x+1", "(x+1)^2", False),
    ("formula, other letter", "2y", "2x", False),
    ("fraction of formulas", "\\frac{x^2-1}{x-1}", "x+1", True),
    ("trigonometric identity", "\\sin^2 x + \\cos^2 x", "1", True),
    ("times sign", "2*x", "2x", True),
    ("power in Python", "x**2", "x^2", True),
    ("arithmetic left undone", "3 \\cdot 14", "42", True),
    ("equation scaled", "2x + 2y = 6", "x + y - 3 = 0", True),
    ("other equation", "x + y = 4", "x + y - 3 = 0", False),
    ("chain ends in the answer", "6 \\cdot 7 = 42", "42", True),
    ("list in any order", "2, 1", "1, 2", True),
    ("list with and", "1 \\text{ and } 2", "1, 2", True),
    ("list with or", "x = 2 \\text{ or } x = 1", "1, 2", True),
    ("one of several", "1", "1, 2", False),
    ("several for one", "1, 2", "1", False),
    ("hedge with or", "5 \\text{ or } 6", "5", False),
    ("set braces", "\\{1, 2\\}", "\\left\\{2, 1\\right\\}", True),
    ("set without braces", "1, 2", "\\{1, 2\\}", True),
    ("plus minus", "\\pm 2", "-2, 2", True),
    ("plus minus is two values", "2", "\\pm 2", False),
    ("named values in any order", "y = 2, x = 1", "x = 1, y = 2", True),
    ("named values exchanged", "x = 2, y = 1", "x = 1, y = 2", False),
    ("named values for a tuple", "x = 1, y = 2", "(1, 2)", True),
    ("exchanged values for a tuple", "x = 2, y = 1", "(1, 2)", False),
    ("tuple with names", "(x, y) = (1, 2)", "x = 1, y = 2", True),
    ("point", "(3, -2)", "(3,-2)", True, POINT),
    ("point with fractions", "\\left(\\frac12, 1\\right)", "(0.5, 1)", True, POINT),
    ("point, other order", "(2, 1)", "(1, 2)", False, POINT),
    ("point is no number", "(1, 2)", "12", False, POINT),
    ("point is no interval", "[1, 2]", "(1, 2)", False, POINT),
    ("inequality for a point", "1 < x < 2", "(1, 2)", False, POINT),
    ("point without brackets", "3, -2", "(3, -2)", True, POINT),
    ("point without brackets, other order", "-2, 3", "(3, -2)", False, POINT),
    ("vector in angles", "\\langle 1, 2 \\rangle", "(1, 2)", True, POINT),
    ("column for a tuple", "\\begin{pmatrix} 1 \\\\ 2 \\end{pmatrix}", "(1, 2)", True, POINT),
    ("tuple for a column", "(1, 2)", "\\begin{pmatrix} 1 \\\\ 2 \\end{pmatrix}", True, POINT),
    ("column, other order", "(2, 1)", "\\begin{pmatrix} 1 \\\\ 2 \\end{pmatrix}", False, POINT),
    ("matrix", "\\begin{bmatrix} 1 & 2 \\\\ 3 & 4 \\end{bmatrix}", "\\begin{pmatrix} 1&2\\\\3&4 \\end{pmatrix}", True),
    (
        "matrix transposed",
        "\\begin{pmatrix}1&3\\\\2&4\\end{pmatrix}",
        "\\begin{pmatrix}1&2\\\\3&4\\end{pmatrix}",
        False,
    ),
    ("interval, spacing", "\\left(-\\infty, 2\\right]", "(-\\infty,2]", True),
    ("interval, brackets matter", "[1, 2)", "[1, 2]", False, INEQUALITY),
    ("interval with plus infinity", "[2, \\infty)", "[2, +\\infty)", True),
    ("inequality for an interval", "x > 2", "(2, \\infty)", True, INEQUALITY),
    ("inequality at the end", "x \\ge 2", "(2, \\infty)", False, INEQUALITY),
    ("double inequality for an interval", "1 < x \\le 2", "(1, 2]", True, INEQUALITY),
    ("interval for an inequality", "(1, 2)", "1 < x < 2", True, INEQUALITY),
    ("inequality turned", "2 < x", "x > 2", True),
    ("inequality, other way", "x < 2", "x > 2", False),
    ("slanted inequality", "k \\geqslant 2", "k \\ge 2", True),
    ("membership", "x \\in [-2, 7]", "[-2, 7]", True),
    ("union in any order", "(3,\\infty) \\cup (-\\infty,2)", "(-\\infty,2)\\cup(3,\\infty)", True),
    ("part of a union", "(3,\\infty)", "(-\\infty,2)\\cup(3,\\infty)", False),
    ("all reals", "\\mathbb{R}", "(-\\infty, \\infty)", True),
    ("all reals in words", "\\text{all real numbers}", "(-\\infty, \\infty)", True),
    ("no solution", "\\text{no solution}", "\\emptyset", True),
    ("empty set in braces", "\\{\\}", "\\emptyset", True),
    ("word, other case", "\\text{Even}", "\\text{even}", True),
    ("other word", "\\text{odd}", "\\text{even}", False),
    ("name", "\\text{Evelyn}", "Evelyn", True),
    ("word for a number", "\\text{many}", "5", False),
    ("number for a word", "5", "\\text{even}", False),
    ("matched sentence", "\\text{the powers of two}", "\\text{The powers of two.}", True),
    ("sentence of the reference", "\\text{powers of } 2", "\\text{All N that are exactly powers of two}", None),
    ("letter", "C", "\\text{C}", True),
    ("letter in brackets", "(C)", "\\text{(C)}", True),
    ("other letter", "B", "\\text{(C)}", False),
    ("letters of points", "C, E", "\\text{C,E}", True),
    ("variable is no letter", "i", "i", True),
    ("NuminaMath letter and value, by value", "145", "\\textbf{(C)}\\ 145", True),
    ("NuminaMath letter and value, by letter", "C", "\\textbf{(C)}\\ 145", True),
    ("NuminaMath letter and value, both", "(C)\\ 145", "\\textbf{(C)}\\ 145", True),
    ("NuminaMath letter and value, other value", "146", "\\textbf{(C)}\\ 145", False),
    ("NuminaMath letter and value, other letter", "\\textbf{(B)}", "\\textbf{(C)}\\ 145", False),
    ("NuminaMath, letter without open bracket", "94", "B) 94", True),
    ("NuminaMath, letter and negative value", "-0.17", "\\textbf{A) } -0.17", True),
    ("NuminaMath, letter and thousands", "40400", "E) 40,400", True),
    ("NuminaMath, letter and unit", "8 \\text{ hours}", "C) 8 \\text{ hours}", True),
    ("letter and value contradict each other", "\\text{(B)}\\ 145", "\\textbf{(C)}\\ 145", None),
    ("value of an option", "5", "B", True, FIVE),
    ("value of another option", "6", "B", False, FIVE),
    ("letter for a value", "B", "5", True, FIVE),
    ("other letter for a value", "A", "5", False, FIVE),
    ("value for a letter of unknown options", "5", "B", None),
    ("GSM8K reference", "72", "Natalia sold 48/2 = <<48/2=24>>24 clips.\n#### 72", True),
    ("GSM8K reference is its last line", "24", "Natalia sold 48/2 = <<48/2=24>>24 clips.\n#### 72", False),
    ("GSM8K reference with thousands", "1000", "#### 1,000", True),
    ("GSM8K reference with currency", "18", "#### $18", True),
    ("GSM-Symbolic reference", "-3", "So he has 4-7 = -3 left.\n#### -3", True),
    ("MATH solution as a reference", "\\frac{1}{2}", "Hence $x = \\boxed{\\frac12}$.", True),
    ("MATH solution, last box", "1", "First $\\boxed{1}$, at last $\\boxed{2}$.", False),
    ("NuminaMath sequence", "n+1", "a_n = n+1", True),
    ("NuminaMath conic", "\\frac{y^2}{16} + \\frac{x^2}{25} = 1", "\\frac{x^{2}}{25} + \\frac{y^{2}}{16} = 1", True),
    ("empty reference", "5", "", None),
    ("reference without meaning", "5", "\\begin{array}{r} ? \\\\ ? \\end{array}", None),
    ("tower of powers", "9^{9^{9^{9}}}", "1", None),
    ("answer of garbage", "@#!", "5", False),
    ("division by zero", "\\frac{1}{0}", "0", False),
]

# (what it guards, rollout, reference, verdict)
COMPLETIONS: list[tuple[str, str, str, bool | None]] = [
    ("no text", "", "5", False),
    ("no answer", "I do not know.", "5", False),
    ("refusal names the reference", "I will not say whether it is five or not", "5", False),
    ("last box counts, right", "Is it \\boxed{4}? No: \\boxed{5}", "5", True),
    ("last box counts, wrong", "Is it \\boxed{5}? No: \\boxed{4}", "5", False),
    ("two boxes in a row are a list", "$\\boxed{1}$ and $\\boxed{2}$", "1, 2", True),
    ("two boxes in a row are no choice", "\\boxed{4} or \\boxed{5}", "5", False),
    ("three boxes in a row", "\\boxed{1}, \\boxed{2}, and \\boxed{3}", "1, 2, 3", True),
    ("last phrase counts", "The answer is 4. Wait, the answer is 5.", "5", True),
    ("last hash line counts", "#### 4\n#### 5", "5", True),
    ("answer tag", "<think>4?</think><answer>5</answer>", "5", True),
    ("box in an answer tag", "<answer>\\boxed{5}</answer>", "5", True),
    ("thought is no answer", "<think>perhaps the answer is 5, or", "5", False),
    ("box in the thinking", "<think>so \\boxed{5}</think>", "5", True),
    ("GSM8K style", "He has 2 + 3 = <<2+3=5>>5 eggs.\nA: 5", "5", True),
    ("unit in a sentence", "So the answer is 5 dollars.", "5", True),
    ("reason after the answer", "The answer is 12 because 3 times 4 is 12, and 5 is odd.", "5", False),
    ("last sentence, finished", "We add 2 and 3. She has 5 eggs left.", "5", True),
    ("last sentence, other number", "We add 2 and 3. She has 6 eggs left.", "5", False),
    ("text that breaks off", "We add 2 and 3, which makes 5, so that", "5", None),
    ("text that breaks off at another number", "We add 2 and 3, which makes 6, so that", "5", False),
    ("code without output", "```python\nx = 10 / 2\nprint(x)\n```", "2", False),
    ("number alone", "5", "5", True),
    ("lone surrogate", "\\boxed{\ud800}", "5", False),
    ("long garbage", "\\boxed{" + "x+" * 4000 + "1}", "5", None),
]

HATS = "Which one is red?\n(A) blue hat\n(B) red hat\n(C) green hat\n(D) hat"
TEN = "Pick one.\n" + "\n".join(f"({letter}) thing {letter.lower()}{letter.lower()}" for letter in "ABCDEFGHIJ")
TWO = "To clean a pan:\n(A) scrub it with salt\n(B) scrub it with sugar"
TWINS = "Who dies?\n(A) mortal\n(B) dying\n(C) mortal"

# (what it guards, rollout, reference, verdict) or with the query's text as a fifth.
CHOICES: list[tuple[str, str, str, bool | None] | tuple[str, str, str, bool | None, str]] = [
    ("bare letter", "B", "B", True),
    ("other letter", "A", "B", False),
    ("small letter", "b", "B", True),
    ("brackets", "(B)", "B", True),
    ("square brackets", "[B]", "B", True),
    ("stop", "B.", "B", True),
    ("closing bracket", "B)", "B", True),
    ("bold", "**B**", "B", True),
    ("bold with text", "**B. red hat**", "B", True),
    ("box", "\\boxed{B}", "B", True),
    ("box with brackets", "\\boxed{(B)}", "B", True),
    ("box with LaTeX text", "\\boxed{\\text{B}}", "B", True),
    ("box with letter and text", "\\boxed{\\text{(B) red hat}}", "B", True),
    ("box with colon and text", "\\boxed{B: red hat}", "B", True),
    ("box with the option's text", "\\boxed{red hat}", "B", True),
    ("tag", "<answer>B</answer>", "B", True),
    ("tag with a sentence", "<answer>The answer is (B).</answer>", "B", True),
    ("hash", "#### B", "B", True),
    ("A line", "A: B", "B", True),
    ("phrase", "The answer is B", "B", True),
    ("phrase with brackets", "The answer is (B).", "B", True),
    ("phrase with option", "The answer is option B.", "B", True),
    ("phrase, correct choice", "The correct choice is (B) red hat.", "B", True),
    ("phrase with colon", "Answer: B", "B", True),
    ("bold phrase", "**Answer:** **B**", "B", True),
    ("dollars", "The answer is $\\boxed{B}$.", "B", True),
    ("final answer", "Final Answer: (B)", "B", True),
    ("claim", "So option (B) is correct.", "B", True),
    ("go with", "All considered, I would go with (B).", "B", True),
    ("after thinking", "<think>(A)? (C)?</think>\nThe answer is (B).", "B", True),
    ("text of the option", "The answer is red hat.", "B", True),
    ("text of the option, bare", "Red hat", "B", True),
    ("text of another option", "The answer is blue hat.", "B", False),
    ("text that is part of others", "Hat", "D", True),
    ("text of no option", "The answer is yellow hat.", "B", False),
    ("reference in brackets", "B", "(B)", True),
    ("reference in small", "B", "b", True),
    ("reference as text", "B", "red hat", True),
    ("reference as text, other letter", "C", "red hat", False),
    ("reference is no option", "B", "purple hat", None),
    ("reference letter is no option", "B", "H", None),
    ("letter that is no option", "(H)", "B", False),
    ("last of several", "First the answer is (A). No, the answer is (B).", "B", True),
    ("last of several, wrong", "First the answer is (B). No, the answer is (A).", "B", False),
    ("nothing", "", "B", False),
    ("no commitment", "I cannot say.", "B", False),
    ("article is no letter", "The answer is A dog.", "A", False),
    ("pronoun is no letter", "I think so.", "I", False, TEN),
    ("two letters with or", "The answer is A or B.", "B", None),
    ("two letters with and", "The answer is (A) and (B).", "B", None),
    ("two letters with either", "The answer is either (A) blue hat or (B) red hat.", "B", None),
    ("two letters in a box", "\\boxed{A, B}", "B", None),
    ("two letters with a slash", "Answer: A/B", "B", None),
    ("three letters in a tag", "<answer>A, B and C</answer>", "B", None),
    ("two letters, then one", "It is (A) or (B). The answer is (B).", "B", True),
    ("not, alone", "The answer is not B.", "B", None),
    ("not, alone, other letter", "The answer is not (A).", "B", None),
    ("not, then another", "The answer is not (A) but (B).", "B", True),
    ("not, then another, bare", "The answer is B, not A.", "B", True),
    ("rather than", "The answer is (B) rather than (A).", "B", True),
    ("isn't", "The answer isn't (B). It must be (A), so the answer is (A).", "B", False),
    ("is incorrect", "(A) is incorrect. The answer is (B).", "B", True),
    ("ruled out in prose", "We can rule out (A).\nSo I would go with (B)", "B", True),
    ("only ruled out in prose", "Option (B) is not correct.", "B", None),
    ("letter beside another option's text", "The answer is (A) red hat.", "B", None),
    ("letter beside another option's text, in a box", "\\boxed{A: red hat}", "A", None),
    ("options reordered by the rollout", "A. red hat\nB. blue hat\nC. hat\nThe answer is A", "B", None),
    ("options repeated by the rollout", "(A) blue hat\n(B) red hat\nThe answer is B", "B", True),
    ("options in another order in the query", "(B)", "B", True, "Which?\n(C) three\n(B) two\n(A) one"),
    ("by text in another order", "two", "B", True, "Which?\n(C) three\n(B) two\n(A) one"),
    ("options on one line", "two", "B", True, "Which? (A) one (B) two (C) three"),
    ("options with stops", "two", "B", True, "Which?\nA. one\nB. two\nC. three"),
    ("same text, right letter", "The answer is (A) mortal.", "A", True, TWINS),
    ("same text, other letter", "The answer is (A) mortal.", "C", None, TWINS),
    ("two options", "B", "B", True, TWO),
    ("two options, by long text", "Scrub it with sugar.", "B", True, TWO),
    ("two options, other text", "Scrub it with salt.", "B", False, TWO),
    ("unknown options", "The answer is (C).", "C", True, "Which one?"),
    ("unknown options, other letter", "The answer is (D).", "C", False, "Which one?"),
    ("open question, same text", "<answer>Paris.</answer>", "paris", True, "Which city?"),
    ("open question, other text", "<answer>The capital</answer>", "paris", None, "Which city?"),
    *((f"letter {letter}", f"The answer is ({letter}).", letter, True, TEN) for letter in "ABCDEFGHIJ"),
    *((f"letter {letter} bare", letter, letter, True, TEN) for letter in "ABCDEFGHIJ"),
    *((f"letter {letter} by text", f"thing {letter}{letter}", letter, True, TEN) for letter in "ABCDEFGHIJ"),
]

VERIFIERS = Verifiers()


def verdict(text: str, reference: str, domain: Domain, query: str = "") -> Verdict:
    rollout = parse_rollout(Query("q", query or "How much?", domain), text, id="q/0")
    (found,) = VERIFIERS.verify([Claim(rollout, reference)])
    return found


def named(cases: list[tuple[object, ...]]) -> list[object]:
    seen: dict[str, int] = {}
    marked = []
    for guard, *rest in cases:
        seen[str(guard)] = seen.get(str(guard), 0) + 1
        number = f" {seen[str(guard)]}" if seen[str(guard)] > 1 else ""
        marked.append(pytest.param(*rest, *[""] * (4 - len(rest)), id=f"{guard}{number}"))
    return marked


@pytest.mark.parametrize(("answer", "reference", "correct", "query"), named(MATHEMATICS))
def test_mathematics(answer: str, reference: str, correct: bool | None, query: str) -> None:
    found = verdict(f"So the result is\n\\boxed{{{answer}}}", reference, "math", query)
    assert found.correct is correct, found
    assert found.reason


@pytest.mark.parametrize(("text", "reference", "correct", "query"), named(COMPLETIONS))
def test_completions(text: str, reference: str, correct: bool | None, query: str) -> None:
    found = verdict(text, reference, "math", query)
    assert found.correct is correct, found
    assert found.reason


@pytest.mark.parametrize(("text", "reference", "correct", "query"), named(CHOICES))
def test_choices(text: str, reference: str, correct: bool | None, query: str) -> None:
    found = verdict(text, reference, "qa", query or HATS)
    assert found.correct is correct, found
    assert found.reason


def test_there_are_enough_cases() -> None:
    assert len(MATHEMATICS) + len(COMPLETIONS) + len(CHOICES) >= 200
