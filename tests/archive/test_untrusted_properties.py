"""Whatever bytes a record, a report or an archive has: a result, or one error for people; nothing is written."""

from __future__ import annotations

import json
import time
from pathlib import Path
from random import Random

from mlops_steps.archive.contents import BadArchive, checked
from mlops_steps.config import load
from mlops_steps.delivery.phases import Phase
from mlops_steps.delivery.record import Bundle, ReleaseRecord
from mlops_steps.errors import ConfigError, MlopsError, ReportError
from mlops_steps.report import junit, junit_parse
from mlops_steps.report.model import Case, Report
from tests.archive.archives import bundle, harmless
from tests.support.counts import count
from tests.support.generated import numbers

CASES = 6_000

XML = (
    b'<?xml version="1.0"?><testsuites><testsuite name="S" timestamp="2026-01-02T03:04:05Z"><properties><property '
    b'name="k" value="v"/></properties><testcase name="a" classname="c" time="1.5"><failure message="m">text</failure>'
    b'<system-out><![CDATA[out]]></system-out></testcase><testcase name="b"><skipped/></testcase></testsuite>'
    b"</testsuites>"
)
XML_BITS = [b"<testsuite", b"<testcase/>", b"</", b">", b"<!DOCTYPE a [", b"<!ENTITY a 'b'>", b"]>", b"&a;", b"&#0;",
            b"<![CDATA[", b"\x00", b"\xff", b'time="nan"', b'timestamp="9999-99"', b"<?xml encoding='x'?>"]  # fmt: skip
YAML = (
    b"project: P\nautomation: full\nnodes:\n  design: {url: 'https://d:1'}\n  test: {url: 'https://t:1', infra: t}\n"
    b"test:\n  scenarios: ['TEST_*']\n  timeout: 30m\nrelease: {rollback: auto}\n"
)
YAML_BITS = [b"&a", b"*a", b"!!python/object:os.system", b"{", b"]", b"- ", b": ", b"\t", b"'", b"u:p@", b"|", b"\x00",
             b"~", b"<<: *a", b"1e999", b"#", b"\xff", b"--- "]  # fmt: skip
JSON_BITS = [
    b"null",
    b"[]",
    b"{}",
    b'"',
    b"1e999",
    b"-1",
    b"[[[[",
    b"\\ud800",
    b"\xff",
    b"\x00",
    b"true",
    b'"in doubt"',
]
ZIP_BITS = [b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06", b"PK\x06\x06", b"\xff\xff\xff\xff", b"\x00\x00", b"../", b"/"]


def spoiled(random: Random, data: bytes, bits: list[bytes]) -> bytes:
    """The bytes with a few of them changed, left out, doubled or replaced by words of the format."""
    found = bytearray(data)
    for _ in range(random.randint(1, 4)):
        at = random.randint(0, len(found))
        kind = random.random()
        if kind < 0.3 and at < len(found):
            found[at] = random.randrange(256)
        elif kind < 0.5:
            del found[at : at + random.choice([1, 4, 40])]
        elif kind < 0.6:
            found[at:at] = found[at : at + 40]
        elif kind < 0.65:
            del found[at:]
        else:
            bit = random.choice(bits)
            found[at : at + random.choice([0, len(bit)])] = bit
    return bytes(found)


def in_time(begun: float, number: int) -> None:
    count("generated cases")
    assert time.monotonic() - begun < 10, number


def one_error(error: MlopsError, number: int) -> None:
    for line in error.lines():
        assert "\n" not in line, number


def test_any_configuration(tmp_path: Path) -> None:
    path = tmp_path / "mlops.yml"
    for number in numbers(CASES // 2):
        begun = time.monotonic()
        path.write_bytes(spoiled(Random(number), YAML, YAML_BITS))
        try:
            load(path, {})
        except ConfigError as error:
            one_error(error, number)
        in_time(begun, number)
    assert [found.name for found in tmp_path.iterdir()] == ["mlops.yml"]


def test_any_record() -> None:
    record = ReleaseRecord(project="P", bundle=Bundle(id="b", sha256="0" * 64, size=1))
    record.unit("prod", "i", "d").phase = Phase.RESTORING
    data = record.model_dump_json(by_alias=True).encode()
    for number in numbers(CASES):
        begun = time.monotonic()
        try:
            found = ReleaseRecord.parse(spoiled(Random(number), data, JSON_BITS), "release.json")
            json.loads(found.model_dump_json(by_alias=True))
        except ConfigError as error:
            one_error(error, number)
        in_time(begun, number)


def test_any_report_is_read_and_merged() -> None:
    for number in numbers(CASES):
        begun = time.monotonic()
        data = spoiled(Random(number), XML, XML_BITS)
        try:
            cases = junit_parse.parse(data)
            junit_parse.suite(data)
            merged = Report("P", "test", "uat")
            junit.merge(merged, [Case(**vars(case)) for case in cases], scope="TEST_A")
            if number % 7 == 0:
                assert len(junit_parse.parse(junit.to_bytes(merged))) >= len(merged.cases)
        except ReportError as error:
            one_error(error, number)
        in_time(begun, number)


def test_any_archive(tmp_path: Path) -> None:
    path = tmp_path / "b.zip"
    originals = [harmless("P"), bundle("P")]
    refused = 0
    for number in numbers(CASES):
        begun = time.monotonic()
        random = Random(number)
        path.write_bytes(spoiled(random, random.choice(originals), ZIP_BITS))
        try:
            with checked(path) as archive:
                archive.namelist()
        except BadArchive as error:
            assert str(error).isprintable(), number
            refused += 1
        in_time(begun, number)
    assert refused > len(numbers(CASES)) / 2
    assert [found.name for found in tmp_path.iterdir()] == ["b.zip"]
