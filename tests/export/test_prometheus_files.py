"""What a Prometheus is given: promtool takes it, the rules fire, and no loss of data ends an alert."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field

import pytest

from gpuwatch_tray.export import prometheus_files
from gpuwatch_tray.export.metrics import METRICS
from gpuwatch_tray.export.prometheus_files import list_rules, rules_text, scrape_configuration
from tests.support.promtool import promtool

RULES = list_rules("gpuwatch", stale=60, gpu_limit=2, max_etime=6 * 3600, lab_gpu_limit=3)
HOST = {"job": "gpuwatch", "instance": "h1"}
NODE = {"job": "node", "instance": "h1"}
LOST = "_x90"  # no sample for 90 minutes: the host does not answer, or has left


@pytest.mark.parametrize(
    ("host", "target"),
    [
        ("h1", "h1:9836"),
        ("h1.example.org:9000", "h1.example.org:9000"),
        ("192.0.2.1", "192.0.2.1:9836"),
        ("2001:db8::1", "[2001:db8::1]:9836"),
        ("[2001:db8::1]", "[2001:db8::1]:9836"),
        ("[2001:db8::1]:9000", "[2001:db8::1]:9000"),
    ],
)
def test_a_machine_without_a_port_has_the_exporters(host, target):
    """Names and addresses of both kinds."""
    assert f'          - "{target}"\n' in scrape_configuration("gpuwatch", [host])


def test_promtool_takes_the_scrape_configuration(tmp_path):
    """As a whole prometheus.yml beside the rules, with every line for TLS too."""
    (tmp_path / prometheus_files.RULES_FILE).write_text(rules_text(RULES))
    file = tmp_path / "prometheus.yml"
    file.write_text(scrape_configuration("a/b:c", ["h1", "h2:1"]))
    code, said = promtool("check", "config", file)
    assert code == 0, said
    assert f"SUCCESS: {len(RULES)} rules found" in said
    for name in ("our-lab.pem", "prometheus.pem", "prometheus.key"):
        (tmp_path / name).touch()
    text = file.read_text()
    for line in ("scheme:", "tls_config:", "  ca_file:", "  cert_file:", "  key_file:"):
        assert f"    # {line}" in text
        text = text.replace(f"    # {line}", f"    {line}")
    file.write_text(text)
    code, said = promtool("check", "config", "--syntax-only", file)
    assert code == 0, said


def test_promtool_takes_the_rules(tmp_path):
    """With all limits and with none."""
    fewer = list_rules("gpuwatch", stale=60, gpu_limit=None, max_etime=None, lab_gpu_limit=None)
    assert len(fewer) == len(RULES) - 3
    for rules in (RULES, fewer):
        file = tmp_path / "rules.yml"
        file.write_text(rules_text(rules))
        code, said = promtool("check", "rules", file)
        assert code == 0, said
        assert f"SUCCESS: {len(rules)} rules found" in said


def test_every_metric_of_the_rules_is_in_the_table():
    """No rule asks for a name that no machine tells."""
    named = {name for rule in RULES for name in re.findall(r"gpuwatch_[a-z_]+", rule.expression)}
    assert named <= {f"gpuwatch_{name}" for name in METRICS}


@dataclass
class Story:
    """What one host tells, minute by minute, and which alerts of a name are expected at which minute."""

    alert: str
    series: dict[str, str]
    expected: dict[int, list[dict[str, str]]]
    labels: dict[str, str] = field(default_factory=lambda: HOST)

    def test(self):
        return {
            "interval": "1m",
            "input_series": [
                {"series": _series(name, self.labels), "values": values}
                for name, values in self.series.items()
            ],
            "alert_rule_test": [
                {
                    "eval_time": f"{minute}m",
                    "alertname": self.alert,
                    "exp_alerts": [{"exp_labels": self.labels | labels} for labels in alerts],
                }
                for minute, alerts in self.expected.items()
            ],
        }


def _series(name, labels):
    """Add the labels to those that a name has already."""
    base, _, own = name.partition("{")
    pairs = [f'{key}="{value}"' for key, value in labels.items()]
    return f"{base}{{{', '.join([*pairs, *filter(None, [own.rstrip('}')])])}}}"


def told(tmp_path, *stories):
    """Have promtool play the stories without summaries: those are another test's."""
    bare = "".join(
        line
        for line in rules_text(RULES).splitlines(keepends=True)
        if not line.lstrip().startswith(("annotations:", "summary:"))
    )
    (tmp_path / "rules.yml").write_text(bare)
    tests = {"rule_files": ["rules.yml"], "evaluation_interval": "1m", "tests": [s.test() for s in stories]}
    (tmp_path / "tests.yml").write_text(json.dumps(tests))
    return promtool("test", "rules", tmp_path / "tests.yml")


OK = "1x200"


def fires(severity, **labels):
    """What is expected of the story's host."""
    return [{"severity": severity} | labels]


STORIES = {
    "a host that does not answer": Story(
        "GpuwatchHostDown", {"up": "1 0x30 1x10"}, {1: [], 5: fires("warning"), 35: []}
    ),
    "a host with a node_exporter that does not answer for three hours": Story(
        "GpuwatchHostDown",
        {"up": "1x5 0x180 1x10", "gpuwatch_reading_ok": "1x5 stale _x200"},
        {4: [], 30: fires("warning"), 180: fires("warning"), 192: []},
        NODE,
    ),
    "another host with a node_exporter that does not answer": Story(
        "GpuwatchHostDown", {"up": "1x5 0x60"}, {30: []}, NODE
    ),
    "a host with a node_exporter that leaves the list": Story(
        "GpuwatchHostGone",
        {"up": "1x5 stale _x100", "gpuwatch_reading_ok": "1x5 stale _x100"},
        {4: [], 20: fires("info"), 80: []},
        NODE,
    ),
    "a host that leaves the list": Story(
        "GpuwatchHostGone", {"up": "1x10 stale _x100"}, {9: [], 20: fires("info"), 80: []}
    ),
    "a host whose exporter was taken away": Story(
        "GpuwatchExporterGone",
        {"up": OK, "gpuwatch_reading_ok": "1x10 stale _x100"},
        {9: [], 20: fires("warning")},
    ),
    "a host that cannot read its GPUs": Story(
        "GpuwatchBlind",
        {"up": OK, "gpuwatch_reading_ok": "1x5 0x20 1x20"},
        {4: [], 8: fires("warning"), 20: fires("warning") + fires("critical"), 30: []},
    ),
    "a host that cannot read its GPUs, and then does not answer": Story(
        "GpuwatchBlind",
        {"up": "1x25 0x100", "gpuwatch_reading_ok": f"1x5 0x19 stale {LOST}"},
        {20: fires("warning") + fires("critical"), 60: fires("warning") + fires("critical")},
    ),
    "a host whose readings have stopped": Story(
        "GpuwatchStale",
        {
            "gpuwatch_reading_ok": OK,
            "gpuwatch_host_clock_timestamp_seconds": "5000+60x60",
            "gpuwatch_last_reading_timestamp_seconds": "4990+60x9 5530x50",
        },
        {5: [], 20: fires("warning")},
    ),
    "a file for node_exporter that nobody writes": Story(
        "GpuwatchStale",
        {"gpuwatch_reading_ok": OK, "gpuwatch_last_reading_timestamp_seconds": "0+60x10 600x50"},
        {9: [], 20: fires("warning")},
    ),
    "a host whose clock is off": Story(
        "GpuwatchClock",
        {"gpuwatch_host_clock_timestamp_seconds": "90+60x60"},
        {5: [], 20: fires("info")},
    ),
    "a host on which the tray has ended": Story(
        "GpuwatchNotJudged", {"gpuwatch_alerts_evaluated": "1x10 0x50"}, {9: [], 20: fires("warning")}
    ),
    "a host on which no tray ever was": Story(
        "GpuwatchNotJudged", {"gpuwatch_alerts_evaluated": "0x60"}, {20: [], 50: []}
    ),
    "a host that has lost a GPU, is lost itself, and comes back with it": Story(
        "GpuwatchGpuLost",
        {
            "gpuwatch_gpus_visible": "8x5 7x10 stale _x30 8x20",
            "gpuwatch_gpus_expected": "8x15 stale _x30 8x20",
            "up": "1x15 0x30 1x20",
        },
        {4: [], 8: fires("critical"), 40: fires("critical"), 55: []},
    ),
    "an alert of a host that hangs, comes back with it, and is over": Story(
        "GpuwatchAlert",
        {
            'gpuwatch_alert{rule="temp", severity="critical", gpu="3"}': "_x2 1x10 stale _x20 1x10 stale _x9",
            "gpuwatch_alerts_evaluated": "1x13 stale _x19 1x30",
        },
        {
            1: [],
            5: fires("critical", rule="temp", gpu="3"),
            25: fires("critical", rule="temp", gpu="3"),
            40: fires("critical", rule="temp", gpu="3"),
            50: [],
        },
    ),
    "an alert of a host whose tray has ended": Story(
        "GpuwatchAlert",
        {
            'gpuwatch_alert{rule="temp", severity="warning", gpu=""}': "1x10 stale _x60",
            "gpuwatch_alerts_evaluated": "1x10 0x60",
        },
        {5: fires("warning", rule="temp"), 30: fires("warning", rule="temp")},
    ),
    "a user over the limit, on a host that then does not answer": Story(
        "GpuwatchUserGpuLimit",
        {'gpuwatch_user_gpus{user="bob"}': "1x5 3x10 stale _x30", "gpuwatch_reading_ok": "1x16 stale _x30"},
        {4: [], 10: fires("warning", user="bob"), 40: fires("warning", user="bob")},
    ),
    "a user over the limit who ends": Story(
        "GpuwatchUserGpuLimit",
        {'gpuwatch_user_gpus{user="bob"}': "3x10 stale _x30", "gpuwatch_reading_ok": OK},
        {8: fires("warning", user="bob"), 15: []},
    ),
    "a user who computes for too long": Story(
        "GpuwatchUserMaxEtime",
        {
            'gpuwatch_user_oldest_start_timestamp_seconds{user="bob"}': "5000x60",
            "gpuwatch_last_reading_timestamp_seconds": "26000+60x60",
            "gpuwatch_reading_ok": OK,
        },
        {5: [], 20: fires("warning", user="bob")},
    ),
}


@pytest.mark.parametrize("name", STORIES)
def test_a_rule_fires_and_is_over_as_it_should(name, tmp_path):
    """Played by `promtool test rules`: where data is lost the alert stays; it ends when the good is known."""
    code, said = told(tmp_path, STORIES[name])
    assert code == 0, said


def test_an_alert_says_what_it_is_about(tmp_path):
    """The summary names host, rule, GPU and user, and writes times as people do."""
    alert = Story(
        "GpuwatchAlert",
        {'gpuwatch_alert{rule="temp", severity="critical", gpu="3"}': OK},
        {5: fires("critical", rule="temp", gpu="3")},
    )
    too_long = STORIES["a user who computes for too long"]
    tests = [story.test() for story in (alert, too_long)]
    summaries = (
        "On h1 the rule temp fires for GPU 3.",
        "bob has computed on h1 for 6h 10m 0s; the limit is 6 h.",
    )
    for test, summary in zip(tests, summaries, strict=True):
        for moment in test["alert_rule_test"]:
            for expected in moment["exp_alerts"]:
                expected["exp_annotations"] = {"summary": summary}
    (tmp_path / "rules.yml").write_text(rules_text(RULES))
    tests = {"rule_files": ["rules.yml"], "evaluation_interval": "1m", "tests": tests}
    (tmp_path / "tests.yml").write_text(json.dumps(tests))
    code, said = promtool("test", "rules", tmp_path / "tests.yml")
    assert code == 0, said


def test_a_prometheus_without_hosts_is_told(tmp_path):
    """An empty list of targets is critical, and the watchdog fires whatever happens."""
    job = {"job": "gpuwatch"}
    code, said = told(
        tmp_path,
        Story("GpuwatchNoHosts", {}, {10: fires("critical")}, job),
        Story("GpuwatchNoHosts", {"up": OK}, {10: []}),
        Story("GpuwatchNoHosts", {"up": OK, "gpuwatch_reading_ok": OK}, {10: []}, NODE),
        Story("GpuwatchWatchdog", {}, {0: fires("none"), 10: fires("none")}, {}),
    )
    assert code == 0, said


def test_the_limit_over_all_hosts_counts_one_that_does_not_answer(tmp_path):
    """Two GPUs here and two on a host that is down are four: the sum does not fall by a loss."""
    series = {
        'gpuwatch_user_gpus{instance="h1", user="bob"}': "2x60",
        'gpuwatch_reading_ok{instance="h1"}': "1x60",
        'gpuwatch_user_gpus{instance="h2", user="bob"}': "2x10 stale _x50",
        'gpuwatch_reading_ok{instance="h2"}': "1x10 stale _x50",
    }
    over = fires("warning", user="bob")
    story = Story("GpuwatchUserLabGpuLimit", series, {5: over, 40: over}, {})
    code, said = told(tmp_path, story)
    assert code == 0, said


def test_promtool_would_tell_an_alert_that_ended(tmp_path):
    """The stories can fail: an expectation that does not come about is an error."""
    code, said = told(tmp_path, Story("GpuwatchHostDown", {"up": "0x60"}, {20: []}))
    assert code == 1, said
