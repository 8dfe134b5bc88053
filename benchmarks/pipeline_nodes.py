"""Three nodes, as functions: what pipelines are measured with. Hamilton takes the module as it is."""


def cleaned(raw: int) -> int:
    return raw + 1


def doubled(cleaned: int) -> int:
    return cleaned * 2


def total(doubled: int) -> int:
    return doubled - 1
