"""Things that look like secrets and are none. Put together, so that scanners of repositories do not stumble."""

from __future__ import annotations

SECRETS: dict[str, tuple[str, ...]] = {
    "aws-access-key": ("AKIA" + "IOSFODNN7EXAMPLE", "ASIA" + "Y34FZKBOKMUTVV7A"),
    "github-token": ("ghp_" + "aB3dE6gH9" * 4, "github_pat_" + "11ABCDEFG0aBcDeFgHiJkL_" + "aB3dE6gH9kL2" * 5),
    "gitlab-token": ("glpat-" + "xY7_aB3dE6gH9kL2mN5p",),
    "slack-token": ("xoxb-" + "123456789012-abcdefABCDEF", "xapp-" + "1-A0123456789-abc"),
    "slack-webhook": ("https://hooks.slack" + ".com/services/T00AAA/B00BBB/aB3dE6gH9kL2mN5pQ8rS1tU4",),
    "openai-key": ("sk-" + "proj-aB3dE6gH9kL2mN5pQ8rS_1", "sk-" + "aB3dE6gH9kL2" * 4),
    "anthropic-key": ("sk-ant-" + "api03-aB3dE6gH9kL2mN5pQ8rS-1_x",),
    "openrouter-key": ("sk-or-" + "v1-" + "0a1b2c3d" * 8,),
    "fleet-key": ("sk-" + "fleet-aB3dE6gH9kL2mN5pQ8rS1tU4",),
    "google-key": ("AIza" + "SyA-aB3dE6gH9kL2mN5pQ8rS1tU4vW7xY0z", "GOCSPX-" + "aB3dE6gH9kL2mN5pQ8rS1tU4vW7x"),
    "stripe-key": ("sk_live_" + "aB3dE6gH9kL2mN5pQ8rS1tU4",),
    "huggingface-token": ("hf_" + "aBcDeFgHiJkLmNoPqRsTuVwXyZaBcDeFgH",),
    "npm-token": ("npm_" + "aB3dE6gH9" * 4,),
    "onepassword-token": ("ops_eyJ" + "zaWduSW5BZGRyZXNz" * 4,),
    "age-key": ("AGE-SECRET-KEY-1" + "QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L" + "QPZRY9X8GF2TVDW0S3JN54KHCE",),
    "private-key": (
        "-----BEGIN OPENSSH PRIVATE " + "KEY-----\nb3BlbnNzaC1rZXktdjE",
        "-----BEGIN PRIVATE " + "KEY-----",
        "-----BEGIN PGP PRIVATE " + "KEY BLOCK-----",
    ),
    "jwt": ("eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9" + ".eyJzdWIiOiIxMjM0NTY3ODkwIn0.c2lnbmF0dXJl",),
    "password-in-address": ("postgres://fleet:" + "hunter2!x@db.internal/ledger",),
    "secret-beside-its-name": (
        'aws_secret_access_key = "' + 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"',
        "DB_PASSWORD=" + "q7Xz92LmPv4RtY81wB",
        '{"api_key": "' + '9f86d081884c7d659a2feaa0c55ad015"}',
        "Authorization: Bearer " + "Zx81kQ02mNp4Vr7TyB3uWq9L",
        '"client_secret\\": \\"' + 'kJ8sd72HGd91jsTQ0mx3\\"',
    ),
    "payment-card": (
        "4111 1111 1111 " + "1111",
        "5555-5555-5555-" + "4444",
        "3782822463" + "10005",
        "4242424242424" + "242 123",
    ),
    "iban": ("DE89 3704 0044 0532 " + "0130 00", "GB82WEST12345698" + "765432", "NL91ABNA04171" + "64300 and more"),
    "many-mail-addresses": ("a.b@acme.com, c@acme.com; d@beta.org <e@gamma.de> f+x@delta.co.uk",),
}
"""By the rule that finds them."""

HARMLESS: dict[str, tuple[str, ...]] = {
    "aws-access-key": ("AKIA" + "iosfodnn7example", "MAKIA" + "IOSFODNN7EXAMPLE", "AKIA"),
    "github-token": ("ghp_short", "the ghp_ prefix"),
    "gitlab-token": ("glpat-short",),
    "slack-token": ("xoxo, see you", "xoxb-"),
    "slack-webhook": ("https://hooks.slack.com/services/",),
    "openai-key": ("sk-learn is scikit-learn", "task-manager-for-many-people-and-things", "sk-proj-"),
    "anthropic-key": ("sk-ant-...",),
    "openrouter-key": ("sk-or-v1-...",),
    "fleet-key": ("sk-fleet-...", "a sk-fleet-key"),
    "google-key": ("AIza", "ya29."),
    "stripe-key": ("sk_test_" + "aB3dE6gH9kL2mN5pQ8rS1tU4",),
    "huggingface-token": ("hf_hub_download(repo_id)", "hf_transfer"),
    "npm-token": ("npm_config_registry",),
    "onepassword-token": ("ops_eyJ",),
    "age-key": ("AGE-SECRET-KEY-1",),
    "private-key": ("-----BEGIN PUBLIC KEY-----", "-----BEGIN CERTIFICATE-----", "a private key"),
    "jwt": ("eyJub3QiOiJhIGhlYWRlciJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.x", "eyJ.eyJ"),
    "password-in-address": ("https://user:$PASSWORD@host/", "ssh://git@github.com:22/x", "redis://:<password>@h"),
    "secret-beside-its-name": (
        "token = self.tokenizer.apply_chat_template(messages)",
        "secret: SecretReference = field(default_factory=SecretReference)",
        "password = os.environ['DATABASE_PASSWORD']",
        "tokens: list[int] = tokenizer_config_for_model_v2",
        "api_key=YOUR_API_KEY_GOES_HERE",
        "commit 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b",
    ),
    "payment-card": (
        "4111 1111 1111 1112",
        "1700000000000 ms",
        "0000 0000 0000 0000",
        "41111111111111111111111",
        "0.4111111111111111",
        "4111111111111111.5",
        "4111111111111111abcdef",
    ),
    "iban": ("DE89 3704 0044 0532 0130 01", "AB12 3456 7890 1234", "SHA256 DEAD BEEF CAFE"),
    "many-mail-addresses": (
        "a@example.com b@example.com c@example.com d@example.com e@example.com",
        "git@github.com and one@acme.com, two@acme.com, one@acme.com, one@acme.com, one@acme.com",
    ),
}
"""By the rule that must not find them."""
