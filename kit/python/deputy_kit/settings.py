"""Reading the settings of an instance, with errors that name the setting."""

from urllib.parse import SplitResult, urlsplit

from componentize_py_types import Err
from deputy_kit.failures import failure, one_line
from wit_world.imports.contract import Next, Setting


def read(
    settings: list[Setting], required: set[str], optional: set[str], families: set[str] = frozenset()
) -> dict[str, str]:
    """The settings by name. A misspelt name is an error: otherwise a default would silently apply.

    A family `form` has members of any name, as `form.organization`.
    """
    found = {setting.name: setting.value for setting in settings}
    known = ", ".join(sorted(required | optional) + sorted(f"{family}.NAME" for family in families))
    for name in sorted(found.keys() - required - optional):
        family, _, member = name.partition(".")
        if family not in families or not member:
            raise misconfigured(name, f"no such setting here; there are: {known}")
    for name in sorted(required - found.keys()):
        raise misconfigured(name, "it is missing")
    for name in sorted(name for name, value in found.items() if not value.strip()):
        raise misconfigured(name, "it is empty; give it a value or remove it")
    return found


def url(found: dict[str, str], name: str) -> SplitResult:
    """The parts of a URL that a request can be sent to."""
    text = found[name]
    try:
        parts = urlsplit(text)
        fine = parts.hostname and parts.port != 0 and "@" not in parts.netloc
    except ValueError:
        fine = False
    if not fine or not text.startswith(("https://", "http://")) or not all("!" <= letter <= "~" for letter in text):
        raise misconfigured(name, "not a URL such as https://login.example/token")
    return parts


def misconfigured(name: str, problem: str) -> Err:
    """A failure by one setting: the host shows its line."""
    return failure(Next.MISCONFIGURED, f"setting `{one_line(name, 100)}`: {problem}", setting=name)
