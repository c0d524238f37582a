"""Fuzz one target in this process: `python run.py TARGET FOLDER SECONDS`. Ends with 0 unless an input raised.

Inputs that raise, and the corpus, are kept in FOLDER; a line `runs N` is the last word.
"""

import sys
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
with atheris.instrument_imports(include=["freehold", "json.decoder"]):
    import targets


def main(name: str, folder: Path, seconds: int) -> None:
    corpus = folder / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    for index, seed in enumerate(targets.seeds(name)):
        (corpus / f"seed{index}").write_bytes(seed)
    arguments = [
        "fuzz",
        str(corpus),
        f"-max_total_time={seconds}",
        f"-artifact_prefix={folder}/",
        "-max_len=8192",
        "-timeout=10",
        "-rss_limit_mb=2048",
        "-print_final_stats=1",
    ]
    atheris.Setup(arguments, targets.TARGETS[name])
    atheris.Fuzz()


main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
