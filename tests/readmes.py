"""The commands and Python examples that the READMEs show: indented lines, or those between fences."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# What begins a command. A line with a flag is one too, whatever it begins with.
PROGRAMS = (
    "r3d python python3 make pip source docker curl gcloud gsutil aws tensorboard git cd ffmpeg pytest saved_model_cli"
)
MADE = ("build", "dist", "generated", "quickstart", "real")  # folders that commands make
_BEGINNING = re.compile(rf"\(?(?:[A-Z][A-Z0-9_]*=(?:'[^']*'|\S*) +)*(?:\S*/)?(?:{'|'.join(PROGRAMS.split())})(?: |$)")


def readmes() -> list[Path]:
    """Returns every README.md of the repository; what the commands make in it is left out."""
    paths = (path.relative_to(ROOT) for path in ROOT.rglob("README.md"))
    return sorted(path for path in paths if path.parts[0] not in MADE and not path.parts[0].startswith("."))


def code_blocks(text: str) -> list[str]:
    """Returns the code of a Markdown text, without indentation and fences.

    Code is indented by four spaces after an empty line, or stands between fences.
    """
    blocks, lines, fenced = [], None, False
    previous = ""
    for line in [*text.splitlines(), "end"]:
        if line.startswith("```"):
            fenced = not fenced
            if fenced:
                lines = []
            else:
                blocks.append("\n".join(lines))
                lines = None
        elif fenced:
            lines.append(line)
        elif line.startswith("    ") and (lines is not None or not previous.strip()):
            lines = [*(lines or []), line[4:]]
        elif lines is not None and line.strip():
            blocks.append("\n".join(lines).rstrip())
            lines = None
        elif lines is not None:
            lines.append("")
        previous = line
    return blocks


def is_python(block: str) -> bool:
    """Returns whether a block is Python that does something, rather than a name or an output."""
    try:
        statements = ast.parse(block).body
    except SyntaxError:
        return False
    return any(isinstance(each, (ast.Import, ast.ImportFrom, ast.Assign)) for each in statements)


def commands_of(block: str) -> list[str]:
    """Returns the command lines of a block, those that go on after a backslash in one line, without comments."""
    lines = re.sub(r" *\\\n *", " ", block).splitlines()
    commands = [re.sub(r"  +#.*", "", line).strip() for line in lines]
    return [line for line in commands if _BEGINNING.match(line) or re.match(r"[\w./]+ .*--\w+", line)]


def shown_commands() -> dict[str, str]:
    """Returns every command line that a README shows, and the README that shows it first."""
    commands = {}
    for path in readmes():
        for block in code_blocks((ROOT / path).read_text(encoding="utf-8")):
            if not is_python(block):
                for command in commands_of(block):
                    commands.setdefault(command, str(path))
    return commands


def shown_python() -> dict[str, str]:
    """Returns every Python example of a README, and the README that shows it first."""
    examples = {}
    for path in readmes():
        for block in code_blocks((ROOT / path).read_text(encoding="utf-8")):
            if is_python(block):
                examples.setdefault(block, str(path))
    return examples
