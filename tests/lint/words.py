#!/usr/bin/env python3
"""Finds words that this project does not use in prose: comments, messages and documents are written in plain English with the terms
of the field.

    words.py               checks the checkout; exits 1 if a word is found
    words.py --self-test   checks that the check finds what it is for
"""
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]

# A pattern, and what to write in its place. A blank in a pattern matches any white space, a line break among it.
WORDS = {
    r"told|tells?|telling": "predict, print, report, give, distinguish",
    r"so many": "n, a number of, up to n",
    r"behind": "after",
    r"anew": "again",
    r"(?:go|goes|going|went|gone) on(?! (?:to|the|a|one|its)\b)": "continue",
    r"(?:stands?|stood)(?! for\b|-in\b| in for\b)": "is",
    r"lies?|lay in": "is",
    r"at hand": "available",
    r"mend(?:s|ed|ing)?": "fix, repair",
    r"likewise": "also, in the same way",
    r"whoever": "the rank that, the process that",
    r"of (?:one's|its|his|her|their|your|our) own": "its own, a separate",
    r"(?<!there )(?:is|are|was|were) no(?! (?:longer|more|less|fewer|larger|smaller|other)\b)": "is not a",
    r"knows nobody": "does not know",
    r"regards?": "use, take into account",
    r"suffer(?:s|ed|ing)?": "is subject to",
    r"pictures?": "image",
    r"(?:a|one|each|every|all|these|those|its|other|new|several|many) draws?": "sample",
}
PATTERN = re.compile("|".join(rf"(?P<w{i}>(?<![\w`/.-])(?:{words})(?![\w`/-]|\.\w|\())".replace(" ", r"\s+")
                              .replace(r"(?<!there\s+)", r"(?<!there )(?<!there\n)") for i, words in enumerate(WORDS)),
                     re.IGNORECASE)
ADVICE = list(WORDS.values())

CPP = re.compile(r'(?P<comment>//[^\n]*|/\*.*?\*/)|R"\((?P<raw>.*?)\)"|"(?P<string>(?:\\.|[^"\\\n])*)"|\'(?:\\.|[^\'\\\n])\'', re.DOTALL)
PYTHON = re.compile(r'(?P<docstring>""".*?""")|(?P<comment>#[^\n]*)|(?P<string>"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\')', re.DOTALL)
SHELL = re.compile(r"(?P<comment>(?:^|(?<=\s))#[^\n]*)", re.MULTILINE)


def only(text, syntax, groups):
    """The text with everything but the groups of the syntax replaced, character for character, so that lines keep their numbers.
    Marks of comments and strings become blanks: a sentence may continue in the next comment line or string."""
    result = list(re.sub(r"[^\s]", "\0", text))
    for found in syntax.finditer(text):
        for group in groups:
            if found[group] is not None:
                inside = found[0].replace("\\n", "  ")
                inside = re.sub(r'^R"\(|\)"$|^(?://|#)+|"', lambda mark: " " * len(mark[0]), inside)
                result[found.start():found.end()] = inside
    return "".join(result)


def prose(name, text):
    in_tests = name.startswith("tests/")
    suffix = pathlib.PurePath(name).suffix
    if suffix in {".h", ".cpp"}:
        return only(text, CPP, ["comment"] if in_tests else ["comment", "raw", "string"])
    if suffix == ".py":
        return only(text, PYTHON, ["docstring", "comment"] if in_tests else ["docstring", "comment", "string"])
    if suffix == ".sh" and in_tests or name.endswith("CMakeLists.txt"):
        return only(text, SHELL, ["comment"])
    return text


def violations(name, text):
    text = prose(name, text)
    for found in PATTERN.finditer(text):
        line = text.count("\n", 0, found.start()) + 1
        word = " ".join(found[0].replace("\0", " ").split())
        yield f"{name}:{line}: '{word}': write: {ADVICE[int(found.lastgroup[1:])]}"


def self_test():
    wrong = [("README.md", "it is told"), ("README.md", "so\nmany rows"), ("a.md", "goes on from there"), ("a.md", "this is no number"),
             ("a.md", "Likewise"), ("src/a.h", "// the rank behind it"), ("src/a.cpp", 'usage_error("{} lies there", x);'),
             ("src/a.cpp", '// a file of its\n// own'), ("src/a.cpp", 'fail("once for so "\n     "many steps");'),
             ("tests/a_test.cpp", "// whoever comes"), ("tests/a.py", '"""Tells it."""'), ("tests/a.py", "x = 1  # anew"),
             ("launch/a.sh", "fail 2 'is no host'"), ("launch/a.py", 'print("at hand")'), ("a.md", "a draw of z"), ("a.ini", "# pictures")]
    right = [("README.md", "there is no GPU; it is no longer there"), ("a.md", "x stands for a row, a stand-in"), ("a.md", "a drawing"),
             ("src/a.cpp", "bool told = behind(anew);"), ("tests/a_test.cpp", 'expect("is no number");'), ("a.md", "`docs/pictures`"),
             ("tests/a.py", 'x = "is no host"'), ("src/a.cpp", "#include \"elbo/eval/pictures.h\""), ("a.md", "untold, a mender")]
    return ([f"self-test: not found in {name}: {text!r}" for name, text in wrong if not list(violations(name, text))] +
            [f"self-test: wrongly found in {name}: {text!r}" for name, text in right if list(violations(name, text))])


def checked_files():
    paths = ["src", "docs", "README.md", "CONTRIBUTING.md", "CHANGELOG.md", "configs", "launch", "datasets/README.md", "applications",
             "tests"]
    listed = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *paths], cwd=ROOT, check=True,
                            capture_output=True, text=True).stdout
    suffixes = {".h", ".cpp", ".md", ".ini", ".sh", ".sbatch", ".py", ".txt"}
    return [name for name in listed.splitlines() if pathlib.PurePath(name).suffix in suffixes and name != "tests/lint/words.py"]


messages = (self_test() if sys.argv[1:] == ["--self-test"] else
            [message for name in checked_files() for message in violations(name, (ROOT / name).read_text(encoding="utf-8"))])
print("\n".join(messages), end="\n" if messages else "")
sys.exit(1 if messages else 0)
