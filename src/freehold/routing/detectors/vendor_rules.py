"""Keys and tokens by the way their makers write them: data, each with where its format is documented, and by whom.

`_X` below are the character sets vendors use. A rule's repeats are bounded and its `not_behind` covers them, so a text of
any shape is looked through once. Vendors lengthen their tokens, so a rule takes more characters than are usual today. Check
digits (GitHub, npm, GitLab, Cloudflare and Vercel have some) are not asked for: a key whose check fails is one that was
mistyped or of the next format, and to take it for a key costs a local answer, to pass it on costs a key.
"""

from freehold.routing.detectors.anchored import ANYTHING, TOKEN, WORD, WORD_OR_DASH, Evidence, Rule
from freehold.routing.detectors.own_keys import CHECK_CHARS, PREFIX, RANDOM_CHARS, is_own_key
from freehold.routing.detectors.secret_values import is_random

_ALNUM = "[A-Za-z0-9]"
_URL = "[A-Za-z0-9_-]"
_BASE64 = "[A-Za-z0-9+/]"
_HEX = "[0-9a-f]"
_ENCODED = TOKEN | set("+/")
_NO_MORE = "(?![A-Za-z0-9_])"
_NO_MORE_URL = "(?![A-Za-z0-9_-])"
_JWT = r"eyJ[A-Za-z0-9_-]{8,600}+\.[A-Za-z0-9_-]{8,3000}+\.[A-Za-z0-9_-]{20,1000}"


def _vendor(
    kind: str, starts: str, then: str, source: str, evidence: Evidence, *, not_behind: frozenset[str] = WORD_OR_DASH
) -> Rule:
    return Rule(
        kind=kind,
        starts=tuple(starts.split()),
        then=then,
        check=is_random,
        source=source,
        evidence=evidence,
        not_behind=not_behind,
    )


_CLOUDS = (
    _vendor(
        "aws-access-key",
        "AKIA ASIA ABIA ACCA",
        f"[A-Z2-7]{{16}}{_NO_MORE}",
        "AWS IAM: unique identifiers",
        "beginning",
        not_behind=WORD,
    ),
    _vendor(
        "bedrock-key",
        "ABSKQmVkcm9ja0FQSUtleS",  # "BedrockAPIKey-" in base64 behind its mark
        f"{_BASE64}{{60,320}}={{0,2}}",
        "Amazon Bedrock: long-term API keys",
        "scanners",
        not_behind=_ENCODED,
    ),
    _vendor(
        "bedrock-key",
        "bedrock-api-key-",
        f"{_BASE64}{{100,3000}}={{0,2}}",
        "AWS, aws-bedrock-token-generator: short-term API keys",
        "scanners",
        not_behind=_ENCODED,
    ),
    _vendor("google-api-key", "AIza", f"{_URL}{{35}}{_NO_MORE_URL}", "Google Cloud: API keys", "beginning"),
    _vendor("google-api-key", "AQ.", f"{_URL}{{44,100}}{_NO_MORE_URL}", "Gemini API: auth keys", "scanners", not_behind=TOKEN),
    _vendor("google-oauth", "GOCSPX-", f"{_URL}{{28,40}}{_NO_MORE_URL}", "Google Identity: OAuth client secrets", "scanners"),
    _vendor("google-oauth", "ya29.", f"{_URL}{{40,400}}", "Google Identity: access tokens", "beginning", not_behind=TOKEN),
    Rule(
        kind="azure-key",
        starts=("AccountKey=", "SharedAccessKey="),
        then=r"([A-Za-z0-9+/]{42,86}={1,2})(?![A-Za-z0-9+/=])",
        check=is_random,
        not_behind=ANYTHING,
        source="Azure Storage and Event Hubs: connection strings",
        evidence="maker",
    ),
    Rule(
        kind="azure-key",
        starts=("&sig=", "?sig="),
        then=r"([A-Za-z0-9%+/]{40,70}(?:%3[Dd]|=))(?![A-Za-z0-9%])",
        check=is_random,
        not_behind=ANYTHING,
        source="Azure Storage: shared access signatures",
        evidence="maker",
    ),
    Rule(
        kind="azure-key",
        starts=("JQQJ9",),  # stands in the middle: 52 characters, the mark, 27 or 31 more
        then=r"(?<=[A-Za-z0-9]{52}JQQJ9)[9DH][A-Za-z0-9][A-L][A-Za-z0-9]{24}(?:[A-Za-z0-9]{2}==)?(?![A-Za-z0-9])",
        check=is_random,
        not_behind=ANYTHING,
        source="Microsoft, security-utilities: common annotated security keys",
        evidence="maker",
    ),
    Rule(
        kind="azure-client-secret",
        starts=("Q~",),
        then=r"(?<=[A-Za-z0-9_~.-]{3}[0-9]Q~)([A-Za-z0-9_~.-]{31,34})(?![A-Za-z0-9_~.-])",
        check=is_random,
        not_behind=frozenset("~.-_"),
        source="Microsoft, security-utilities: Entra client secrets",
        evidence="maker",
    ),
    _vendor("cloudflare-token", "cfk_ cfut_ cfat_ cfast_", f"{_ALNUM}{{44,64}}{_NO_MORE}", "Cloudflare: token formats", "maker"),
    _vendor(
        "digitalocean-token",
        "dop_v1_ doo_v1_ dor_v1_",
        f"{_HEX}{{64,96}}{_NO_MORE}",
        "DigitalOcean: API token format",
        "beginning",
    ),
    _vendor("databricks-token", "dapi", f"{_HEX}{{32}}(?:-[0-9])?{_NO_MORE}", "Databricks: personal access tokens", "scanners"),
    _vendor(
        "fly-token",
        "FlyV1 fo1_",
        " ?(?:fm[12][ar]?_)?[A-Za-z0-9+/_-]{40,600}={0,2}",
        "Fly.io: access tokens",
        "scanners",
        not_behind=_ENCODED,
    ),
    _vendor(
        "fly-token", "fm2_ fm1r_ fm1a_", f"{_BASE64}{{100,600}}={{0,3}}", "Fly.io: access tokens", "scanners", not_behind=_ENCODED
    ),
    _vendor("heroku-key", "HRKU-", f"{_URL}{{36,100}}{_NO_MORE_URL}", "Heroku: OAuth token length", "maker"),
    _vendor(
        "netlify-token",
        "nfp_ nfc_ nfo_ nfu_ nfb_",
        f"{_ALNUM}{{36,64}}{_NO_MORE}",
        "Netlify: authentication token format",
        "beginning",
    ),
    _vendor(
        "vercel-token", "vcp_ vci_ vca_ vcr_ vck_", f"{_URL}{{24,120}}{_NO_MORE_URL}", "Vercel: new token formats", "beginning"
    ),
    _vendor("supabase-key", "sbp_", f"{_HEX}{{40,64}}{_NO_MORE}", "Supabase: access tokens", "scanners"),
    _vendor("supabase-key", "sb_secret_", f"{_URL}{{22,64}}{_NO_MORE_URL}", "Supabase: API keys", "maker"),
    _vendor(
        "planetscale-token",
        "pscale_tkn_ pscale_pw_ pscale_oauth_",
        "[A-Za-z0-9_.=-]{32,64}",
        "PlanetScale: service tokens",
        "scanners",
        not_behind=TOKEN | {"="},
    ),
    _vendor(
        "tailscale-key",
        "tskey-",
        f"(?:auth|api|client|scim|webhook)-{_ALNUM}{{8,30}}-{_ALNUM}{{16,64}}",
        "Tailscale: key prefixes",
        "maker",
    ),
    _vendor(
        "vault-token",
        "hvs. hvb. hvr.",
        f"{_URL}{{24,400}}{_NO_MORE_URL}",
        "HashiCorp Vault: tokens",
        "beginning",
        not_behind=TOKEN,
    ),
    _vendor(
        "terraform-token",
        ".atlasv1.",
        f"{_URL}{{60,100}}{_NO_MORE_URL}",
        "HCP Terraform: API tokens",
        "scanners",
        not_behind=ANYTHING,
    ),
    _vendor("pulumi-token", "pul-", f"{_HEX}{{40}}{_NO_MORE}", "Pulumi: access tokens", "scanners"),
    _vendor(
        "doppler-token",
        "dp.pt. dp.st. dp.ct. dp.sa. dp.said. dp.scim. dp.audit.",
        "[A-Za-z0-9_.-]{40,80}",
        "Doppler: auth tokens",
        "scanners",
        not_behind=TOKEN,
    ),
)

_GITLAB_STARTS = "glpat- gldt- glrt- glrtr- glptt- glft- glcbt- glsoat- glimt- glagent- gloas- glffct- glwt-"
_FORGES = (
    _vendor(
        "github-token",
        "ghp_ gho_ ghu_ ghs_ ghr_",
        f"{_ALNUM}{{36,251}}{_NO_MORE}",
        "GitHub: token formats",
        "maker",
        not_behind=WORD,
    ),
    _vendor(
        "github-token", "ghs_", f"{_ALNUM}{{1,20}}_{_JWT}", "GitHub: stateless installation tokens", "maker", not_behind=TOKEN
    ),
    _vendor(
        "github-token",
        "github_pat_",
        f"[A-Za-z0-9_]{{80,251}}{_NO_MORE}",
        "GitHub: fine-grained tokens",
        "beginning",
        not_behind=WORD,
    ),
    _vendor(
        "gitlab-token",
        _GITLAB_STARTS,
        # Behind one beginning another is no token, but maybe the token's: seen here, it need not be judged.
        f"(?![A-Za-z0-9_.-]{{0,16}}?(?:{_GITLAB_STARTS.replace(' ', '|')}))[A-Za-z0-9_.-]{{20,64}}",
        "GitLab: token overview",
        "beginning",
        not_behind=WORD,  # an instance may put a prefix of its own before: `ACME-glpat-`
    ),
    _vendor("gitlab-token", "GR1348941", f"{_URL}{{20,64}}{_NO_MORE_URL}", "GitLab: runner registration tokens", "scanners"),
    _vendor(
        "gitlab-token",
        "_gitlab_session=",
        f"{_HEX}{{32,64}}{_NO_MORE}",
        "GitLab: token overview",
        "beginning",
        not_behind=ANYTHING,
    ),
    _vendor("npm-token", "npm_", f"{_ALNUM}{{36,251}}{_NO_MORE}", "npm: access token format", "beginning"),
    _vendor("pypi-token", "pypi-AgEIcHlwaS5vcmc pypi-AgENdGVzdC5weXBpLm9yZw", f"{_URL}{{50,1000}}", "PyPI: API tokens", "maker"),
    _vendor("rubygems-key", "rubygems_", f"{_HEX}{{48}}{_NO_MORE}", "RubyGems: API keys", "scanners"),
    _vendor("crates-token", "cio", f"{_ALNUM}{{32}}{_NO_MORE}", "crates.io, its source code: API tokens", "maker"),
    _vendor("nuget-key", "oy2", f"[a-z0-9]{{43}}{_NO_MORE}", "Microsoft, security-utilities: NuGet API keys", "maker"),
    _vendor(
        "docker-token", "dckr_pat_ dckr_oat_", f"{_URL}{{24,64}}{_NO_MORE_URL}", "Docker Hub API: access tokens", "beginning"
    ),
    _vendor(
        "atlassian-token",
        "ATATT3 ATCTT3 ATBB",
        "[A-Za-z0-9_=-]{28,250}",
        "Atlassian: API tokens",
        "scanners",
        not_behind=WORD | set("=-"),
    ),
    _vendor(
        "circleci-token",
        "CCIPAT_ CCIPRJ_",
        f"{_ALNUM}{{20,30}}_{_HEX}{{40}}{_NO_MORE}",
        "CircleCI: format of API access tokens",
        "maker",
    ),
    _vendor(
        "buildkite-token",
        "bkua_ bkaa_ bkaj_ bkar_ bkct_ bkpt_ bkpat_ bkps_",
        "[A-Za-z0-9_.-]{40,1000}",
        "Buildkite: token security",
        "maker",
        not_behind=TOKEN,
    ),
    _vendor("jfrog-key", "AKCp", f"{_ALNUM}{{69,73}}{_NO_MORE}", "JFrog: API keys", "scanners"),
)

_MODELS = (
    Rule(
        kind="freehold-key",
        starts=(PREFIX,),
        then=f"{_ALNUM}{{{RANDOM_CHARS + CHECK_CHARS}}}{_NO_MORE}",
        check=is_own_key,
        not_behind=WORD,
        source="docs/keys.md",
        evidence="maker",
    ),
    _vendor(
        "anthropic-key",
        "sk-ant-",
        f"[a-z]{{2,8}}[0-9]{{2}}-{_URL}{{40,200}}",
        "Anthropic: authentication, Admin API",
        "beginning",
    ),
    _vendor("openai-key", "sk-proj- sk-svcacct- sk-admin- sk-None-", f"{_URL}{{40,200}}", "OpenAI: API keys", "scanners"),
    _vendor("openai-key", "sk-", f"{_ALNUM}{{32,64}}{_NO_MORE_URL}", "OpenAI and compatible: API keys", "scanners"),
    _vendor("openrouter-key", "sk-or-v1-", f"{_HEX}{{64}}{_NO_MORE}", "OpenRouter: detected secret formats", "maker"),
    _vendor("huggingface-token", "hf_ api_org_", f"{_ALNUM}{{34,64}}{_NO_MORE}", "Hugging Face: user access tokens", "beginning"),
    _vendor("groq-key", "gsk_", f"{_ALNUM}{{48,80}}{_NO_MORE}", "Groq: API keys", "scanners"),
    _vendor("xai-key", "xai-", f"{_ALNUM}{{70,100}}{_NO_MORE}", "xAI: API keys", "scanners"),
    _vendor("perplexity-key", "pplx-", f"{_ALNUM}{{40,60}}{_NO_MORE}", "Perplexity: API keys", "scanners"),
    _vendor("replicate-token", "r8_", f"{_ALNUM}{{37,64}}{_NO_MORE}", "Replicate: API tokens", "maker"),
    _vendor("together-key", "tgp_v1_", f"{_URL}{{40,64}}{_NO_MORE_URL}", "Together: API keys", "scanners"),
    _vendor("nvidia-key", "nvapi-", f"{_URL}{{50,100}}{_NO_MORE_URL}", "NVIDIA: API keys", "scanners"),
    _vendor("cerebras-key", "csk-", f"{_ALNUM}{{40,64}}{_NO_MORE}", "Cerebras: API keys", "scanners"),
    _vendor("langfuse-key", "sk-lf-", "[a-f0-9-]{36,50}", "Langfuse: API keys", "scanners"),
    _vendor("langfuse-key", "lsv2_pt_ lsv2_sk_", "[a-z0-9]{32}_[a-z0-9]{10}", "LangSmith: API keys", "scanners"),
)

_SERVICES = (
    _vendor(
        "slack-token",
        "xoxb- xoxp- xoxa- xoxr- xoxs- xoxe- xoxc- xoxd- xoxo- xapp- xwfp-",
        "[A-Za-z0-9%-]{20,300}",
        "Slack: tokens, token rotation",
        "beginning",
        not_behind=WORD | set("-%"),
    ),
    _vendor(
        "slack-webhook",
        "hooks.slack.com/services/ hooks.slack.com/workflows/ hooks.slack.com/triggers/",
        f"[TE]{_ALNUM}{{8,12}}/[A-Za-z0-9/]{{20,60}}",
        "Slack: incoming webhooks",
        "maker",
        not_behind=ANYTHING,
    ),
    _vendor(
        "discord-webhook",
        "discord.com/api/webhooks/ discordapp.com/api/webhooks/",
        f"[0-9]{{17,20}}/{_URL}{{60,80}}",
        "Discord: webhooks",
        "beginning",
        not_behind=ANYTHING,
    ),
    _vendor(
        "stripe-key",
        "sk_live_ rk_live_ sk_test_ rk_test_ sk_org_",
        f"(?:live_|test_)?{_ALNUM}{{24,247}}{_NO_MORE}",
        "Stripe: API keys",
        "beginning",
    ),
    _vendor("stripe-key", "whsec_", f"{_BASE64}{{32,64}}={{0,2}}", "Stripe: webhook signing secrets", "beginning"),
    _vendor("square-token", "sq0atp- sq0csp- EAAA", f"{_URL}{{22,60}}{_NO_MORE_URL}", "Square: access tokens", "scanners"),
    _vendor(
        "shopify-token",
        "shpat_ shpss_ shpca_ shppa_",
        f"[a-fA-F0-9]{{32}}{_NO_MORE}",
        "Shopify: length of access tokens",
        "maker",
    ),
    _vendor("sendgrid-key", "SG.", rf"{_URL}{{22}}\.{_URL}{{43}}{_NO_MORE_URL}", "SendGrid: API keys", "maker", not_behind=TOKEN),
    _vendor("mailgun-key", "key-", f"{_HEX}{{32}}{_NO_MORE}", "Mailgun: API keys", "scanners"),
    _vendor("twilio-key", "SK", f"{_HEX}{{32}}{_NO_MORE}", "Twilio: API keys (their names; the secrets have no mark)", "maker"),
    Rule(
        kind="telegram-token",
        starts=(":AA",),
        then=rf"(?<=[0-9]{{8}}:AA){_URL}{{33}}{_NO_MORE_URL}",
        not_behind=ANYTHING,
        source="Telegram: bot API",
        evidence="maker",
    ),
    _vendor("linear-key", "lin_api_ lin_oauth_", f"{_ALNUM}{{40,64}}{_NO_MORE}", "Linear: API keys", "scanners"),
    _vendor("notion-token", "ntn_", f"{_ALNUM}{{40,64}}{_NO_MORE}", "Notion: changelog", "beginning"),
    _vendor("notion-token", "secret_", f"{_ALNUM}{{43}}{_NO_MORE}", "Notion: changelog", "beginning"),
    _vendor("figma-token", "figd_ figo_", f"{_URL}{{40,64}}{_NO_MORE_URL}", "Figma: access tokens", "scanners"),
    _vendor("postman-key", "PMAK-", f"{_HEX}{{24}}-{_HEX}{{34}}{_NO_MORE}", "Postman: API keys", "scanners"),
    _vendor("grafana-token", "glsa_", f"{_ALNUM}{{32}}_[A-Fa-f0-9]{{8}}{_NO_MORE}", "Grafana: service accounts", "scanners"),
    _vendor(
        "grafana-token",
        "glc_eyJ",
        "[A-Za-z0-9+/_-]{40,400}={0,2}",
        "Grafana Cloud: access policies",
        "scanners",
        not_behind=_ENCODED,
    ),
    _vendor("newrelic-key", "NRAK-", f"[A-Z0-9]{{27}}{_NO_MORE}", "New Relic: API keys", "scanners"),
    _vendor(
        "sentry-token",
        "sntrys_ sntryu_ sntrya_ sntryi_",
        "[A-Za-z0-9+/_=-]{60,400}",
        "Sentry: token and credential formats",
        "maker",
        not_behind=_ENCODED | {"="},
    ),
    _vendor(
        "onepassword-token",
        "ops_eyJ",
        "[A-Za-z0-9+/_-]{100,1500}={0,3}",
        "1Password: service accounts",
        "scanners",
        not_behind=_ENCODED,
    ),
)

VENDOR_RULES: tuple[Rule, ...] = (*_CLOUDS, *_FORGES, *_MODELS, *_SERVICES)
