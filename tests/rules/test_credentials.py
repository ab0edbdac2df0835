"""What is a credential, and what only looks like one. The credentials in here were made up for these tests."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from mlops_steps.config import ValidateSettings
from mlops_steps.dss.facts import ProjectFacts, Recipe
from mlops_steps.rules.credentials import no_credentials
from mlops_steps.rules.model import Finding

CREDENTIALS = [
    ('password = "{}"', "hunter2x"),
    ("DB_PASSWORD = '{}'", "Tr0ub4dor&3"),
    ('password = "{}"', "changeme"),
    ('password = "{}"  # pragma: allowlist secret', "hunter2x"),
    ('# db_password = "{}"', "Pa55word"),
    ('if password == "{}":', "Tr0ub4dor&3xyzzy12"),
    ('api_key = "{}"', "0123456789abcdef0123456789abcdef"),
    ('client = dataikuapi.DSSClient("https://x", "{}")', "dkuaps-8fJ2kLm0PqRsTuVwXyZ1a2B3c4D5e6F7"),
    ('aws = "{}"', "AKIAIOSFODNN7EXAMPLF"),
    ('aws_secret_access_key = "{}"', "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"),
    ('k = """-----BEGIN RSA {}-----', "PRIVATE KEY"),
    ('gh = "{}"', "ghp_abcdefghijklmnopqrstuvwxyz0123456789"),
    ('conn = "postgresql://admin:{}@host/db"', "s3cr3tpw"),
    ('token = "{}"', "f3a9c1e87b2d4056a1b2c3d4e5f60718"),
    ('access_token = "{}"', "ya29.a0AfH6SMBx1234567890abcdefghij"),
    ('headers = {{"Authorization": "Bearer {}"}}', "8sKd82jdKs92jd8Kd02jd9Kx"),
    ('requests.get(u, auth=("admin", "{}"))', "Xk29dk!kd"),
    ('auth = HTTPBasicAuth("admin", "{}")', "adm1n"),
    ('session.login("bob", password="{}")', "correct horse"),
    ('client_secret = "{}"', "Vq8~Q1abcdEFGH.ijkl_MNOPqrst-uvwx"),
    ('cfg = {{"user": "x", "password": "{}"}}', "S3cret!pass"),
    ('agg = {{"password_flag": "sum", "password": "{}"}}', "S3cret!pass"),
    ('os.environ["DB_PASSWORD"] = "{}"', "Pa55word!"),
    ('key = os.environ.get("DB_PASSWORD", "{}")', "S3cret!pass"),
    ('def connect(host, password: str = "{}", port=1): ...', "hunter2x"),
    ('x = "{}"', "q8Zr2Lm5Xv9Tn4Wb7Yc1Kd6Hf3Js0PgQeRuAoIi"),
]

ORDINARY = [
    'MD5 = "d41d8cd98f00b204e9800998ecf8427e"',
    'sha256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"',
    'commit = "9fa59fc0b2d6a7e3c4f5a6b7c8d9e0f1a2b3c4d5"',
    'digest = "sha512-9Xp3kzqN2yR7bVfT1sLwE4uHcJ6oGmQ8aDiKxZtYvCnWrBhMePlSjUfO5g0=="',
    'FEATURES = ["number_customer_service_calls", "total_day_minutes", "password_reset_count"]',
    'COLS = ["Total_Day_Minutes_2024_Q1_International_Calls_Voice", "AccountLengthInMonthsSinceActivation2"]',
    'agg = {"pwd_reset_count": "sum", "secret_question_set": "max", "password": "nunique"}',
    'schema = {"password": "string", "api_key": "object"}',
    'rename = {"Int\'l Plan": "international_plan", "VMail Message": "voice_mail_messages"}',
    'password = os.environ["DB_PASSWORD"]',
    'password = os.environ.get("DB_PASSWORD", "")',
    'api_key = dataiku.get_custom_variables()["api_key"]',
    'secret = get_secret("churn/db/password")',
    'password = getpass.getpass("password: ")',
    'keyring.get_password("service", "user")',
    'secret_name = "churn-database"',
    'password_column = "user_password"',
    'PASSWORD_ENV = "DB_PASSWORD"',
    'api_key = "<your key here>"',
    'password = "${DB_PASSWORD}"',
    'password = ""',
    "password = None",
    'conn = f"postgresql://{user}:{password}@host/db"',
    'url = "https://example.com/a/b?token={}".format(token)',
    'df = df[df["password"] == "weak"]',
    'tokenizer = Tokenizer(pad_token="[PAD]", unk_token="<unk>")',
    'token = "next_page_token"',
    'sort_key = "customer_id"',
    'primary_key = "customer_id"',
    'model_id = "S-DKU_CHURN-aBcD1234-1699999999999"',
    'path = "s3://bucket-name/Projects/DKU_CHURN/2024/Input_file01.csv.gz"',
    'uuid = "123e4567-e89b-12d3-a456-426614174000"',
    'alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"',
    'raise ValueError("API key: not set, see the documentation")',
    "x = dict(password=pw, api_key=api_key)",
    'parser.add_argument("--password", default=None)',
]


def find(code: str, kind: str = "python") -> Finding:
    (finding,) = no_credentials(ProjectFacts("P", recipes=(Recipe("r", kind, code=code),)), ValidateSettings())
    return finding


@pytest.mark.parametrize(("line", "value"), CREDENTIALS)
def test_a_credential_is_found_by_its_line_and_never_shown(line: str, value: str) -> None:
    finding = find("import os\n\n" + line.format(value) + "\nx = 1\n")
    assert not finding.ok
    assert finding.message.startswith("line 3: ")
    assert value not in finding.message + finding.details or value == "PRIVATE KEY"


@pytest.mark.parametrize("line", ORDINARY)
def test_ordinary_code_of_data_science_passes(line: str) -> None:
    finding = find(line + "\n")
    assert finding.ok, finding.message


def test_other_code_than_python_is_looked_at_too() -> None:
    assert not find("options(password = 'hunter2x')", "r").ok
    assert not find("-- login\nSET password = 'hunter2x';", "sql_script").ok


def test_a_line_is_told_once_by_its_most_telling_kind() -> None:
    finding = find('api_key = "ghp_abcdefghijklmnopqrstuvwxyz0123456789"')
    assert finding.message == "line 1: GitHub Token"


def test_of_many_the_first_are_in_the_message_and_all_in_the_details() -> None:
    finding = find("".join(f'password{n} = "hunter2x{n}"\n' for n in range(9)))
    assert finding.message.endswith("line 3: Secret Keyword; and 6 more")
    assert "line 9: Secret Keyword" in finding.details


@pytest.mark.parametrize(
    "code", ["", "\x00\x01", "\ud800 = 1", "'" * 9999, "a" * 100_000, "x = (\n" * 500, "\x0c\u2028\r\x85 password"]
)
def test_whatever_stands_in_a_recipe_it_is_read_to_its_end(code: str) -> None:
    finding = find(code + '\npassword = "hunter2x"')
    assert not finding.ok
    assert find(code).ok


def test_no_key_is_tried_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_arguments: Any, **_options: Any) -> None:
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    finding = find('aws = "AKIAIOSFODNN7EXAMPLF"\naws_secret = "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"')
    assert not finding.ok
