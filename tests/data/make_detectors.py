"""Makes detectors.jsonl: what detectors are measured on. `python tests/data/make_detectors.py`; the same every time.

Nothing in it is real: keys are drawn by chance in the shape their makers document, numbers get their check digits here, by
code of its own, so that one mistake does not hide another. A text is kept in pieces, cut inside what is to be found, so
that no scanner of repositories takes the file for a leak.
"""

import json
import string
from base64 import b64encode, urlsafe_b64encode
from hashlib import md5, sha1, sha256, sha512
from pathlib import Path
from uuid import UUID

from checked_numbers import numbers
from detector_chance import ALNUM, B64, BASE32, HEX, UPPER, URL, R, digits, draw
from published_secrets import SETTINGS, near_misses, published

HERE = Path(__file__).resolve().parent


# --- secrets ---------------------------------------------------------------------------------------------------------


def jwt() -> str:
    head, body = ({"alg": "HS256", "typ": "JWT"}, {"sub": digits(8), "iat": int(digits(10, "1"))})
    parts = [urlsafe_b64encode(json.dumps(one).encode()).decode().rstrip("=") for one in (head, body)]
    return ".".join([*parts, draw(URL, 43)])


def private_key() -> str:
    name = R.choice(["", "RSA ", "EC ", "OPENSSH ", "ENCRYPTED "])
    end = R.choice(["\n", "\\n"])
    return (
        f"-----BEGIN {name}PRIVATE KEY-----{end}{end.join(draw(B64, 64) for _ in range(4))}{end}-----END {name}PRIVATE KEY-----"
    )


def password() -> str:
    return draw(ALNUM, R.randint(6, 14)) + R.choice("!#%^*+") + draw(string.digits, 2) + draw(string.ascii_letters, 3)


def connection() -> str:
    scheme = R.choice(["postgres", "postgresql+psycopg", "mysql", "mongodb+srv", "redis", "amqp", "https"])
    return f"{scheme}://{R.choice(['app', 'svc-report', '', 'root'])}:{draw(ALNUM, R.randint(8, 20))}@{R.choice(['db', 'db.example.com', 'cluster0.ab1cd.mongodb.net'])}:{digits(4)}/main"


SECRETS = {
    "aws-access-key": lambda: R.choice(["AKIA", "ASIA"]) + draw(BASE32, 16),
    "google-api-key": lambda: "AIza" + draw(URL, 34) + draw(ALNUM, 1),
    "google-oauth": lambda: "GOCSPX-" + draw(ALNUM, 28),
    "azure-client-secret": lambda: draw(ALNUM, 3) + digits(1) + "Q~" + draw(ALNUM, 34),
    "digitalocean-token": lambda: "dop_v1_" + draw(HEX, 64),
    "databricks-token": lambda: "dapi" + draw(HEX, 32),
    "netlify-token": lambda: "nfp_" + draw(ALNUM, 36),
    "supabase-key": lambda: "sbp_" + draw(HEX, 40),
    "tailscale-key": lambda: "tskey-auth-" + draw(ALNUM, 12) + "-" + draw(ALNUM, 32),
    "vault-token": lambda: "hvs." + draw(ALNUM, 90),
    "terraform-token": lambda: draw(ALNUM, 14) + ".atlasv1." + draw(ALNUM, 67),
    "pulumi-token": lambda: "pul-" + draw(HEX, 40),
    "doppler-token": lambda: "dp.pt." + draw(ALNUM, 43),
    "github-token": lambda: R.choice(["ghp_", "gho_", "ghs_"]) + draw(ALNUM, 36) if R.random() < 0.7 else "github_pat_" + draw(ALNUM, 22) + "_" + draw(ALNUM, 59),
    "gitlab-token": lambda: "glpat-" + draw(ALNUM, 20),
    "npm-token": lambda: "npm_" + draw(ALNUM, 36),
    "pypi-token": lambda: "pypi-AgEIcHlwaS5vcmc" + draw(URL, 150),
    "rubygems-key": lambda: "rubygems_" + draw(HEX, 48),
    "crates-token": lambda: "cio" + draw(ALNUM, 32),
    "docker-token": lambda: "dckr_pat_" + draw(ALNUM, 27),
    "atlassian-token": lambda: "ATATT3" + draw(ALNUM, 186),
    "anthropic-key": lambda: "sk-ant-api03-" + draw(ALNUM, 93) + "AA",
    "openai-key": lambda: R.choice(["sk-proj-" + draw(URL, 80) + "x", "sk-" + draw(ALNUM, 48), "sk-svcacct-" + draw(ALNUM, 60)]),
    "openrouter-key": lambda: "sk-or-v1-" + draw(HEX, 64),
    "huggingface-token": lambda: "hf_" + draw(string.ascii_letters, 34),
    "groq-key": lambda: "gsk_" + draw(ALNUM, 52),
    "xai-key": lambda: "xai-" + draw(ALNUM, 80),
    "replicate-token": lambda: "r8_" + draw(ALNUM, 37),
    "slack-token": lambda: R.choice(["xoxb-", "xoxp-"]) + "-".join([digits(12), digits(12), draw(ALNUM, 24)]),
    "slack-webhook": lambda: "https://hooks.slack.com/services/T" + draw(UPPER, 8) + "/B" + draw(UPPER, 8) + "/" + draw(ALNUM, 24),
    "discord-webhook": lambda: "https://discord.com/api/webhooks/" + digits(18) + "/" + draw(ALNUM, 68),
    "stripe-key": lambda: R.choice(["sk_live_", "rk_live_", "sk_test_"]) + draw(ALNUM, 24),
    "square-token": lambda: "sq0csp-" + draw(ALNUM, 43),
    "shopify-token": lambda: "shpat_" + draw(HEX, 32),
    "sendgrid-key": lambda: "SG." + draw(ALNUM, 22) + "." + draw(ALNUM, 43),
    "twilio-key": lambda: "SK" + draw(HEX, 32),
    "telegram-token": lambda: digits(10) + ":AA" + draw(ALNUM, 33),
    "linear-key": lambda: "lin_api_" + draw(ALNUM, 40),
    "notion-token": lambda: "ntn_" + draw(ALNUM, 46),
    "figma-token": lambda: "figd_" + draw(ALNUM, 40),
    "postman-key": lambda: "PMAK-" + draw(HEX, 24) + "-" + draw(HEX, 34),
    "grafana-token": lambda: "glsa_" + draw(ALNUM, 32) + "_" + draw(HEX, 8),
    "newrelic-key": lambda: "NRAK-" + draw(UPPER, 27),
    "age-key": lambda: "AGE-SECRET-KEY-1" + draw("QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L", 58),
    "jwt": jwt,
    "private-key": private_key,
    "connection-string": connection,
}  # fmt: skip
ASSIGNED = [
    'db_password = "{}"', "DB_PASSWORD={}", '{{"password": "{}"}}', "api_key: '{}'", 'const apiKey = "{}";', "SECRET_TOKEN={}",
    "password: {}", '  client_secret => "{}",', "auth_token := `{}`", 'os.environ["API_KEY"] = "{}"', "spring.datasource.password={}",
]  # fmt: skip


def secrets():
    for kind, make in SECRETS.items():
        for number in range(5):
            value = make()
            form = "{}" if kind == "private-key" and "\n" in value else SETTINGS[(number + len(kind)) % len(SETTINGS)]
            yield [kind], form.format(value)
    for form in ASSIGNED * 3:
        yield ["assigned-secret"], form.format(password())
    for weak in (
        "sommer2026!",
        "hunter-two-and-a-half",
        "correct horse",
        "Passw0rd!",
        "kitty123",
    ):  # what is missed is counted too
        yield ["assigned-secret"], f'password = "{weak}"'
    for _ in range(6):
        yield ["bearer-token"], f"curl -H 'Authorization: Bearer {draw(ALNUM, 40)}' https://api.example.com/v1/items"
        yield ["basic-credentials"], "Authorization: Basic " + b64encode(f"ann:{password()}".encode()).decode()
        yield ["aws-secret-key", "assigned-secret"], f"aws_secret_access_key = {draw(B64, 38)}7k"
        account = draw(ALNUM, 9).lower()
        yield (
            ["azure-key"],
            f"DefaultEndpointsProtocol=https;AccountName={account};AccountKey={draw(B64, 86)}==;EndpointSuffix=core.windows.net",
        )


# --- what must not be found --------------------------------------------------------------------------------------------


def uuid() -> str:
    return str(UUID(int=R.getrandbits(128), version=4))


def noise(size: int) -> bytes:
    return R.randbytes(size)


WORDS = [
    "the",
    "a",
    "build",
    "of",
    "our",
    "service",
    "fails",
    "when",
    "it",
    "starts",
    "because",
    "every",
    "worker",
    "waits",
    "for",
    "one",
    "lock",
    "that",
    "nobody",
    "gives",
    "back",
    "and",
    "so",
    "queue",
    "grows",
    "until",
    "memory",
    "ends",
    "please",
    "explain",
    "what",
    "to",
    "change",
    "in",
    "this",
    "function",
    "without",
    "breaking",
    "tests",
]
TEMPLATES = {
    "uuid": lambda: R.choice(["id = {}", "request {} took 12 ms", '"trace": "{}"', "{}", "token_id: {}", "GET /v1/items/{} 200"]).format(uuid()),
    "hash": lambda: R.choice(["{}", "sha256:{}", "commit {}", 'etag "{}"', 'checksum = "{}"', "index {}..100644"]).format(R.choice([md5, sha1, sha256])(noise(8)).hexdigest()),
    "image": lambda: "data:image/png;base64,iVBORw0KGgo" + b64encode(noise(R.randint(200, 2000))).decode(),
    "lock file": R.choice(
        [
            lambda: f'    "integrity": "sha512-{b64encode(sha512(noise(8)).digest()).decode()}",',
            lambda: f'checksum = "{sha256(noise(8)).hexdigest()}"',
            lambda: f'    {{file = "lib-{R.randint(0, 9)}.{R.randint(0, 30)}.{R.randint(0, 30)}-py3-none-any.whl", hash = "sha256:{sha256(noise(8)).hexdigest()}"}},',
            lambda: f"golang.org/x/mod v0.{R.randint(1, 40)}.0 h1:{b64encode(sha256(noise(8)).digest()).decode()}",
            lambda: f"    --hash=sha256:{sha256(noise(8)).hexdigest()} \\",
            lambda: f'"@scope/pkg-{draw(string.ascii_lowercase, 4)}@^{R.randint(0, 20)}.{R.randint(0, 20)}.{R.randint(0, 20)}":',
        ]
    ),
    "minified": lambda: ";".join(
        f"{draw(string.ascii_letters, 1)}.{draw(string.ascii_letters, 2)}=function({draw(string.ascii_lowercase, 1)}){{return {draw(string.ascii_lowercase, 1)}.token?{digits(R.randint(1, 9))}:e.key||!{R.randint(0, 1)}}}"
        for _ in range(R.randint(3, 12))
    ),
    "version": lambda: R.choice(["v{}.{}.{}", "python {}.{}.{}", "{}.{}.{}.{}", "Chrome/{}.0.{}.{}", "numpy=={}.{}.{}", "image:{}.{}.{}-alpine"]).format(R.randint(1, 9), R.randint(0, 9999), R.randint(0, 255), R.randint(0, 9)),
    "number": R.choice(
        [
            lambda: f"timestamp {digits(13, '1')}",
            lambda: f"order {digits(8)}-{digits(4)}",
            lambda: f"{digits(4)} {digits(5)} {digits(3)} rows",
            lambda: f"pi is 3.{digits(18)}",
            lambda: f"offset 0x{draw(HEX, 12)} size {digits(9)}",
            lambda: f"{R.randint(1, 12):02}/{R.randint(1, 28):02}/2026 {R.randint(10, 23)}:{R.randint(10, 59)}:{R.randint(10, 59)}.{digits(6)}",
            lambda: " ".join(digits(R.randint(2, 6)) for _ in range(8)),
            lambda: " ".join(digits(4) for _ in range(9)),
            lambda: f"ISBN 978-{digits(1)}-{digits(3)}-{digits(5)}-{digits(1)}",
            lambda: f"tracking 1Z{draw(UPPER, 16)}",
            lambda: f"build {digits(10, '2')}.{digits(3)}",
            lambda: f"lat {R.uniform(-90, 90):.7f}, lon {R.uniform(-180, 180):.7f}",
            lambda: f"snowflake {digits(18)}",
            lambda: f"part no. {digits(3)}-{digits(4)}-{digits(2)}",
            lambda: f"0 {digits(3)}+{digits(4)} lines, {digits(7)}-{digits(7)} bytes",
        ]
    ),
    "placeholder": lambda: R.choice(
        [
            "password = os.environ['DB_PASSWORD']", "API_KEY=${API_KEY}", 'api_key = "your-api-key-here"', "token = get_token(user1)", 'password: "<password>"',
            "postgres://user:password@localhost/db", "postgres://${USER}:${PASS}@db/main", 'secret = "changeme"', "PASSWORD=********", "sk-ant-api03-...",
            "export OPENAI_API_KEY=sk-...", 'if password == "":', "token: str | None = None", "max_tokens = 4096, top_k=40", 'headers["Authorization"] = f"Bearer {token}"',
            "-----BEGIN PRIVATE KEY-----", "AKIAXXXXXXXXXXXXXXXX", "ghp_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", "password_hash = hash_password(plain2)",
            "secretKeyRef: {name: app-secret, key: password}", "const token = parser.nextToken();", 'getenv("SECRET_KEY", "dev-only")', "tokens_per_second=118.4",
            "mysql -u root -p$MYSQL_PASSWORD", "passwordField.setText(user.password)", "Authorization: Bearer <token>", 'placeholder="Enter your password"',
            "self.token = self.tokens[index2]", "secret: !vault db2", "api_key=self._api_key_v2,", 'password="{{ vault_db_password }}"', "key-value store, key=1, value=2",
        ]
    ),
    "address": lambda: R.choice(
        [
            "https://example.com:8443/a@b", "git@github.com:owner/repo.git", "npm i @types/node@20.11.5", "see https://docs.rs/tokio/1.38.0/tokio/", "@decorator", "logo@2x.png",
            f"user@{draw(string.ascii_lowercase, 5)}", "@media (min-width: 768px)", "127.0.0.1:8840", "http://localhost:3000/x?y=1", "8.8.8.8", "import com.sun.internal.Foo", "::1", "a@b",
            "import jdk.internal.misc.Unsafe;", "obj.internal(1)", "self.corp = 1", "version 10.4", "Python 10.0.1", "x+12345678y", "c = a +12345678 * b",
        ]
    ),
    "prose": (" ".join(R.choice(WORDS) for _ in range(R.randint(12, 60))) + ".").capitalize,
}  # fmt: skip


def negatives():
    for family, make in TEMPLATES.items():
        for _ in range(60):
            yield family, make()
    source = sorted((HERE.parents[1] / "src" / "freehold" / "dispatch").glob("*.py"))
    lines = [line for path in source for line in path.read_text().splitlines() if len(line) > 30]
    for at in range(0, min(len(lines), 1200), 12):
        yield "source", "\n".join(lines[at : at + 12])
    prose = (HERE.parents[1] / "docs" / "decisions").glob("*.md")
    for paragraph in [one for path in sorted(prose) for one in path.read_text().split("\n\n") if len(one) > 80][:60]:
        yield "prose", paragraph


def in_pieces(text: str) -> list[str]:
    """Cut so often that nothing to be found stands whole."""
    return [text[at : at + 7] for at in range(0, len(text), 7)]


def main() -> None:
    with (HERE / "detectors.jsonl").open("w") as out:
        for kinds, text in (*secrets(), *numbers()):
            out.write(json.dumps({"kinds": kinds, "text": in_pieces(text)}) + "\n")
        for family, text in negatives():
            out.write(json.dumps({"kinds": [], "family": family, "text": text}) + "\n")
        for kinds, text in published():
            out.write(json.dumps({"kinds": kinds, "text": in_pieces(text)}) + "\n")
        for family, text in near_misses():
            out.write(json.dumps({"kinds": [], "family": family, "text": in_pieces(text)}) + "\n")


if __name__ == "__main__":
    main()
