"""Keys and tokens by the way their makers write them: data, each with where the format is documented.

`_X` below are the character sets vendors use. A rule's repeats are bounded and its `not_behind` covers them, so a text of
any shape is looked through once. Vendors lengthen their tokens, so most rules take more characters than are usual today.
"""

from freehold.routing.detectors.anchored import ANYTHING, TOKEN, WORD, WORD_OR_DASH, Rule
from freehold.routing.detectors.own_keys import CHECK_CHARS, PREFIX, RANDOM_CHARS, is_own_key
from freehold.routing.detectors.secret_values import (
    is_assigned_secret,
    is_bare_secret,
    is_basic,
    is_jwt,
    is_password,
    is_random,
)

_ALNUM = "[A-Za-z0-9]"
_URL = "[A-Za-z0-9_-]"
_HEX = "[0-9a-f]"
_ENCODED = TOKEN | set("+/")
_NO_MORE = "(?![A-Za-z0-9_])"
_NO_MORE_URL = "(?![A-Za-z0-9_-])"
_ASSIGN = r"""[A-Za-z0-9_-]{0,24}+\\?["']?\]?[ \t]{0,4}+(?:=>|:=|[:=])[ \t]{0,4}+"""
"""What stands between a name and the value that is given to it: `_TEST": `, ` = `, `: `."""
_QUOTED = r"""\\?["'`]([^\s"'`\\]{8,200}+)\\?["'`]"""
_BARE = r"""([A-Za-z0-9!@#%^*_+/=~?.-]{8,200}+)(?=[\s;,&"'\\]|$)"""


def _vendor(kind: str, starts: str, then: str, source: str, not_behind: frozenset[str] = WORD_OR_DASH) -> Rule:
    return Rule(kind=kind, starts=tuple(starts.split()), then=then, check=is_random, source=source, not_behind=not_behind)


def _spelled(*words: str) -> tuple[str, ...]:
    """The ways programs spell a name: `api_key`, `api-key`, `apiKey`, `ApiKey`, `apikey`, `API_KEY`, `APIKEY`."""
    spelled: dict[str, None] = {}
    for word in words:
        first, _, second = word.partition("_")
        joined = (
            (f"{first}_{second}", f"{first}-{second}", f"{first}{second.capitalize()}", first + second) if second else (word,)
        )
        for one in joined:
            spelled |= dict.fromkeys((one, one.upper(), one[0].upper() + one[1:]))
    return tuple(spelled)


_CLOUDS = (
    _vendor("aws-access-key", "AKIA ASIA ABIA ACCA", f"[A-Z2-7]{{16}}{_NO_MORE}", "AWS IAM: unique identifiers", WORD),
    Rule(
        kind="aws-secret-key",
        starts=(*_spelled("secret_access"), "aws_secret", "AWS_SECRET"),
        then=rf"""{_ASSIGN}\\?["']?([A-Za-z0-9/+]{{40}})(?![A-Za-z0-9/+=])""",
        not_behind=ANYTHING,
        check=lambda value: is_random(value) and any(map(str.isdigit, value)),
        source="AWS IAM: managing access keys",
    ),
    _vendor("google-api-key", "AIza", f"{_URL}{{35}}{_NO_MORE_URL}", "Google Cloud: API keys"),
    _vendor("google-oauth", "GOCSPX-", f"{_URL}{{28,40}}{_NO_MORE_URL}", "Google Identity: OAuth client secrets"),
    _vendor("google-oauth", "ya29.", f"{_URL}{{40,400}}", "Google Identity: access tokens", TOKEN),
    Rule(
        kind="azure-key",
        starts=("AccountKey=", "SharedAccessKey="),
        then=r"([A-Za-z0-9+/]{42,86}={1,2})(?![A-Za-z0-9+/=])",
        check=is_random,
        not_behind=ANYTHING,
        source="Azure Storage and Event Hubs: connection strings",
    ),
    Rule(
        kind="azure-key",
        starts=("&sig=", "?sig="),
        then=r"([A-Za-z0-9%+/]{40,70}(?:%3[Dd]|=))(?![A-Za-z0-9%])",
        check=is_random,
        not_behind=ANYTHING,
        source="Azure Storage: shared access signatures",
    ),
    Rule(
        kind="azure-client-secret",
        starts=("Q~",),
        then=r"(?<=[A-Za-z0-9_~.-]{3}[0-9]Q~)([A-Za-z0-9_~.-]{31,34})(?![A-Za-z0-9_~.-])",
        check=is_random,
        not_behind=frozenset("~.-_"),
        source="Microsoft Entra: client secrets",
    ),
    _vendor("digitalocean-token", "dop_v1_ doo_v1_ dor_v1_", f"{_HEX}{{64}}{_NO_MORE}", "DigitalOcean: personal access tokens"),
    _vendor("databricks-token", "dapi", f"{_HEX}{{32}}(?:-[0-9])?{_NO_MORE}", "Databricks: personal access tokens"),
    _vendor("fly-token", "FlyV1 fo1_", " ?(?:fm[12][ar]?_)?[A-Za-z0-9+/_-]{40,600}={0,2}", "Fly.io: access tokens", _ENCODED),
    _vendor("fly-token", "fm2_ fm1r_ fm1a_", "[A-Za-z0-9+/]{100,600}={0,3}", "Fly.io: access tokens", _ENCODED),
    _vendor("heroku-key", "HRKU-", f"{_URL}{{36,100}}{_NO_MORE_URL}", "Heroku: API keys"),
    _vendor("netlify-token", "nfp_ nfc_ nfo_", f"{_ALNUM}{{36,44}}{_NO_MORE}", "Netlify: access tokens"),
    _vendor("supabase-key", "sbp_", f"{_HEX}{{40}}{_NO_MORE}", "Supabase: access tokens"),
    _vendor("supabase-key", "sb_secret_", f"{_URL}{{22,64}}{_NO_MORE_URL}", "Supabase: API keys"),
    _vendor(
        "planetscale-token", "pscale_tkn_ pscale_pw_ pscale_oauth_", "[A-Za-z0-9_.-]{32,64}", "PlanetScale: service tokens", TOKEN
    ),
    _vendor(
        "tailscale-key",
        "tskey-",
        f"(?:auth|api|client|scim|webhook)-{_ALNUM}{{8,30}}-{_ALNUM}{{16,64}}",
        "Tailscale: key prefixes",
    ),
    _vendor("vault-token", "hvs. hvb. hvr.", f"{_URL}{{24,200}}{_NO_MORE_URL}", "HashiCorp Vault: tokens", TOKEN),
    _vendor("terraform-token", ".atlasv1.", f"{_URL}{{60,70}}{_NO_MORE_URL}", "HCP Terraform: API tokens", ANYTHING),
    _vendor("pulumi-token", "pul-", f"{_HEX}{{40}}{_NO_MORE}", "Pulumi: access tokens"),
    _vendor("doppler-token", "dp.pt. dp.st. dp.ct. dp.sa.", "[A-Za-z0-9_.-]{40,80}", "Doppler: auth tokens", TOKEN),
)

_GITLAB_STARTS = "glpat- gldt- glrt- glptt- glft- glcbt- glsoat- glimt- glagent- gloas- glffct- glwt-"
_FORGES = (
    _vendor("github-token", "ghp_ gho_ ghu_ ghs_ ghr_", f"{_ALNUM}{{36,251}}{_NO_MORE}", "GitHub: token formats", WORD),
    _vendor("github-token", "github_pat_", f"[A-Za-z0-9_]{{80,100}}{_NO_MORE}", "GitHub: fine-grained tokens", WORD),
    _vendor(
        "gitlab-token",
        _GITLAB_STARTS,
        # Behind one beginning another is no token, but maybe the token's: seen here, it need not be judged.
        f"(?![A-Za-z0-9_.-]{{0,16}}?(?:{_GITLAB_STARTS.replace(' ', '|')}))[A-Za-z0-9_.-]{{20,64}}",
        "GitLab: token overview",
        WORD,  # an instance may put a prefix of its own before: `ACME-glpat-`
    ),
    _vendor("npm-token", "npm_", f"{_ALNUM}{{36}}{_NO_MORE}", "npm: access tokens"),
    _vendor("pypi-token", "pypi-AgEIcHlwaS5vcmc pypi-AgENdGVzdC5weXBpLm9yZw", f"{_URL}{{50,1000}}", "PyPI: API tokens"),
    _vendor("rubygems-key", "rubygems_", f"{_HEX}{{48}}{_NO_MORE}", "RubyGems: API keys"),
    _vendor("crates-token", "cio", f"{_ALNUM}{{32}}{_NO_MORE}", "crates.io: API tokens"),
    _vendor("nuget-key", "oy2", f"[a-z0-9]{{43}}{_NO_MORE}", "NuGet: API keys"),
    _vendor("docker-token", "dckr_pat_ dckr_oat_", f"{_URL}{{24,64}}{_NO_MORE_URL}", "Docker Hub: access tokens"),
    _vendor("atlassian-token", "ATATT3 ATCTT3 ATBB", "[A-Za-z0-9_=-]{28,250}", "Atlassian: API tokens", WORD | set("=-")),
    _vendor("circleci-token", "CCIPAT_ CCIPRJ_", f"{_ALNUM}{{20,30}}_{_HEX}{{40}}{_NO_MORE}", "CircleCI: API tokens"),
    _vendor("buildkite-token", "bkua_ bkct_", f"{_ALNUM}{{40}}{_NO_MORE}", "Buildkite: API tokens"),
    _vendor("jfrog-key", "AKCp", f"{_ALNUM}{{69,73}}{_NO_MORE}", "JFrog: API keys"),
)

_MODELS = (
    Rule(
        kind="freehold-key",
        starts=(PREFIX,),
        then=f"{_ALNUM}{{{RANDOM_CHARS + CHECK_CHARS}}}{_NO_MORE}",
        check=is_own_key,
        not_behind=WORD,
        source="docs/keys.md",
    ),
    _vendor("anthropic-key", "sk-ant-", f"(?:api|admin|sid|oat|ort)[0-9]{{2}}-{_URL}{{40,200}}", "Anthropic: API keys"),
    _vendor("openai-key", "sk-proj- sk-svcacct- sk-admin- sk-None-", f"{_URL}{{40,200}}", "OpenAI: API keys"),
    _vendor("openai-key", "sk-", f"{_ALNUM}{{32,64}}{_NO_MORE_URL}", "OpenAI and compatible: API keys"),
    _vendor("openrouter-key", "sk-or-v1-", f"{_HEX}{{64}}{_NO_MORE}", "OpenRouter: API keys"),
    _vendor("huggingface-token", "hf_ api_org_", f"{_ALNUM}{{34,40}}{_NO_MORE}", "Hugging Face: user access tokens"),
    _vendor("groq-key", "gsk_", f"{_ALNUM}{{52}}{_NO_MORE}", "Groq: API keys"),
    _vendor("xai-key", "xai-", f"{_ALNUM}{{70,90}}{_NO_MORE}", "xAI: API keys"),
    _vendor("perplexity-key", "pplx-", f"{_ALNUM}{{40,60}}{_NO_MORE}", "Perplexity: API keys"),
    _vendor("replicate-token", "r8_", f"{_ALNUM}{{37,40}}{_NO_MORE}", "Replicate: API tokens"),
    _vendor("langfuse-key", "sk-lf-", "[a-f0-9-]{36,50}", "Langfuse: API keys"),
    _vendor("langfuse-key", "lsv2_pt_ lsv2_sk_", "[a-z0-9]{32}_[a-z0-9]{10}", "LangSmith: API keys"),
)

_SERVICES = (
    _vendor(
        "slack-token",
        "xoxb- xoxp- xoxa- xoxr- xoxs- xoxe- xoxc- xoxd- xoxo- xapp-",
        "[A-Za-z0-9%-]{20,300}",
        "Slack: token types",
        WORD | set("-%"),
    ),
    _vendor(
        "slack-webhook",
        "hooks.slack.com/services/ hooks.slack.com/workflows/",
        f"T{_ALNUM}{{8,12}}/[A-Za-z0-9/]{{20,60}}",
        "Slack: incoming webhooks",
        ANYTHING,
    ),
    _vendor(
        "discord-webhook",
        "discord.com/api/webhooks/ discordapp.com/api/webhooks/",
        f"[0-9]{{17,20}}/{_URL}{{60,80}}",
        "Discord: webhooks",
        ANYTHING,
    ),
    _vendor("stripe-key", "sk_live_ rk_live_ sk_test_ rk_test_", f"{_ALNUM}{{24,247}}{_NO_MORE}", "Stripe: API keys"),
    _vendor("stripe-key", "whsec_", "[A-Za-z0-9+/]{32,64}={0,2}", "Stripe: webhook signing secrets"),
    _vendor("square-token", "sq0atp- sq0csp- EAAA", f"{_URL}{{22,60}}{_NO_MORE_URL}", "Square: access tokens"),
    _vendor("shopify-token", "shpat_ shpss_ shpca_ shppa_", f"[a-fA-F0-9]{{32}}{_NO_MORE}", "Shopify: access tokens"),
    _vendor("sendgrid-key", "SG.", rf"{_URL}{{22}}\.{_URL}{{43}}{_NO_MORE_URL}", "SendGrid: API keys", TOKEN),
    _vendor("mailgun-key", "key-", f"{_HEX}{{32}}{_NO_MORE}", "Mailgun: API keys"),
    _vendor("twilio-key", "SK", f"{_HEX}{{32}}{_NO_MORE}", "Twilio: API keys"),
    Rule(
        kind="telegram-token",
        starts=(":AA",),
        then=rf"(?<=[0-9]{{8}}:AA){_URL}{{33}}{_NO_MORE_URL}",
        not_behind=ANYTHING,
        source="Telegram: bot API",
    ),
    _vendor("linear-key", "lin_api_ lin_oauth_", f"{_ALNUM}{{40,64}}{_NO_MORE}", "Linear: API keys"),
    _vendor("notion-token", "ntn_", f"{_ALNUM}{{40,50}}{_NO_MORE}", "Notion: integration tokens"),
    _vendor("notion-token", "secret_", f"{_ALNUM}{{43}}{_NO_MORE}", "Notion: integration tokens"),
    _vendor("figma-token", "figd_ figo_", f"{_URL}{{40,64}}{_NO_MORE_URL}", "Figma: access tokens"),
    _vendor("postman-key", "PMAK-", f"{_HEX}{{24}}-{_HEX}{{34}}{_NO_MORE}", "Postman: API keys"),
    _vendor("grafana-token", "glsa_", f"{_ALNUM}{{32}}_[A-Fa-f0-9]{{8}}{_NO_MORE}", "Grafana: service accounts"),
    _vendor("grafana-token", "glc_eyJ", "[A-Za-z0-9+/_-]{40,400}={0,2}", "Grafana Cloud: access policies", _ENCODED),
    _vendor("newrelic-key", "NRAK-", f"[A-Z0-9]{{27}}{_NO_MORE}", "New Relic: API keys"),
    _vendor(
        "sentry-token",
        "sntrys_ sntryu_",
        "[A-Za-z0-9+/_-]{60,400}={0,2}(?:_[A-Za-z0-9+/_-]{20,80})?",
        "Sentry: auth tokens",
        _ENCODED,
    ),
    _vendor("onepassword-token", "ops_eyJ", "[A-Za-z0-9+/_-]{100,1500}={0,3}", "1Password: service accounts", _ENCODED),
)

_GENERAL = (
    Rule(
        kind="private-key",
        starts=("-----BEGIN ",),
        # The marks alone stand in source code; a key has its data behind them, line ends spelled or escaped.
        then=r"(?:[A-Z0-9]{2,10} ){0,2}PRIVATE KEY(?: BLOCK)?-----(?:\\{1,4}[rn]|\s|[A-Za-z-]{4,20}: [^\n\\]{0,80}(?:\n|\\{1,4}n)){0,12}[A-Za-z0-9+/=]{24}",
        not_behind=ANYTHING,
        source="RFC 7468, RFC 1421, RFC 4880, OpenSSH PROTOCOL.key",
    ),
    Rule(
        kind="private-key",
        starts=("PuTTY-User-Key-File-",),
        then=r"[23]: ",
        not_behind=ANYTHING,
        source="PuTTY: PPK file format",
    ),
    _vendor("age-key", "AGE-SECRET-KEY-1", "[QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L]{58}", "age: format specification"),
    Rule(
        kind="jwt",
        starts=("eyJ",),
        then=r"[A-Za-z0-9_-]{8,600}+\.[A-Za-z0-9_-]{8,3000}+\.[A-Za-z0-9_-]{20,1000}",
        not_behind=TOKEN,
        check=is_jwt,
        source="RFC 7519",
    ),
    Rule(
        kind="connection-string",
        starts=("://",),
        then=r"""[^\s:@/'"<>`\\]{0,100}+:([^\s@/'"<>`\\]{3,200}+)@[A-Za-z0-9\[]""",
        not_behind=ANYTHING,
        check=is_password,
        source="RFC 3986, section 3.2.1",
    ),
    Rule(
        kind="bearer-token",
        starts=("Bearer ", "bearer ", "BEARER "),
        then=r"([A-Za-z0-9_.~+/-]{20,1000}={0,2})(?![A-Za-z0-9_~+/])",
        check=is_bare_secret,
        source="RFC 6750",
    ),
    Rule(
        kind="basic-credentials",
        starts=("Basic ", "basic "),
        then=r"([A-Za-z0-9+/_-]{8,400}={0,2})(?![A-Za-z0-9+/=_-])",
        check=is_basic,
        source="RFC 7617",
    ),
)

_NAMES = _spelled("password", "passwd", "passphrase", "pwd", "secret", "api_key", "access_key", "private_token", "token")
_ASSIGNED = (
    Rule(
        kind="assigned-secret",
        starts=_NAMES,
        then=f"{_ASSIGN}(?:{_QUOTED}|{_BARE})",
        not_behind=ANYTHING,
        check=is_assigned_secret,
        check_second=is_bare_secret,
        source="a name for a secret and a value: in quotes, or bare as in .env, INI and YAML files",
    ),
)

SECRET_RULES: tuple[Rule, ...] = (*_CLOUDS, *_FORGES, *_MODELS, *_SERVICES, *_GENERAL, *_ASSIGNED)
