"""Makes detectors.jsonl: what detectors are measured on. `python tests/data/make_detectors.py`; the same every time.

Nothing in it is real: keys are drawn by chance in the shape their makers document, numbers get their check digits here, by
code of its own, so that one mistake does not hide another. A text is kept in pieces, cut inside what is to be found, so
that no scanner of repositories takes the file for a leak.
"""

import json
import random
import string
from base64 import b64encode, urlsafe_b64encode
from hashlib import md5, sha1, sha256, sha512
from pathlib import Path
from uuid import UUID
from zlib import crc32

HERE = Path(__file__).resolve().parent
R = random.Random(20260807)
ALNUM, HEX, UPPER = string.ascii_letters + string.digits, "0123456789abcdef", string.ascii_uppercase + string.digits
URL, B64 = ALNUM + "-_", ALNUM + "+/"
BASE32 = string.ascii_uppercase + "234567"


def draw(alphabet: str, size: int) -> str:
    return "".join(R.choice(alphabet) for _ in range(size))


def digits(size: int, first: str = "123456789") -> str:
    return R.choice(first) + draw(string.digits, size - 1)


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
SETTINGS = [
    "{}",
    "export SERVICE_CREDENTIAL='{}'",
    '{{"credential": "{}"}}',
    "client = Client('{}')",
    "2026-08-01 12:00:01 WARN refused {} again",
    "Can you see why {} is rejected?",
]
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


# --- secrets once more: every beginning, as long and of such characters as was published --------------------------------

LONG = random.Random(20261121)
"""Drawn from a source of its own, so that what stands above stays as it was."""


def some(alphabet: str, size: int) -> str:
    return "".join(LONG.choice(alphabet) for _ in range(size))


def base62(number: int, size: int) -> str:
    digits62 = string.digits + string.ascii_uppercase + string.ascii_lowercase
    said = ""
    for _ in range(size):
        number, place = divmod(number, 62)
        said = digits62[place] + said
    return said


def checked(prefix: str, size: int) -> str:
    """Random characters and a CRC-32 of them in six of base 62, as GitHub and npm say they do."""
    drawn = some(ALNUM, size)
    return prefix + drawn + base62(crc32(drawn.encode()), 6)


def web_token() -> str:
    head, body = {"alg": "RS256", "kid": some(ALNUM, 20), "typ": "JWT"}, {"aud": some(ALNUM, 12), "sub": some(ALNUM, 80)}
    parts = [urlsafe_b64encode(json.dumps(one).encode()).decode().rstrip("=") for one in (head, body)]
    return ".".join([*parts, some(URL, 342)])


def own_key() -> str:
    drawn, number, check = some(ALNUM, 32), 0, ""
    number = crc32(drawn.encode())
    for _ in range(6):
        number, place = divmod(number, 62)
        check = (string.digits + string.ascii_letters)[place] + check
    return f"fh_{drawn}{check}"


def uuid_like() -> str:
    return str(UUID(int=LONG.getrandbits(128), version=4))


def encoded(data: str) -> str:
    return b64encode(data.encode()).decode().rstrip("=")


GITLAB = {"glpat-": 20, "gldt-": 20, "glrt-": 20, "glrtr-": 20, "glcbt-64_": 20, "glptt-": 40, "glft-": 20, "glimt-": 25, "glagent-": 50, "gloas-": 64,
          "glffct-": 20, "glwt-": 50, "glsoat-": 20, "ACME-glpat-": 20}  # fmt: skip
PUBLISHED = {
    "aws-access-key": [lambda one=one: one + some(BASE32, 16) for one in ("AKIA", "ASIA", "ABIA", "ACCA")],
    "bedrock-key": [
        lambda: "ABSK" + encoded(f"BedrockAPIKey-{some(string.ascii_lowercase, 4)}-at-{some(string.digits, 12)}:{some(B64, 43)}="),
        lambda: "bedrock-api-key-" + encoded(f"bedrock.amazonaws.com/?Action=CallWithBearerToken&X-Amz-Credential={some(UPPER, 300)}&Version=1"),
    ],
    "google-api-key": [lambda: "AIza" + some(URL, 34) + some(ALNUM, 1), lambda: "AQ.Ab8" + some(URL, 46) + some(ALNUM, 1)],
    "google-oauth": [lambda: "GOCSPX-" + some(ALNUM, 28), lambda: "ya29." + some(URL, 180)],
    "azure-key": [
        lambda: "JQQJ9".join((some(ALNUM, 52), "9B" + "A" + some(ALNUM, 16) + "A" + some(ALNUM, 7))),
        lambda: f"Endpoint=sb://bus.servicebus.windows.net/;SharedAccessKeyName=all;SharedAccessKey={some(B64, 43)}=",
        lambda: f"https://store.blob.core.windows.net/a/b?sv=2024-11-04&se=2027-01-01&sr=b&sp=r&sig={some(ALNUM, 43)}%3D",
        lambda: f"https://store.blob.core.windows.net/a/b?sig={some(ALNUM, 43)}%3D&sv=2024-11-04",
    ],
    "azure-client-secret": [lambda: some(ALNUM, 3) + "8Q~" + some(ALNUM + "-_~.", 33) + some(ALNUM, 1)],
    "cloudflare-token": [lambda one=one: one + some(ALNUM, 40) + some(HEX, 8) for one in ("cfk_", "cfut_", "cfat_", "cfast_")],
    "digitalocean-token": [lambda one=one: one + some(HEX, 64) for one in ("dop_v1_", "doo_v1_", "dor_v1_")],
    "databricks-token": [lambda: "dapi" + some(HEX, 32), lambda: "dapi" + some(HEX, 32) + "-2"],
    "fly-token": [
        lambda: "fo1_" + some(URL, 42) + some(ALNUM, 1),
        lambda: "FlyV1 fm2_" + some(B64, 180) + "==",
        lambda: "fm2_" + some(B64, 200),
        lambda: "fm1r_" + some(B64, 200),
        lambda: "fm1a_" + some(B64, 200),
    ],
    "heroku-key": [lambda: "HRKU-" + uuid_like(), lambda: "HRKU-AA" + some(URL, 57) + some(ALNUM, 1)],
    "netlify-token": [lambda one=one: one + some(ALNUM, 36) for one in ("nfp_", "nfc_", "nfo_", "nfu_", "nfb_")],
    "vercel-token": [lambda one=one: one + some(ALNUM, 56) for one in ("vcp_", "vci_", "vca_", "vcr_", "vck_")],
    "supabase-key": [lambda: "sbp_" + some(HEX, 40), lambda: "sb_secret_" + some(URL, 22) + "_" + some(ALNUM, 8)],
    "planetscale-token": [lambda one=one: one + some(ALNUM + "_-", 42) + some(ALNUM, 1) for one in ("pscale_tkn_", "pscale_pw_", "pscale_oauth_")],
    "tailscale-key": [lambda one=one: f"tskey-{one}-{some(ALNUM, 7)}CNTRL-{some(ALNUM, 18)}" for one in ("auth", "api", "client", "scim", "webhook")],
    "vault-token": [lambda: "hvs." + some(ALNUM, 24), lambda: "hvs.CAES" + some(URL, 90) + some(ALNUM, 1), lambda: "hvb." + some(URL, 290) + some(ALNUM, 1), lambda: "hvr." + some(ALNUM, 24)],
    "terraform-token": [lambda: some(ALNUM, 14) + ".atlasv1." + some(URL, 66) + some(ALNUM, 1)],
    "pulumi-token": [lambda: "pul-" + some(HEX, 40)],
    "doppler-token": [lambda one=one: one + some(ALNUM, 43) for one in ("dp.pt.", "dp.ct.", "dp.sa.", "dp.said.", "dp.scim.", "dp.audit.", "dp.st.prd.")],
    "github-token": [
        *(lambda one=one: checked(one, 30) for one in ("ghp_", "gho_", "ghu_", "ghs_", "ghr_")),
        lambda: f"ghs_{some(string.digits, 7)}_{web_token()}",
        lambda: "github_pat_" + some(ALNUM, 22) + "_" + some(ALNUM, 59),
    ],
    "gitlab-token": [
        *(lambda one=one, size=size: one + some(ALNUM, size) for one, size in GITLAB.items()),
        lambda: "glpat-" + some(URL, 60) + ".01." + some(string.digits + string.ascii_lowercase, 9),
        lambda: "GR1348941" + some(ALNUM, 20),
        lambda: "Cookie: _gitlab_session=" + some(HEX, 32),
    ],
    "npm-token": [lambda: checked("npm_", 30)],
    "pypi-token": [lambda: "pypi-AgEIcHlwaS5vcmc" + some(URL, 150), lambda: "pypi-AgENdGVzdC5weXBpLm9yZw" + some(URL, 150)],
    "rubygems-key": [lambda: "rubygems_" + some(HEX, 48)],
    "crates-token": [lambda: "cio" + some(ALNUM, 32)],
    "nuget-key": [lambda: "oy2" + some("abcdefghijklmnop", 1) + some(string.digits + string.ascii_lowercase, 42)],
    "docker-token": [lambda: "dckr_pat_" + some(URL, 26) + some(ALNUM, 1), lambda: "dckr_oat_" + some(ALNUM, 28)],
    "atlassian-token": [lambda: "ATATT3xFfGF0" + some(URL, 171) + "=" + some(UPPER, 8), lambda: "ATCTT3xFfGN0" + some(URL, 171) + "=" + some(UPPER, 8), lambda: "ATBB" + some(ALNUM, 32)],
    "circleci-token": [lambda one=one: f"{one}{some(ALNUM, 22)}_{some(HEX, 40)}" for one in ("CCIPAT_", "CCIPRJ_")],
    "buildkite-token": [
        lambda one=one, size=size: one + some(ALNUM, size)
        for one, size in {"bkua_": 53, "bkaa_": 75, "bkaj_": 340, "bkar_": 73, "bkct_": 73, "bkpt_": 199, "bkpat_": 54, "bkps_": 64}.items()
    ],
    "jfrog-key": [lambda: "AKCp" + some(ALNUM, 69)],
    "freehold-key": [own_key],
    "anthropic-key": [
        lambda one=one: f"sk-ant-{one}-{some(URL, 92)}{some(ALNUM, 1)}AA" for one in ("api03", "admin01", "oat01", "ort01", "sid01")
    ],
    "openai-key": [
        *(lambda one=one: f"{one}{some(URL, 74)}T3BlbkFJ{some(URL, 73)}{some(ALNUM, 1)}" for one in ("sk-proj-", "sk-svcacct-", "sk-admin-", "sk-None-")),
        lambda: f"sk-{some(ALNUM, 20)}T3BlbkFJ{some(ALNUM, 20)}",
        lambda: f"sk-{some(HEX, 32)}",
    ],
    "openrouter-key": [lambda: "sk-or-v1-" + some(HEX, 64)],
    "huggingface-token": [lambda: "hf_" + some(string.ascii_letters, 34), lambda: "api_org_" + some(string.ascii_letters, 34)],
    "groq-key": [lambda: "gsk_" + some(ALNUM, 52)],
    "xai-key": [lambda: "xai-" + some(ALNUM, 80)],
    "perplexity-key": [lambda: "pplx-" + some(ALNUM, 48)],
    "replicate-token": [lambda: "r8_" + some(ALNUM, 37)],
    "together-key": [lambda: "tgp_v1_" + some(URL, 42) + some(ALNUM, 1)],
    "nvidia-key": [lambda: "nvapi-" + some(URL, 63) + some(ALNUM, 1)],
    "cerebras-key": [lambda: "csk-" + some(string.ascii_lowercase + string.digits, 48)],
    "langfuse-key": [lambda: "sk-lf-" + uuid_like(), *(lambda one=one: f"{one}{some(HEX, 32)}_{some(HEX, 10)}" for one in ("lsv2_pt_", "lsv2_sk_"))],
    "slack-token": [
        *(lambda one=one: "-".join((one, some(string.digits[1:], 12), some(string.digits[1:], 12), some(ALNUM, 24))) for one in ("xoxb", "xoxa", "xoxr", "xoxo", "xwfp")),
        *(lambda one=one: "-".join((one, *(some(string.digits[1:], 12) for _ in range(3)), some(HEX, 32))) for one in ("xoxp", "xoxs", "xoxc")),
        lambda: "xoxe.xoxp-1-" + some(UPPER, 165),
        lambda: "xoxe-1-" + some(UPPER, 146),
        lambda: "xoxd-" + some(ALNUM, 40) + "%2F" + some(ALNUM, 60),
        lambda: f"xapp-1-A{some(UPPER, 10)}-{some(string.digits[1:], 13)}-{some(HEX, 64)}",
    ],
    "slack-webhook": [
        *(lambda one=one: f"https://hooks.slack.com/{one}/T{some(UPPER, 10)}/B{some(UPPER, 10)}/{some(ALNUM, 24)}" for one in ("services", "workflows")),
        lambda: f"https://hooks.slack.com/triggers/E{some(UPPER, 10)}/{some(string.digits[1:], 13)}/{some(HEX, 32)}",
    ],
    "discord-webhook": [lambda one=one: f"https://{one}.com/api/webhooks/{some(string.digits[1:], 19)}/{some(URL, 67)}{some(ALNUM, 1)}" for one in ("discord", "discordapp")],
    "stripe-key": [
        *(lambda one=one: f"{one}51{some(ALNUM, 97)}" for one in ("sk_live_", "rk_live_", "sk_test_", "rk_test_", "sk_org_live_", "sk_org_")),
        lambda: "sk_live_" + some(ALNUM, 24),
        lambda: "whsec_" + some(ALNUM, 32),
    ],
    "square-token": [lambda: "EAAA" + some(URL, 59) + some(ALNUM, 1), lambda: "sq0atp-" + some(ALNUM, 22), lambda: "sq0csp-" + some(URL, 42) + some(ALNUM, 1)],
    "shopify-token": [lambda one=one: one + some(HEX, 32) for one in ("shpat_", "shpss_", "shpca_", "shppa_")],
    "sendgrid-key": [lambda: "SG." + some(URL, 21) + some(ALNUM, 1) + "." + some(URL, 42) + some(ALNUM, 1)],
    "mailgun-key": [lambda: "key-" + some(HEX, 32)],
    "twilio-key": [lambda: "SK" + some(HEX, 32)],
    "telegram-token": [lambda: some(string.digits[1:], 10) + ":AA" + some(URL, 32) + some(ALNUM, 1)],
    "linear-key": [lambda: "lin_api_" + some(ALNUM, 40), lambda: "lin_oauth_" + some(HEX, 64)],
    "notion-token": [lambda: "ntn_" + some(string.digits, 11) + some(ALNUM, 35), lambda: "secret_" + some(ALNUM, 43)],
    "figma-token": [lambda one=one: one + some(URL, 39) + some(ALNUM, 1) for one in ("figd_", "figo_")],
    "postman-key": [lambda: "PMAK-" + some(HEX, 24) + "-" + some(HEX, 34)],
    "grafana-token": [lambda: "glsa_" + some(ALNUM, 32) + "_" + some(HEX, 8), lambda: "glc_eyJ" + some(B64, 140) + "="],
    "newrelic-key": [lambda: "NRAK-" + some(UPPER, 27)],
    "sentry-token": [
        *(lambda one=one: one + some(HEX, 64) for one in ("sntryu_", "sntrya_", "sntryi_")),
        lambda: "sntrys_" + encoded(json.dumps({"iat": 1790000000.1, "url": "https://sentry.io", "region_url": "https://de.sentry.io", "org": some(ALNUM, 12)})) + "_" + some(B64, 43),
    ],
    "onepassword-token": [lambda: "ops_eyJ" + some(B64, 800)],
}  # fmt: skip
"""By kind, one for each beginning that its rules know, and for each way it goes on."""


def published():
    for kind, makers in PUBLISHED.items():
        for number, make in enumerate((*makers, *makers)):
            text = SETTINGS[(number + len(kind)) % len(SETTINGS)].format(make())
            # A connection string gives its key a name for a secret, too.
            yield [kind, "assigned-secret"] if ";SharedAccessKey=" in text else [kind], text


NO_SECRETS = [
    *(lambda one=one: one + some(BASE32, 17) for one in ("AIDA", "AROA", "AGPA", "ANPA", "APKA", "ASCA")),
    lambda: "pk_live_51" + some(ALNUM, 97),
    lambda: "pk_test_" + some(ALNUM, 24),
    lambda: "sb_publishable_" + some(URL, 22) + "_" + some(ALNUM, 8),
    lambda: f"https://{some(HEX, 32)}@o{some(string.digits[1:], 6)}.ingest.de.sentry.io/{some(string.digits[1:], 7)}",
    lambda: "AC" + some(HEX, 32),
    lambda: "sha256:" + some(HEX, 64),
    lambda: "arn:aws:kms:eu-central-1:" + some(string.digits, 12) + ":key/" + uuid_like(),
    lambda: f"https://discord.com/channels/{some(string.digits[1:], 18)}/{some(string.digits[1:], 18)}",
    lambda: f"https://app.slack.com/client/T{some(UPPER, 10)}/C{some(UPPER, 10)}",
    lambda: f"price_{some(ALNUM, 24)} cus_{some(ALNUM, 14)} pi_{some(ALNUM, 24)}",
    lambda: f"chatcmpl-{some(ALNUM, 29)} msg_01{some(ALNUM, 22)} req_{some(HEX, 32)} toolu_01{some(ALNUM, 22)}",
    lambda: "ghp_" + "x" * 36,
    lambda: "AKIA" + some(BASE32, 9) + "EXAMPLE",
    lambda: "aws_secret_access_key = " + some(B64, 30) + "EXAMPLEKEY",
    lambda: "sk-ant-api03-" + "x" * 40,
    lambda: "npm_config_registry=https://registry.example.com/" + some(string.ascii_lowercase, 12),
    lambda: f'"PasswordLastUsed": "20{some("0123", 2)}-09-24T16:18:{some("012345", 2)}Z"',
    lambda: f'"NextToken": "{some(ALNUM, 24)}..."',
    lambda: "key-value-store/" + some(string.ascii_lowercase, 20),
    lambda: "FAQ.about_the_new_version_of_our_service_and_its_prices",
    lambda: "git show " + some(HEX, 40) + " -- src/main.rs",
]  # fmt: skip
"""What makers' docs name beside their secrets, and is none: names of things, public keys, placeholders."""


def near_misses():
    for _ in range(5):
        for make in NO_SECRETS:
            yield "near miss", make()


# --- numbers with checks -----------------------------------------------------------------------------------------------


def luhn(body: str) -> str:
    total = 0
    for place, digit in enumerate(reversed(body)):
        value = int(digit) * (2 if place % 2 == 0 else 1)
        total += value // 10 + value % 10
    return body + str(-total % 10)


def card() -> str:
    first, size = R.choice([("4", 16), ("51", 16), ("2223", 16), ("34", 15), ("6011", 16), ("3528", 16), ("36", 14), ("62", 19)])
    number = luhn(first + draw(string.digits, size - 1 - len(first)))
    if size == 16 and R.random() < 0.6:
        mark = R.choice(" -")
        return mark.join(number[at : at + 4] for at in range(0, 16, 4))
    return f"{number[:4]} {number[4:10]} {number[10:]}" if size == 15 and R.random() < 0.5 else number


def iban() -> str:
    country, body = R.choice(
        [("DE", digits(18)), ("NL", draw(string.ascii_uppercase, 4) + digits(10)), ("FR", digits(23)), ("CH", digits(17)), ("NO", digits(11)),
         ("GB", draw(string.ascii_uppercase, 4) + digits(14)), ("ES", digits(20)), ("IT", draw(string.ascii_uppercase, 1) + digits(22))]
    )  # fmt: skip
    spelled = "".join(
        str(string.digits.index(one)) if one in string.digits else str(ord(one) - 55) for one in body + country + "00"
    )
    whole = f"{country}{98 - int(spelled) % 97:02}{body}"
    return " ".join(whole[at : at + 4] for at in range(0, len(whole), 4)) if R.random() < 0.5 else whole


def searched(make, size: int, tries: str) -> str:
    """The body that a brute search over its check digits completes, by the published rule itself."""
    while True:
        body = make()
        for check in range(10**size):
            if eval(tries, {"n": body + f"{check:0{size}}", "sum": sum, "int": int, "zip": zip, "range": range}):
                return body + f"{check:0{size}}"


def day() -> tuple[str, str, str]:
    return f"{R.randint(1, 28):02}", f"{R.randint(1, 12):02}", f"{R.randint(40, 99)}"


def de_tax() -> str:
    order = R.sample(string.digits, 10)
    order[R.randrange(1, 10)] = order[0]
    body = "".join(order)
    if body[0] == "0":
        body = body.replace("0", "9")
        return de_tax()
    rest = 10
    for one in body:
        rest = (rest + int(one)) % 10
        rest = 2 * (10 if rest == 0 else rest) % 11
    check = 11 - rest
    return body + str(0 if check == 10 else check)


VERHOEFF_D = [[0,1,2,3,4,5,6,7,8,9],[1,2,3,4,0,6,7,8,9,5],[2,3,4,0,1,7,8,9,5,6],[3,4,0,1,2,8,9,5,6,7],[4,0,1,2,3,9,5,6,7,8],
              [5,9,8,7,6,0,4,3,2,1],[6,5,9,8,7,1,0,4,3,2],[7,6,5,9,8,2,1,0,4,3],[8,7,6,5,9,3,2,1,0,4],[9,8,7,6,5,4,3,2,1,0]]  # fmt: skip
VERHOEFF_P = [[0,1,2,3,4,5,6,7,8,9],[1,5,7,6,2,8,3,0,9,4],[5,8,0,3,7,9,6,1,4,2],[8,9,1,6,0,4,3,5,2,7],[9,4,5,3,1,2,6,8,7,0],
              [4,2,8,6,5,7,3,9,0,1],[2,7,9,3,8,0,6,4,1,5],[7,0,4,6,9,1,3,2,5,8]]  # fmt: skip


def aadhaar() -> str:
    body = digits(11, "23456789")
    for check in string.digits:
        state = 0
        for place, one in enumerate(reversed(body + check)):
            state = VERHOEFF_D[state][VERHOEFF_P[place % 8][int(one)]]
        if state == 0:
            return f"{body[:4]} {body[4:8]} {body[8:]}{check}"
    raise AssertionError


def pesel() -> str:
    day_, month, year = day()
    return searched(
        lambda: year + month + day_ + digits(4),
        1,
        "(10 - sum(int(d) * w for d, w in zip(n, (1,3,7,9,1,3,7,9,1,3))) % 10) % 10 == int(n[10])",
    )


def nir() -> str:
    body = R.choice("12") + day()[2] + day()[1] + digits(8)
    return f"{body}{97 - int(body) % 97:02}"


def belgian() -> str:
    day_, month, year = day()
    body = year + month + day_ + f"{R.randint(1, 997):03}"
    return f"{year}.{month}.{day_}-{body[6:]}.{97 - int(body) % 97:02}"


def swedish() -> str:
    day_, month, year = day()
    whole = luhn(year + month + day_ + digits(3))
    return f"{whole[:6]}-{whole[6:]}"


def norwegian() -> str:
    day_, month, year = day()
    first = "int(n[9]) == -sum(int(d) * w for d, w in zip(n, (3,7,6,1,8,9,4,5,2))) % 11"
    second = "int(n[10]) == -sum(int(d) * w for d, w in zip(n, (5,4,3,2,7,6,5,4,3,2))) % 11"
    whole = searched(lambda: day_ + month + year + digits(3), 2, f"{first} and {second}")
    return f"{whole[:6]} {whole[6:]}"


def finnish() -> str:
    day_, month, year = day()
    number = f"{R.randint(2, 899):03}"
    return f"{day_}{month}{year}-{number}{'0123456789ABCDEFHJKLMNPRSTUVWXY'[int(day_ + month + year + number) % 31]}"


def spanish() -> str:
    body = digits(8)
    return body + "TRWAGMYFPDXBNJZSQVHLCKE"[int(body) % 23]


def chinese() -> str:
    day_, month, year = day()
    body = digits(6, "1234") + "19" + year + month + day_ + digits(3)
    return body + "10X98765432"[sum(int(one) * 2 ** (17 - at) for at, one in enumerate(body)) % 11]


def ahv() -> str:
    body = "756" + digits(9)
    check = -sum(int(one) * (3 if at % 2 else 1) for at, one in enumerate(body)) % 10
    return f"{body[:3]}.{body[3:7]}.{body[7:11]}.{body[11:]}{check}"


def cpf() -> str:
    body = digits(9)
    for _ in range(2):
        rest = sum(int(one) * weight for one, weight in zip(body, range(len(body) + 1, 1, -1), strict=True)) % 11
        body += str(0 if rest < 2 else 11 - rest)
    return f"{body[:3]}.{body[3:6]}.{body[6:9]}-{body[9:]}"


def ssn() -> str:
    return f"{R.randint(100, 665)}-{R.randint(10, 99)}-{R.randint(1000, 9999)}"


NUMBERS = {
    "card": (card, ["card {}", "{}", "PAN: {} exp 04/29", '{{"number": "{}"}}', "He paid with {}, he says."]),
    "iban": (iban, ["{}", "IBAN {}.", "please pay to {} until Friday", '"iban": "{}"']),
    "us-ssn": (ssn, ["SSN {}", "social security number {}", "{}", '"ssn": "{}"']),
    "de-tax-id": (de_tax, ["Steuer-ID {}", "IdNr. {}", "steuerliche Identifikationsnummer: {}"]),
    "fr-nir": (nir, ["NIR {}", "num\u00e9ro de s\u00e9curit\u00e9 sociale {}"]),
    "pl-pesel": (pesel, ["PESEL: {}", "pesel {}"]),
    "nl-bsn": (lambda: searched(lambda: digits(8), 1, "(sum(int(d) * w for d, w in zip(n, range(9, 1, -1))) - int(n[8])) % 11 == 0"), ["BSN {}", "burgerservicenummer {}"]),
    "be-national-id": (belgian, ["rijksregisternummer {}", "{}"]),
    "no-id": (norwegian, ["f\u00f8dselsnummer {}", "{}"]),
    "se-id": (swedish, ["personnummer {}", "{}"]),
    "fi-id": (finnish, ["henkil\u00f6tunnus {}", "{}"]),
    "es-id": (spanish, ["DNI {}", "con DNI {}, mayor de edad"]),
    "uk-nhs": (lambda: searched(lambda: digits(9), 1, "sum(int(d) * w for d, w in zip(n, range(10, 0, -1))) % 11 == 0"), ["NHS number {}", "nhs no: {}"]),
    "ch-ahv": (ahv, ["AHV {}", "{}"]),
    "br-cpf": (cpf, ["CPF {}", "{}"]),
    "in-aadhaar": (aadhaar, ["Aadhaar {}", "aadhaar no. {}"]),
    "cn-id": (chinese, ["\u8eab\u4efd\u8bc1 {}", "ID {}"]),
    "ca-sin": (lambda: luhn(digits(8, "1234567")), ["SIN: {}", "social insurance number {}"]),
    "au-tfn": (lambda: searched(lambda: digits(8), 1, "sum(int(d) * w for d, w in zip(n, (1,4,3,7,5,8,6,9,10))) % 11 == 0"), ["TFN {}", "tax file number {}"]),
    "email": (lambda: f"{draw(string.ascii_lowercase, 6)}.{draw(string.ascii_lowercase, 5)}@{draw(string.ascii_lowercase, 7)}.{R.choice(['com', 'co.uk', 'de', 'io', 'museum'])}", ["{}", "write to {}.", "Author: Ann <{}>", "mailto:{}?subject=x"]),
    "phone": (lambda: R.choice([f"+49 30 {digits(7)}", f"+1 {R.randint(212, 989)}-{R.randint(200, 999)}-{digits(4)}", f"({R.randint(212, 989)}) {R.randint(200, 999)}-{digits(4)}", f"+44 20 {digits(4)} {digits(4)}", f"+33{digits(9)}"]), ["call {}", "tel: {}", "{}"]),
    "internal-host": (lambda: f"{R.choice(['db', 'web', 'ci', 'vault'])}{digits(2)}.{R.choice(['prod', 'eu-west', 'ops'])}.{R.choice(['internal', 'corp', 'lan', 'home.arpa'])}", ["ssh {}", "host: {}", "https://{}/login"]),
    "private-address": (lambda: R.choice([f"10.{R.randint(0, 255)}.{R.randint(0, 255)}.{R.randint(1, 254)}", f"192.168.{R.randint(0, 255)}.{R.randint(1, 254)}", f"172.{R.randint(16, 31)}.{R.randint(0, 255)}.{R.randint(1, 254)}"]), ["ping {}", "inet {}/24 scope global", "upstream {};"]),
}  # fmt: skip


def numbers():
    for kind, (make, forms) in NUMBERS.items():
        for number in range(24):
            yield [kind], forms[number % len(forms)].format(make())


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
