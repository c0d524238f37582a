"""Secrets once more, for each beginning, as long and of such characters as was published; and what is named beside them and is none."""

import json
import string
from base64 import b64encode, urlsafe_b64encode
from uuid import UUID
from zlib import crc32

from detector_chance import ALNUM, B64, BASE32, HEX, LONG, UPPER, URL, some

SETTINGS = [
    "{}",
    "export SERVICE_CREDENTIAL='{}'",
    '{{"credential": "{}"}}',
    "client = Client('{}')",
    "2026-08-01 12:00:01 WARN refused {} again",
    "Can you see why {} is rejected?",
]
"""What a secret is found in."""


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
