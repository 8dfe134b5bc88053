"""The nodes and pipelines of the example: an index over the documentation strings of Python files, and questions to it.

    documents   for one file: extract -> clean -> tokenize        run for each of many files, by map_over
    building    documents -> weigh -> invert                      the index
    asking      (an index, a question) -> terms -> rank           the answer

A document is what one module, class or function says of itself. Terms are weighed by tf-idf with logarithms (Salton and
Buckley, 1988), documents and questions compared by the cosine of the angle between them.
"""

import ast
import math
import re
from collections import Counter
from pathlib import Path

from weft.pipelines import Pipeline, node

type Document = tuple[str, str]
"""Where it is from, such as ``json/__init__.py:dumps``, and its text."""

type Index = dict[str, list[tuple[str, float]]]
"""For each term the documents that have it, and its weight there."""

WORD = re.compile(r"[a-z][a-z0-9]+")
MARKUP = re.compile(r"^\s*(>>>|\.\.\.).*$|``|:\w+:`", re.MULTILINE)
COMMON_WORDS = """
the and for are not with that this from can will may has have was were been its his their there which when where than
then but all any each other into only also such these those does must should would could one two you your
"""
COMMON = frozenset(COMMON_WORDS.split())


@node(output_name="raw")
def extract(root: str, file: str) -> list[Document]:
    """The documentation strings of a file; none of one that cannot be read or parsed."""
    try:
        tree = ast.parse(Path(root, file).read_bytes())
    except (OSError, SyntaxError, ValueError):
        return []
    found: list[Document] = []
    for part in ast.walk(tree):
        if isinstance(part, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            text = ast.get_docstring(part)
            if text:
                found.append((f"{file}:{getattr(part, 'name', '')}".rstrip(":"), text))
    return found


@node(output_name="texts")
def clean(raw: list[Document]) -> list[Document]:
    """Without doctests and markup, in lower case."""
    return [(name, MARKUP.sub(" ", text).lower()) for name, text in raw]


@node(output_name="terms")
def tokenize(texts: list[Document]) -> list[tuple[str, dict[str, int]]]:
    """How often each term is in each document."""
    counted = ((name, Counter(word for word in WORD.findall(text) if word not in COMMON)) for name, text in texts)
    return [(name, dict(counts)) for name, counts in counted if counts]


@node(output_name="weights")
def weigh(terms_of_files: list[list[tuple[str, dict[str, int]]]]) -> dict[str, dict[str, float]]:
    """For each document the weight of its terms; their squares add up to 1."""
    documents = dict(document for terms in terms_of_files for document in terms)
    spread = Counter(term for counts in documents.values() for term in counts)
    weights: dict[str, dict[str, float]] = {}
    for name, counts in documents.items():
        raw = {
            term: (1 + math.log(count)) * math.log(1 + len(documents) / spread[term]) for term, count in counts.items()
        }
        length = math.sqrt(math.fsum(weight * weight for weight in raw.values()))
        weights[name] = {term: weight / length for term, weight in raw.items()}
    return weights


@node(output_name="index")
def invert(weights: dict[str, dict[str, float]]) -> Index:
    """From documents to terms; of each term the documents with the most of it first."""
    index: Index = {}
    for name, terms in weights.items():
        for term, weight in terms.items():
            index.setdefault(term, []).append((name, weight))
    return {term: sorted(found, key=lambda one: (-one[1], one[0])) for term, found in sorted(index.items())}


@node(output_name="asked")
def terms_of(question: str) -> list[str]:
    return [word for word in WORD.findall(question.lower()) if word not in COMMON]


@node(output_name="answer")
def rank(index: Index, asked: list[str], most: int = 5) -> list[tuple[str, float]]:
    """The documents that have most of what was asked for."""
    scores: dict[str, float] = {}
    for term in asked:
        for name, weight in index.get(term, []):
            scores[name] = scores.get(name, 0.0) + weight
    best = sorted(scores.items(), key=lambda one: (-one[1], one[0]))[:most]
    return [(name, round(score / math.sqrt(max(len(asked), 1)), 4)) for name, score in best]


documents = Pipeline([extract, clean, tokenize], name="documents")

building = Pipeline(
    [
        documents.as_node(
            map_over="files", input_mapping={"files": "file"}, output_mapping={"terms": "terms_of_files"}
        ),
        weigh,
        invert,
    ],
    name="building",
)

asking = Pipeline([terms_of, rank], name="asking")
