"""Sentence embeddings with an ONNX encoder: read the request, encode texts, write the reply.

Promised: mean-pooled over the attention mask and of unit length (Reimers and Gurevych 2019, Sentence-BERT); the vector of
a text does not depend on what else is in its batch, up to rounding of int8 activations. A text longer than one window of
the model (256 tokens) is the mean of its windows weighted by their tokens, and one over `context` tokens is refused.
"""

import base64
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np

# From 1.29 on its Linux and macOS builds report each session to their maker, unless this is set before they are loaded.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
import onnxruntime
from numpy.typing import NDArray
from tokenizers import Encoding, Tokenizer

WINDOW_TOKENS = 256
"""What all-MiniLM-L6-v2 was trained on, `[CLS]` and `[SEP]` included (its model card)."""
BATCH_WINDOWS = 16
TEXTS = 2048
"""Texts in one request, as at OpenAI."""
TOTAL_TOKENS = 131_072
"""Tokens in one request over all texts: about 20 s of work on one slow core."""

Vectors = NDArray[np.float32]


class InputError(Exception):
    """The request is at fault; `param` is the field."""

    def __init__(self, message: str, param: str, code: str | None = None) -> None:
        super().__init__(message)
        self.param = param
        self.code = code


class EmbeddingRequest(msgspec.Struct, frozen=True):
    """What is understood of OpenAI's request; `user` and unknown fields mean nothing here."""

    input: str | list[Any]
    model: str | None = None
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: int | None = None

    @property
    def texts(self) -> list[str]:
        """The inputs as a list."""
        return [self.input] if isinstance(self.input, str) else self.input


def read_request(body: bytes, dimensions: int) -> EmbeddingRequest:
    """Read and check a request for a model of these dimensions. Raises InputError naming the field."""
    try:
        request = msgspec.json.decode(body, type=EmbeddingRequest)
    except msgspec.ValidationError as error:
        _, _, at = str(error).partition(" - at `$.")
        raise InputError(f"the body is not an embeddings request: {error}", at.rstrip("`") or "input") from error
    except msgspec.DecodeError as error:
        raise InputError("the body is not JSON", "body") from error
    if request.dimensions not in (None, dimensions):
        raise InputError(f"`dimensions` can only be {dimensions} with this model", "dimensions")
    texts = request.texts
    if not 1 <= len(texts) <= TEXTS:
        raise InputError(f"`input` has {len(texts)} texts; 1 to {TEXTS} are allowed", "input")
    for index, text in enumerate(texts):
        if not isinstance(text, str):
            raise InputError(f"`input[{index}]` is not a text; token arrays are not supported, send text", f"input[{index}]")
        if not text:
            raise InputError(f"`input[{index}]` is empty", f"input[{index}]")
    return request


def write_reply(vectors: Vectors, tokens: int, model: str, *, encoding: Literal["float", "base64"]) -> bytes:
    """OpenAI's reply. base64 is of little-endian float32."""
    if encoding == "base64":
        shown: list[Any] = [base64.b64encode(vector.astype("<f4").tobytes()).decode() for vector in vectors]
    else:
        shown = vectors.tolist()
    data = [{"object": "embedding", "index": index, "embedding": value} for index, value in enumerate(shown)]
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return msgspec.json.encode({"object": "list", "data": data, "model": model, "usage": usage})


class Encoder:
    """A loaded encoder. Not for several threads at once."""

    def __init__(self, weights: str, *, context: int, threads: int) -> None:
        """Load `weights` (an ONNX file) and the `tokenizer.json` beside it."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = onnxruntime.InferenceSession(weights, options, providers=["CPUExecutionProvider"])
        self._wanted = frozenset(given.name for given in self._session.get_inputs())
        self._tokenizer = Tokenizer.from_file(str(Path(weights).with_name("tokenizer.json")))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(WINDOW_TOKENS)
        self.context = context
        self.dimensions = int(self._session.get_outputs()[0].shape[-1])

    def encode(self, texts: Sequence[str]) -> tuple[Vectors, int]:
        """Vectors of shape (texts, dimensions) and the tokens read. Raises InputError for what is too long."""
        windows: list[Encoding] = []
        owners: list[int] = []
        tokens = 0
        for index, encoding in enumerate(self._tokenizer.encode_batch(list(texts))):
            mine = [encoding, *encoding.overflowing]
            size = sum(len(window.ids) for window in mine)
            if size > self.context:
                raise InputError(
                    f"`input[{index}]` has {size} tokens; the embedding model serves {self.context}, split the text",
                    f"input[{index}]",
                    "context_length_exceeded",
                )
            tokens += size
            if tokens > TOTAL_TOKENS:
                raise InputError(f"`input` has over {TOTAL_TOKENS} tokens in all; send fewer texts at once", "input")
            windows += mine
            owners += [index] * len(mine)
        return self._pool(len(texts), windows, owners), tokens

    def _pool(self, texts: int, windows: list[Encoding], owners: list[int]) -> Vectors:
        """Sum the token vectors of each text over all its windows, then scale to unit length.

        The sum over tokens is the weighted mean up to a factor, and the factor goes away with the length.
        """
        sums = np.zeros((texts, self.dimensions), np.float32)
        order = sorted(range(len(windows)), key=lambda at: len(windows[at].ids))
        for start in range(0, len(order), BATCH_WINDOWS):
            batch = order[start : start + BATCH_WINDOWS]
            np.add.at(sums, [owners[at] for at in batch], self._run([windows[at] for at in batch]))
        lengths = np.linalg.norm(sums, axis=1, keepdims=True)
        unit: Vectors = sums / np.maximum(lengths, 1e-12)
        return unit

    def _run(self, windows: list[Encoding]) -> Vectors:
        """Sums over tokens, of shape (windows, dimensions)."""
        width = max(len(window.ids) for window in windows)
        ids = np.zeros((len(windows), width), np.int64)
        mask = np.zeros((len(windows), width), np.int64)
        for row, window in enumerate(windows):
            ids[row, : len(window.ids)] = window.ids
            mask[row, : len(window.ids)] = 1
        feed = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        hidden = self._session.run(None, {name: value for name, value in feed.items() if name in self._wanted})[0]
        sums: Vectors = np.einsum("wtd,wt->wd", hidden, mask.astype(np.float32))
        return sums
