#!/usr/bin/env python3
"""Refuses retired words in documents, comments, messages and help texts.

usage: check_words.py [--list] [FOLDER]

Prints one line per hit, file:line: 'words found': say X, and exits with 1 if there is any.
--list prints the words instead. docs/reference/glossary.md defines the words to use.
"""

import fnmatch
import io
import pathlib
import re
import sys
import token
import tokenize

UNIT = (r"(?:core|thread|epoch|second|step|image|sample|element|side|layer|value|line|file|pass|"
        r"variant|machine|framework|row|team|call|seed|page|batch|level|label|round|kernel|tile|"
        r"task|target|network|channel|process|folder|panel|member|array|test)")
THING = (r"(?:folder|file|object|row|line|column|layer|shape|point|entry|byte|sum|part|tensor|"
         r"stream|request|label|count|colour|barrier|rounding|kernel|test|one)")
AMOUNT = (r"(?:batches|images|executions|samples|seeds|steps|cases|multiplications|additions|"
          r"bytes|caches?|memory|lines|MiB|KiB|GB/s|GFLOP/s|ms|seconds|nanoseconds|times|once|"
          r"twice|joules|multiply-adds|FMAs)")

# Retired words, what to say instead, and where the rule holds: "all", or only in "text" (Markdown,
# the man page).
WORDS = (
    (r"by (?:the )?data(?! sets?\b)", "backward-data", "all"),
    (r"by (?:the )?weights", "backward-weights", "all"),
    (r"anew", "again; start over", "all"),
    (r"of before", "previous", "all"),
    (r"the ones? before(?=[,.;:)]| (?:is|are|was|were)\b)", "the previous one", "all"),
    (r"(?:of|at|in) an? earlier state|state before|not measured again|never measured",
     "measure again or take the figure out", "all"),
    (r"(?:go|goes|going|went|gone) on(?! (?:strike|record|sale))", "resume; continue", "all"),
    (r"(?:puts?|putting) down", "record; write; print", "all"),
    (r"(?:first|second|last) caches?", "L1, L2, last-level cache", "all"),
    (r"one more run, 95 %", "95 % prediction interval", "all"),
    (r"spoil(?:s|ed|t|ing)?", "conditions that make timings unreliable; disturb", "all"),
    (r"(?:told|tells?|telling)(?: \w+){0,6} apart(?: from)?", "separate; distinguish", "all"),
    (r"none was shown", "no difference was demonstrated", "all"),
    (r"what came after it", "name what changed later", "all"),
    (r"behind", "after", "all"),
    (r"in front(?! end)", "before", "all"),
    (r"products", "multiplications; multiply-adds; FMAs", "all"),
    (r"\d+x\d+ kernels?(?! sizes?)", "a 3x3 filter; a 3x3 convolution", "all"),
    (r"(?:where|if|when) (?:it|they|one|all|these|those) (?:is|are) there",
     "if it exists; if installed", "all"),
    (r"(?:it )?does not matter which", "any", "all"),
    (r"there is nothing to forget", "no time is unaccounted for", "all"),
    (r"stood still", "paused", "text"),
    (r"(?:one|an?|two|three|four|few(?: \w+)?|\d[\d,.]*)(?: \w+)? " + THING + r"s? an? " + UNIT,
     "per", "all"),
    (AMOUNT + r" an? " + UNIT, "per", "all"),
)

# Hits that are right: files, a pattern that the text around the hit matches, why.
EXCEPTIONS = (
    ("*", r"(?:left|leaves?|leaving|stays?)(?: \w+){0,2} behind", "something is left behind"),
    ("*", r"behind (?:the program's back|one contract|an interface|a shim|shim\.h|the same "
          r"contract|conv_peer\.h)", "an interface hides what is behind it"),
    ("*", r"behind (?:it|them)(?= exists| stays a link)", "the target of a link"),
    ("*", r"(?:running|dot|partial|matrix|outer|tensor|exact|rounded) products",
     "the field's terms"),
    ("kernels/*", r"products\.[ch]|matrix products", "a file and its matrix products"),
    ("tests/data/networks/*", r"stride \d+x\d+ kernel", "two words of the network text"),
    ("tests/scripts/test_get_data.py", r"cache", "a file where a folder should be"),
    ("scripts/ci/*faults.py", r"data may go on", "a fault's name"),
    ("docs/reference/glossary.md", r"", "lists the retired words"),
    ("scripts/ci/check_words.py", r"", "lists the retired words"),
    ("tests/scripts/test_words.py", r"", "tests them"),
)

PATTERNS = [(re.compile(rf"(?<![\w-])(?:{words})(?![\w-])".replace(" ", r"\s+"), re.IGNORECASE),
             say, where) for words, say, where in WORDS]
ALLOWED = [(files, re.compile(context.replace(" ", r"\s+"), re.IGNORECASE))
           for files, context, _ in EXCEPTIONS]
AROUND = 60  # characters beside a hit that an exception may match

FOLDERS = ("include", "kernels", "src", "examples", "bench", "tests", "scripts", "docs", "cmake",
           "networks")
ROOT_FILES = ("README.md", "CONTRIBUTING.md", "CMakeLists.txt", "results/README.md")
C_TOKEN = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.DOTALL)


def blank(text):
    """Spaces in place of all but line ends, so that positions stay."""
    return re.sub(r"[^\n]", " ", text)


def prose_of_c(text):
    """Comments and strings; the marks of comments and strings themselves are blank."""
    parts, end = [], 0
    for match in C_TOKEN.finditer(text):
        parts.append(blank(text[end:match.start()]))
        found = match[0]
        if found.startswith("'"):
            found = blank(found)
        elif found.startswith('"'):
            found = " " + found[1:-1].replace("\\n", "  ") + " "
        else:
            found = re.sub(r"(?m)^(\s*)\*", r"\1 ", found.replace("/*", "  ").replace("*/", "  "))
            found = found.replace("//", "  ")
        parts.append(found)
        end = match.end()
    return "".join(parts) + blank(text[end:])


def prose_of_python(text):
    """Comments and strings."""
    kinds = {token.STRING, token.COMMENT, getattr(token, "FSTRING_MIDDLE", -1)}
    lines = [[" "] * len(line) for line in text.split("\n")]
    original = text.split("\n")
    try:
        for found in tokenize.generate_tokens(io.StringIO(text).readline):
            if found.type not in kinds:
                continue
            (row, column), (last, end) = found.start, found.end
            for number in range(row, last + 1):
                start = column if number == row else 0
                stop = end if number == last else len(original[number - 1])
                lines[number - 1][start:stop] = original[number - 1][start:stop]
    except (tokenize.TokenError, SyntaxError):
        return text
    return re.sub(r"[\"#]|\b[fr](?=\")", " ", "\n".join("".join(line) for line in lines))


def prose(path, text):
    """What a reader reads of a file, with the line numbers of the file."""
    if path.suffix in (".c", ".h", ".cpp"):
        return prose_of_c(text)
    if path.suffix == ".py":
        return prose_of_python(text)
    if path.suffix == ".1":
        return re.sub(r"\\f[BIRP]|\\&", "", text.replace("\\-", "-"))
    if path.suffix == ".md":
        return text.replace("*", " ").replace("`", " ")
    return text.replace("#", " ")


def is_allowed(name, text, match):
    around = text[max(0, match.start() - AROUND):match.end() + AROUND]
    for files, context in ALLOWED:
        if fnmatch.fnmatch(name, files):
            before = min(AROUND, match.start())
            for found in context.finditer(around):
                if not context.pattern or (found.start() <= before + len(match[0]) and
                                           found.end() >= before):
                    return True
    return False


def hits(name, text):
    """Retired words (line, words, what to say) in the text of the file `name`."""
    path = pathlib.PurePosixPath(name)
    readable = prose(path, text)
    is_text = path.suffix in (".md", ".1")
    for pattern, say, where in PATTERNS:
        if where == "text" and not is_text:
            continue
        for match in pattern.finditer(readable):
            if not is_allowed(name, readable, match):
                yield (readable.count("\n", 0, match.start()) + 1, " ".join(match[0].split()),
                       say)


def files(root):
    suffixes = {".c", ".h", ".cpp", ".py", ".sh", ".md", ".1", ".cmake", ".txt"}
    for folder in FOLDERS:
        for path in sorted((root / folder).rglob("*")):
            if path.suffix in suffixes and path.is_file() and "corpus" not in path.parts:
                yield path
    for name in ROOT_FILES:
        if (root / name).is_file():
            yield root / name


def main():
    arguments = sys.argv[1:]
    if arguments == ["--list"]:
        for words, say, where in WORDS:
            print(f"{words}\t{say}\t{where}")
        return 0
    if len(arguments) > 1 or any(argument.startswith("-") for argument in arguments):
        print(__doc__, file=sys.stderr)
        return 2
    root = pathlib.Path(arguments[0] if arguments else pathlib.Path(__file__).parents[2])
    count = 0
    for path in files(root):
        name = path.relative_to(root).as_posix()
        for line, words, say in sorted(hits(name, path.read_text(encoding="utf-8"))):
            print(f"{name}:{line}: '{words}': say: {say}")
            count += 1
    return 1 if count else 0


if __name__ == "__main__":
    sys.exit(main())
