"""
What a Prometheus needs to know of machines that export: a scrape configuration and alerting rules. Pure.

The texts are English, as they stay on a server that others share. Loss of data must not look like the end of
an alert, so each rule goes on for an hour with what was known last, while another one tells of the loss.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from msgspec import Struct

from gpuwatch_tray.model.units import DAY, HOUR, MINUTE

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


PORT = 9836
RULES_FILE = "gpuwatch.rules.yml"
KEPT = "1h"  # for which a rule goes on with what was known last
SKEW = 5  # seconds by which a clock may be off: an NTP client keeps it far below 1
HEADER = "# Made by `gpuwatch-tray setup prometheus{options}`.\n"

SCRAPE = """\
# A whole prometheus.yml; where you have one, take over the entries. `promtool check config FILE` checks it.
# On each machine: `gpuwatch-tray export`. By default it answers on that machine alone. To answer in the
# network, give it a certificate, and take the comment marks from the lines with TLS below. Where a
# node_exporter runs, use `export --textfile` instead; then no entry is needed here, only the rules.
global:
  scrape_interval: 15s
  evaluation_interval: 15s

rule_files:
  - "gpuwatch*.rules.yml"  # gpuwatch-tray setup prometheus --rules > {rules_file}

# alerting:
#   alertmanagers:
#     - static_configs:
#         - targets: ["localhost:9093"]

scrape_configs:
  - job_name: {job}
    # scheme: https
    # tls_config:
    #   ca_file: our-lab.pem
    #   cert_file: prometheus.pem  # for machines with --tls-client-ca
    #   key_file: prometheus.key
    static_configs:
      - targets:
{targets}
    relabel_configs:
      # A machine is named without its port, so that `ssh NAME` works.
      - source_labels: [__address__]
        regex: "(.+):[0-9]+"
        target_label: instance
"""


def scrape_configuration(job: str, hosts: Iterable[str]) -> str:
    """Write prometheus.yml for these machines; one without a port has the exporter's."""
    targets = "\n".join(f"          - {json.dumps(_with_port(host))}" for host in hosts)
    text = SCRAPE.format(job=json.dumps(job), targets=targets, rules_file=RULES_FILE)
    return HEADER.format(options="") + text


def _with_port(host: str) -> str:
    if host.startswith("["):
        return host if host.rpartition("]")[2].startswith(":") else f"{host}:{PORT}"
    if host.count(":") > 1:
        return f"[{host}]:{PORT}"
    return host if ":" in host else f"{host}:{PORT}"


class AlertingRule(Struct, frozen=True):
    """One rule. `severity` empty: that of the series."""

    alert: str
    expression: str
    hold: str
    severity: str
    summary: str


def _kept(series: str, known: str) -> str:
    """Return the series, and what was last known of it wherever `known` does not hold now."""
    return f"{series} or (last_over_time({series}[{KEPT}]) unless on (job, instance) ({known}))"


OK_NOW = "gpuwatch_reading_ok == 1"


# fmt: off
def list_rules(
    job: str, *, stale: float, gpu_limit: int | None, max_etime: float | None, lab_gpu_limit: int | None
) -> tuple[AlertingRule, ...]:
    """
    Return the rules; a limit that is None has none.

    `job` is that of the scrape configuration. A reading older than `stale` seconds says nothing of now; no
    user may compute for more than `max_etime` seconds.
    """
    up = f"up{{job={json.dumps(job)}}}"
    host = "{{ $labels.instance }}"
    ok, last = "gpuwatch_reading_ok", "gpuwatch_last_reading_timestamp_seconds"
    clock = "gpuwatch_host_clock_timestamp_seconds"
    of_users = _kept("gpuwatch_user_gpus", OK_NOW)
    start = _kept("gpuwatch_user_oldest_start_timestamp_seconds", OK_NOW)
    here = "on (job, instance)"
    rules = [
        AlertingRule("GpuwatchWatchdog", "vector(1)", "0s", "none",
            "Always fires: who gets this one gets the others too."),
        AlertingRule("GpuwatchNoHosts", f"absent({up}) and on () absent({ok})", "5m", "critical",
            f"Prometheus asks no machine in the job {job}: nothing is known of any GPU."),
        # One that writes a file for node_exporter has another job, and is known by what it told before.
        AlertingRule("GpuwatchHostDown", f"{up} == 0 or (up == 0 and {here} (last_over_time({ok}[{KEPT}])"
            ' or ALERTS{alertname="GpuwatchHostDown", alertstate="firing"}))', "2m", "warning",
            f"{host} does not answer: nothing is known of its GPUs."),
        AlertingRule("GpuwatchHostGone",
            f"(last_over_time({up}[{KEPT}]) or {here} last_over_time({ok}[{KEPT}])) unless {here} up",
            "5m", "info",
            f"{host} was taken off the list of machines."),
        AlertingRule("GpuwatchExporterGone",
            f"(last_over_time({ok}[{KEPT}]) unless {here} {ok}) and {here} up == 1", "5m", "warning",
            f"{host} answers, and has no metrics of gpuwatch-tray any more."),
        AlertingRule("GpuwatchBlind", f"last_over_time({ok}[{KEPT}]) == 0", "1m", "warning",
            f"{host} cannot read its GPUs."),
        AlertingRule("GpuwatchBlind", f"last_over_time({ok}[{KEPT}]) == 0", "10m", "critical",
            f"{host} has not been able to read its GPUs for 10 minutes."),
        # By the machine's own clock; a file for node_exporter does not tell it.
        AlertingRule("GpuwatchStale",
            f"(({clock} - {last}) > {stale:.0f} or ((time() - {last}) unless {here} {clock}) > {stale:.0f})"
            f" and {here} {OK_NOW}", "1m", "warning",
            f"What {host} tells of its GPUs is {{{{ $value | humanizeDuration }}}} old."),
        AlertingRule("GpuwatchClock", f"abs({clock} - timestamp({clock})) > {SKEW}", "10m", "info",
            f"The clock of {host} is off by {{{{ $value | humanizeDuration }}}}."),
        AlertingRule("GpuwatchNotJudged",
            f"last_over_time(gpuwatch_alerts_evaluated[{KEPT}]) == 0"
            f" and max_over_time(gpuwatch_alerts_evaluated[{KEPT}]) == 1", "5m", "warning",
            f"On {host} the tray or `watch` has ended: nobody judges by its rules any more."),
        AlertingRule("GpuwatchGpuLost",
            f"last_over_time(gpuwatch_gpus_visible[{KEPT}]) < last_over_time(gpuwatch_gpus_expected[{KEPT}])",
            "1m", "critical", f"{host} has lost a GPU: it can read {{{{ $value }}}}."),
        AlertingRule("GpuwatchAlert", _kept("gpuwatch_alert", "gpuwatch_alerts_evaluated == 1"), "0s", "",
            f"On {host} the rule {{{{ $labels.rule }}}} fires"
            "{{ if $labels.gpu }} for GPU {{ $labels.gpu }}{{ end }}."),
    ]
    if gpu_limit is not None:
        rules.append(AlertingRule("GpuwatchUserGpuLimit", f"({of_users}) > {gpu_limit}", "1m", "warning",
            f"{{{{ $labels.user }}}} computes on {{{{ $value }}}} GPUs of {host}; the limit is {gpu_limit}."))
    if lab_gpu_limit is not None:
        rules.append(AlertingRule("GpuwatchUserLabGpuLimit",
            f"sum by (user) ({of_users}) > {lab_gpu_limit}", "1m", "warning",
            f"{{{{ $labels.user }}}} computes on {{{{ $value }}}} GPUs of all machines;"
            f" the limit is {lab_gpu_limit}."))
    if max_etime is not None:
        # Both times are by the machine's clock.
        rules.append(AlertingRule("GpuwatchUserMaxEtime",
            f"last_over_time({last}[{KEPT}]) - {here} group_right () ({start}) > {max_etime:.0f}",
            "1m", "warning",
            f"{{{{ $labels.user }}}} has computed on {host} for {{{{ $value | humanizeDuration }}}};"
            f" the limit is {_span(max_etime)}."))
    return tuple(rules)
# fmt: on


def _span(seconds: float) -> str:
    for length, unit in ((DAY, "d"), (HOUR, "h"), (MINUTE, "min")):
        if seconds >= length and seconds % length == 0:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"


def rules_text(rules: Sequence[AlertingRule]) -> str:
    """Write the file of rules; JSON's strings are YAML's."""
    lines = [
        HEADER.format(options=" --rules"),
        "# `promtool check rules FILE` checks it. An alert goes on for an hour while nothing is known.\n",
        "groups:\n  - name: gpuwatch\n    rules:\n",
    ]
    for rule in rules:
        expression, summary = json.dumps(rule.expression), json.dumps(rule.summary)
        labels = f"        labels:\n          severity: {rule.severity}\n" if rule.severity else ""
        lines.append(
            f"      - alert: {rule.alert}\n        expr: {expression}\n        for: {rule.hold}\n{labels}"
            f"        annotations:\n          summary: {summary}\n"
        )
    return "".join(lines)
