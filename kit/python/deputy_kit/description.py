"""What a connector says about itself, for `deputy inspect`, `deputy check` and `deputy add`: wit/description.wit.

For worlds that include `describes-itself`. The parts of a setting or a want are keywords: a list is several of one name, None is
none, and `_` stands for `-`.
"""

from wit_world.exports.description import DescribedSetting, Property, Want


def about(**parts) -> list[Property]:
    """What it is: `title`, `version`, `documentation`."""
    return _properties(parts)


def setting(name: str, text: str, type: str, **parts) -> DescribedSetting:
    """A setting, with `default` and `needed`."""
    return DescribedSetting(name, _properties({"text": text, "type": type, **parts}))


def want(kind: str, **parts) -> Want:
    """Something that it wants, as `want("http", url="https://a.example", method="POST")`."""
    return Want(kind, _properties(parts))


def _properties(parts: dict) -> list[Property]:
    values = [(name, value if isinstance(value, list) else [value]) for name, value in parts.items()]
    return [Property(name.replace("_", "-"), one) for name, value in values for one in value if one is not None]
